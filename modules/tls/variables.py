"""$tls_...: what is known of the TLS connection a message came over, of the other end's certificate and of our own.

A connection is known to the tcp receiver that has it: in another process, such as one that resumes a transaction, they
are null.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.modules.tls.certificate import Certificate
from kamailio_py.script.values import Value

if TYPE_CHECKING:
    from kamailio_py.modules.tls import Tls
    from kamailio_py.modules.tls.codec import TlsCodec
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter

log = get_logger("tls")

_PARTS = {
    "": "", "cn": "CN", "locality": "L", "country": "C", "state": "ST", "organization": "O", "unit": "OU", "uid": "UID",
}  # fmt: skip
_SAN = {"email": "email", "hostname": "dns", "uri": "uri", "ip": "ip"}
_PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def urlencoded(text: str) -> str:
    return "".join(c if c in _PLAIN else f"%{ord(c):02x}" for c in text)


def _of_certificate() -> dict[str, Callable[[Certificate], Value]]:
    """What follows `tls_peer_` or `tls_my_`."""
    found: dict[str, Callable[[Certificate], Value]] = {
        "version": lambda c: c.version,
        "serial": lambda c: str(c.serial),
        "raw_cert": lambda c: c.pem,
        "urlencoded_cert": lambda c: urlencoded(c.pem),
        "notBefore": lambda c: c.not_before,
        "notAfter": lambda c: c.not_after,
    }
    for part, key in _PARTS.items():
        for who in ("subject", "issuer"):
            found[f"{who}_{part}" if part else who] = _part(who, key)
    for kind, key in _SAN.items():
        found[f"san_{kind}"] = lambda c, key=key: next(iter(c.san.get(key, ())), None)  # type: ignore[misc]
    return found


def _part(who: str, key: str) -> Callable[[Certificate], Value]:
    # the whole name has no value with Kamailio 5.6
    return lambda c: Certificate.part(getattr(c, who), key) if key else None


CERTIFICATE = _of_certificate()
ONLY_PEER = ("notBefore", "notAfter", "issuer_uid")
LINES = {
    "m_issuer_line": ("my", "issuer"), "m_subject_line": ("my", "subject"), "p_issuer_line": ("peer", "issuer"),
    "p_subject_line": ("peer", "subject"),
}  # fmt: skip
"""Inner names of $tls(...)."""


class Variables:
    """Makes the getters."""

    def __init__(self, tls: Tls) -> None:
        self.tls = tls

    def codec(self, ctx: Context) -> TlsCodec | None:
        """The connection of the message; None, and a line in the log, where this process knows none."""
        msg = ctx.msg
        if msg.socket is None or msg.socket.proto != "tls":
            log.err("Transport protocol is not TLS (bug in config)")
            return None
        receiver = self.tls.core.tcp.receiver
        found = receiver.codec(msg.connection) if receiver is not None else None
        if found is None:
            log.err("TLS connection not found")
        return found

    def certificate(self, ctx: Context, whose: str) -> Certificate | None:
        codec = self.codec(ctx)
        if codec is None:
            return None
        if whose == "my":
            profile = self.tls.profiles.of_context(codec.context)
            return profile.certificate if profile is not None else None
        if codec.peer is None:
            log.err("Unable to retrieve peer TLS certificate from SSL structure")
        return codec.peer

    # getters

    def of_connection(self, read: Callable[[Any], Value]) -> Getter:
        def get(ctx: Context) -> Value:
            codec = self.codec(ctx)
            return read(codec) if codec is not None else None

        return get

    def of_certificate(self, whose: str, read: Callable[[Certificate], Value]) -> Getter:
        def get(ctx: Context) -> Value:
            found = self.certificate(ctx, whose)
            return read(found) if found is not None else None

        return get

    def line(self, name: str) -> Getter:
        """$tls(name); ValueError for another name."""
        if name not in LINES:
            raise ValueError(f"unknown name of $tls: {name}")
        whose, who = LINES[name]
        return self.of_certificate(whose, lambda c: Certificate.line(getattr(c, who)))

    def all(self) -> dict[str, Getter]:
        """Every $tls_ variable by name."""
        found = {
            "tls_version": self.of_connection(lambda codec: codec.version),
            "tls_description": self.of_connection(lambda codec: f"{codec.description}\n"),
            "tls_cipher_info": self.of_connection(lambda codec: codec.cipher[0]),
            "tls_cipher_bits": self.of_connection(lambda codec: str(codec.cipher[1])),
            "tls_peer_server_name": self.of_connection(lambda codec: codec.server_name or None),
            "tls_peer_verified": self.of_connection(lambda codec: int(codec.verified)),
        }
        for name in ("revoked", "expired", "selfsigned"):
            # a connection with such a certificate is never made where certificates are verified
            found[f"tls_peer_{name}"] = self.of_connection(lambda codec: 0)
        for name, read in CERTIFICATE.items():
            for whose in ("peer", "my"):
                if not (name in ONLY_PEER and whose == "my") and name != "issuer_uid":
                    found[f"tls_{whose}_{name}"] = self.of_certificate(whose, read)
        return found
