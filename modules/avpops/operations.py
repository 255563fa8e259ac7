"""`operation/value/flags` of avp_check() and avp_op(): what is done with a value, and with what."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py.dataclass import dataclass, replace
from kamailio_py.log import get_logger
from kamailio_py.modules.avpops.targets import avp_of, checked_flags, pvar_and_rest
from kamailio_py.script.regex import compile_posix
from kamailio_py.script.values import Value, wrap32

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVarRegistry

log = get_logger("avpops")

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip
BITS: dict[str, Callable[[int, int], int]] = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}


def divide(a: int, b: int) -> int:
    """As C does it, towards zero; by zero gives zero."""
    if b == 0:
        log.err("division by 0")
        return 0
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def modulo(a: int, b: int) -> int:
    if b == 0:
        log.err("modulo by 0")
        return 0
    return a - divide(a, b) * b


COMPUTE: dict[str, Callable[[int, int], int]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": divide, "mod": modulo, **BITS,
    "not": lambda a, b: ~b,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; `values(ctx)` is what the other side may be."""

    name: str
    values: Callable[[Context], list[Value]]
    flags: str

    def holds(self, value: Value, other: Value) -> bool:
        """Whether a check holds; values of different types never compare."""
        if isinstance(value, int) and isinstance(other, int):
            if self.name in BITS:
                return BITS[self.name](value, other) != 0
            return self.name in COMPARE and COMPARE[self.name](value, other)
        if not isinstance(value, str) or not isinstance(other, str):
            log.dbg("value types don't match")
            return False
        if self.name == "re":  # without regard to case, whatever the flags say
            return _regex(other).search(value) is not None
        if "i" in self.flags or "I" in self.flags:
            value, other = value.lower(), other.lower()
        if self.name == "fm":
            return fnmatch.fnmatchcase(value, other)
        return self.name in COMPARE and COMPARE[self.name](value, other)

    def result(self, value: int, other: int) -> int:
        """What a computation gives."""
        return wrap32(COMPUTE[self.name](value, other))


def _regex(text: str) -> re.Pattern[str]:
    try:
        return compile_posix(text, icase=True)
    except ValueError as error:
        log.err(f"bad re <{text}>: {error}")
        return re.compile("(?!)")


def check_operation(text: str, registry: PVarRegistry) -> Operation:
    """`eq/s:bob/gi`; ValueError if it is none."""
    name, rest = _operation(text, (*COMPARE, *BITS, "re", "fm"))
    operation = _with_value(name, rest, registry, "gGiI")
    if name == "re" and not rest.startswith("$"):
        compile_posix(str(operation.values(None)[0]))  # type: ignore[arg-type]  # a wrong one shows when it is loaded
    return operation


def compute_operation(text: str, registry: PVarRegistry) -> Operation:
    """`add/i:5/gd`; ValueError if it is none."""
    name, rest = _operation(text, tuple(COMPUTE))
    operation = _with_value(name, rest, registry, "gd")
    if not rest.startswith("$") and not isinstance(operation.values(None)[0], int):  # type: ignore[arg-type]
        raise ValueError(f"value must be int: {text}")
    return operation


def _operation(text: str, known: tuple[str, ...]) -> tuple[str, str]:
    name, slash, rest = text.partition("/")
    if not slash:
        raise ValueError(f"parse error in <{text}>: it is operation/value")
    if name not in known:
        raise ValueError(f"unknown operation <{name}>: one of {', '.join(known)}")
    return name, rest


def _with_value(name: str, text: str, registry: PVarRegistry, known: str) -> Operation:
    if text.startswith("$"):
        pvar, rest = pvar_and_rest(text, registry)
        flags = checked_flags(rest, known)
        if pvar.name == "avp" and not pvar.transformed:
            avp, every = replace(avp_of(pvar), indexed=False), "G" in flags
            return Operation(name, lambda ctx: avp.values(ctx) if every else avp.values(ctx)[:1], flags)
        return Operation(name, lambda ctx: [value for value in (pvar.get(ctx),) if value is not None], flags)
    value, slash, flags = text.rpartition("/")
    if not slash or flags.strip(known):
        value, flags = text, ""
    if value.startswith("i:"):
        try:
            number = int(value[2:], 0)
        except ValueError:
            raise ValueError(f"value is not int as flags say <{value}>") from None
        return Operation(name, lambda ctx: [number], flags)
    constant = value.removeprefix("s:")
    return Operation(name, lambda ctx: [constant], checked_flags(flags, known))
