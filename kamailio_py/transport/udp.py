"""UDP: binding the listen sockets, receiving in a loop, sending.

All children of one address share one file descriptor, bound before forking. The kernel wakes one of those waiting:
always the first that can, so that with little traffic a few do the work, with what they need still in the caches of
the CPU, instead of all in turn.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.sip.endpoint import Destination, ListenSocket
from kamailio_py.sip.ip import is_multicast
from kamailio_py.transport.datagrams import Receive, Send, operations

if TYPE_CHECKING:
    from kamailio_py.engine.engine import Engine
    from kamailio_py.engine.settings import GlobalValues
    from kamailio_py.process.process import Process

logger = get_logger()

MAX_DATAGRAM = 65535
# of Linux's <netinet/in.h> and <sys/epoll.h>; not all of them are in every version of Python
IP_MTU_DISCOVER = 10
IP_PMTUDISC_DONT, IP_PMTUDISC_DO = 0, 2
IP_FREEBIND = 15
EPOLLEXCLUSIVE = 1 << 28


class BindError(Exception):
    """An address cannot be listened on; the text says which and why."""


def bind_address(listening: ListenSocket) -> tuple[str, int] | tuple[str, int, int, int]:
    """What a socket is bound to."""
    if not listening.scope:
        return listening.host, listening.port
    return listening.host, listening.port, 0, listening.scope


class Udp:
    """The UDP sockets of the server by the index of their ListenSocket; `streams` sends what is for other sockets."""

    def __init__(self, streams: Callable[[bytes, Destination], bool]) -> None:
        self._sockets: dict[int, socket.socket] = {}
        self._operations: dict[int, tuple[Receive, Send]] = {}
        self._streams = streams

    def bind(self, listening: ListenSocket, cfg: GlobalValues) -> None:
        """Open and bind one address, with `maxbuffer` and `tos` of the config; BindError when the system refuses."""
        opened = socket.socket(listening.family, socket.SOCK_DGRAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listening.family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        else:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, cfg.tos)
        self._set_options(opened, listening, cfg)
        if cfg.maxbuffer > opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, cfg.maxbuffer)
        try:
            opened.bind(bind_address(listening))
            if is_multicast(listening.host):
                self._join(opened, listening, cfg)
        except OSError as error:
            opened.close()
            raise BindError(f"bind({listening.host}, {listening.port}) on {listening.host}: {error.strerror}") from None
        listening.port = opened.getsockname()[1]
        self._sockets[listening.index] = opened
        self._operations[listening.index] = operations(opened)
        self._cfg = cfg

    @staticmethod
    def _set_options(opened: socket.socket, listening: ListenSocket, cfg: GlobalValues) -> None:
        """What the config says of all UDP sockets."""
        if cfg.ip_free_bind:
            opened.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        if listening.family == socket.AF_INET:
            path_mtu = IP_PMTUDISC_DO if cfg.pmtu_discovery else IP_PMTUDISC_DONT
            opened.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, path_mtu)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, int(bool(cfg.mcast_loopback)))
            if cfg.mcast_ttl >= 0:
                opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, cfg.mcast_ttl)

    @staticmethod
    def _join(opened: socket.socket, listening: ListenSocket, cfg: GlobalValues) -> None:
        """Become a member of the multicast group that is listened on, on the interface `mcast`."""
        index = 0
        if cfg.mcast:
            try:
                index = socket.if_nametoindex(cfg.mcast)
            except OSError as error:
                logger.err(f"mcast {cfg.mcast}: {error}")
        group = socket.inet_pton(listening.family, listening.host)
        if listening.family == socket.AF_INET:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4si", group, bytes(4), index))
        else:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack("16si", group, index))

    def receive_loop(self, engine: Engine, listening: ListenSocket, process: Process) -> None:
        """Receive on one address until the process is to stop."""
        process.core.addresses.own = listening
        shared = self._sockets[listening.index]
        recvfrom, _ = self._operations[listening.index]
        receive = engine.receive
        begin, finish = process.core.shm.processes.begin, process.core.shm.processes.finish
        alone = (listening.workers or process.core.cfg.children) == 1
        flags = 0 if alone else socket.MSG_DONTWAIT
        with select.epoll() as turns:
            turns.register(shared, select.EPOLLIN | EPOLLEXCLUSIVE)
            wait = turns.poll
            while True:
                process.waiting = True
                if process.stopping:
                    return
                if not alone:
                    wait(-1, 1)
                try:
                    data, (host, port, *_) = recvfrom(MAX_DATAGRAM, flags)
                except BlockingIOError:  # another one was faster
                    continue
                process.waiting = False
                begin(data)
                receive(data.decode("latin-1"), host, port, listening)
                finish()

    def send(self, data: bytes, destination: Destination) -> bool:
        """Send one datagram; False with a line in the log when the system refuses it."""
        try:
            _, sendto = self._operations[destination.socket.index]
        except KeyError:
            return self._streams(data, destination)
        try:
            sendto(data, (destination.host, destination.port))
        except OSError as error:
            logger.at(
                self._cfg.corelog,
                f"sendto({destination.host}:{destination.port}, {len(data)} bytes) failed: {error.strerror}",
            )
            return False
        return True

    def close(self) -> None:
        for opened in self._sockets.values():
            opened.close()
        self._sockets.clear()
