"""Digest credentials as Authorization and Proxy-Authorization carry them, and what they prove (RFC 2617, 7616)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.md5 import md5
from kamailio_py.sip.nameaddr import split_values
from kamailio_py.sip.remembered import remembered

if TYPE_CHECKING:
    from kamailio_py.sip.message import Message

Credentials = Mapping[str, str]

ALGORITHMS: dict[str, Callable[[bytes], Any]] = {"MD5": md5, "SHA-256": sha256}


_PAIR = r'([A-Za-z0-9_-]+)=(?:"([^"\\]*)"|([^ \t\r\n",\\<>]*))'
_pairs = re.compile(_PAIR).findall
_usual = re.compile(rf" *{_PAIR} *(?:, *{_PAIR} *)*").fullmatch


@remembered
def parse_credentials(value: str) -> Credentials | None:
    """The parameters of a Digest header value, names in lower case, quotes taken off; None for another scheme.

    BadMessage where a quote does not end.
    """
    scheme, blank, rest = value.strip().partition(" ")
    if scheme.lower() != "digest" or not blank:
        return None
    if _usual(rest):
        return {name.lower(): quoted or plain for name, quoted, plain in reversed(_pairs(rest))}
    found: dict[str, str] = {}
    for part in split_values(rest):
        name, _, text = part.partition("=")
        text = text.strip()
        if text[:1] == '"':
            if len(text) < 2 or text[-1] != '"':
                raise BadMessage("quoted text does not end in credentials")
            text = text[1:-1]
        found.setdefault(name.strip().lower(), text)
    return found


def credentials_of(msg: Message) -> Credentials | None:
    """The credentials of Proxy-Authorization, or else of Authorization; None for such as cannot be read."""
    for name in ("proxy-authorization", "authorization"):
        value = msg.header(name)
        if value is not None:
            try:
                found = parse_credentials(value)
            except BadMessage:
                return None
            if found is not None:
                return found
    return None


def username_parts(credentials: Credentials) -> tuple[str, str]:
    """User and domain of the user name, the domain "" if it names none."""
    user, _, domain = credentials.get("username", "").partition("@")
    return user, domain


def digest(algorithm: str, *parts: str) -> str:
    """Hexadecimal hash of the parts with colons between them."""
    return str(ALGORITHMS[algorithm](":".join(parts).encode("latin-1")).hexdigest())


def ha1(algorithm: str, username: str, realm: str, password: str) -> str:
    """What servers store instead of a password."""
    return digest(algorithm, username, realm, password)


def response(algorithm: str, ha1: str, credentials: Credentials, method: str, body: str = "") -> str:
    """The response these credentials should have; `body` counts with qop=auth-int."""
    qop = credentials.get("qop", "")
    entity = (digest(algorithm, body),) if qop.lower() == "auth-int" else ()
    ha2 = digest(algorithm, method, credentials.get("uri", ""), *entity)
    middle = (credentials.get("nc", ""), credentials.get("cnonce", ""), qop) if qop else ()
    return digest(algorithm, ha1, credentials.get("nonce", ""), *middle, ha2)
