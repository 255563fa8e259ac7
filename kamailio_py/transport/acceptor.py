"""The tcp main process: takes new connections and gives each to the receiver with the fewest.

It works on no message and keeps no connection, so that its death costs nothing but time: the listening sockets are the
main process's, and what comes in meanwhile waits there.
"""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

from kamailio_py.log import get_logger

if TYPE_CHECKING:
    from kamailio_py.process.process import Process
    from kamailio_py.sip.endpoint import ListenSocket
    from kamailio_py.transport.tcp import Tcp

logger = get_logger()

AT_ONCE = 64
"""Connections taken from one socket before the others have their turn."""
PAUSE = 0.1
"""Seconds to wait where the system has no file descriptor left."""


class Acceptor:
    """See the head of the file."""

    def __init__(self, tcp: Tcp) -> None:
        self.tcp = tcp
        self.core = tcp.core

    def run(self, process: Process) -> None:
        """Accept until the process is to stop."""
        poll = select.epoll()
        listening = {}
        for socket_ in self.core.sockets:
            opened = self.tcp.listening.get(socket_.index)
            if opened is not None:
                listening[opened.fileno()] = socket_, opened
                poll.register(opened.fileno(), select.EPOLLIN)
        while True:
            with process.idle:
                events = poll.poll()
            for fd, _ in events:
                if not self._accept(*listening[fd]):
                    process.every(PAUSE)

    def _accept(self, listening: ListenSocket, opened: socket.socket) -> bool:
        """Take what waits on one socket; False where the system refuses."""
        for _ in range(AT_ONCE):
            try:
                connected, source = opened.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return True
            except OSError as error:
                logger.err(f"error while accepting connection(): {error.strerror}")
                return False
            with connected:
                self._hand_over(listening, connected, source)
        return True

    def _hand_over(self, listening: ListenSocket, connected: socket.socket, source: tuple[str, int]) -> None:
        tcp = self.tcp
        if not tcp.room(listening.proto):
            return
        try:
            tcp.set_options(connected, listening.family)
            local = connected.getsockname()
        except OSError as error:
            logger.err(f"connection from {source[0]}:{source[1]}: {error.strerror}")
            return
        lifetime = tcp.lifetime(listening.proto)
        found = tcp.connections.add(listening, source[:2], local[:2], self.core.clock.ms(), lifetime)
        if found is None:
            logger.err("no shared memory for a connection")
        elif not tcp.inboxes[found.reader].offer(found.id, connected):
            tcp.connections.remove(found.id)
        else:
            tcp.count("passive_open", "established")
