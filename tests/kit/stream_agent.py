"""User agents over TCP: a listening socket, a connection to the server, and those the server opens.

Its own connection is opened with the first message and is what requests go over; replies go where their request came
from. The end of a connection is an arrival like a message, so that it is compared too.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time

from cryptography import x509

from . import certificates
from .agent import PATIENCE, Agent, Arrival, Missing
from .sip import Sip

CLOSED = "closed"


class Connection:
    """One connection of an agent; `label` is what a transcript shows of it."""

    def __init__(self, opened: socket.socket, label: str, name: str) -> None:
        self.socket = opened
        self.label = label
        self.name = name
        self.port = opened.getsockname()[1]
        self.open = True
        self.buffer = b""

    def send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def read(self) -> None:
        """Take what is there."""
        more = True
        while more:
            try:
                data = self.socket.recv(65536)
            except OSError:
                data = b""
            if not data:
                self.open = False
            self.buffer += data
            more = isinstance(self.socket, ssl.SSLSocket) and self.open and self.socket.pending() > 0

    def message(self) -> str | None:
        """The next whole message of what was read, a keepalive for one."""
        for blank in (b"\r\n\r\n", b"\r\n"):
            if self.buffer.startswith(blank) and len(self.buffer) >= 2:
                self.buffer = self.buffer[2:]
                return "\r\n"
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        length = int(Sip((head + end).decode("latin-1")).first("Content-Length") or 0)
        if len(rest) < length:
            return None
        size = len(head) + 4 + length
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data.decode("latin-1")


class StreamAgent(Agent):
    """See the head of the file."""

    transport = "TCP"
    uri_params = ";transport=tcp"

    def _open(self) -> None:
        self.listener = socket.create_server((self.address, 0), family=self.family)
        self.port = self.listener.getsockname()[1]
        self.connections: list[Connection] = []
        self.own: Connection | None = None

    @property
    def ports(self) -> dict[int, str]:
        names = super().ports
        for connection in self.connections:
            names.setdefault(connection.port, f"<{self.name} {connection.name}>")
        return names

    def connect(self) -> Connection:
        """A connection to the server, to be the agent's own from now on."""
        opened = self._wrap(socket.create_connection(self.server), server_side=False)
        number = 1 + sum(c.name.startswith("connection") for c in self.connections)
        self.own = self._add(opened, "" if number == 1 else f"(connection {number}) ", f"connection {number}")
        return self.own

    def _wrap(self, opened: socket.socket, *, server_side: bool) -> socket.socket:
        """What is spoken over the socket."""
        return opened

    def _add(self, opened: socket.socket, label: str, name: str) -> Connection:
        connection = Connection(opened, label, name)
        self.connections.append(connection)
        return connection

    def close(self) -> None:
        for connection in self.connections:
            connection.socket.close()
        self.listener.close()

    # -- sending

    def send(self, text: str) -> None:
        self.raw(text.encode("latin-1"))

    def raw(self, data: bytes) -> None:
        """Send bytes over the agent's own connection."""
        if self.own is None or not self.own.open:
            self.connect()
        assert self.own is not None
        self._last_action = time.time()
        self.own.send(data)

    def _send_back(self, text: str, request: Sip) -> None:
        connection = next(c for c in self.connections if c.port == request.source[1])
        connection.send(text.encode("latin-1"))

    def hang_up(self, reset: bool = False) -> None:
        """Close the agent's own connection."""
        assert self.own is not None
        if reset:
            self.own.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.own.socket.close()
        self.own.open = False
        self.own = None

    def stop_listening(self) -> None:
        self.listener.close()

    # -- receiving

    def expect_closed(self, timeout: float = PATIENCE) -> None:
        """Wait until the server has closed a connection."""
        self._expect_text(CLOSED, timeout)

    def expect_pong(self, timeout: float = PATIENCE) -> None:
        self._expect_text("\r\n", timeout)

    def expect_http(self, timeout: float = PATIENCE) -> Sip:
        """The next message that is no SIP."""
        return self._expect_text("HTTP/", timeout)

    def _expect_text(self, start: str, timeout: float) -> Sip:
        deadline = time.monotonic() + timeout
        while True:
            for message in self._unread:
                if message.text.startswith(start):
                    self._unread.remove(message)
                    return message
            if not self._receive(deadline):
                raise Missing(f"{self.name} waited {timeout:g} s for {start!r}")

    def _receive(self, deadline: float) -> bool:
        remaining = max(deadline - time.monotonic(), 0.0)
        readable = [c.socket for c in self.connections if c.open]
        if self.listener.fileno() >= 0:
            readable.append(self.listener)
        ready = select.select(readable, [], [], remaining)[0]
        for found in ready:
            if found is self.listener:
                number = 1 + sum(c.name.startswith("incoming") for c in self.connections)
                accepted = self._wrap(self.listener.accept()[0], server_side=True)
                self._add(accepted, f"(incoming {number}) ", f"incoming {number}")
                continue
            connection = next(c for c in self.connections if c.socket is found)
            connection.read()
            while (text := connection.message()) is not None:
                self._arrived(connection, text)
            if not connection.open:
                self._arrived(connection, CLOSED)
                connection.socket.close()
        return bool(ready)

    def _arrived(self, connection: Connection, text: str) -> None:
        now = time.time()
        message = Sip(text, ("127.0.0.1", connection.port))
        self.arrivals.append(Arrival(message, now, now - self._last_action, False, connection.label))
        self._unread.append(message)


class StreamAgent6(StreamAgent):
    """The same on [::1]."""

    address = "::1"


class TlsAgent(StreamAgent):
    """The same over TLS: `certificate` is what it shows as a client, `server_name` the name it asks for.

    `asked` has, of each connection that was opened to it, the name it was asked for and whose certificate it was shown.
    """

    transport = "TLS"
    uri_params = ";transport=tls"
    certificate = ""
    server_name: str | None = None

    def _open(self) -> None:
        super()._open()
        self.asked: list[tuple[str | None, str]] = []

    def _wrap(self, opened: socket.socket, *, server_side: bool) -> socket.socket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        own, where = self.certificate or ("client" if server_side else ""), certificates.directory()
        if own:
            context.load_cert_chain(where / f"{own}.pem", where / f"{own}.key")
        opened.settimeout(PATIENCE)
        if not server_side:
            return context.wrap_socket(opened, server_hostname=self.server_name)
        names: list[str | None] = []
        context.sni_callback = lambda connection, name, first: names.append(name)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(where / "ca.pem")
        wrapped = context.wrap_socket(opened, server_side=True)
        der = wrapped.getpeercert(binary_form=True)
        shown = x509.load_der_x509_certificate(der).subject.rfc4514_string() if der else ""
        self.asked.append((names[0], shown))
        return wrapped

    def shown(self) -> str:
        """The common name of the certificate that the server has shown on the agent's own connection."""
        assert self.own is not None
        assert isinstance(self.own.socket, ssl.SSLSocket)
        der = self.own.socket.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der).subject.rfc4514_string()
