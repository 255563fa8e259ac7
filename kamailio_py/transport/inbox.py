"""How a tcp receiver is reached by the other processes: connections come as file descriptors, messages by a queue.

The queue in shared memory holds what is to be written; a bell wakes the receiver. New connections come over a
socket pair, a descriptor each. All of it is made before forking and outlives the receiver, so that one which is started
again finds what was meant for the one that died.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.shm.bell import Bell

if TYPE_CHECKING:
    from kamailio_py.shm.memory import SharedMemory

logger = get_logger()

CAPACITY = 2048
"""Messages that may wait for one receiver."""
WRITE, CLOSE, WRITE_AND_CLOSE = range(3)
"""What is asked of a receiver."""
_ID = struct.Struct("<Q")


class Inbox:
    """Of the receiver with this number."""

    def __init__(self, shm: SharedMemory, number: int) -> None:
        self.queue = shm.queue(f"tcp.receiver.{number}", CAPACITY)
        self._arena = shm.arena
        self._owner = shm.arena.owner("tcp", "messages")
        self.bell = Bell()
        self.offered, self._offer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.offered.setblocking(False)
        self._offer.setblocking(False)

    # for everybody

    def offer(self, number: int, connected: socket.socket) -> bool:
        """Hand over a connection; False when the receiver has not taken many before."""
        try:
            socket.send_fds(self._offer, [_ID.pack(number)], [connected.fileno()])
        except OSError as error:
            logger.err(f"connection {number} could not be handed over: {error.strerror}")
            return False
        return True

    def write(self, number: int, data: bytes, close: bool) -> bool:
        """Have bytes written on a connection; False when there is no room for them."""
        block = self._arena.store(data, self._owner)
        if not block:
            logger.err("no shared memory for a message over TCP")
            return False
        if not self.queue.put(WRITE_AND_CLOSE if close else WRITE, number, block):
            self._arena.free(block)
            logger.err("the queue of a tcp receiver is full")
            return False
        self.bell.ring()
        return True

    def close_connection(self, number: int) -> bool:
        """Have a connection closed."""
        if not self.queue.put(CLOSE, number):
            return False
        self.bell.ring()
        return True

    # for the receiver

    def connections(self) -> Iterator[tuple[int, socket.socket]]:
        """Connections handed over: (id, socket)."""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.offered, _ID.size, 1)
            except (BlockingIOError, InterruptedError):
                return
            if not data:
                return
            for descriptor in descriptors:
                yield _ID.unpack(data)[0], socket.socket(fileno=descriptor)

    def messages(self) -> Iterator[tuple[int, bytes, bool]]:
        """What is to be written: (connection, bytes, close it then)."""
        self.bell.hush()
        queue = self.queue
        while queue.depth:
            item = queue.get(0)
            if item is None:
                return  # whoever puts it has not finished, and wakes this process when it has
            kind, number, block, _ = item
            data = self._arena.load(block) if block else b""
            # in this order: whoever dies in between leaves a block behind, but frees none twice
            queue.done()
            if block:
                self._arena.free(block)
            yield number, data, kind != WRITE

    def close(self) -> None:
        self.bell.close()
        self.offered.close()
        self._offer.close()
