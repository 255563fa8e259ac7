"""Relays of media for tests, one for each server: stand-ins, and Debian's rtpengine daemon."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from .programs import program
from .rtpengine import encode


class Relay(Protocol):
    """What speaks a control protocol at `port` until `close()`."""

    port: int

    def close(self) -> None: ...


R = TypeVar("R", bound=Relay)


class Relays(Generic[R]):
    """A relay for each of the two servers of a room, by the name of the server."""

    def __init__(self, make: Callable[[], R]) -> None:
        self._make = make
        self._running: dict[str, R] = {}

    def __getitem__(self, server: str) -> R:
        return self._running[server]

    def prepare(self, directory: Path) -> None:
        """Start one for the server of this directory, whose files say `@RELAY@` for its port."""
        name = "real" if "-real-" in directory.name else "ours"
        if name in self._running:
            self._running.pop(name).close()
        self._running[name] = self._make()
        for path in directory.glob("*.cfg"):
            text = path.read_bytes()
            path.write_bytes(text.replace(b"@RELAY@", str(self._running[name].port).encode()))

    def close(self) -> None:
        for relay in self._running.values():
            relay.close()
        self._running.clear()


class RtpEngineDaemon:
    """Debian's rtpengine, in user space, with its media ports in 31000 to 31999 on 127.0.0.1."""

    def __init__(self) -> None:
        path = program("rtpengine")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._directory = tempfile.mkdtemp(prefix="sip-test-rtpengine-")
        options = ["--config-file=none", "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{self.port}", "--table=-1"]
        options += ["--foreground", "--log-stderr", "--port-min=31000", "--port-max=31999"]
        options += [f"--recording-dir={self._directory}"]
        self._process = subprocess.Popen([path, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.settimeout(0.2)
            deadline = time.monotonic() + 15
            while True:
                assert self._process.poll() is None, "rtpengine ended at once"
                assert time.monotonic() < deadline, "rtpengine does not answer"
                try:
                    caller.sendto(b"1 " + encode({"command": "ping"}), ("127.0.0.1", self.port))
                    if b"pong" in caller.recv(1000):
                        return
                except OSError:
                    time.sleep(0.05)

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)
