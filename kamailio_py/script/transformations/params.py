"""The `param` transformations: values by name or by position in `a=1;b="2";c`."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from kamailio_py.script.context import Context
from kamailio_py.script.transformations.base import Apply, Cursor, Factory, members, typed
from kamailio_py.script.values import Value

_BLANKS = " \t\r\n"

Params = tuple[tuple[str, str], ...]
"""Names with their values, "" where there is none."""


@lru_cache(512)
def parse_params(text: str, separator: str = ";") -> Params | None:
    """The parameters in `text` up to a comma outside quotes, as Kamailio reads them; None for what it refuses."""
    found: list[tuple[str, str]] = []
    pos, end = _skip(text, 0), len(text)
    if pos == end:
        return None
    stops = _BLANKS + separator + ","
    while True:
        start = pos
        while pos < end and text[pos] not in stops and text[pos] != "=":
            pos += 1
        name, value = text[start:pos], ""
        pos = _skip(text, pos)
        if text[pos : pos + 1] == "=":
            pos = _skip(text, pos + 1)
            quote = text[pos : pos + 1]
            if quote and quote in "\"'":
                close = pos + 1
                while close < end and text[close] != quote:
                    close += 2 if text[close] == "\\" else 1
                if close >= end:
                    return None
                value, pos = text[pos + 1 : close], close + 1
            else:
                start = pos
                while pos < end and text[pos] not in stops:
                    pos += 1
                if pos == start and pos < end:
                    return None
                value = text[start:pos]
            pos = _skip(text, pos)
        found.append((name, value))
        if pos == end or text[pos] == ",":
            return tuple(found)
        if text[pos] != separator:
            return None
        pos = _skip(text, pos + 1)
        if pos == end:
            return tuple(found)


def _skip(text: str, pos: int) -> int:
    while pos < len(text) and text[pos] in _BLANKS:
        pos += 1
    return pos


def _separator(cursor: Cursor) -> str:
    if not cursor.comma():
        return ";"
    char = cursor.char()
    if not char or char == "}":
        return ";"
    if char in ",$\\":
        raise ValueError(f"invalid separator in transformation: {cursor.text}")
    cursor.pos += 1
    return char


def _by_name(find: Callable[[Params, str], Value], type: str) -> Factory:
    def make(cursor: Cursor) -> Apply:
        cursor.expect_comma()
        name_of = cursor.string()
        separator = _separator(cursor)

        def apply(ctx: Context, value: Value) -> Value:
            name = name_of(ctx)
            params = parse_params(str(value), separator) if value is not None else None
            return find(params, name.lower()) if params is not None and name is not None else None

        return typed(apply, type)

    return make


def _by_index(part: int) -> Factory:
    def make(cursor: Cursor) -> Apply:
        cursor.expect_comma()
        index_of = cursor.number()
        separator = _separator(cursor)

        def apply(ctx: Context, value: Value) -> Value:
            index = index_of(ctx)
            params = parse_params(str(value), separator) if value is not None else None
            if params is None or index is None:
                return None
            return params[index][part] if -len(params) <= index < len(params) else ""

        return typed(apply, "str")

    return make


def _value(params: Params, name: str) -> Value:
    for key, value in reversed(params):
        if key.lower() == name:
            return value
    return ""


def _in(params: Params, name: str) -> Value:
    return int(any(key.lower() == name for key, _ in params))


def _count(cursor: Cursor) -> Apply:
    separator = _separator(cursor)

    def apply(ctx: Context, value: Value) -> Value:
        params = parse_params(str(value), separator) if value is not None else None
        return None if params is None else len(params)

    return typed(apply, "int")


PARAMS = members(
    {
        "value": _by_name(_value, "str"),
        "in": _by_name(_in, "int"),
        "valueat": _by_index(1),
        "name": _by_index(0),
        "count": _count,
    }
)
