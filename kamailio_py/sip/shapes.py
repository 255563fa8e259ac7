"""Shapes of messages: one regular expression that takes the whole head of a usual request or reply apart.

Clients write the same headers in the same order and spelling again and again. For an order that comes back, an
expression is made in which each header stands as they write it. Its groups are the headers, and in them the values that
every message is asked for: top Via, To, Call-ID, CSeq. Where it matches, nothing is wrong with the headers; where none
does, the message goes the long way, with the same result. Each process learns its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from kamailio_py.sip.header_layout import HeaderLayout
from kamailio_py.sip.nameaddr import USUAL_ADDRESS
from kamailio_py.sip.via import USUAL_VIA

SEEN_BEFORE = 3
"""How often an order is seen before an expression is made of it."""
SHAPES = 4
"""Expressions kept for each method, and for replies; the one that was found last is tried first."""
REPLY = ""
"""What stands for a method with replies."""
_WATCHED = 512

_ANY = r"[^\r\n]*"
_SECOND_VIA = (
    r" ?SIP/2\.0/[A-Z]+ [0-9A-Za-z.-]+(?::[0-9]{1,5})?(?:;(?:branch|received|rport)=[^ \t\r\n;,(\"=]+|;rport)*"
)
"""Of a reply that goes on: nothing is wrong with it, and nobody asks for its parts."""
_VALUES = {
    "via": USUAL_VIA,
    "to": rf"[ \t]*({USUAL_ADDRESS})",
    "call-id": rf"[ \t]*([^ \t\r\n]{_ANY})",
    "cseq": r" ([0-9]+) ([A-Za-z]+)",
    "content-length": r"[ \t]*(?:0|[1-9][0-9]{0,8})",
}


class Shape:
    """One order, that of a plain or a relayed layout; see HeaderLayout.

    match       match(text, at) for the head that begins with the CRLF at `at`
    lines       places in groups() of the headers, without their line ends
    via         the first of them that is a Via, before its parts
    to          place of To, before those of its display name, URI and tag
    call_id     place of the Call-ID
    cseq        place of CSeq's number, before that of its method
    """

    __slots__ = ("call_id", "cseq", "layout", "lines", "match", "to", "via")

    def __init__(self, layout: HeaderLayout, spellings: Sequence[str]) -> None:
        """`spellings` are the names as written."""
        self.layout = layout
        pattern = ["\r\n"]
        lines: list[int] = []
        first: dict[str, int] = {}
        group = 0
        for name, spelling in zip(layout.names, spellings, strict=True):
            value = _VALUES.get(name, _ANY) if name not in first else _SECOND_VIA
            header = re.compile(f"({re.escape(spelling)}:{value})")
            pattern += [header.pattern, "\r\n"]
            lines.append(group)
            first.setdefault(name, group)
            group += header.groups
        self.lines = tuple(lines)
        self.via = first["via"]
        self.to, self.call_id, self.cseq = first["to"] + 1, first["call-id"] + 1, first["cseq"] + 1
        self.match: Callable[[str, int], re.Match[str] | None] = re.compile("".join([*pattern, "\r\n"])).match


class Shapes:
    """Those this process knows, by method, and the orders it watches."""

    def __init__(self) -> None:
        self.of: dict[str, list[Shape]] = {}
        self._seen: dict[tuple[str, ...], int] = {}
        self._given_up: set[tuple[str, HeaderLayout]] = set()

    def learn(self, method: str, layout: HeaderLayout, lines: Sequence[str], text: str, at: int) -> None:
        """A message with nothing wrong went the long way: should the next one of its kind have a shape?"""
        if (method, layout) in self._given_up:
            return
        spellings = tuple([line.partition(":")[0] for line in lines])
        key = (method, *spellings)
        seen = self._seen.get(key, 0) + 1
        if seen == 1 and len(self._seen) >= _WATCHED:
            self._seen.clear()
            self._given_up.clear()
        self._seen[key] = seen
        if seen != SEEN_BEFORE:
            return
        shape = Shape(layout, spellings)
        if shape.match(text, at) is not None:
            known = self.of.setdefault(method, [])
            known.insert(0, shape)
            del known[SHAPES:]
        else:
            self._given_up.add((method, layout))


KNOWN = Shapes()
"""This process's."""
