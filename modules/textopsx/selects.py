"""The selects of textopsx: `@hf_value.name[n]`, `@hf_value2.name`, `@hf_value_exists.name.value`.

In the name of a header `_` stands for `-`. Without an index `@hf_value` is all values, joined by commas, and knows no
parameters; that is how 5.6.3 was seen to answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.script.select_parts import Path, Raw, bad, uri_parts
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.headers import canonical
from kamailio_py.sip.nameaddr import NameAddr

from .values import chosen, inner, params, values

if TYPE_CHECKING:
    from kamailio_py.script.context import Context

_PARAM = ("param", "p", "params")


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _header(path: Path) -> str:
    return canonical(str(path[0]).replace("_", "-"))


def hf_value(path: Path) -> Raw:
    """A value, all of them, or of a value that is an address the URI, the display name, a parameter."""
    if not path:
        raise bad("hf_value", 0)
    name, rest = _header(path), path[1:]
    index: int | None = None
    if rest and isinstance(rest[0], int):
        index, rest = rest[0], rest[1:]

    def text(ctx: Context) -> str | None:
        msg = ctx.msg
        found = values(msg, name)
        if not found:
            return None
        picked = found if index is None else chosen(found, index)
        return ",".join(msg.text[a:b] for a, b in (inner(msg, value) for value in picked)) if picked else None

    if not rest:
        return text

    def address(ctx: Context) -> NameAddr | None:
        value = text(ctx)
        try:
            return NameAddr(value) if value else None
        except BadMessage:
            return None

    part = str(rest[0])
    if part == "uri":
        return uri_parts(rest[1:], lambda ctx: found.uri if (found := address(ctx)) is not None else None)
    if part == "name" and len(rest) == 1:
        return lambda ctx: found.name if (found := address(ctx)) is not None else None
    if part in _PARAM and len(rest) == 2:
        wanted = str(rest[1]).lower()
        return text if index is None else lambda ctx: _param(ctx, name, index, wanted)
    raise bad(part, 2)


def _param(ctx: Context, header: str, index: int, wanted: str) -> str | None:
    """A parameter, separated by semicolons, of one value of a header."""
    msg = ctx.msg
    for value in chosen(values(msg, header), index):
        for key, start, end in params(msg, value.start, value.end, ";"):
            if key.lower() == wanted:
                return _unquoted(msg.text[start:end].partition("=")[2].strip())
    return None


def hf_value2(path: Path) -> Raw:
    """The value of a header that is a list of `name=value`, or one of them."""
    if not path:
        raise bad("hf_value2", 0)
    name, rest = _header(path), path[1:]
    if not rest:
        return lambda ctx: ctx.msg.header(name)
    if rest[0] != "params" or len(rest) != 2:
        raise bad(str(rest[0]), 2)
    wanted = str(rest[1]).lower()

    def get(ctx: Context) -> str | None:
        for part in (ctx.msg.header(name) or "").split(","):
            key, equals, value = part.partition("=")
            if equals and key.strip().lower() == wanted:
                return _unquoted(value.strip())
        return None

    return get


def hf_value_exists(path: Path) -> Raw:
    """1 where one of the header's values is this one, else 0."""
    if len(path) != 2:
        raise bad("hf_value_exists", 0)
    name, wanted = _header(path), str(path[1])

    def get(ctx: Context) -> str | None:
        msg = ctx.msg
        return "1" if any(msg.text[slice(*inner(msg, value))] == wanted for value in values(msg, name)) else "0"

    return get


SELECTS = {"hf_value": hf_value, "hf_value2": hf_value2, "hf_value_exists": hf_value_exists}
