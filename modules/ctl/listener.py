"""The ctl handler: waits on all sockets at once and lets the commands be run, one after the other.

Runs in one process of its own, so a command that takes long holds up other control clients, and no SIP. A peer is
never waited for: what it does not take is kept (streams) or dropped (datagrams).
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from kamailio_py.log import get_logger
from kamailio_py.rpc import binrpc
from kamailio_py.rpc.binrpc import BinrpcError

from .addresses import Listening
from .streams import Answer, Stream

logger = get_logger()

MAX_DATAGRAM = 65535
MAX_CONNECTIONS = 512
"""Connections at a time, well below the file descriptors a process may have."""
ROUND = 1.0
"""Seconds between two looks at connections that are to be closed."""


FifoReader = Callable[[Listening, bytes], None]


class Listener:
    """Serves the given addresses; `answer` runs one binrpc request, `fifo` one text of a fifo."""

    def __init__(self, addresses: Sequence[Listening], answer: Answer, fifo: FifoReader) -> None:
        self.addresses = addresses
        self.streams: list[Stream] = []
        self._answer = answer
        self._fifo = fifo
        self._selector: selectors.BaseSelector

    def serve(self, process: Any) -> None:
        """The loop of the ctl handler, until the process is to stop."""
        # made after forking: what epoll waits for is not copied, but shared with the process that died
        select = self._selector = selectors.DefaultSelector()
        for listening in self.addresses:
            select.register(listening.socket or listening.fifo, selectors.EVENT_READ, listening)
        processes, now_ms = process.core.shm.processes, process.core.clock.ms
        while not process.stopping:
            with process.idle:
                ready = select.select(ROUND)
            processes.beat(now_ms())
            for key, events in ready:
                if isinstance(key.data, Stream):
                    self._stream_ready(key.data, events)
                elif key.data.kind == "fifo":
                    self._fifo_ready(key.data)
                elif key.data.is_stream:
                    self._accept(key.data)
                else:
                    self._datagram(key.data)
            processes.finish()
            now = time.monotonic()
            for stream in [each for each in self.streams if each.expired(now)]:
                self._close(stream)

    def _accept(self, listening: Listening) -> None:
        assert listening.socket is not None
        try:
            opened, peer = listening.socket.accept()
        except OSError as error:
            logger.err(f"accept failed on {listening}: {error.strerror}")
            return
        if len(self.streams) >= MAX_CONNECTIONS:
            logger.err(f"too many connections, one more on {listening} is refused")
            opened.close()
            return
        stream = Stream(opened, peer, listening, self._answer)
        self.streams.append(stream)
        self._selector.register(opened, selectors.EVENT_READ, stream)

    def _stream_ready(self, stream: Stream, events: int) -> None:
        goes_on = stream.writable() if events & selectors.EVENT_WRITE else stream.readable()
        wanted = selectors.EVENT_WRITE if stream.writes else selectors.EVENT_READ if stream.reads else 0
        if goes_on and wanted:
            self._selector.modify(stream.socket, wanted, stream)
        else:
            self._close(stream)

    def _close(self, stream: Stream) -> None:
        self._selector.unregister(stream.socket)
        self.streams.remove(stream)
        stream.close()

    def _datagram(self, listening: Listening) -> None:
        opened = listening.socket
        assert opened is not None
        try:
            data, peer = opened.recvfrom(MAX_DATAGRAM)
        except OSError:
            return
        if not data:
            return
        if not peer:
            logger.err(f"a datagram on {listening} has no address to answer to")
            return
        packet = self._one(data)
        try:
            opened.sendto(packet, peer)
        except OSError as error:
            logger.err(f"answer of {len(packet)} bytes to {peer} not sent: {error.strerror}")
            if packet[1] >> 4 != binrpc.PacketType.FAULT and len(packet) > MAX_DATAGRAM - 100:
                header = binrpc.read_header(packet)
                self._too_big(opened, header.cookie, peer)

    @staticmethod
    def _too_big(opened: socket.socket, cookie: bytes, peer: Any) -> None:
        try:
            opened.sendto(binrpc.fault_packet(cookie, 500, "datagram too big"), peer)
        except OSError as error:
            logger.err(f"fault to {peer} not sent: {error.strerror}")

    def _one(self, data: bytes) -> bytes:
        """The answer to a datagram, which is one request; what follows it is not looked at."""
        try:
            header = binrpc.read_header(data)
            if header.end > len(data):
                raise BinrpcError(binrpc.MORE_NEEDED)
        except BinrpcError as error:
            return binrpc.fault_packet(b"\0", 400, f"bad request: {error}")
        return self._answer(header, data[header.start : header.end], None)[0]

    def _fifo_ready(self, listening: Listening) -> None:
        try:
            data = os.read(listening.fifo, MAX_DATAGRAM)
        except BlockingIOError:
            return
        self._fifo(listening, data)
