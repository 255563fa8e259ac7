"""`#!subst` and friends: rules that rewrite strings and pseudo-variables while a config is read.

A rule is written /regex/replacement/flags with any separator; the regex is POSIX extended, in which `.` and brackets
stop at a newline and `^ $` match at lines unless the flag `s` is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
    "xdigit": "0-9A-Fa-f",
    "cntrl": r"\x00-\x1f\x7f",
    "print": r"\x20-\x7e",
    "graph": r"\x21-\x7e",
}


def posix_to_python(text: str, newline: bool = True) -> str:
    """The Python spelling of a POSIX extended regex; ValueError if it is none.

    Only what differs is rewritten: bracket expressions, `$`, and escapes that Python reads otherwise.
    """
    out = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            if at + 1 == len(text):
                raise ValueError("trailing backslash")
            following = text[at + 1]
            out.append(f"\\{following}" if following in "wWsSbB" or not following.isalnum() else following)
            at += 2
        elif char == "[":
            bracket, at = _bracket(text, at, newline)
            out.append(bracket)
        else:
            out.append(r"\Z" if char == "$" and not newline else char)
            at += 1
    return "".join(out)


def _bracket(text: str, at: int, newline: bool) -> tuple[str, int]:
    start = at
    at += 1
    negated = text[at : at + 1] == "^"
    at += negated
    inside = []
    first = True
    while True:
        if at >= len(text):
            raise ValueError("brackets ([ ]) not balanced")
        char = text[at]
        if char == "]" and not first:
            break
        first = False
        if text.startswith("[:", at) and (end := text.find(":]", at)) > 0:
            name = text[at + 2 : end]
            if name not in _CLASSES:
                raise ValueError(f"invalid character class in {text[start:]}")
            inside.append(_CLASSES[name])
            at = end + 2
            continue
        inside.append("\\" + char if char in "\\[]^&~|" else char)
        at += 1
    if negated and newline:
        inside.append("\\n")
    return f"[{'^' if negated else ''}{''.join(inside)}]", at + 1


class Substitution:
    """One rule; `apply(text)` gives the rewritten text. ValueError with Kamailio's words if the rule is malformed."""

    __slots__ = ("count", "pattern", "replacement")

    def __init__(self, rule: str, evaluate: Callable[[str], str]) -> None:
        if len(rule) < 3:
            raise ValueError(f"expression is too short: {rule}")
        regex, replacement, flags = split_rule(rule)
        options = re.MULTILINE
        self.count = 1
        for flag in flags:
            if flag == "i":
                options |= re.IGNORECASE
            elif flag == "s":
                options = (options & ~re.MULTILINE) | re.DOTALL
            elif flag == "g":
                self.count = 0
            else:
                raise ValueError(f"unknown flag {flag} in {rule}")
        try:
            self.pattern = re.compile(posix_to_python(regex, bool(options & re.MULTILINE)), options)
        except (re.error, ValueError):
            raise ValueError(f"bad regular expression {regex} in {rule}") from None
        self.replacement = _replacement(replacement, rule[0], evaluate)

    def apply(self, text: str) -> str:
        if not text:
            return text
        return self.pattern.sub(self._expand, text, count=self.count)

    def _expand(self, match: re.Match[str]) -> str:
        parts = []
        for part in self.replacement:
            if isinstance(part, str):
                parts.append(part)
            elif part <= (match.re.groups or 0):
                parts.append(match.group(part) or "")
        return "".join(parts)


def split_rule(rule: str) -> tuple[str, str, str]:
    """(regex, replacement, flags) of /regex/replacement/flags."""
    separator = rule[0]
    if separator == "\\":
        raise ValueError(f"invalid separator char <{separator}> in {rule}")
    middle = _unescaped(rule, separator, 1)
    if middle < 0:
        raise ValueError(f"no separator found: {rule}")
    end = _unescaped(rule, separator, middle + 1)
    if end < 0:
        raise ValueError(f"missing separator: {rule[middle:]}")
    return rule[1:middle], rule[middle + 1 : end], rule[end + 1 :]


def _unescaped(text: str, separator: str, start: int) -> int:
    at = text.find(separator, start)
    while at > 0 and text[at - 1] == "\\":
        at = text.find(separator, at + 1)
    return at


def _replacement(text: str, separator: str, evaluate: Callable[[str], str]) -> list[str | int]:
    """Constant parts and numbers of groups; pseudo-variables have their value of load time."""
    parts: list[str | int] = []
    literal = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            following = text[at + 1]
            at += 2
            if following.isdigit():
                parts += [literal, int(following)]
                literal = ""
            else:
                literal += {"n": "\n", "r": "\r", "t": "\t"}.get(following, following)
        elif char == "$":
            return [*parts, literal + evaluate(text[at:])]
        else:
            literal += char
            at += 1
    return [*parts, literal]
