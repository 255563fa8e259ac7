"""TCP for every process: listening, finding or opening the connection for a message, handing it to who has it.

Each connection belongs to one tcp receiver, which alone reads and writes it and never waits for the other end. A
process that has something to send opens the connection if there is none, so that it learns at once when nobody listens
there, and hands it over; after that it only puts messages into the receiver's inbox.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from kamailio_py.engine.blocklist import CONNECT
from kamailio_py.log import get_logger
from kamailio_py.sip.endpoint import CLOSE, IGNORED_SHIFT, NO_CONNECT, Destination, ListenSocket
from kamailio_py.transport.acceptor import Acceptor
from kamailio_py.transport.connections import Connections, State
from kamailio_py.transport.inbox import Inbox
from kamailio_py.transport.receiver import Receiver
from kamailio_py.transport.udp import IP_FREEBIND, BindError, bind_address

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.process.process import Process

logger = get_logger()

BACKLOG = 1024
STATISTICS = (
    "established", "passive_open", "connect_success", "connect_failed", "local_reject", "con_timeout", "con_reset",
    "send_timeout", "sendq_full",
)  # fmt: skip


class Tcp:
    """What master, receivers and everybody who sends have in common; made before forking.

    `receiver` is the process's own in a tcp receiver, which writes on its connections itself and keeps those it opens.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.listening: dict[int, socket.socket] = {}
        self.inboxes: list[Inbox] = []
        self.connections: Connections = None  # type: ignore[assignment]  # made with shared memory
        self.receiver: Receiver | None = None

    # before forking

    def bind(self, listening: ListenSocket) -> None:
        """Open, bind and listen; BindError when the system refuses."""
        opened = socket.socket(listening.family, socket.SOCK_STREAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listening.family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.set_options(opened, listening.family)
        if self.core.cfg.ip_free_bind:
            opened.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        if self.core.cfg.tcp_defer_accept:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, self.core.cfg.tcp_defer_accept)
        try:
            opened.bind(bind_address(listening))
            opened.listen(BACKLOG)
        except OSError as error:
            opened.close()
            raise BindError(
                f"bind({listening.host}, {listening.port}) on {listening.host}:{listening.port} : {error.strerror}"
            ) from None
        opened.setblocking(False)
        listening.port = opened.getsockname()[1]
        self.listening[listening.index] = opened

    def set_options(self, opened: socket.socket, family: int) -> None:
        """The tcp_* parameters that are options of a socket."""
        cfg = self.core.cfg
        level = socket.IPPROTO_TCP
        opened.setsockopt(level, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, cfg.tos)
        if cfg.tcp_reuse_port:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if cfg.tcp_keepalive:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in (
                (socket.TCP_KEEPIDLE, cfg.tcp_keepidle),
                (socket.TCP_KEEPINTVL, cfg.tcp_keepintvl),
                (socket.TCP_KEEPCNT, cfg.tcp_keepcnt),
            ):
                if value:
                    opened.setsockopt(level, option, value)
        for option, value in ((socket.TCP_SYNCNT, cfg.tcp_syncnt), (socket.TCP_LINGER2, cfg.tcp_linger2)):
            if value:
                opened.setsockopt(level, option, value)
        if not cfg.tcp_delayed_ack:
            opened.setsockopt(level, socket.TCP_QUICKACK, 1)

    def create(self) -> None:
        """The table and the receivers' inboxes, once shared memory is there."""
        shm, cfg = self.core.shm, self.core.cfg
        receivers = (cfg.tcp_children or cfg.children) if self.listening else 0
        self.connections = Connections(shm, self.core.sockets, receivers)
        self.inboxes = [Inbox(shm, number) for number in range(receivers)]
        core = self.core
        self._counters = {name: core.statistic("tcp", name) for name in STATISTICS}
        connections = self.connections
        core.statistics.compute("tcp", "current_opened_connections", lambda: connections.counts()[0])
        core.statistics.compute(
            "tcp", "current_write_queue_size", lambda: sum(record.queued for record in connections.all())
        )

    def count(self, *names: str) -> None:
        """Count one more of each of these statistics."""
        for name in names:
            self.core.count(self._counters[name])

    # processes

    def receive_loop(self, number: int, process: Process) -> None:
        """The life of the tcp receiver of this number."""
        self.receiver = Receiver(self, number)
        self.receiver.run(self.core.engine, process)

    def accept_loop(self, process: Process) -> None:
        """The life of the tcp main process."""
        Acceptor(self).run(process)

    # sending, from any process

    def send(self, data: bytes, destination: Destination) -> bool:
        """Send over the destination's connection, or one that leads there, or a new one; False if that cannot be."""
        proto, host, port, listening, number, flags = destination
        own = self.receiver
        if own is not None and number and own.write(number, data, bool(flags & CLOSE)):
            return True
        only = bool(self.core.cfg.tcp_connection_match)
        found = self.connections.leading(number, proto, host, port, listening.index, only)
        if found is not None:
            if own is not None and own.number == found.reader:
                return own.write(found.id, data, bool(flags & CLOSE))
            return self.inboxes[found.reader].write(found.id, data, bool(flags & CLOSE))
        if flags & NO_CONNECT or self.core.cfg.tcp_no_connect:
            logger.dbg(f"no connection to {proto}:{host}:{port} and none is to be opened")
            return False
        return self._connect_and_send(data, destination)

    def _connect_and_send(self, data: bytes, destination: Destination) -> bool:
        proto, host, port, listening, _, flags = destination
        core = self.core
        if not self.inboxes or (proto == "tls" and core.tls is None):
            logger.err(f"no {proto} to send to {host}:{port}")
            return False
        if not self.room(proto):
            return False
        opened = socket.socket(listening.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self.set_options(opened, listening.family)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(self._source(listening))
            result = opened.connect_ex((host, port))
            if result == errno.EINPROGRESS:
                # on the same machine or network a refusal is there at once
                result = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.EINPROGRESS
            if result not in (0, errno.EINPROGRESS):
                raise OSError(result, os.strerror(result))
            local = opened.getsockname()
        except OSError as error:
            how = "(RST) " if error.errno == errno.ECONNREFUSED else ""
            logger.err(f"connect {host}:{port} failed {how}{error.strerror}")
            opened.close()
            self.count("connect_failed")
            core.blocklist.failed(destination, CONNECT, flags >> IGNORED_SHIFT)
            return False
        own = self.receiver
        profile, name = core.tls.choose(host, port) if proto == "tls" else (0, "")
        found = self.connections.add(
            listening, (host, port), local[:2], core.clock.ms(), self.lifetime(proto), outgoing=True,
            state=State.CONNECTING, reader=own.number if own is not None else None, profile=profile,
            server_name=name,
        )  # fmt: skip
        if found is None:
            logger.err("no shared memory for a connection")
            opened.close()
            return False
        if own is not None:
            own.adopt(found.id, opened)
            return own.write(found.id, data, bool(flags & CLOSE))
        inbox = self.inboxes[found.reader]
        handed = inbox.offer(found.id, opened)
        opened.close()
        if not handed or not inbox.write(found.id, data, bool(flags & CLOSE)):
            self.connections.remove(found.id)
            return False
        return True

    def _source(self, listening: ListenSocket) -> tuple[str, int]:
        """The local address of a connection from here: the socket's own port only where it may be shared."""
        cfg = self.core.cfg
        chosen = cfg.tcp_source_ipv4 if listening.family == socket.AF_INET else cfg.tcp_source_ipv6
        return chosen or listening.host, listening.port if cfg.tcp_reuse_port else 0

    def room(self, proto: str) -> bool:
        """Whether one more connection is allowed."""
        every, tls = self.connections.counts()
        cfg = self.core.cfg
        if every >= cfg.tcp_max_connections:
            logger.err(f"maximum number of connections exceeded: {every}/{cfg.tcp_max_connections}")
            self.count("local_reject")
            return False
        if proto == "tls" and tls >= cfg.tls_max_connections:
            logger.err(f"maximum number of tls connections exceeded: {tls}/{cfg.tls_max_connections}")
            self.count("local_reject")
            return False
        return True

    def lifetime(self, proto: str) -> int:
        """Milliseconds a connection lives without traffic."""
        seconds = self.core.tls.lifetime if proto == "tls" else self.core.cfg.tcp_connection_lifetime
        # Kamailio's -1 is for ever
        return seconds * 1000 if 0 <= seconds < 1 << 20 else 1 << 31

    # for modules

    def close_connection(self, number: int) -> bool:
        """Have a connection closed; False if there is none of this id."""
        record = self.connections.record(number)
        if record is None:
            return False
        self.connections.set_state(number, State.CLOSING)
        return self.inboxes[record.reader].close_connection(number)

    def close(self) -> None:
        for opened in self.listening.values():
            opened.close()
        self.listening.clear()
        for inbox in self.inboxes:
            inbox.close()
        self.inboxes.clear()
