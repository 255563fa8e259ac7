"""One TLS connection: what came over the network in, messages out, and back; no socket.

Lives in the tcp receiver that has the connection. The transport's Codec.
"""

from __future__ import annotations

import contextlib
import ssl

from kamailio_py.log import get_logger
from kamailio_py.modules.tls.certificate import BadCertificate, Certificate

log = get_logger("tls")

CHUNK = 65536


class TlsError(ConnectionError):
    """The other end cannot be talked to; the text is for the log."""


class ClearText:
    """What this process's connections have to say and cannot before their handshakes are over, in bytes."""

    __slots__ = ("bytes", "most_of_all", "most_of_one")

    def __init__(self, most_of_one: int = 65536, most_of_all: int = 10485760) -> None:
        self.bytes = 0
        self.most_of_one = most_of_one
        self.most_of_all = most_of_all


class TlsCodec:
    """See the head of the file; `server_name` is the name the client asked for, or the one asked of a server."""

    def __init__(
        self,
        context: ssl.SSLContext,
        outgoing: bool,
        server_name: str = "",
        farewell: bool = False,
        queue: ClearText | None = None,
    ) -> None:
        self.ready = False
        self.outgoing = outgoing
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(
            self._in, self._out, server_side=not outgoing, server_hostname=(server_name or None) if outgoing else None
        )
        self._verifies = context.verify_mode != ssl.CERT_NONE
        self._asked = server_name
        self._waiting: list[bytes] = []
        self._queue = queue or ClearText()
        self._queued = 0
        self._farewell = farewell
        self._peer: Certificate | None = None
        self._peer_known = False

    # the transport's side

    def start(self) -> bytes:
        self._shake_hands()
        return self._out.read()

    def received(self, data: bytes) -> tuple[bytes, bytes]:
        self._in.write(data)
        if not self.ready:
            self._shake_hands()
        parts = []
        if self.ready:
            try:
                while True:
                    part = self._ssl.read(CHUNK)
                    if not part:
                        break
                    parts.append(part)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                if not parts and not isinstance(error, ssl.SSLZeroReturnError):
                    raise TlsError(f"TLS read: {_reason(error)}") from None
        return b"".join(parts), self._out.read()

    def encode(self, data: bytes) -> bytes:
        if not self.ready:
            self._wait(data)
            return b""
        self._ssl.write(data)
        return self._out.read()

    def _wait(self, data: bytes) -> None:
        queue, size = self._queue, len(data)
        if self._queued + size > queue.most_of_one or queue.bytes + size > queue.most_of_all:
            raise TlsError(f"clear text write queue full: {self._queued} bytes of it, {queue.bytes} of all")
        self._waiting.append(data)
        self._queued += size
        queue.bytes += size

    def _waited(self) -> None:
        self._waiting.clear()
        self._queue.bytes -= self._queued
        self._queued = 0

    def finish(self) -> bytes:
        self._waited()
        if self.ready and self._farewell:
            with contextlib.suppress(ssl.SSLError, ValueError):
                self._ssl.unwrap()  # the other end need not answer
        return self._out.read()

    def _shake_hands(self) -> None:
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return
        except (ssl.SSLError, ssl.CertificateError) as error:
            what = "connect" if self.outgoing else "accept"
            raise TlsError(f"TLS {what}: {_reason(error)} (sni: {self.server_name or 'unknown'})") from None
        self.ready = True
        for data in self._waiting:
            self._ssl.write(data)
        self._waited()

    # what is known of the connection

    @property
    def context(self) -> ssl.SSLContext:
        return self._ssl.context

    @property
    def server_name(self) -> str:
        return getattr(self._ssl, "server_name", "") or self._asked

    @property
    def version(self) -> str | None:
        return self._ssl.version()

    @property
    def cipher(self) -> tuple[str, int]:
        """(name, bits) of the cipher; ("", 0) before there is one."""
        found = self._ssl.cipher()
        return (found[0], found[2] or 0) if found else ("", 0)

    @property
    def description(self) -> str:
        """The cipher as OpenSSL describes it."""
        name = self.cipher[0]
        return next((c["description"].strip() for c in self._ssl.context.get_ciphers() if c["name"] == name), name)

    @property
    def verified(self) -> bool:
        """The other end has shown a certificate, and it was verified."""
        return self._verifies and self.peer is not None

    @property
    def peer(self) -> Certificate | None:
        """The certificate of the other end."""
        if not self._peer_known and self.ready:
            self._peer_known = True
            der = self._ssl.getpeercert(binary_form=True)
            if der:
                try:
                    self._peer = Certificate(der)
                except BadCertificate as error:
                    log.err(f"certificate of the other end: {error}")
        return self._peer


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    if getattr(error, "verify_message", None):
        return f"certificate verify failed: {error.verify_message}"  # type: ignore[attr-defined]
    return str(reason).replace("_", " ").lower() if reason else str(error)
