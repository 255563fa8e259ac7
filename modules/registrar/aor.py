"""Addresses of record: the key under which a URI's contacts are kept.

It is the user, or user@host where domains count, in lower case; with case_sensitive only the host is.
"""

from __future__ import annotations

from dataclasses import dataclass

from kamailio_py.log import get_logger
from kamailio_py.modules.registrar.refusals import Refusal, Refused
from kamailio_py.sip.errors import BadUri
from kamailio_py.sip.uri import Uri

log = get_logger("registrar")

LONGEST = 512
LONGEST_PART = 64
_HEX = frozenset("0123456789abcdefABCDEF")


def unescaped(user: str) -> str:
    """A user with its %XX put in; ValueError for what is no escape or stands for no printable ASCII character."""
    if "%" not in user:
        return user
    out: list[str] = []
    at = 0
    while True:
        percent = user.find("%", at)
        if percent < 0:
            return "".join(out) + user[at:]
        digits = user[percent + 1 : percent + 3]
        if len(digits) < 2 or not _HEX.issuperset(digits):
            raise ValueError("bad escape")
        code = int(digits, 16)
        if not 32 <= code <= 126:
            raise ValueError("not printable")
        out += [user[at:percent], chr(code)]
        at = percent + 3


@dataclass(slots=True)
class AorRules:
    """What the parameters of usrloc and registrar say of addresses of record."""

    use_domain: bool = False
    case_sensitive: bool = False
    realm_prefix: str = ""

    def aor(self, text: str) -> str:
        """The address of record of a URI. Refused if it has none."""
        try:
            uri = Uri.parse(text)
        except BadUri:
            log.err(f"failed to parse AoR [{text}]")
            raise Refused(Refusal.AOR_PARSE) from None
        user, host = uri.user, uri.host
        if len(user) + len(host) + 2 > LONGEST or len(user) > LONGEST_PART or len(host) > LONGEST_PART:
            log.err("Address Of Record too long")
            raise Refused(Refusal.AOR_LEN)
        try:
            user = unescaped(user)
        except ValueError:
            log.err("failed to unescape username")
            raise Refused(Refusal.UNESCAPE) from None
        if not self.case_sensitive:
            user = user.lower()
        if not self.use_domain:
            return user
        prefix = self.realm_prefix
        if prefix and len(prefix) < len(host) and host.startswith(prefix):
            host = host[len(prefix) :]
        host = host.lower()
        return f"{user}@{host}" if user else host
