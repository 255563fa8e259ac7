"""Bencode, the encoding of rtpengine's control protocol: numbers, texts, lists and dictionaries. Text is latin-1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Value = Any


class BadBencode(ValueError):
    """What came is no bencode."""


def encode(value: Value) -> str:
    """A value as text: int, str, a list or a mapping with text for keys."""
    if isinstance(value, int):
        return f"i{int(value)}e"
    if isinstance(value, str):
        return f"{len(value)}:{value}"
    if isinstance(value, Mapping):
        return f"d{''.join(encode(str(key)) + encode(item) for key, item in value.items())}e"
    return f"l{''.join(map(encode, value))}e"


def decode(text: str) -> Value:
    """The value of a whole text; BadBencode if it is none."""
    try:
        value, end = _decode(text, 0, 0)
    except (ValueError, IndexError) as error:
        raise BadBencode(f"no bencode: {error}") from None
    if end != len(text):
        raise BadBencode("rubbish behind the value")
    return value


def _decode(text: str, at: int, depth: int) -> tuple[Value, int]:
    if depth > 50:
        raise BadBencode("nested too deep")
    kind = text[at]
    if kind == "i":
        end = text.index("e", at)
        return int(text[at + 1 : end]), end + 1
    if kind == "l":
        items = []
        at += 1
        while text[at] != "e":
            item, at = _decode(text, at, depth + 1)
            items.append(item)
        return items, at + 1
    if kind == "d":
        found: dict[str, Value] = {}
        at += 1
        while text[at] != "e":
            key, at = _decode(text, at, depth + 1)
            if not isinstance(key, str):
                raise BadBencode("a key is no text")
            found[key], at = _decode(text, at, depth + 1)
        return found, at + 1
    colon = text.index(":", at)
    digits = text[at:colon]
    if not digits.isdecimal():
        raise BadBencode("no length")
    end = colon + 1 + int(digits)
    if end > len(text):
        raise BadBencode("text is cut off")
    return text[colon + 1 : end], end
