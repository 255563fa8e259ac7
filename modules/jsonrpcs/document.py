"""JSON as Kamailio's own library reads and writes it, byte for byte: tabs, spacing, numbers, escapes.

Texts are latin-1 as everywhere in this server: one character is one byte. Bytes of a document that are not ASCII pass
as they came; `\\u` escapes become UTF-8. Knows no RPC.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from kamailio_py.rpc.values import Members, Struct

_DECODER = json.JSONDecoder(strict=False)
_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class BadDocument(Exception):
    """The text is no JSON document."""


def read(data: bytes) -> Any:
    """The first document of a text; what follows it is not looked at. BadDocument if there is none."""
    text = data.partition(b"\0")[0].decode("utf-8", "surrogateescape").lstrip("\t\n\r ")
    try:
        value, _ = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        raise BadDocument from None
    return _latin(value)


def _latin(value: Any) -> Any:
    """The value with its texts as latin-1."""
    if isinstance(value, str):
        if value.isascii():
            return value
        try:
            return value.encode("utf-8", "surrogateescape").decode("latin-1")
        except UnicodeEncodeError:  # half of a surrogate pair, by an escape
            return value.encode("utf-8", "replace").decode("latin-1")
    if isinstance(value, list):
        return [_latin(one) for one in value]
    if isinstance(value, dict):
        return {_latin(name): _latin(one) for name, one in value.items()}
    return value


def write(value: Any, pretty: bool) -> str:
    """The document of a value as rpc/values.py has them."""
    return _written(value, 0, pretty)


def _written(value: Any, depth: int, pretty: bool) -> str:
    if isinstance(value, str):
        return _text(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Members):
        return _array([{name: one} for name, one in value.items()], depth, pretty)
    if isinstance(value, (dict, Struct)):
        return _object(value.items(), depth, pretty)
    return _array(value, depth, pretty)


def _array(values: Iterable[Any], depth: int, pretty: bool) -> str:
    return "[" + (", " if pretty else ",").join(_written(one, depth + 1, pretty) for one in values) + "]"


def _object(pairs: Iterable[tuple[str, Any]], depth: int, pretty: bool) -> str:
    if not pretty:
        return "{" + ",".join(f"{_text(name)}:{_written(one, depth + 1, pretty)}" for name, one in pairs) + "}"
    inside = "\t" * (depth + 1)
    members = ",\n".join(f"{inside}{_text(name)}:\t{_written(one, depth + 1, pretty)}" for name, one in pairs)
    return "{\n" + (members + "\n" if members else "") + "\t" * depth + "}"


def number(value: float) -> str:
    """A number as it is written: whole ones without a point, very large and small ones with an exponent."""
    if value != value or value in (float("inf"), float("-inf")):
        return "0"
    if value == int(value) and abs(value) < 1e60:
        return f"{value:.0f}"
    if abs(value) < 1e-6 or abs(value) > 1e9:
        return f"{value:e}"
    return f"{value:f}"


def _text(value: str) -> str:
    return f'"{_ESCAPED.sub(_escape, value)}"'


def _escape(match: re.Match[str]) -> str:
    found = match[0]
    return _SHORT.get(found) or f"\\u{ord(found):04x}"
