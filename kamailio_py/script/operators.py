"""What the operators of the language do when the types of their operands are not known before the script runs.

Generated code calls these where it could not do better; the rules are Kamailio's (core/rvalue.c): the left operand
decides, null takes the type of the other side, and a string that is no number counts as 0 and is warned of. `place` is
where the operand stands, in the form of Kamailio's messages.
"""

from __future__ import annotations

import re

from kamailio_py.config.types import number_of
from kamailio_py.log import get_logger
from kamailio_py.script.context import Context
from kamailio_py.script.control import ScriptExit
from kamailio_py.script.regex import compile_posix
from kamailio_py.script.values import Value, to_str, wrap32

log = get_logger()


class ExpressionError(Exception):
    """An expression that has no value (a division by 0); the statement it stands in fails."""


def to_int(value: Value, place: str = "") -> int:
    """The int of any value, with Kamailio's warnings for a string that is none."""
    if value.__class__ is int:
        return value
    if not value:
        return 0
    number = number_of(value)
    if number is None:
        log.warn(f'automatic string to int conversion for "{value}" failed')
        log.warn(f"rval expression conversion to int failed ({place})")
        return 0
    return number


def add(left: Value, right: Value, place: str = "") -> int | str:
    """`left + right`: a sum when the left side is a number, otherwise both as one text."""
    if left.__class__ is int:
        total = left + (right if right.__class__ is int else to_int(right, place))
        return total if -0x80000000 <= total <= 0x7FFFFFFF else wrap32(total)
    return to_str(left) + to_str(right)


def eq(left: Value, right: Value, place: str = "") -> bool:
    """`left == right` by the type of the left side, or of the right one when left is null."""
    if left.__class__ is str:
        return left == (right if right.__class__ is str else to_str(right))
    if left is None:
        return not right if right.__class__ is int else not to_str(right)
    return left == (right if right.__class__ is int else to_int(right, place))


def div(left: int, right: int) -> int:
    """C's division, towards 0."""
    if not right:
        log.err("rv div by 0")
        raise ExpressionError
    quotient = abs(left) // abs(right)
    return wrap32(quotient if (left < 0) == (right < 0) else -quotient)


def mod(left: int, right: int) -> int:
    """C's remainder: it has the sign of the left side."""
    if not right:
        log.err("rv mod by 0")
        raise ExpressionError
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def shift_left(left: int, right: int) -> int:
    """As the processor shifts a 32 bit number: by the low five bits of `right`."""
    return wrap32(left << (right & 31))


def shift_right(left: int, right: int) -> int:
    return left >> (right & 31)


def match(text: str, pattern: str) -> bool:
    """`text =~ pattern` for a pattern that is not constant; ExpressionError when it is no regex."""
    try:
        return compile_posix(pattern, icase=True).search(text) is not None
    except ValueError:
        log.err(f'Bad regular expression "{pattern}"')
        raise ExpressionError from None


_NEVER = re.compile("(?!)")


def regex_argument(pattern: str) -> re.Pattern[str]:
    """A regex given to a function, made of pseudo-variables."""
    try:
        return compile_posix(pattern, icase=True, newline=True)
    except ValueError:
        log.err(f'bad regular expression "{pattern}"')
        return _NEVER


def truth(ctx: Context, result: int) -> bool:
    """A function's result inside a condition: `$rc` is set, more than 0 is true, 0 ends the script."""
    ctx.rc = result
    if result > 0:
        return True
    if not result:
        raise ScriptExit(0)
    return False


def route_truth(ctx: Context, result: int) -> bool:
    """A route's result inside a condition; 0 (a `break`) is just false."""
    ctx.rc = result
    return result > 0


def returned(value: int) -> int:
    """The value of `return`: 0 ends the script."""
    if not value:
        raise ScriptExit(0)
    return value
