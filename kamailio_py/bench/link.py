"""The generator's end of the wire: one UDP socket or one TCP connection to a server on 127.0.0.1."""

from __future__ import annotations

import os
import re
import select
import socket
from typing import Protocol

from kamailio_py.bench import processes

BATCH = 32
"""Most datagrams taken at once, before it is time to send again."""

_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:[ \t]*(\d+)", re.IGNORECASE)


class Link(Protocol):
    """Sends and receives whole messages."""

    local: str

    def send(self, data: bytes) -> object: ...

    def receive(self, timeout: float) -> list[bytes]:
        """Some messages, at once if there are any; [] after `timeout` seconds without one.

        ConnectionError if nobody is there (any more).
        """

    def dropped(self) -> int:
        """How many messages the kernel could not give to this end so far."""

    def close(self) -> None: ...


class UdpLink:
    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(("127.0.0.1", port))
        self._socket.setblocking(False)
        self._waiting = [self._socket]
        self._receive = self._socket.recv
        self.local = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def send(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except BlockingIOError:
            select.select((), self._waiting, (), 1)
            self._socket.send(data)

    def receive(self, timeout: float) -> list[bytes]:
        if timeout > 0 and not select.select(self._waiting, (), (), timeout)[0]:
            return []
        found: list[bytes] = []
        receive = self._receive
        try:
            while len(found) < BATCH:
                found.append(receive(65535))
        except BlockingIOError:
            pass
        return found

    def dropped(self) -> int:
        return processes.drops({os.fstat(self._socket.fileno()).st_ino})

    def close(self) -> None:
        self._socket.close()


class TcpLink:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waiting = [self._socket]
        self._rest = b""
        self.local = "127.0.0.1:%d" % self._socket.getsockname()[1]

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, timeout: float) -> list[bytes]:
        if not select.select(self._waiting, (), (), timeout)[0]:
            return []
        data = self._socket.recv(1 << 17)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        found, self._rest = split(self._rest + data)
        return found

    def dropped(self) -> int:
        return 0

    def close(self) -> None:
        self._socket.close()


class Recorder:
    """A link that keeps what comes."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.local, self.send, self.dropped, self.close = link.local, link.send, link.dropped, link.close
        self.heard: list[bytes] = []

    def receive(self, timeout: float) -> list[bytes]:
        batch = self._link.receive(timeout)
        self.heard += batch
        return batch


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole messages at the beginning of a stream, and the rest."""
    found = []
    start = 0
    while (end := data.find(b"\r\n\r\n", start)) >= 0:
        length = _LENGTH.search(data, start, end + 2)
        after = end + 4 + (int(length[1]) if length else 0)
        if after > len(data):
            break
        found.append(data[start:after].lstrip(b"\r\n"))
        start = after
    return found, data[start:]


def connect(transport: str, port: int) -> Link:
    """A link to the port; OSError if nobody listens there (TCP)."""
    return TcpLink(port) if transport == "tcp" else UdpLink(port)
