"""AVPs: values under a name, newest first, that go with the transaction.

`ctx.avps` maps a name (text, or a number for `$avp(i:5)`) to its list of values. Assignment always puts a value on
top, an index notwithstanding; `[*]` replaces all of them; `$null` takes the newest away, with `[*]` all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.module import PVarExport
from kamailio_py.script.values import Value, parse_int

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner, Setter

log = get_logger("pv")

Name = str | int


def parse_name(text: str, aliases: Mapping[str, Name]) -> Name:
    """The name that `s:text`, `i:number`, an alias or a plain text stands for."""
    if text[:2] == "i:":
        number = parse_int(text[2:])
        if number is None:
            raise ValueError(f"failed to parse avp name [{text}]")
        return number
    if text[:2] == "s:":
        return text[2:]
    return aliases.get(text, text)


def bind(inner: Inner, aliases: Mapping[str, Name]) -> Getter:
    """The getter of `$avp(inner)`."""
    if inner.pvar is None and not inner.has_index:
        return _plain(parse_name(inner.text.strip(), aliases))
    name_of = naming(inner, aliases)
    if inner.all:

        def read_all(ctx: Context) -> Value:
            values = ctx.avps.get(name_of(ctx))  # type: ignore[arg-type]
            return ", ".join(map(str, values)) if values else None

        return read_all
    position = inner.position()

    def read(ctx: Context) -> Value:
        values = ctx.avps.get(name_of(ctx))  # type: ignore[arg-type]
        index = position(ctx)
        if index is None:
            log.err("invalid index")
            return None
        return values[index] if values and 0 <= index < len(values) else None

    return read


def bind_set(inner: Inner, aliases: Mapping[str, Name]) -> Setter:
    """The setter of `$avp(inner)`."""
    name_of = naming(inner, aliases)
    replace = inner.all

    def write(ctx: Context, value: Value) -> bool:
        name = name_of(ctx)
        if name is None:
            log.err("error getting dst AVP name")
            return False
        values = ctx.avps.get(name)
        if value is None:
            if values:
                del values[: len(values) if replace else 1]
                if not values:
                    del ctx.avps[name]
        elif values is None or replace:
            ctx.avps[name] = [value]
        else:
            values.insert(0, value)
        return True

    return write


def fallback(name: str) -> PVarExport:
    """What a bare `$name` is in the dialect without strict pseudo-variables: the AVP of that name, with one value."""

    def write(ctx: Context, value: Value) -> bool:
        if value is None:
            ctx.avps.pop(name, None)
        else:
            ctx.avps[name] = [value]
        return True

    return PVarExport(name, lambda inner: _plain(name), lambda inner: write)


def _plain(name: Name) -> Getter:
    def read(ctx: Context) -> Value:
        values = ctx.avps.get(name)
        return values[0] if values else None

    return read


def naming(inner: Inner, aliases: Mapping[str, Name]) -> Callable[[Context], Name | None]:
    """The name in `$avp(inner)` at run time, None if a pseudo-variable in its place holds none."""
    if inner.pvar is not None:
        return inner.name()
    name = parse_name(inner.text.strip(), aliases)
    return lambda ctx: name
