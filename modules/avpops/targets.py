"""What avpops' functions work on, as their arguments name it: AVPs, whole classes of them, other pseudo-variables.

$avp(a)   $avp(i:7)/g   $(avp(a)[1])   *   s/g   $ru/username
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kamailio_py.dataclass import dataclass
from kamailio_py.script.avp import Name, naming
from kamailio_py.script.values import Value

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar, PVarRegistry

CLASSES: dict[str, Callable[[Name], bool]] = {
    "*": lambda name: True,
    "s": lambda name: isinstance(name, str),
    "i": lambda name: isinstance(name, int),
}
"""All AVPs, those with a text and those with a number as their name."""


@dataclass(frozen=True, slots=True)
class Avp:
    """The AVPs of one name; with an index, the one at that place."""

    pvar: PVar
    name: Callable[[Context], Name | None]
    indexed: bool

    def values(self, ctx: Context) -> list[Value]:
        """Newest first."""
        if self.indexed:
            value = self.pvar.get(ctx)
            return [] if value is None else [value]
        return list(ctx.avps.get(self.name(ctx), ()))  # type: ignore[arg-type]

    def push(self, ctx: Context, value: Value) -> None:
        name = self.name(ctx)
        if name is not None:
            ctx.avps.setdefault(name, []).insert(0, value)

    def remove(self, ctx: Context, value: Value) -> None:
        """Take out the oldest AVP with this value."""
        name = self.name(ctx)
        values = ctx.avps.get(name) if name is not None else None
        if values is not None and value in values:
            del values[len(values) - 1 - values[::-1].index(value)]
            if not values:
                del ctx.avps[name]  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Class:
    """All AVPs whose names are of one kind."""

    matches: Callable[[Name], bool]


def avp_of(pvar: PVar) -> Avp:
    """The AVPs a pseudo-variable names; ValueError if it is no AVP."""
    if pvar.name != "avp" or pvar.transformed:
        raise ValueError(f"bad attribute name <{pvar.text}>")
    return Avp(pvar, naming(pvar.inner, {}), pvar.inner.has_index)


def pvar_and_rest(text: str, registry: PVarRegistry) -> tuple[PVar, str]:
    """The pseudo-variable at the beginning of a text, and what follows behind a slash."""
    pvar, end = registry.parse_at(text, 0)
    rest = text[end:]
    if rest and not rest.startswith("/"):
        raise ValueError(f"parse error in <{text}>")
    return pvar, rest[1:]


def target(text: str, registry: PVarRegistry) -> tuple[Avp | Class, str]:
    """AVPs or a class of them, and what follows behind the slash; ValueError for anything else."""
    text = text.strip()
    if text.startswith("$"):
        pvar, rest = pvar_and_rest(text, registry)
        return avp_of(pvar), rest
    name, _, rest = text.partition("/")
    if name not in CLASSES:
        raise ValueError(f"bad param - expected : $avp(name), *, s or i value: {text}")
    return Class(CLASSES[name]), rest


def checked_flags(flags: str, known: str) -> str:
    """The flags, if all of them are known."""
    for flag in flags:
        if flag not in known:
            raise ValueError(f"bad flag <{flag}>")
    return flags
