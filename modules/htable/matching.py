"""The ways in which items are matched: operators of functions (`eq`, `re`, ...) and of counting (`~~`, `%~`, ...).

A matcher is a function of a text or number. ValueError, with the text to log, where there is none. Takes no lock.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kamailio_py.modules.htable.table import Value
from kamailio_py.script.regex import compile_posix

Matcher = Callable[[Value], bool]


def text_matcher(op: str, wanted: str, among: tuple[str, ...]) -> Matcher:
    """Matcher for sht_match_...(), sht_rm_...(); numbers never match."""
    if op not in among:
        raise LookupError(f"unsupported match operator: {op}")
    if op == "re":
        found = regex(wanted).search
        return lambda value: isinstance(value, str) and found(value) is not None
    if op == "sw":
        return lambda value: isinstance(value, str) and value.startswith(wanted)
    if op == "ne":
        return lambda value: isinstance(value, str) and value != wanted
    return lambda value: value == wanted


def count_matcher(text: str) -> Matcher | None:
    """Matcher for what stands behind `=>` in $shtcn() and $shtcv(); None matches nothing."""
    op = text[:2]
    if op == "**":
        return lambda value: True
    if op not in ("~~", "~%", "%~", "==", "eq"):
        op, wanted = "~~", text
    else:
        wanted = text[2:]
        if not wanted:
            return None
    if op == "eq":
        digits = wanted.lstrip("-")
        number = int(wanted) if digits.isdecimal() and len(wanted) - len(digits) <= 1 else 0
        return lambda value: isinstance(value, int) and value == number
    if op == "~~":
        found = regex(wanted).search
        return lambda value: isinstance(value, str) and found(value) is not None
    if op == "~%":
        return lambda value: isinstance(value, str) and value.endswith(wanted)
    if op == "%~":
        return lambda value: isinstance(value, str) and value.startswith(wanted)
    return lambda value: value == wanted


def regex(text: str) -> re.Pattern[str]:
    try:
        return compile_posix(text, icase=True)
    except ValueError:
        raise ValueError(f"bad re {text}") from None
