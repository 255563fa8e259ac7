"""What is accounted on top of the standard values: extra attributes, and attributes of each leg of a call.

Both are lists of `name=$variable`, separated by semicolons; those of legs are AVPs, whose first values make the first
leg, the second values the second one, and so on. Takes no lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.module import ModuleError

if TYPE_CHECKING:
    from kamailio_py.engine.registry import Registry
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("acc")

Value = str | int | None
Extras = list[tuple[str, "PVar"]]


def parse_extras(text: str | None, registry: Registry) -> Extras:
    """The (name, variable) pairs of a parameter; ModuleError if it cannot be read."""
    extras: Extras = []
    for part in (text or "").split(";"):
        if not part.strip():
            continue
        name, equals, variable = (piece.strip() for piece in part.partition("="))
        if not equals or not name:
            raise ModuleError(
                f"parse failed in <{text}> around position {(text or '').find(part)}: name=$variable expected"
            )
        try:
            extras.append((name, registry.pvar(variable, True)))
        except ValueError as error:
            raise ModuleError(f"parse failed in <{text}>: {error}") from None
    return extras


def parse_legs(text: str | None, registry: Registry) -> Extras:
    """The same for legs, which are made of AVPs only."""
    legs = parse_extras(text, registry)
    for _, variable in legs:
        if variable.name not in ("avp", "avps", "avpi"):
            log.err("only AVP are accepted as leg info")
            raise ModuleError("failed to parse multileg_info param")
    return legs


def values(extras: Extras, ctx: Context, nullable: bool) -> list[tuple[str, Value]]:
    """Their values now; one that is null is an empty text unless `nullable`."""
    found: list[tuple[str, Value]] = []
    for name, variable in extras:
        value = variable.get(ctx)
        if value is None and not nullable:
            value = ""
        found.append((name, value))
    return found


def legs_of(legs: Extras, ctx: Context) -> list[list[tuple[str, Value]]]:
    """The attributes of each leg: as many legs as the longest AVP has values, but always one."""
    lists = [(name, ctx.avps.get(_name(variable), [])) for name, variable in legs]
    count = max((len(values) for _, values in lists), default=0) or 1
    return [[(name, values[i] if i < len(values) else None) for name, values in lists] for i in range(count)]


def _name(variable: PVar) -> str:
    """The AVP's name."""
    text = variable.inner.text
    return text[2:] if text[:2] in ("s:", "i:") else text
