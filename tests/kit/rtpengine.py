"""A small stand-in for rtpengine: it speaks the control protocol and keeps what it was asked, as plain data.

The SDP it gives back is the one it got with another address and port. Bencode is written down once more here.
"""

from __future__ import annotations

import socket
import threading
from typing import Any


def encode(value: Any) -> bytes:
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        data = value.encode("latin-1")
        return b"%d:%s" % (len(data), data)
    if isinstance(value, dict):
        return b"d" + b"".join(encode(key) + encode(item) for key, item in value.items()) + b"e"
    return b"l" + b"".join(map(encode, value)) + b"e"


def decode(data: bytes) -> Any:
    def read(at: int) -> tuple[Any, int]:
        kind = data[at : at + 1]
        if kind == b"i":
            end = data.index(b"e", at)
            return int(data[at + 1 : end]), end + 1
        if kind in (b"l", b"d"):
            items = []
            at += 1
            while data[at : at + 1] != b"e":
                item, at = read(at)
                items.append(item)
            pairs = zip(items[::2], items[1::2], strict=True)
            return (items if kind == b"l" else dict(pairs)), at + 1
        colon = data.index(b":", at)
        end = colon + 1 + int(data[at:colon])
        return data[colon + 1 : end].decode("latin-1"), end

    return read(0)[0]


class RtpEngine:
    """See the head of the file. `asked` are the requests, pings left out; `refusing` makes it answer with an error.

    `sources` are the addresses it was asked from; `said` is what it says besides to query and delete.
    """

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.asked: list[dict[str, Any]] = []
        self.refusing = False
        self.sources: set[str] = set()
        self.said: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            data, source = self.socket.recvfrom(65535)
            if data == b"end":
                return
            self.sources.add(source[0])
            cookie, _, body = data.partition(b" ")
            request = decode(body)
            self.socket.sendto(cookie + b" " + encode(self._answer(request)), source)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        command = request["command"]
        if command == "ping":
            return {"result": "pong"}
        self.asked.append(request)
        if self.refusing:
            return {"result": "error", "error-reason": "no"}
        if command in ("offer", "answer"):
            sdp = request["sdp"].replace("10.1.1.1", "203.0.113.5").replace("4000", "30000")
            return {"result": "ok", "sdp": sdp}
        if command == "query":
            counted = {"packets": 3, "bytes": 480, "errors": 0}
            return {"result": "ok", "created": 1, "totals": {"RTP": counted, "RTCP": counted}, **self.said}
        if command == "delete":
            return {"result": "ok", **self.said}
        return {"result": "ok"}

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"end", ("127.0.0.1", self.port))
        self._thread.join(5)
        self.socket.close()
