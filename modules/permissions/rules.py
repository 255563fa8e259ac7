"""Rule files of the permissions module: lines `left : right` of regular expressions, with ALL and EXCEPT.

A file is read once, before forking. Pure data and text; takes no lock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kamailio_py.dataclass import dataclass
from kamailio_py.log import get_logger
from kamailio_py.script.regex import compile_posix

log = get_logger("permissions")

EVERYTHING = "ALL"
EXCEPT = " EXCEPT "
_WORD = re.compile(r'(?:"[^"]*"|[^",])*')

Pattern = re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a rule; no patterns: everything matches."""

    patterns: tuple[Pattern, ...]
    exceptions: tuple[Pattern, ...]

    def matches(self, text: str) -> bool:
        if self.patterns and not any(pattern.search(text) for pattern in self.patterns):
            return False
        return not any(pattern.search(text) for pattern in self.exceptions)


Rule = tuple[Side, Side]


def read_rules(path: str) -> list[Rule]:
    """The rules of a file; none if it is not there. Lines that are none are logged and left out."""
    try:
        with open(path, encoding="latin-1") as file:
            return [rule for line in file if (rule := parse_line(line)) is not None]
    except OSError:
        log.info(f"file not found: {path}")
        return []


def found(rules: Iterable[Rule], left: str, right: str) -> bool:
    """Is there a rule for this pair?"""
    return any(one.matches(left) and other.matches(right) for one, other in rules)


def parse_line(line: str) -> Rule | None:
    """The rule of one line, None if there is none."""
    quoted, colon, end = False, -1, len(line.rstrip("\n"))
    for i, c in enumerate(line[:end]):
        if c == '"':
            quoted = not quoted
        elif c == ":" and not quoted:
            colon = i
        elif c == "#" and not quoted:
            end = i
            break
    line = line[:end]
    if not line.strip(" \t"):
        return None
    if colon <= 0 or colon + 1 >= end:
        log.err(f"failed to parse line: {line}")
        return None
    try:
        return _side(line[:colon]), _side(line[colon + 1 :])
    except ValueError as error:
        log.err(f"failed to parse line: {line} ({error})")
        return None


def _side(text: str) -> Side:
    text, _, exceptions = text.partition(EXCEPT)
    text = text.strip()
    return Side(
        () if text == EVERYTHING else _patterns(text),
        _patterns(exceptions) if exceptions else (),
    )


def _patterns(text: str) -> tuple[Pattern, ...]:
    patterns = []
    position = 0
    while position <= len(text):
        match = _WORD.match(text, position)
        assert match is not None
        word = match[0].strip(" \t\r")
        word = word[word.startswith('"') : len(word) - (len(word) > 1 and word.endswith('"'))]
        if not word:
            raise ValueError("an expression is empty")
        patterns.append(compile_posix(word, icase=True))
        position = match.end() + 1
    return tuple(patterns)
