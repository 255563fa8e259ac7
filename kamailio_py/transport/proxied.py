"""Connections behind a load balancer: the header of HAProxy's PROXY protocol says who is at their other end.

Versions 1 and 2, TCP over IPv4 and IPv6. A connection that begins with something else is taken for what it is.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
from typing import Any

from kamailio_py.transport.stream import Closed, Stream

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LONGEST_LINE = 107
_LINE = re.compile(rb"PROXY (?:UNKNOWN[^\r\n]*|TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (\d{1,5}) (\d{1,5}))\r\n")
_FAMILIES = {0x11: (socket.AF_INET, "!4s4sHH"), 0x21: (socket.AF_INET6, "!16s16sHH")}
"""Family and transport of a header of version 2 -> how its addresses are packed."""
LOCAL, PROXY = 0x20, 0x21


class BadHeader(ValueError):
    """What began as a header is none."""


def parse(data: bytes) -> tuple[tuple[str, int] | None, int] | None:
    """(source, bytes of the header), with no source where the connection's own counts; None: there must come more."""
    if data.startswith(SIGNATURE[: len(data)]):
        return _version2(data)
    if data.startswith(b"PROXY "[: len(data)]):
        return _version1(data)
    return None, 0


def _version1(data: bytes) -> tuple[tuple[str, int] | None, int] | None:
    line = _LINE.match(data)
    if line is None:
        if b"\n" in data or len(data) >= LONGEST_LINE:
            raise BadHeader("invalid PROXY protocol header")
        return None
    if line[1] is None:
        return None, line.end()
    family = socket.AF_INET if line[1] == b"4" else socket.AF_INET6
    try:
        source = socket.inet_ntop(family, socket.inet_pton(family, line[2].decode()))
    except OSError:
        raise BadHeader("invalid PROXY protocol header") from None
    return (source, int(line[4])), line.end()


def _version2(data: bytes) -> tuple[tuple[str, int] | None, int] | None:
    start = len(SIGNATURE)
    if len(data) < start + 4:
        return None
    command, kind, length = struct.unpack_from("!BBH", data, start)
    size = start + 4 + length
    if command not in (LOCAL, PROXY):
        raise BadHeader("invalid PROXY protocol header")
    if len(data) < size:
        return None
    if command == LOCAL or kind not in _FAMILIES:
        return None, size
    family, packed = _FAMILIES[kind]
    if length < struct.calcsize(packed):
        raise BadHeader("invalid PROXY protocol header")
    source, _, port, _ = struct.unpack_from(packed, data, start + 4)
    return (socket.inet_ntop(family, source), port), size


class ProxiedStream(Stream):
    """A stream that begins with the header; `found(source)` is called with whom it names."""

    __slots__ = ("_found", "_head")
    waits_for = "PROXY header"

    def __init__(self, *arguments: Any, found: Callable[[tuple[str, int]], None]) -> None:
        super().__init__(*arguments)
        self._found = found
        self._head: bytes | None = b""
        self.secured = False

    def receive(self) -> bool:
        if self._head is None:
            return super().receive()
        data = self.read()
        if data is None:
            return False
        self._head += data
        try:
            parsed = parse(self._head)
        except BadHeader as error:
            raise Closed("error", str(error)) from None
        if parsed is None:
            return False
        source, size = parsed
        rest, self._head = self._head[size:], None
        self.secured = self.codec is None
        self.due = 0
        if source is not None:
            self.peer = source
            self._found(source)
        if rest:
            self.take(rest)
        return bool(rest)
