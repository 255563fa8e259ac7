"""Nonces as Kamailio makes them, so that both accept each other's where they share a secret.

A nonce is base64 of: expiry, time of making (4 bytes each), an MD5 over these and the secret, with extra checks an MD5
over parts of the request, and if it is counted its number (4 bytes) and pool (1 byte with two flags). Stateless but
for what in_flight.py keeps; takes no lock.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from enum import Enum
from ipaddress import ip_address

from kamailio_py.dataclass import dataclass
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.md5 import md5
from kamailio_py.sip.message import Message

FULL_URI, CALL_ID, FROM_TAG, SOURCE_IP = 1, 2, 4, 8
"""Bits of auth_checks_*: parts of the request that must be the same when the nonce comes back."""
COUNTED, ONE_TIME, POOL = 0x80, 0x40, 0x3F
"""Flags of a nonce's last byte, and the pool in it."""

_TIMES = struct.Struct(">II")
_NUMBER = struct.Struct(">IB")
_NO_DIGIT = re.compile("[^A-Za-z0-9+/]")
_SHORTEST, _LONGEST = 24, 48
_SHORTEST_TEXT = 32


class Check(Enum):
    """What a nonce is found to be."""

    OK = "ok"
    INVALID = "invalid"
    STALE = "stale"
    REUSED = "reused"


@dataclass(frozen=True, slots=True)
class Nonce:
    """A decoded nonce."""

    expire: int
    since: int
    proof: bytes
    parts_proof: bytes
    number: int
    flags: int


class Nonces:
    """Makes and reads nonces with one pair of secrets."""

    def __init__(self, secret: str, parts_secret: str) -> None:
        self._secret = secret.encode("latin-1")
        self._parts_secret = parts_secret.encode("latin-1")

    def make(
        self, since: int, expire: int, checks: int, msg: Message | None, number: int = 0, flags: int | None = None
    ) -> str:
        """The text of a new nonce; `flags` None: it is not counted."""
        times = _TIMES.pack(expire & 0xFFFFFFFF, since & 0xFFFFFFFF)
        tail = b"" if flags is None else _NUMBER.pack(number, flags)
        parts = self._parts_proof(checks, msg) if checks and msg is not None else b""
        return base64.b64encode(times + self._proof(times, tail) + parts + tail).decode("ascii")

    def read(self, text: str, checks: int) -> Nonce | None:
        """What a nonce says, None if it is none."""
        if len(text) < _SHORTEST_TEXT:
            return None
        # what is no base64 is read as something, too: it is then from a strange time, and stale
        digits = _NO_DIGIT.sub("/", text.rstrip("="))
        try:
            raw = base64.b64decode(digits + "=" * (-len(digits) % 4))
        except binascii.Error:
            return None
        if not _SHORTEST <= len(raw) <= _LONGEST:
            return None
        expire, since = _TIMES.unpack_from(raw)
        end = 40 if checks else 24
        number, flags = _NUMBER.unpack(raw[end : end + 5].ljust(5, b"\0"))
        return Nonce(expire, since, raw[8:24], raw[24:40] if checks else b"", number, flags)

    def is_ours(self, nonce: Nonce) -> bool:
        """Was it made with this secret?"""
        times = _TIMES.pack(nonce.expire, nonce.since)
        tail = _NUMBER.pack(nonce.number, nonce.flags) if nonce.flags & (COUNTED | ONE_TIME) else b""
        return nonce.proof == self._proof(times, tail)

    def is_for(self, nonce: Nonce, checks: int, msg: Message) -> bool:
        """Was it made for a request that is the same in the parts that `checks` name?"""
        return nonce.parts_proof == self._parts_proof(checks, msg)

    def _proof(self, times: bytes, tail: bytes) -> bytes:
        return md5(times + tail + self._secret).digest()

    def _parts_proof(self, checks: int, msg: Message) -> bytes:
        parts = []
        if checks & FULL_URI:
            parts.append(msg.uri.encode("latin-1"))
        try:
            if checks & CALL_ID:
                parts.append(msg.call_id.rstrip().encode("latin-1"))
            if checks & FROM_TAG:
                parts.append(msg.from_.tag.encode("latin-1"))
        except BadMessage:
            pass  # what cannot be read does not count
        if checks & SOURCE_IP:
            parts.append(ip_address(msg.src_ip).packed)
        return md5(b"".join(parts) + self._parts_secret).digest()
