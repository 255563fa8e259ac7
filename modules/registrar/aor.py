"""Addresses of record: the key under which a URI's contacts are kept.

It is the user, or user@host where domains count, in lower case; with case_sensitive only the host is.
"""

from __future__ import annotations

from kamailio_py.log import get_logger
from kamailio_py.modules.registrar.refusals import Refusal, Refused
from kamailio_py.sip.errors import BadUri
from kamailio_py.sip.escapes import unescaped
from kamailio_py.sip.remembered import remembered
from kamailio_py.sip.uri import Uri

log = get_logger("registrar")

LONGEST = 512
LONGEST_USER = 64
LONGEST_HOST = 128
MOST_KNOWN = 4096
"""So many URIs are remembered with their address of record."""


class AorRules:
    """What the parameters of usrloc and registrar say of addresses of record."""

    def __init__(self, use_domain: bool = False, case_sensitive: bool = False, realm_prefix: str = "") -> None:
        self.use_domain = use_domain
        self.case_sensitive = case_sensitive
        self.realm_prefix = realm_prefix
        self.aor = remembered(self._aor, MOST_KNOWN)
        """The address of record of a URI. Refused if it has none."""

    def _aor(self, text: str) -> str:
        try:
            uri = Uri.parse(text)
        except BadUri:
            log.err(f"failed to parse AoR [{text}]")
            # Kamailio has a text for this, and answers as if nothing were wrong
            raise Refused(Refusal.FINE) from None
        user, host = uri.user, uri.host
        if len(user) + len(host) + 2 > LONGEST or len(user) > LONGEST_USER or len(host) > LONGEST_HOST:
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
