"""Talking JSON-RPC to a server as kamcli and kamctl do: over a datagram socket, or over a FIFO."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import tempfile
import time
from pathlib import Path
from typing import Any


def request(method: str, *params: Any, id: Any = 1, **more: Any) -> bytes:
    document: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params:
        document["params"] = list(params)
    return json.dumps(document | more | {"id": id}).encode()


class Datagrams:
    """A caller of a datagram socket, given by its path or as (host, port)."""

    def __init__(self, server: str | Path | tuple[str, int]) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="jsonrpc-")
        self._server = server if isinstance(server, tuple) else str(server)
        family = socket.AF_INET if isinstance(server, tuple) else socket.AF_UNIX
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0) if isinstance(server, tuple) else f"{self._directory.name}/caller")

    def raw(self, data: bytes, timeout: float = 5.0) -> bytes | None:
        """The answer to these bytes, None if there is none."""
        self._socket.settimeout(timeout)
        self._socket.sendto(data, self._server)
        try:
            return self._socket.recv(1 << 20)
        except TimeoutError:
            return None

    def __call__(self, method: str, *params: Any) -> Any:
        """The result, or (code, message) of a fault."""
        answer = self.raw(request(method, *params))
        assert answer is not None, f"no answer to {method}"
        document = json.loads(answer)
        if "error" in document:
            return document["error"]["code"], document["error"]["message"]
        return document["result"]

    def close(self) -> None:
        self._socket.close()
        self._directory.cleanup()


def over_fifo(fifo: str | Path, data: bytes, reply: Path, timeout: float = 5.0) -> bytes:
    """Write `data` to the server's FIFO and give what comes through the FIFO `reply`, which is made for it."""
    os.mkfifo(reply, 0o666)
    reader = os.open(reply, os.O_RDONLY | os.O_NONBLOCK)
    try:
        writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.closing(os.fdopen(writer, "wb", buffering=0)) as stream:
            stream.write(data)
        answer = b""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            select.select([reader], [], [], 0.05)
            piece = os.read(reader, 65536)
            answer += piece
            if answer and not piece:
                break
            if not piece:
                time.sleep(0.01)
        return answer
    finally:
        os.close(reader)
        reply.unlink()
