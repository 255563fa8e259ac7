"""Receiving and sending datagrams: a socket's recvfrom() and sendto()."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

Receive = Callable[[int, int], "tuple[bytes, tuple[str, int]]"]
Send = Callable[[bytes, "tuple[str, int]"], int]


def operations(opened: socket.socket) -> tuple[Receive, Send]:
    """recvfrom(size, flags) and sendto(data, address) of the socket."""
    if sys.implementation.name == "pypy" and opened.family == socket.AF_INET:
        from kamailio_py.transport.datagrams_pypy import direct

        return direct(opened)
    return opened.recvfrom, opened.sendto
