"""The loop of a tcp receiver: its connections are read and written here, and their messages worked on.

Nothing in it waits for one connection: sockets do not block, what cannot be written stands in the stream. It ends a
connection that is idle for longer than its lifetime, that takes nothing for tcp_send_timeout, or that says nonsense.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from kamailio_py.engine.blocklist import CONNECT
from kamailio_py.log import Level, get_logger
from kamailio_py.shm.processes import DOING
from kamailio_py.sip.endpoint import Destination
from kamailio_py.transport.connections import State
from kamailio_py.transport.framing import BadFrame, Framer
from kamailio_py.transport.proxied import ProxiedStream
from kamailio_py.transport.stream import Closed, Finished, Stream

if TYPE_CHECKING:
    from kamailio_py.engine.engine import Engine
    from kamailio_py.process.process import Process
    from kamailio_py.transport.stream import Codec
    from kamailio_py.transport.tcp import Tcp

logger = get_logger()

TICK = 1000
"""Milliseconds between two looks at the timeouts."""
SWEEP = 10_000
"""Milliseconds between two looks for connections that were announced and never came."""
ON_ITS_WAY = 100
"""Milliseconds that a connection may take from its entry in the table to its receiver."""


class Receiver:
    """One process's own connections; see the head of the file."""

    def __init__(self, tcp: Tcp, number: int) -> None:
        self.tcp = tcp
        self.number = number
        self.core = tcp.core
        self._now = tcp.core.clock.ms
        self._connections = tcp.connections
        self._inbox = tcp.inboxes[number]
        self._poll = select.epoll()
        self._streams: dict[int, Stream] = {}
        self._by_fd: dict[int, Stream] = {}
        self._queued = 0  # bytes that wait on all of them

    def run(self, engine: Engine, process: Process) -> None:
        """Serve until the process is to stop."""
        poll, inbox = self._poll, self._inbox
        self._engine = engine
        for fd in (inbox.bell.fd, inbox.offered.fileno()):
            poll.register(fd, select.EPOLLIN)
        self._take_offered()
        self._sweep(ON_ITS_WAY)
        by_fd = self._by_fd
        tick = self._now() + TICK
        self._swept = self._now()
        while True:
            with process.idle:
                events = poll.poll(max(tick - self._now(), 0) / 1000 if self._streams else SWEEP / 1000)
            for fd, event in events:
                stream = by_fd.get(fd)
                if stream is None:
                    # connections first: what is to be written may be for one of them
                    self._take_offered()
                    self._take_messages()
                else:
                    self._guard(stream, partial(self._happened, stream, event))
            now = self._now()
            if now >= tick:
                tick = now + TICK
                self._tick(now)

    # what others hand over

    def _take_offered(self) -> None:
        for number, connected in self._inbox.connections():
            self.adopt(number, connected)

    def adopt(self, number: int, connected: socket.socket) -> None:
        """Make a connection one of this process's own."""
        record = self._connections.record(number)
        if record is None:
            connected.close()
            return
        cfg = self.core.cfg
        connected.setblocking(False)
        listening = self.core.sockets[record.socket]
        framer = Framer(cfg.tcp_rd_buf_size, without_length=bool(cfg.tcp_accept_no_cl), pings=bool(cfg.tcp_crlf_ping))
        peer = record.src_host, record.src_port
        try:
            tls = listening.proto == "tls"
            codec = self.core.tls.codec(listening, record) if tls else None
        except ValueError as error:
            logger.err(f"TLS: {error}")
            connected.close()
            self._connections.remove(number)
            return
        parts = (
            number, self._connections.place(number), listening, connected, peer, framer, codec,
            record.state == State.CONNECTING,
        )  # fmt: skip
        if cfg.tcp_accept_haproxy and not record.outgoing:
            stream: Stream = ProxiedStream(*parts, found=partial(self._connections.set_source, number))
            stream.due = self._now() + cfg.tcp_wait_data
        else:
            stream = Stream(*parts)
        self._streams[number] = stream
        self._by_fd[connected.fileno()] = stream
        self._poll.register(connected.fileno(), select.EPOLLIN)
        self._guard(stream, partial(self._settle, stream))

    def _take_messages(self) -> None:
        for number, data, close in self._inbox.messages():
            if not self.write(number, data, close) and data:
                logger.dbg(f"connection {number} is gone: {len(data)} bytes were not sent")

    # for the transport of this process

    def write(self, number: int, data: bytes, close: bool = False) -> bool:
        """Write on a connection of this process; False where it is none, or ends by it."""
        stream = self._streams.get(number)
        return stream is not None and self._guard(stream, partial(self._write, stream, data, close))

    def set_options(self, number: int, options: Iterable[tuple[int, int, int]]) -> bool:
        """Set options (level, name, value) of a connection of this process; False where it is none."""
        stream = self._streams.get(number)
        if stream is None:
            return False
        for option in options:
            stream.socket.setsockopt(*option)
        return True

    def codec(self, number: int) -> Any:
        """What encrypts a connection of this process; None where it is none."""
        stream = self._streams.get(number)
        return stream.codec if stream is not None else None

    def _write(self, stream: Stream, data: bytes, close: bool) -> None:
        cfg = self.core.cfg
        if stream.waiting and (
            stream.waiting + len(data) > cfg.tcp_conn_wq_max or self._queued + len(data) > cfg.tcp_wq_max
        ):
            self.tcp.count("sendq_full")
            raise Closed("error", f"write queue full, {stream.waiting} bytes wait")
        if data:
            stream.write(data)
        if close:
            stream.closing = True
        self._settle(stream)

    # one connection

    def _guard(self, stream: Stream, work: Any) -> bool:
        """Do something with a connection; False if it ended by that and was not to."""
        try:
            work()
        except Closed as closed:
            self._end(stream, closed)
            return isinstance(closed, Finished)
        except ConnectionError as error:
            self._end(stream, Closed("error", str(error)))
            return False
        except BadFrame as bad:
            host, port = stream.peer
            logger.err(f"bad request from {host}:{port}: {bad} buf:\n{bad.seen[:1000]}")
            self._end(stream, Closed("closed", "bad request"))
            return False
        return True

    def _happened(self, stream: Stream, event: int) -> None:
        if stream.connecting or event & select.EPOLLOUT:
            waiting = stream.waiting
            connecting = stream.connecting
            stream.writable()
            if connecting and not stream.connecting:
                self._connections.set_state(stream.id, State.OK)
                self.tcp.count("connect_success", "established")
                stream.due = 0
            if stream.waiting < waiting:
                stream.due = 0  # it takes something: the time begins anew
        if event & ~select.EPOLLOUT:
            self._receive(stream)
        self._settle(stream)

    def _receive(self, stream: Stream) -> None:
        if not stream.receive():
            return
        self._connections.touch(stream.block, self._now())
        if not stream.secured and stream.codec is not None and stream.codec.ready:
            self._secured(stream, stream.codec)
        framer = stream.framer
        host, port = stream.peer
        receive = self._engine.receive
        begin, finish = self.core.shm.processes.begin, self.core.shm.processes.finish
        while True:
            text = framer.message()
            if framer.pings_seen:
                stream.write(b"\r\n" * framer.pings_seen)
                framer.pings_seen = 0
            if text is None:
                if framer.expects:
                    stream.write(b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n")
                    framer.expects = False
                return
            begin(text[:DOING].encode("latin-1"))
            passed = receive(text, host, port, stream.listening, stream.id)
            finish()
            if not passed and not self.core.cfg.tcp_script_mode:
                raise Closed("closed", "the message could not be worked on")
            if stream.id not in self._streams:
                raise Closed("closed", "ended by its own message")

    def _secured(self, stream: Stream, codec: Codec) -> None:
        """The handshake of TLS is over."""
        stream.secured = True
        stream.due = 0
        self._connections.set_cipher(stream.block, codec.description)
        if not self.core.tls.established(codec, stream.listening, stream.peer, stream.id):
            raise Closed("closed", "its event route does not want it")

    def _settle(self, stream: Stream) -> None:
        """After whatever was done with it: what is polled for, what the table says, by when it must go on."""
        waits = stream.connecting or bool(stream.out)
        if waits != stream.polled_out:
            stream.polled_out = waits
            self._poll.modify(stream.fileno(), select.EPOLLIN | (select.EPOLLOUT if waits else 0))
        if stream.waiting != stream.counted:
            self._queued += stream.waiting - stream.counted
            stream.counted = stream.waiting
            self._connections.set_queued(stream.block, stream.waiting)
        if not waits and stream.secured:
            stream.due = 0
            if stream.closing:
                raise Finished
        elif not stream.due:
            cfg = self.core.cfg
            opening = stream.connecting or not stream.secured
            stream.due = self._now() + 1000 * (cfg.tcp_connect_timeout if opening else cfg.tcp_send_timeout)

    def _end(self, stream: Stream, closed: Closed) -> None:
        if self._streams.pop(stream.id, None) is None:
            return
        host, port = stream.peer
        if stream.connecting:
            self.tcp.count("connect_failed")
            self.core.blocklist.failed(Destination(stream.listening.proto, host, port, stream.listening), CONNECT)
        elif closed.how == "reset":
            self.tcp.count("con_reset")
        level = self.core.cfg.corelog if closed.how == "error" else Level.DBG
        logger.at(level, f"connection {stream.id} with {host}:{port} ends: {closed}")
        if stream.waiting:
            logger.warn(f"connection {stream.id} with {host}:{port}: {stream.waiting} bytes were not sent")
        self._queued -= stream.counted
        fd = stream.fileno()
        del self._by_fd[fd]
        self._poll.unregister(fd)
        stream.close()
        record = self._connections.record(stream.id) if self.core.connection_ended else None
        self._connections.remove(stream.id)
        if record is not None:
            for listener in self.core.connection_ended:
                listener(record, closed.how)

    # time

    def _tick(self, now: int) -> None:
        for stream in list(self._streams.values()):
            if stream.due and now >= stream.due:
                what = "connect" if stream.connecting else "write" if stream.secured else stream.waits_for
                if what == "write":
                    self.tcp.count("send_timeout")
                self._end(stream, Closed("error", f"{what} timeout"))
            elif now >= self._connections.timeout_of(stream.block):
                self.tcp.count("con_timeout")
                self._end(stream, Closed("idle", "nothing came or went for its lifetime"))
        if self._inbox.queue.depth:
            self._take_messages()
        if now - self._swept >= SWEEP:
            self._swept = now
            self._sweep(SWEEP)

    def _sweep(self, age: int) -> None:
        """Forget the connections of a receiver that died here before, and those whose opener died: all of that age."""
        for record in self._connections.forget_reader(self.number, set(self._streams), self._now() - age):
            logger.dbg(f"connection {record.id} with {record.src_host}:{record.src_port} was lost")
