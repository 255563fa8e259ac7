"""Addresses in the lines of an SDP body: where they stand. Pure functions over text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

_ADDRESS = re.compile(r"(?:^|(?<=[\r\n]))([co])=[^\r\n]*?IP([46])[ \t]+([^ \t\r\n/]+)")
_LINE = re.compile(r"(?:^|(?<=[\r\n]))([mc])=([^\r\n]*)")


class Address(NamedTuple):
    """An address and where it stands."""

    text: str
    start: int
    end: int
    ipv6: bool

    @property
    def is_null(self) -> bool:
        return set(self.text) <= {"0", ":"} if self.ipv6 else self.text == "0.0.0.0"


def addresses(body: str, line: str) -> list[Address]:
    """Those of all lines of one kind, "c" or "o"."""
    return [
        Address(match[3], match.start(3), match.end(3), match[2] == "6")
        for match in _ADDRESS.finditer(body)
        if match[1] == line
    ]


def session_address(body: str) -> Address | None:
    """That of the c= line before the first stream."""
    end = re.search(r"(?:^|(?<=[\r\n]))m=", body)
    found = addresses(body[: end.start()] if end else body, "c")
    return found[0] if found else None


def stream_addresses(body: str) -> Iterator[Address | None]:
    """For each stream its address: its own, or the session's."""
    session = session_address(body)
    starts = [match.start() for match in _LINE.finditer(body) if match[1] == "m"]
    for start, end in pairwise([*starts, len(body)]):
        own = addresses(body[start:end], "c")
        yield own[0] if own else session


def stream_ends(body: str) -> list[int]:
    """Where what belongs to each stream ends, before the line end that the next one follows."""
    starts = [match.start() for match in re.finditer(r"\r\nm=", body)]
    return [*starts[1:], len(body)] if starts else []
