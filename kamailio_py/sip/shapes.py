"""Shapes of messages: the orders of headers that come back, with the names as their senders write them.

Clients write the same headers in the same order and spelling again and again. Where a message has the order of a shape,
each header is where its name stands behind the line end of the one before, and nothing has to be looked up. Text is
searched and compared whole: PyPy compiles a regular expression into code of its own for each place, which is a third of
what a call runs through. A message with another order goes the long way, with the same result. Each process learns its
own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kamailio_py.sip.header_layout import HeaderLayout
from kamailio_py.sip.nameaddr import NameAddr, usual_address
from kamailio_py.sip.remembered import LONGEST, memo
from kamailio_py.sip.via import Via, usual_via

SEEN_BEFORE = 3
"""How often an order is seen before it becomes a shape."""
SHAPES = 4
"""Shapes kept for each method, and for replies; the one that was found last is tried first."""
REPLY = ""
"""What stands for a method with replies."""
_WATCHED = 512
_LONGEST = 8 * LONGEST
"""Characters of all headers; what is remembered of longer ones would take room."""

_second_via = re.compile(
    r" ?SIP/2\.0/[A-Z]+ [0-9A-Za-z.-]+(?::[0-9]{1,5})?(?:;(?:branch|received|rport)=[^ \t\r\n;,(\"=]+|;rport)*"
).fullmatch
"""Of a reply that goes on: nothing is wrong with it, and nobody asks for its parts."""
_cseq = re.compile(r" ([0-9]+) ([A-Za-z]+)").fullmatch
_content_length = re.compile(r"[ \t]*(?:0|[1-9][0-9]{0,8})").fullmatch


@memo(1024)
def _usual_cseq(value: str) -> tuple[str, str] | None:
    match = _cseq(value)
    return None if match is None else (match[1], match[2])


@memo(1024)
def _is_usual_length(value: str) -> bool:
    return _content_length(value) is not None


class Shape:
    """One order, that of a plain or a relayed layout; see HeaderLayout.

    heads       each header's name as written, with the line end before it and the colon behind
    """

    __slots__ = ("heads", "layout")

    def __init__(self, layout: HeaderLayout, spellings: Sequence[str]) -> None:
        """`spellings` are the names as written."""
        self.layout = layout
        self.heads = tuple([f"\r\n{spelling}:" for spelling in spellings])

    def starts(self, text: str, at: int) -> list[int] | None:
        """Where each header begins and, at the end, the empty line; None if these are others. `at` is the CRLF before.

        A line that ends in LF alone, or goes on in the next, fits no shape.
        """
        find, is_at = text.find, text.startswith
        starts = []
        for head in self.heads:
            if not is_at(head, at):
                return None
            starts.append(at + 2)
            at = find("\n", at + 2) - 1
        if not is_at("\r\n\r\n", at):
            return None
        starts.append(at + 2)
        return starts

    def values(self, text: str, starts: Sequence[int]) -> tuple[Via, NameAddr, str, tuple[str, str]] | None:
        """Top Via, To, Call-ID and CSeq; None unless they and Content-Length are written as usual: nothing is wrong."""
        if starts[-1] - starts[0] > _LONGEST:
            return None
        layout, value = self.layout, self._value
        if layout.content_length >= 0 and not _is_usual_length(value(text, starts, layout.content_length)):
            return None
        if layout.relayed and _second_via(value(text, starts, layout.places["via"][1])) is None:
            return None
        cseq = _usual_cseq(value(text, starts, layout.cseq))
        call_id = value(text, starts, layout.call_id).lstrip(" \t")
        if cseq is None or not call_id or call_id[0] == "\r":
            return None
        i = layout.via
        via = usual_via(text, starts[i] + len(self.heads[i]) - 2, starts[i + 1] - 2)
        if via is None:
            return None
        to = usual_address(value(text, starts, layout.to).lstrip(" \t"))
        return None if to is None else (via, to, call_id, cseq)

    def _value(self, text: str, starts: Sequence[int], i: int) -> str:
        """What follows the colon of header i."""
        return text[starts[i] + len(self.heads[i]) - 2 : starts[i + 1] - 2]


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
        starts = shape.starts(text, at)
        if starts is not None and shape.values(text, starts) is not None:
            known = self.of.setdefault(method, [])
            known.insert(0, shape)
            del known[SHAPES:]
        else:
            self._given_up.add((method, layout))


KNOWN = Shapes()
"""This process's."""
