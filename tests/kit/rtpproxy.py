"""A small stand-in for rtpproxy: it speaks the control protocol and keeps what it was asked.

It gives ports from 30000 on, anew for each call, at 203.0.113.7.
"""

from __future__ import annotations

import socket
import threading


class RtpProxy:
    """See the head of the file. `asked` are the commands without cookies, those about versions left out."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.asked: list[str] = []
        self.answer = ""
        self._next = 30000
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def restart(self) -> None:
        self._next = 30000
        self.asked.clear()

    def _serve(self) -> None:
        while True:
            data, source = self.socket.recvfrom(65535)
            if data == b"end":
                return
            cookie, _, command = data.decode("latin-1").partition(" ")
            self.socket.sendto(f"{cookie} {self._say(command.strip())}\n".encode("latin-1"), source)

    def _say(self, command: str) -> str:
        if command == "V":
            return "20040107"
        if command.startswith("VF "):
            return "1"
        self.asked.append(command)
        if self.answer:
            return self.answer
        if command[0] in "UL":
            self._next += 2
            return f"{self._next - 2} 203.0.113.7"
        return "60 1 2 3 4" if command[0] == "Q" else "0"

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"end", ("127.0.0.1", self.port))
        self._thread.join(5)
        self.socket.close()
