"""What is known of an expression before it runs: type, value when it is constant, and what does not fit together.

The rules and the words are Kamailio's (core/rvalue.c): a number on the left wants a number on the right, arithmetic,
relations and logic want numbers on both sides; a pseudo-variable has no type until it is read.
"""

from __future__ import annotations

from enum import StrEnum

from kamailio_py.config import nodes
from kamailio_py.config.errors import CfgError


class Type(StrEnum):
    INT = "int"
    STR = "str"
    ANY = "any"


_TEXT_ON_THE_LEFT = frozenset(("+", "==", "!=", "=~", "eq", "ne"))


def static_type(e: nodes.Expression) -> Type:
    """The type of `e`, as far as its text tells."""
    match e:
        case nodes.Number() | nodes.Call() | nodes.CoreCall() | nodes.RouteCall() | nodes.BlockExpression():
            return Type.INT
        case nodes.String():
            return Type.STR
        case nodes.Unary(op="(str)"):
            return Type.STR
        case nodes.Unary():
            return Type.INT
        case nodes.Binary(op="+"):
            return static_type(e.left)
        case nodes.Binary():
            return Type.INT
    return Type.ANY


def is_operand(e: nodes.Expression) -> bool:
    """`e` is one of the old bare words; comparisons with them have rules of their own."""
    return isinstance(e, nodes.Operand)


def wrong_types(e: nodes.Expression) -> CfgError | None:
    """What Kamailio refuses of this expression or of a part of it."""
    match e:
        case nodes.Unary(operand=operand):
            parts: tuple[nodes.Expression, ...] = (operand,)
        case nodes.Binary(left=left_part, right=right_part):
            parts = (left_part, right_part)
        case nodes.Conditional(test=test, yes=yes, no=no):
            parts = (test, yes, no)
        case _:
            return None
    for part in parts:
        if (error := wrong_types(part)) is not None:
            return error
    return wrong_here(e)


def wrong_here(e: nodes.Expression) -> CfgError | None:
    """What Kamailio refuses of this one expression, its parts not looked into."""
    if isinstance(e, nodes.Unary):
        found = _checked_type(e.operand)
        if e.op in ("!", "-", "~") and found is Type.STR:
            return CfgError(
                e.operand.at, "bad expression: type mismatch (str instead of int)", hint="a cast helps: (int)"
            )
        if e.op in ("strlen", "strempty", "defined") and found is Type.INT:
            return CfgError(
                e.operand.at, "bad expression: type mismatch (int instead of str)", hint="a cast helps: (str)"
            )
    if isinstance(e, nodes.Binary) and not is_operand(e.left) and not is_operand(e.right):
        left, right = _checked_type(e.left), _checked_type(e.right)
        culprit = None
        if e.op in _TEXT_ON_THE_LEFT:
            if left is Type.INT and right is Type.STR:
                culprit = e.right
        elif left is Type.STR:
            culprit = e.left
        elif right is Type.STR:
            culprit = e.right
        if culprit is not None:
            return CfgError(
                e.at,
                f"bad expression: type mismatch: str instead of int at ({culprit.at.line},{culprit.at.column})",
                hint="a cast helps: (int) or (str)",
            )
    return None


def _checked_type(e: nodes.Expression) -> Type:
    """As static_type; a select counts as text here, although it may have no value."""
    return Type.STR if isinstance(e, nodes.Select) else static_type(e)


# --- constants --------------------------------------------------------------------------------------------------


def wrap32(number: int) -> int:
    """As a C int holds it."""
    return ((number + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def constant(e: nodes.Expression) -> int | str | None:
    """The value of a constant expression, None when it is not constant (or has no value)."""
    match e:
        case nodes.Number(value=number):
            return wrap32(number)
        case nodes.String(value=text):
            return text
        case nodes.Unary():
            return _constant_unary(e)
        case nodes.Binary():
            left = constant(e.left)
            if left is None:
                return None
            if (e.op == "&&" and not left) or (e.op == "||" and left):
                return int(bool(left)) if isinstance(left, int) else None
            right = constant(e.right)
            return None if right is None else _constant_binary(e.op, left, right)
    return None


def number_of(value: int | str) -> int | None:
    """The number that a value is as a whole in an int context, None when it is none or too large; a sign alone is 0, as
    in Kamailio."""
    if isinstance(value, int):
        return value
    if not value:
        return 0
    sign, digits = (value[0], value[1:]) if value[0] in "+-" else ("", value)
    if digits.isdigit() and digits.isascii():
        number = int(value)
        return number if -0x80000000 <= number <= 0x7FFFFFFF else None
    if not digits:
        return 0
    if not sign and digits[:2] in ("0x", "0X") and len(digits) <= 10:
        try:
            return wrap32(int(digits[2:], 16))
        except ValueError:
            return None
    return None


def _constant_unary(e: nodes.Unary) -> int | str | None:
    value = constant(e.operand)
    if value is None:
        return None
    if e.op == "(str)":
        return str(value)
    if e.op == "strlen":
        return len(str(value))
    if e.op == "strempty":
        return int(not str(value))
    if e.op == "defined":
        return 1
    number = number_of(value)
    if number is None:
        return None
    if e.op == "!":
        return int(not number)
    if e.op == "-":
        return wrap32(-number)
    return ~number if e.op == "~" else number


def _constant_binary(op: str, left: int | str, right: int | str) -> int | str | None:
    if op == "+" and isinstance(left, str):
        return left + str(right)
    if not isinstance(left, int) or not isinstance(right, int):
        return None
    match op:
        case "+":
            return wrap32(left + right)
        case "-":
            return wrap32(left - right)
        case "*":
            return wrap32(left * right)
        case "&":
            return left & right
        case "|":
            return left | right
        case "^":
            return left ^ right
        case "==" | "ieq":
            return int(left == right)
        case "!=" | "ine":
            return int(left != right)
        case "<":
            return int(left < right)
        case "<=":
            return int(left <= right)
        case ">":
            return int(left > right)
        case ">=":
            return int(left >= right)
        case "&&":
            return int(bool(left) and bool(right))
        case "||":
            return int(bool(left) or bool(right))
    return None
