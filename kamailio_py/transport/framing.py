"""Messages in a stream: where one ends and the next begins. Knows no socket.

What counts is Content-Length. Blanks between messages are skipped; two empty lines in a row there are a keepalive
(RFC 5626, 4.4.1). All as Kamailio reads streams, which also takes lines that end in LF alone.
"""

from __future__ import annotations

import re

_END_OF_HEADERS = re.compile("\n\r?\n")
_CONTENT_LENGTH = re.compile("\n(?:content-length|l)[ \t]*:([^\n]*)", re.IGNORECASE)
_EXPECTS = re.compile("[^\n]* HTTP/1.1\r?\n(?:[^\n]*\n)*?expect[ \t]*:[ \t]*100-continue[ \t]*\r?\n", re.IGNORECASE)
_CHUNKED = re.compile("\ntransfer-encoding[ \t]*:[ \t]*chunked[ \t]*\r?\n", re.IGNORECASE)
_CHUNK = re.compile("[ \t]*([0-9a-f]+)[^\r\n]*\r?\n", re.IGNORECASE)
_BLANK = "\r\n\t \0"
_KEEPALIVE = "\r\n\r\n"
_FEW = 10
"""Digits of a length that is taken for a number at all."""


class BadFrame(Exception):
    """The stream cannot be read any further; the text says why, `seen` is what had been read."""

    def __init__(self, reason: str, seen: str = "") -> None:
        super().__init__(reason)
        self.seen = seen


class Framer:
    """Takes what is received, gives whole messages.

    `limit` is the longest message in bytes; with `without_length` a message that has no Content-Length has no body;
    with `pings` keepalives are counted in `pings_seen`, for the caller to answer and reset. `expects` says that an HTTP
    request waits to be told to send its body.
    """

    __slots__ = ("_asked", "_buffer", "_searched", "expects", "limit", "pings", "pings_seen", "without_length")

    def __init__(self, limit: int, *, without_length: bool = False, pings: bool = True) -> None:
        self.limit = limit
        self.without_length = without_length
        self.pings = pings
        self.pings_seen = 0
        self.expects = False
        self._asked = False
        self._buffer = ""
        self._searched = 0

    def feed(self, text: str) -> None:
        """Add what came next."""
        self._buffer = self._buffer + text if self._buffer else text

    def message(self) -> str | None:
        """The next whole message, or None before it is there; BadFrame where the stream makes no sense."""
        buffer = self._buffer
        if not buffer:
            return None
        if buffer[0] in _BLANK:
            buffer = self._skip_blanks(buffer)
            if not buffer or buffer[0] in _BLANK:
                return None
        end = _END_OF_HEADERS.search(buffer, self._searched)
        if end is None:
            self._searched = max(len(buffer) - 2, 0)
            self._check_room(buffer)
            return None
        body = end.end()
        lengths = _CONTENT_LENGTH.findall(buffer, 0, body)
        if lengths:
            length = lengths[-1].strip(" \t\r")
            if not (length.isascii() and length.isdigit() and len(length) <= _FEW):
                raise BadFrame(f"bad Content-Length [{length}]", buffer)
            size = body + int(length)
        elif self.without_length:
            if _CHUNKED.search(buffer, 0, body):
                return self._chunked(buffer, body)
            size = body
        else:
            raise BadFrame("no Content-Length", buffer)
        if len(buffer) < size:
            self._check_room(buffer)
            if self.without_length and not self._asked:
                self._asked = True
                self.expects = _EXPECTS.match(buffer, 0, body) is not None
            return None
        if size > self.limit:
            raise BadFrame("buffer overrun", buffer)
        self._take(buffer, size)
        return buffer[:size]

    def _take(self, buffer: str, size: int) -> None:
        self._buffer = buffer[size:]
        self._searched = 0
        self._asked = False

    def _skip_blanks(self, buffer: str) -> str:
        """The buffer without what stands before the message, but for the beginning of a keepalive."""
        rest = buffer.lstrip(_BLANK)
        blanks = buffer[: len(buffer) - len(rest)]
        if self.pings:
            at = blanks.find(_KEEPALIVE)
            while at >= 0:
                self.pings_seen += 1
                blanks = blanks[at + 4 :]
                at = blanks.find(_KEEPALIVE)
            if not rest:
                rest = blanks[-3:]
        self._buffer = rest
        self._searched = 0
        return rest

    def _check_room(self, buffer: str) -> None:
        if len(buffer) >= self.limit:
            raise BadFrame("buffer overrun", buffer)

    def _chunked(self, buffer: str, body: int) -> str | None:
        """A message whose body comes in chunks (RFC 9112, 7.1); given with the chunks put together."""
        parts: list[str] = []
        at = body
        while True:
            head = _CHUNK.match(buffer, at)
            if head is None:
                if "\n" in buffer[at:]:
                    raise BadFrame("bad chunk", buffer)
                break
            size = int(head[1][:_FEW], 16)
            if not size:
                end = buffer.find("\n", head.end())
                if end < 0:
                    break
                self._take(buffer, end + 1)
                return buffer[:body] + "".join(parts)
            stop = head.end() + size
            if len(buffer) < stop + 2:
                break
            parts.append(buffer[head.end() : stop])
            at = buffer.index("\n", stop) + 1 if "\n" in buffer[stop : stop + 2] else -1
            if at < 0:
                raise BadFrame("bad end of a chunk", buffer)
        self._check_room(buffer)
        return None
