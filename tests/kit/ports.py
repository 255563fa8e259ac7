"""Ports for servers, chosen so that test processes running side by side never get the same one.

Kamailio binds UDP with SO_REUSEADDR: two servers on one port both start and steal each other's datagrams. So a port is
taken by holding a lock on a file named after it for as long as the server lives; the kernel lets go of it with the
process. The range lies below the kernel's ephemeral ports, which user agents use.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

FIRST, LAST = 20000, 29999
_DIRECTORY = Path(tempfile.gettempdir()) / f"sip-test-ports.{os.getuid()}"


class Port:
    """A port nobody else uses, on UDP and TCP of 127.0.0.1, until `release()`."""

    def __init__(self) -> None:
        _DIRECTORY.mkdir(mode=0o700, exist_ok=True)
        for _ in range(500):
            number = random.randint(FIRST, LAST)
            handle = os.open(_DIRECTORY / str(number), os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(handle)
                continue
            if _is_free(number):
                self.number = number
                self._handle: int | None = handle
                return
            os.close(handle)
        raise RuntimeError(f"no free port between {FIRST} and {LAST}")

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _is_free(number: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                return False
    return True
