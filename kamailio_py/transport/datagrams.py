"""Receiving and sending datagrams: a socket's recvfrom() and sendto().

PyPy makes names of addresses and addresses of names with each of them, which takes as long as the system call. There an
IPv4 socket is used through the C library, and names are remembered.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Callable
from errno import EINTR

Receive = Callable[[int, int], "tuple[bytes, tuple[str, int]]"]
Send = Callable[[bytes, "tuple[str, int]"], int]

REMEMBERED = 4096
"""Addresses, before all are forgotten."""
_ADDRESS = struct.Struct("<H2s4s8x")
_WORD = struct.Struct("<q")
_SIZE = _ADDRESS.size


def operations(opened: socket.socket) -> tuple[Receive, Send]:
    """recvfrom(size, flags) and sendto(data, address) of the socket."""
    if sys.implementation.name == "pypy" and opened.family == socket.AF_INET:
        return direct(opened)
    return opened.recvfrom, opened.sendto


def direct(opened: socket.socket) -> tuple[Receive, Send]:
    """The same two through the C library, for IPv4. An address is read and written as one number of 64 bits."""
    from kamailio_py.libc import ffi, libc

    fd = opened.fileno()
    room = 65536
    data = ffi.new("char[]", room)
    source, target, source_size = ffi.new("int64_t[2]"), ffi.new("int64_t[2]"), ffi.new("uint32_t *")
    names: dict[int, tuple[str, int]] = {}
    hosts: dict[str, int] = {}
    c_recvfrom, c_sendto = libc.recvfrom, libc.sendto

    def recvfrom(size: int, flags: int) -> tuple[bytes, tuple[str, int]]:
        while True:
            source_size[0] = _SIZE
            got = c_recvfrom(fd, data, min(size, room), flags, source, source_size)
            if got >= 0:
                break
            failed()
        name = names.get(source[0])
        return ffi.buffer(data, got)[:], name if name is not None else learn(source[0])

    def learn(address: int) -> tuple[str, int]:
        if len(names) >= REMEMBERED:
            names.clear()
        packed = _WORD.pack(address)
        name = names[address] = socket.inet_ntoa(packed[4:]), int.from_bytes(packed[2:4], "big")
        return name

    def sendto(data: bytes, address: tuple[str, int]) -> int:
        host, port = address
        number = hosts.get(host)
        if number is None:
            if len(hosts) >= REMEMBERED:
                hosts.clear()
            number = hosts[host] = _WORD.unpack(_ADDRESS.pack(socket.AF_INET, b"", socket.inet_aton(host))[:8])[0]
        target[0] = number | (port >> 8 | (port & 0xFF) << 8) << 16
        while c_sendto(fd, data, len(data), 0, target, _SIZE) < 0:
            failed()
        return len(data)

    def failed() -> None:
        if ffi.errno != EINTR:  # a signal is told of before the next line, and then it is tried again
            raise OSError(ffi.errno, os.strerror(ffi.errno))

    return recvfrom, sendto
