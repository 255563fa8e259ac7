"""The traffic: requests kept in flight in a window, every answer checked, what is lost counted.

One UDP socket plays both parties of a call. A request's number stands in its Call-ID and branch, padded, so that making
one is a replacement in bytes and an answer says whose it is without being parsed.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

PATIENCE = 2.0
"""Seconds without any answer after which what is in flight counts as lost."""

_HEADERS = (
    'Max-Forwards: 70\r\nFrom: "Alice" <sip:alice@example.test>;tag=f-%N%\r\nTo: <sip:bob@example.test>%T%\r\n'
    "Call-ID: %R%-%N%@bench.example.test\r\nCSeq: %C%\r\nContact: <sip:alice@%H%>\r\nUser-Agent: bench\r\n"
    "Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, INFO, MESSAGE\r\nSupported: timer, replaces\r\n"
)


class Lost(Exception):
    """Nothing came for so long that the round makes no sense."""


class Traffic:
    """A generator bound to one server."""

    def __init__(self, port: int, window: int = 48) -> None:
        self._window = window
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(("127.0.0.1", port))
        self._socket.settimeout(PATIENCE)
        self._host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = f"127.0.0.1:{port}"
        self._run = os.urandom(4).hex()
        self._number = 0
        self.lost = 0
        self.answered = 0

    def close(self) -> None:
        self._socket.close()

    def _template(
        self, method: str, uri: str, cseq: int = 1, to_tag: str = "", routes: str = "", extra: str = ""
    ) -> bytes:
        branch = "z9hG4bK-%R%-%N%-" + method
        text = f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {self._host};branch={branch}\r\n{routes}{_HEADERS}{extra}"
        text = text.replace("%T%", f";tag={to_tag}" if to_tag else "").replace("%C%", f"{cseq} {method}")
        text = text.replace("%H%", self._host).replace("%R%", self._run)
        return f"{text}Content-Length: 0\r\n\r\n".encode().replace(b"%N%", b"%(n)08d")

    def requests(self, method: str, count: int) -> None:
        """`count` requests, each done when its 200 has come."""
        template = self._template(method, f"sip:bob@{self._server}")
        self._pipeline(count, lambda number: self._socket.send(template % {b"n": number}), self._is_ok)

    def put_aside(self, count: int) -> None:
        """`count` requests that the server suspends without a word; an OPTIONS after every few keeps the pace."""
        template = self._template("NOTIFY", f"sip:bob@{self._server}")
        pace = self._template("OPTIONS", f"sip:bob@{self._server}")
        for start in range(0, count, self._window):
            for _ in range(min(self._window, count - start)):
                self._number += 1
                self._socket.send(template % {b"n": self._number})
            self._number += 1
            self._socket.send(pace % {b"n": self._number})
            try:
                while not self._socket.recv(65535).startswith(b"SIP/2.0 200"):
                    pass
            except TimeoutError:
                raise Lost(f"no answer after {start} requests were put aside") from None

    def calls(self, count: int) -> None:
        """`count` calls through the server: INVITE, 180, 200, ACK, BYE, 200; both parties are here."""
        invite = self._template("INVITE", f"sip:bob@{self._host}")
        routes: dict[str, bytes] = {}

        def within(method: str, cseq: int, number: int, ok: bytes) -> bytes:
            if method not in routes:
                route = _header(ok, b"Record-Route").decode()
                extra = f"Route: {route}\r\n".replace("%", "%%").replace("f-%08d" % number, "f-%N%")
                routes[method] = self._template(method, f"sip:bob@{self._host}", cseq, "called", extra)
            return routes[method] % {b"n": number}

        acknowledged = 0

        def step(data: bytes) -> bool:
            nonlocal acknowledged
            send = self._socket.send
            if data.startswith(b"SIP/2.0 "):
                if b"\r\nCSeq: 1 INVITE" in data:
                    if data.startswith(b"SIP/2.0 200"):
                        number = _number(data)
                        send(within("ACK", 1, number, data))
                        send(within("BYE", 2, number, data))
                    return False
                return data.startswith(b"SIP/2.0 200")
            if data.startswith(b"INVITE"):
                send(_reply(data, b"180 Ringing", self._host))
                send(_reply(data, b"200 OK", self._host))
            elif data.startswith(b"BYE"):
                send(_reply(data, b"200 OK", self._host))
            elif data.startswith(b"ACK"):
                acknowledged += 1
            return False

        self._pipeline(count, lambda number: self._socket.send(invite % {b"n": number}), step, self._window // 4)
        self.lost += max(count - acknowledged, 0)

    @staticmethod
    def _is_ok(data: bytes) -> bool:
        return data.startswith(b"SIP/2.0 200")

    def _pipeline(
        self, count: int, send: Callable[[int], object], done: Callable[[bytes], bool], window: int | None = None
    ) -> None:
        sent = answered = lost = 0
        window = window or self._window
        receive = self._socket.recv
        while answered + lost < count:
            while sent < count and sent - answered - lost < window:
                self._number += 1
                sent += 1
                send(self._number)
            try:
                if done(receive(65535)):
                    answered += 1
            except TimeoutError:
                lost = sent - answered
                if not answered:
                    raise Lost("no request of the round was answered") from None
        self.answered += answered
        self.lost += lost

    def settle(self, seconds: float) -> None:
        """Wait for the server to forget the transactions of the round before, taking whatever still comes."""
        deadline = time.monotonic() + seconds
        while (remaining := deadline - time.monotonic()) > 0:
            self._socket.settimeout(remaining)
            try:
                self._socket.recv(65535)
            except TimeoutError:
                break
        self._socket.settimeout(PATIENCE)


def _header(data: bytes, name: bytes) -> bytes:
    start = data.index(b"\r\n" + name + b": ") + len(name) + 4
    return data[start : data.index(b"\r\n", start)]


def _number(data: bytes) -> int:
    """The number in the From tag."""
    start = data.index(b";tag=f-") + 7
    return int(data[start : start + 8])


def _reply(request: bytes, status: bytes, host: str) -> bytes:
    """A reply as the one called makes it: the lines of the request that belong into it, in its order."""
    kept = []
    for line in request.split(b"\r\n")[1:]:
        if line.startswith((b"Via:", b"From:", b"Call-ID:", b"CSeq:", b"Record-Route:")):
            kept.append(line)
        elif line.startswith(b"To:"):
            kept.append(line if b";tag=" in line else line + b";tag=called")
    kept.append(f"Contact: <sip:bob@{host}>\r\nContent-Length: 0\r\n\r\n".encode())
    return b"SIP/2.0 " + status + b"\r\n" + b"\r\n".join(kept)
