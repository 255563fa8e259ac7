"""What one side of a scene saw, with names in place of what differs from run to run, and how two of them are compared.

Ports become the names of those who own them, tags and the hashed part of branches that servers make up are numbered in
the order in which they appear, so that "the same tag again" stays visible. Everything else is kept as it came: header
order, spelling, white space, the Server header, the transaction index and branch number within a branch parameter.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field

_BRANCH = re.compile(r"z9hG4bK(?P<index>[0-9a-f]{1,8})\.(?P<md5>[0-9a-f]{32})\.(?P<number>[0-9a-f]+)")
_LOCAL_BRANCH = re.compile(r"z9hG4bK(?P<index>[0-9a-f]{1,8})\.(?P<random>[0-9a-f]{1,8}0*)\.(?P<number>[0-9a-f]+)")
_TAG = re.compile(r"\b[0-9a-f]{32}([.-])[0-9a-f]{8}\b")
_CONNECTION = re.compile(r";i=(?P<id>[0-9a-f]+)\b")
_DATE = re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
_NUMBER = re.compile(r"(?<![0-9A-Za-z_])\d{5}(?![0-9A-Za-z_])")


@dataclass
class Entry:
    """A line group of a section: its text, and the seconds since the agent's last action."""

    text: str
    seconds: float | None = None


@dataclass
class Transcript:
    """Sections in order: one per agent, then `log` and `notes`."""

    sections: dict[str, list[Entry]] = field(default_factory=dict)

    def add(self, section: str, entry: Entry) -> None:
        self.sections.setdefault(section, []).append(entry)

    def __str__(self) -> str:
        return "\n".join(
            f"{entry.text}{'' if entry.seconds is None else f'    [+{entry.seconds:.2f} s]'}"
            for entries in self.sections.values()
            for entry in entries
        ).replace("\r", "")


class Names:
    """Names for ports, tags and branches of one side of a scene."""

    def __init__(self, ports: dict[int, str], masks: list[str], kinds: dict[str, str] | None = None) -> None:
        self._ports = {str(port): name for port, name in ports.items()}
        self._masks = [re.compile(mask) for mask in masks]
        self._kinds = {kind: re.compile(pattern) for kind, pattern in (kinds or {}).items()}
        self._given: dict[str, str] = {}

    def _name(self, kind: str, value: str) -> str:
        key = f"{kind} {value}"
        if key not in self._given:
            number = sum(known.startswith(f"{kind} ") for known in self._given) + 1
            self._given[key] = f"<{kind} {number}>"
        return self._given[key]

    def apply(self, text: str) -> str:
        text = _BRANCH.sub(lambda m: f"z9hG4bK{m['index']}.{self._name('md5', m['md5'])}.{m['number']}", text)
        text = _LOCAL_BRANCH.sub(lambda m: f"z9hG4bK<index>.{self._name('random', m['random'])}.{m['number']}", text)
        text = _TAG.sub(lambda m: self._name("tm-tag" if m[1] == "-" else "sl-tag", m[0]), text)
        text = _CONNECTION.sub(lambda m: f";i={self._name('connection', m['id'])}", text)
        text = _DATE.sub("<date>", text)
        text = _NUMBER.sub(lambda m: self._ports.get(m[0], m[0]), text)
        for kind, pattern in self._kinds.items():
            text = pattern.sub(lambda m, kind=kind: self._name(kind, m[0]), text)
        for mask in self._masks:
            text = mask.sub("<masked>", text)
        return text


def compare(left: Transcript, right: Transcript, names: tuple[str, str], tolerance: float | None) -> str:
    """ "" when both are the same, else a unified diff. Times further apart than `tolerance` are a difference."""
    pieces = []
    order = list(left.sections) + [name for name in right.sections if name not in left.sections]
    for section in order:
        ours, theirs = left.sections.get(section, []), right.sections.get(section, [])
        stamps = _stamps(ours, theirs, tolerance)
        lines_left = _lines(ours, stamps[0])
        lines_right = _lines(theirs, stamps[1])
        if lines_left == lines_right:
            continue
        heads = (f"{names[0]}: {section}", f"{names[1]}: {section}")
        pieces += difflib.unified_diff(lines_left, lines_right, *heads, n=6, lineterm="")
    return "\n".join(pieces)


def _stamps(left: list[Entry], right: list[Entry], tolerance: float | None) -> tuple[list[str], list[str]]:
    """The times to show: none, or where both sides' times are close, the same one."""
    stamps: tuple[list[str], list[str]] = ([], [])
    for position in range(max(len(left), len(right))):
        pair = [entries[position].seconds if position < len(entries) else None for entries in (left, right)]
        texts = ["" if seconds is None or tolerance is None else f" +{seconds:.1f} s" for seconds in pair]
        if tolerance is not None and None not in pair and abs(pair[0] - pair[1]) <= tolerance:  # type: ignore[operator]
            texts[1] = texts[0]
        stamps[0].append(texts[0])
        stamps[1].append(texts[1])
    return stamps


def _lines(entries: list[Entry], stamps: list[str]) -> list[str]:
    lines = []
    for entry, stamp in zip(entries, stamps, strict=False):
        first, *rest = entry.text.replace("\r\n", "\n").split("\n")
        lines.append(first + stamp)
        lines += [f"    {line}" for line in rest]
    return lines
