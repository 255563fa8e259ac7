"""One connection in the process that has it: reading, framing, writing, never waiting.

What the other end does not take at once is kept and written when it does. Over TLS a codec stands between the socket
and the messages. Nothing here knows the table of connections or the loop, which sees `Closed` where it has ended.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING, Protocol

from kamailio_py.transport.framing import Framer

if TYPE_CHECKING:
    from kamailio_py.sip.endpoint import ListenSocket

CHUNK = 65536
"""Bytes asked for in one read."""


class Closed(Exception):
    """The connection has ended; `how` is closed, reset, timeout, idle or error, the text is for the log."""

    def __init__(self, how: str, text: str = "") -> None:
        super().__init__(text)
        self.how = how


class Finished(Closed):
    """It ends because that was asked for, with everything written."""

    def __init__(self) -> None:
        super().__init__("closed", "asked for")


class Codec(Protocol):
    """What encrypts: bytes of the network in, bytes of messages out, and back."""

    ready: bool
    """False during the handshake: what is written waits in the codec."""

    outgoing: bool
    description: str
    """What was agreed on."""

    def start(self) -> bytes:
        """The first bytes for the other end, if it is for this one to begin."""

    def received(self, data: bytes) -> tuple[bytes, bytes]:
        """(what it says, what is to be sent because of it); ConnectionError where there is no talking to it."""

    def encode(self, data: bytes) -> bytes:
        """What goes over the network."""

    def finish(self) -> bytes:
        """The last bytes for the other end."""


class Stream:
    """See the head of the file; a ConnectionError is the codec's.

    `due` is the monotonic ms by which what waits must have gone, 0 if nothing does.
    """

    __slots__ = (
        "block", "closing", "codec", "connecting", "counted", "due", "framer", "id", "listening", "out", "peer",
        "polled_out", "secured", "socket", "waiting",
    )  # fmt: skip

    waits_for = "TLS handshake"
    """What it waits for before it is `secured`."""

    def __init__(
        self, number: int, block: int, listening: ListenSocket, connected: socket.socket, peer: tuple[str, int],
        framer: Framer, codec: Codec | None, connecting: bool,
    ) -> None:  # fmt: skip
        self.id = number
        self.block = block  # of its record
        self.listening = listening
        self.socket = connected
        self.peer = peer
        self.framer = framer
        self.codec = codec
        self.connecting = connecting
        self.closing = False
        self.out: list[bytes] = []
        self.waiting = 0
        self.due = 0
        # what the loop has told others of it
        self.counted = 0
        self.polled_out = False
        self.secured = codec is None

    def fileno(self) -> int:
        return self.socket.fileno()

    def receive(self) -> bool:
        """Read what is there into the framer; False if nothing was."""
        data = self.read()
        if data is None:
            return False
        self.take(data)
        return True

    def read(self) -> bytes | None:
        """What is there; None if nothing is."""
        try:
            data = self.socket.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return None
        except ConnectionResetError:
            raise Closed("reset", "connection reset by the other end") from None
        except OSError as error:
            how = "timeout" if error.errno == errno.ETIMEDOUT else "error"
            raise Closed(how, f"error reading: {error.strerror}") from None
        if not data:
            raise Closed("closed", "end of file")
        return data

    def take(self, data: bytes) -> None:
        """Put what was read into the framer."""
        if self.codec is not None:
            data, answer = self.codec.received(data)
            if answer:
                self._put(answer)
        if data:
            self.framer.feed(data.decode("latin-1"))

    def write(self, data: bytes) -> None:
        """Send, or keep for when the other end takes it."""
        if self.codec is not None:
            data = self.codec.encode(data)
            if not data:
                return
        self._put(data)

    def _put(self, data: bytes) -> None:
        if not self.out and not self.connecting:
            try:
                sent = self.socket.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                raise Closed("error", f"error writing: {error.strerror}") from None
            if sent == len(data):
                return
            data = data[sent:]
        self.out.append(data)
        self.waiting += len(data)

    def writable(self) -> None:
        """The socket takes something: the connection stands, and what waited goes on."""
        if self.connecting:
            error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise Closed("error", f"connect failed: {os.strerror(error)}")
            self.connecting = False
            if self.codec is not None:
                first = self.codec.start()
                if first:
                    self.out.insert(0, first)
                    self.waiting += len(first)
        while self.out:
            data = b"".join(self.out) if len(self.out) > 1 else self.out[0]
            try:
                sent = self.socket.send(data)
            except (BlockingIOError, InterruptedError):
                self.out = [data]
                return
            except OSError as error:
                raise Closed("error", f"error writing: {error.strerror}") from None
            self.waiting -= sent
            self.out = [data[sent:]] if sent < len(data) else []

    def close(self) -> None:
        """End it; over TLS with a word of farewell, if there is room for that."""
        if self.codec is not None and not self.connecting and not self.out:
            with contextlib.suppress(OSError):
                self.socket.send(self.codec.finish())
        self.socket.close()
