"""Keepalives of usrloc itself (ka_mode): a request to each contact with every round of the timer, statelessly.

What a reply belongs to stands in its From-tag: the contact's id, the hash of its address of record, and when the
request was sent. Nothing else is remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py import log as levels
from kamailio_py.log import get_logger
from kamailio_py.modules.usrloc.contact import Contact
from kamailio_py.script.context import Context
from kamailio_py.sip.address_lists import parse_routes
from kamailio_py.sip.errors import BadMessage

if TYPE_CHECKING:
    from kamailio_py.modules.usrloc import Usrloc
    from kamailio_py.sip.message import Message

log = get_logger("usrloc")

NATTED, UDP_ONLY = 2, 4
"""Bits of ka_mode besides 1."""
SILENT = 255
"""ka_loglevel: nothing is logged."""


class Keepalive:
    """See the head of the file."""

    def __init__(self, module: Usrloc) -> None:
        self.module = module
        self.core = module.core
        self._format = self.core.registry.format(module.ka_logmsg)
        self._rounds = 0

    def round(self, first: int, step: int) -> None:
        """Send to every contact of each `step`-th slot."""
        module = self.module
        if module.ka_mode & NATTED and not module.nat_flag:
            return
        flags = module.nat_flag if module.ka_mode & NATTED else 0
        for domain, aor, hash, contact in module.api.all_contacts(flags, first, step, module.ka_filter):
            if domain.mode != 3:
                self._rounds += 1
                self._send(aor, hash, contact)

    def _send(self, aor: str, hash: int, contact: Contact) -> None:
        core, module = self.core, self.module
        try:
            hop = contact.received or (parse_routes(contact.path)[0].uri if contact.path else contact.address)
        except BadMessage:
            log.err("failed to get first uri for path")
            return
        destination = core.destination(hop, module.socket_of(contact.socket))
        if destination is None:
            log.err("cannot resolve destination")
            return
        if module.ka_mode & UDP_ONLY and destination.proto != "udp":
            return
        method, socket = module.ka_method, destination.socket
        to = aor if "@" in aor else f"{aor}@{module.ka_domain}"
        now = core.clock.now()
        seconds, micro = int(now), int(now % 1 * 1_000_000)
        count, salt = self._rounds, core.random.getrandbits(32)
        tag = f"{contact.ruid}-{hash:x}-{seconds:x}-{micro:x}-{count:x}.1"
        route = f"Route: {contact.path}\r\n" if contact.path else ""
        text = (
            f"{method} {contact.address} SIP/2.0\r\n"
            f"Via: SIP/2.0/{destination.proto.upper()} {socket.sent_by_host}:{socket.sent_by_port};"
            f"branch=z9hG4bKx.{count}.1.0\r\n{route}"
            f"From: <{module.ka_from}>;tag={tag}\r\n"
            f"To: <sip:{to}>\r\n"
            f"Call-ID: ksrulka-{seconds:x}-{salt:x}-{count:x}.1\r\n"
            f"CSeq: 80 {method}\r\n"
            "Content-Length: 0\r\n\r\n"
        )
        core.send(text, destination)

    def replied(self, msg: Message) -> int:
        """Handler of replies: 0 for one to a keepalive, which goes no further, 1 for all others."""
        module = self.module
        try:
            if msg.cseq_method != module.ka_method or msg.via2 is not None or msg.from_.uri != module.ka_from:
                return 1
            ruid, hash, seconds, micro, _ = msg.from_.tag.rsplit("-", 4)
            sent = int(seconds, 16) + int(micro, 16) / 1_000_000
            aor_hash = int(hash, 16)
        except (BadMessage, ValueError):
            return 1
        roundtrip = max(round((self.core.clock.now() - sent) * 1_000_000), 0)
        module.api.refresh_keepalive(aor_hash, ruid, roundtrip)
        if module.ka_loglevel != SILENT and log.enabled(module.ka_loglevel):
            text = self._format.evaluate(Context(self.core, msg))
            took = f"{roundtrip // 1_000_000}.{roundtrip % 1_000_000:06d}"
            levels.emit(module.ka_loglevel, f"usrloc: keepalive roundtrip: {took} sec - ruid [{ruid}]{text}")
        return 0
