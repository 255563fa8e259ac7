"""Datagrams as PyPy receives and sends them over IPv4, through the C library.

Its own recvfrom() and sendto() make a name of each address and an address of each name, which takes as long as the
system call. Here an address is one number of 64 bits, and names are remembered.
"""

from __future__ import annotations

import os
import socket
import struct
from errno import EINTR
from typing import TYPE_CHECKING

from kamailio_py.libc import ffi
from kamailio_py.libc import recvfrom as c_recvfrom
from kamailio_py.libc import sendto as c_sendto

if TYPE_CHECKING:
    from kamailio_py.transport.datagrams import Receive, Send

REMEMBERED = 4096
"""Addresses, before all are forgotten."""
ROOM = 65536
_ADDRESS = struct.Struct("<H2s4s8x")
_WORD = struct.Struct("<q")


def direct(opened: socket.socket) -> tuple[Receive, Send]:
    """recvfrom(size, flags) and sendto(data, address) of the socket."""
    fd = opened.fileno()
    room = ffi.new("char[]", ROOM)
    source, target, source_size = ffi.new("int64_t[2]"), ffi.new("int64_t[2]"), ffi.new("uint32_t *")
    names: dict[int, tuple[str, int]] = {}
    hosts: dict[str, int] = {}

    def recvfrom(size: int, flags: int) -> tuple[bytes, tuple[str, int]]:
        while True:
            source_size[0] = _ADDRESS.size
            got = c_recvfrom(fd, room, min(size, ROOM), flags, source, source_size)
            if got >= 0:
                name = names.get(source[0])
                return ffi.buffer(room, got)[:], name if name is not None else name_of(source[0])
            failed()

    def sendto(data: bytes, address: tuple[str, int]) -> int:
        host, port = address
        number = hosts.get(host)
        if number is None:
            number = number_of(host)
        target[0] = number | (port >> 8 | (port & 0xFF) << 8) << 16
        while c_sendto(fd, data, len(data), 0, target, _ADDRESS.size) < 0:
            failed()
        return len(data)

    def name_of(address: int) -> tuple[str, int]:
        if len(names) >= REMEMBERED:
            names.clear()
        packed = _WORD.pack(address)
        name = names[address] = socket.inet_ntoa(packed[4:]), int.from_bytes(packed[2:4], "big")
        return name

    def number_of(host: str) -> int:
        if len(hosts) >= REMEMBERED:
            hosts.clear()
        packed = _ADDRESS.pack(socket.AF_INET, b"", socket.inet_aton(host))
        [number] = _WORD.unpack_from(packed)
        hosts[host] = number
        return int(number)

    def failed() -> None:
        """After a signal, whose handler runs before the next line, it is tried again."""
        if ffi.errno != EINTR:
            raise OSError(ffi.errno, os.strerror(ffi.errno))

    return recvfrom, sendto
