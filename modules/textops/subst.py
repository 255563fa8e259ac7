"""Substitution expressions as sed has them: "/re/replacement/flags".

The replacement knows groups by `\\0` to `\\9`, the escapes n, r, t, `\\u` for the request-URI, and pseudo-variables. Of
the flags i ignores case, g replaces all, s lets `.` match line ends and `^`, `$` only the ends of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from kamailio_py.script.regex import compile_posix

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar, PVarRegistry

_ESCAPES = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t", "$": "$"}

Part = str | int | Callable[["Context"], str]
"""Of a replacement: a text, the number of a group, or what is known only at run time."""


def split(text: str) -> tuple[int, int, str]:
    """Where the regex ends, where the replacement ends, flags; ValueError if this is no expression."""
    if len(text) < 3:
        raise ValueError(f"expression is too short: {text}")
    separator = text[0]
    if separator == "\\":
        raise ValueError(f"invalid separator char <\\> in {text}")
    end = 1
    while end < len(text) and not (text[end] == separator and text[end - 1] != "\\"):
        end += 1
    if end >= len(text) - 1:
        raise ValueError(f"no separator found: {text}")
    at = end + 1
    while at < len(text) and text[at] != separator:
        at += 2 if text[at] == "\\" else 1
    if at >= len(text):
        raise ValueError(f"missing separator: {text}")
    flags = text[at + 1 :]
    unknown = flags.strip("igs")
    if unknown:
        raise ValueError(f"unknown flag {unknown[0]} in {text}")
    return end, at, flags


def checked(text: str) -> str:
    """The text of an expression, looked over when the cfg is loaded: pseudo-variables in it may come later."""
    end, _, flags = split(text)
    compile_posix(text[1:end], icase="i" in flags, newline="s" not in flags)
    return text


class Subst:
    """A parsed expression; ValueError if it is none."""

    __slots__ = ("every", "parts", "pattern", "text")

    def __init__(self, text: str, registry: PVarRegistry) -> None:
        self.text = text
        end, at, flags = split(text)
        self.parts = self._replacement(text, end + 1, at, registry)
        self.every = "g" in flags
        self.pattern = compile_posix(text[1:end], icase="i" in flags, newline="s" not in flags)

    @staticmethod
    def _replacement(text: str, at: int, end: int, registry: PVarRegistry) -> list[Part]:
        """The parts of text[at:end]."""
        parts: list[Part] = []
        plain = ""
        while at < end:
            c = text[at]
            found: Part | None = None
            if c == "\\":
                at += 1
                c = text[at : at + 1]
                if c.isdecimal():
                    found = int(c)
                elif c == "u":
                    found = _request_uri
                else:
                    plain += _ESCAPES.get(c, c)
                at += 1
            elif c == "$":
                pvar, at = registry.parse_at(text, at)
                found = _value_of(pvar)
            else:
                plain += c
                at += 1
            if found is not None:
                if plain:
                    parts.append(plain)
                    plain = ""
                parts.append(found)
        if plain:
            parts.append(plain)
        return parts

    def run(self, ctx: Context, text: str) -> list[tuple[int, int, str]]:
        """(start, end, replacement) of each match that is to be replaced; an empty match is an error and gives none."""
        found = []
        for match in self.pattern.finditer(text):
            if match.start() == match.end():
                return []
            found.append((match.start(), match.end(), self.expand(ctx, match)))
            if not self.every:
                break
        return found

    def expand(self, ctx: Context, match: re.Match[str]) -> str:
        out = []
        for part in self.parts:
            if isinstance(part, str):
                out.append(part)
            elif isinstance(part, int):
                out.append((match.group(part) or "") if part <= match.re.groups else "")
            else:
                out.append(part(ctx))
        return "".join(out)

    def replace(self, ctx: Context, text: str) -> str | None:
        """`text` with its matches replaced, None if there are none."""
        found = self.run(ctx, text)
        if not found:
            return None
        out, position = [], 0
        for start, end, replacement in found:
            out += [text[position:start], replacement]
            position = end
        out.append(text[position:])
        return "".join(out)


def _request_uri(ctx: Context) -> str:
    return ctx.msg.uri if ctx.msg.is_request else ""


def _value_of(pvar: PVar) -> Callable[[Context], str]:
    get = pvar.get

    def read(ctx: Context) -> str:
        value = get(ctx)
        return "<null>" if value is None else str(value)

    return read
