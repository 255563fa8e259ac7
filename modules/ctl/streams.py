"""Connections over unix stream and TCP sockets: bytes in, packets answered in order, bytes out.

A connection is read only while everything answered so far has been taken, so a peer that does not read holds up
nobody and costs no more memory than one answer. Runs in the ctl handler alone.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from kamailio_py.rpc import binrpc
from kamailio_py.rpc.binrpc import BinrpcError

from .addresses import Listening

CHUNK = 64 << 10
MAX_REQUEST = 64 << 10
"""Bytes of one request: what is longer is answered with a fault, and the connection ends."""
FAREWELL = 2.0
"""Seconds to let a peer read the last answer before its connection is closed under it."""
ANONYMOUS = "<anonymous unix socket>"

Answer = Callable[[binrpc.Header, bytes, Any], tuple[bytes, bool]]
"""(header, body, connection) -> (packet to send, whether the connection goes on)."""


class Stream:
    """One connection; `reads` and `writes` say what it waits for."""

    def __init__(self, opened: socket.socket, peer: Any, listening: Listening, answer: Answer) -> None:
        opened.setblocking(False)
        self.socket = opened
        self.listening = listening
        self.peer = peer
        self._answer = answer
        self._in = bytearray()
        self._out = memoryview(b"")
        self._ended = False  # the peer sends no more
        self._leaving = 0.0  # until when the last answer may be read

    def described(self) -> list[str]:
        """As ctl.who answers: protocol, kind, the peer's address and port, ours."""
        kind = [self.listening.protocol, self.listening.kind]
        if self.listening.is_file:
            return [*kind, str(self.peer or ANONYMOUS), "", self.listening.name, ""]
        host, port = self.socket.getsockname()[:2]
        return [*kind, self.peer[0], str(self.peer[1]), host, str(port)]

    @property
    def reads(self) -> bool:
        return not self._ended and not self._out

    @property
    def writes(self) -> bool:
        return bool(self._out)

    def expired(self, now: float) -> bool:
        """The last answer was sent, and the peer had its time."""
        return bool(self._leaving) and now > self._leaving

    def readable(self) -> bool:
        """Read what has come and answer it; False when the connection is over."""
        try:
            data = self.socket.recv(CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if self._leaving:
            return bool(data)
        self._ended = not data
        self._in += data
        return self.advance()

    def writable(self) -> bool:
        """Send what can be sent; False when the connection is over."""
        return self._flush() and self.advance()

    def advance(self) -> bool:
        """Answer complete requests until an answer is not taken at once; False when the connection is over."""
        while not self._out and not self._leaving:
            try:
                header = binrpc.read_header(self._in)
                if header.end > MAX_REQUEST:
                    packet, goes_on = binrpc.fault_packet(header.cookie, 400, "bad request: buffer too small"), False
                elif header.end > len(self._in):
                    return not self._ended
                else:
                    body = bytes(self._in[header.start : header.end])
                    del self._in[: header.end]
                    packet, goes_on = self._answer(header, body, self)
            except BinrpcError as error:
                if error.more:
                    return not self._ended
                packet, goes_on = binrpc.fault_packet(b"\0", 400, f"bad request: {error}"), False
            self._out = memoryview(packet)
            if not goes_on:
                self._in.clear()
                self._leaving = time.monotonic() + FAREWELL
            if not self._flush():
                return False
        return not (self._ended and self._leaving and not self._out)

    def _flush(self) -> bool:
        """Send as much as the peer takes; False when there is no peer any more."""
        try:
            self._out = self._out[self.socket.send(self._out) :]
            if self._leaving and not self._out:
                self.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def close(self) -> None:
        self.socket.close()
