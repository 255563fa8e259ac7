"""The `line` transformations: lines of a text by position or by how they start."""

from __future__ import annotations

from kamailio_py.script.context import Context
from kamailio_py.script.transformations.base import Apply, Cursor, members, typed
from kamailio_py.script.values import Value


def _lines(text: str) -> list[str]:
    """The lines without their ends; what follows the last line end is a line only if it is not empty."""
    lines = text.split("\n")
    if not lines[-1]:
        del lines[-1]
    return [line.removesuffix("\r") for line in lines]


def _count(cursor: Cursor) -> Apply:
    def apply(ctx: Context, value: Value) -> Value:
        return str(len(_lines(str(value)))) if value not in (None, "") else None

    return typed(apply, "str")


def _at(cursor: Cursor) -> Apply:
    cursor.expect_comma()
    index_of = cursor.number()

    def apply(ctx: Context, value: Value) -> Value:
        index = index_of(ctx)
        if value is None or value == "" or index is None:
            return None
        lines = _lines(str(value))
        return lines[index] if -len(lines) <= index < len(lines) else ""

    return typed(apply, "str")


def _sw(cursor: Cursor) -> Apply:
    cursor.expect_comma()
    start_of = cursor.string()

    def apply(ctx: Context, value: Value) -> Value:
        start = start_of(ctx)
        if value is None or value == "" or start is None:
            return None
        for line in _lines(str(value)):
            if line.startswith(start):
                return line
        return ""

    return typed(apply, "str")


LINES = members({"at": _at, "sw": _sw, "count": _count})
