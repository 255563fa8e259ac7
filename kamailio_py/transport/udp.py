"""UDP: binding the listen sockets, receiving in a loop, sending.

All children of one address share one file descriptor, bound before forking; the kernel wakes one of those waiting.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.sip.endpoint import Destination, ListenSocket

if TYPE_CHECKING:
    from kamailio_py.engine.engine import Engine
    from kamailio_py.engine.settings import GlobalValues
    from kamailio_py.process.process import Process

logger = get_logger()

MAX_DATAGRAM = 65535


class BindError(Exception):
    """An address cannot be listened on; the text says which and why."""


class Udp:
    """The UDP sockets of the server by the index of their ListenSocket; `streams` sends what is for other sockets."""

    def __init__(self, streams: Callable[[bytes, Destination], bool]) -> None:
        self._sockets: dict[int, socket.socket] = {}
        self._streams = streams

    def bind(self, listening: ListenSocket, cfg: GlobalValues) -> None:
        """Open and bind one address, with `maxbuffer` and `tos` of the config; BindError when the system refuses."""
        opened = socket.socket(listening.family, socket.SOCK_DGRAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listening.family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        else:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, cfg.tos)
        if cfg.maxbuffer > opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, cfg.maxbuffer)
        try:
            opened.bind((listening.host, listening.port))
        except OSError as error:
            opened.close()
            raise BindError(f"bind({listening.host}, {listening.port}) on {listening.host}: {error.strerror}") from None
        listening.port = opened.getsockname()[1]
        self._sockets[listening.index] = opened

    def receive_loop(self, engine: Engine, listening: ListenSocket, process: Process) -> None:
        """Receive on one address until the process is to stop."""
        recvfrom = self._sockets[listening.index].recvfrom
        receive = engine.receive
        begin, finish = process.core.shm.processes.begin, process.core.shm.processes.finish
        while True:
            process.waiting = True
            if process.stopping:
                return
            data, (host, port, *_) = recvfrom(MAX_DATAGRAM)
            process.waiting = False
            begin(data)
            receive(data.decode("latin-1"), host, port, listening)
            finish()

    def send(self, data: bytes, destination: Destination) -> bool:
        """Send one datagram; False with a line in the log when the system refuses it."""
        try:
            self._sockets[destination.socket.index].sendto(data, (destination.host, destination.port))
        except KeyError:
            return self._streams(data, destination)
        except OSError as error:
            logger.err(f"sendto({destination.host}:{destination.port}, {len(data)} bytes) failed: {error.strerror}")
            return False
        return True

    def close(self) -> None:
        for opened in self._sockets.values():
            opened.close()
        self._sockets.clear()
