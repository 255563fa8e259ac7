"""The real kamcmd, Debian's, against a server's control socket; and binrpc by hand, for what kamcmd never sends."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from typing import Any

from kamailio_py.rpc import binrpc
from kamailio_py.rpc.binrpc import Header, PacketType

from .programs import program

PATIENCE = 10.0


def kamcmd(address: str, *words: str, stdin: str | None = None) -> str:
    """What one run of kamcmd prints, on standard output and standard error; a failure if nobody listens there."""
    done = subprocess.run(
        [program("kamcmd"), "-s", address, *words], input=stdin, capture_output=True, text=True, timeout=PATIENCE,
        encoding="latin-1",
    )  # fmt: skip
    assert "ERROR: connect" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def request(*values: Any, cookie: bytes = b"COOK") -> bytes:
    """A request packet of these values; bytes are put in as they are."""
    body = bytearray()
    for value in values:
        if isinstance(value, bytes):
            body += value
        else:
            binrpc.write(body, value)
    return binrpc.packet(PacketType.REQUEST, cookie, body)


class Wire:
    """A stream connection to a control socket."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self._data = b""

    def send(self, data: bytes) -> Wire:
        self.socket.sendall(data)
        return self

    def packet(self) -> tuple[int, list[Any]]:
        """(type, values) of the next answer; EOFError when the server closed."""
        while True:
            header = self._complete()
            if header is not None:
                body, self._data = self._data[header.start : header.end], self._data[header.end :]
                return header.type, list(binrpc.values(body))
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self._data += data

    def _complete(self) -> Header | None:
        with contextlib.suppress(binrpc.BinrpcError):
            header = binrpc.read_header(self._data)
            return header if header.end <= len(self._data) else None
        return None

    def closed(self) -> bool:
        """Whether the server closes now, without another byte."""
        try:
            return not self._data and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
