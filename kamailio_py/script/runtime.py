"""The names that generated code uses, all of them: one dict, which compile_config puts under each compiled config.

Helpers that only generated code calls live here; operators are in `operators`, the old bare words in `operands`.
"""

from __future__ import annotations

from typing import Any

from kamailio_py.log import get_logger
from kamailio_py.script import operands, operators
from kamailio_py.script.context import Context
from kamailio_py.script.control import ScriptDrop, ScriptExit
from kamailio_py.script.regex import compile_posix
from kamailio_py.script.values import to_str, wrap32
from kamailio_py.script.variables import VARS
from kamailio_py.sip.ip import is_ip, network, normalise

log = get_logger()

E_CFG = -10
E_BUG = -5
E_UNSPEC = -1


def too_deep(level: int) -> int:
    """Blocks are nested deeper than max_recursive_level."""
    log.err(f"too many recursive routing table lookups ({level}) giving up!")
    return E_UNSPEC


def runaway_while(ctx: Context, line: int, column: int, path: str, end_line: int) -> None:
    """A loop ran max_while_loops times; the script goes on after it."""
    log.err(f"runaway while ({line}, {column}): more then {ctx.core.cfg.max_while_loops} loops")
    log.err(f"run action error at: {path}:{end_line}")


def missing_route(name: str, place: str) -> int:
    """`route($var(x))` for a name that no route has."""
    log.err(f'route "{name}" not found at {place}')
    log.err(f"run action error at: {place}")
    return E_CFG


def unfit_argument(function: str, number: int, place: str) -> int:
    """A function that wants a variable was given a value."""
    log.err(f"runtime fixup failed for {function} param {number}")
    log.err(f"run action error at: {place}")
    return E_BUG


def if_failed(place: str) -> bool:
    """The condition has no value: it is false."""
    log.err(f"if expression evaluation failed ({place})")
    return False


def assign_failed(place: str) -> None:
    """The right side of an assignment has no value."""
    log.err(f"rval expression evaluation failed ({place})")
    log.err(f"rval expression evaluation failed ({place})")  # once of the expression, once of the assignment


def return_failed(place: str) -> int:
    """The value of return, exit or drop could not be evaluated."""
    log.warn("failed to eval int expression")
    return E_BUG


def call_failed(place: str) -> int:
    """An argument of a function has no value: the function is not called."""
    log.err(f"run action error at: {place}")
    return E_UNSPEC


def _namespace() -> dict[str, Any]:
    names: dict[str, Any] = {
        "VARS": VARS,
        "ScriptDrop": ScriptDrop,
        "ScriptExit": ScriptExit,
        "to_str": to_str,
        "wrap32": wrap32,
        # used while compiling
        "compile_posix": compile_posix,
        "is_ip": is_ip,
        "network": network,
        "normalise": normalise,
    }
    for helper in (
        operators.ExpressionError, operators.add, operators.div, operators.eq, operators.match,
        operators.mod, operators.regex_argument, operators.returned, operators.route_truth, operators.shift_left,
        operators.shift_right, operators.to_int, operators.truth,
        operands.af, operands.dst_ip, operands.dst_port, operands.from_uri, operands.in_network, operands.ip_is,
        operands.ip_is_myself, operands.is_own_uri, operands.msg_len, operands.proto, operands.same_text,
        operands.snd_af, operands.snd_ip, operands.snd_port, operands.snd_proto, operands.to_ip,
        operands.to_port, operands.to_uri, operands.uri, operands.uri_is_myself,
        assign_failed, call_failed, if_failed, missing_route, return_failed, runaway_while, too_deep,
        unfit_argument,
    ):  # fmt: skip
        names[helper.__name__] = helper
    return names


NAMESPACE = _namespace()
