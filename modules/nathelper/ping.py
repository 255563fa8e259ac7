"""Pings that keep the way through a NAT to registered contacts open: four zero bytes, or a SIP request.

Each ping process works through its share of the contacts once in an interval, a part every second. Whether pings are
sent at all stands in one word of shared memory, written without a lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.sip.address_lists import parse_routes
from kamailio_py.sip.endpoint import Destination, ListenSocket
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.modules.nathelper import Nathelper

log = get_logger("nathelper")

EMPTY = "\0\0\0\0"


class Ping:
    """See the head of the file."""

    def __init__(self, module: Nathelper, usrloc: Any) -> None:
        self.module = module
        self.core = module.core
        self.usrloc = usrloc
        self.api = usrloc.api
        self._enabled = self.core.shm.reserve("nathelper.ping", "word", 8) >> 3
        self.core.shm.u64[self._enabled] = 1
        self._count = 0
        self._force_socket = self._socket(module.force_socket)
        flag = module.natping_disable_bflag
        self._disabled = 1 << flag if flag >= 0 else 0
        self._sip = 1 << module.sipping_bflag if module.sipping_bflag >= 0 else 0
        self.api.set_max_partition(module.natping_interval * module.natping_processes)
        if module.keepalive_timeout > 0:
            self.api.keepalive_timeout = module.keepalive_timeout

    def _socket(self, text: str | None) -> ListenSocket | None:
        if not text:
            return None
        socket = self.usrloc.socket_of(text if text.startswith("udp:") else f"udp:{text}")
        if socket is None:
            log.err(f"no such socket: {text}")
        return socket

    def enable(self, on: bool) -> None:
        self.core.shm.u64[self._enabled] = int(on)

    def process(self, number: int) -> Any:
        """The loop of a ping process."""

        def run(process: Any) -> None:
            second = 0
            while process.every(1):
                self.round(number, second)
                second = (second + 1) % self.module.natping_interval

        return run

    def round(self, number: int, second: int) -> None:
        """Ping the contacts whose turn it is in this second of the interval."""
        if not self.core.shm.u64[self._enabled]:
            return
        module = self.module
        flags = self.api.nat_flag if module.ping_nated_only else 0
        part = number * module.natping_interval + second
        parts = module.natping_processes * module.natping_interval
        for reachable in self.api.all_contacts(flags, part, parts, 1 if module.filter_server_id else 0):
            if not reachable.contact.cflags & self._disabled:
                self._ping(reachable.hash, reachable.contact)

    def _ping(self, aor_hash: int, contact: Any) -> None:
        module = self.module
        sip = self._sip and (contact.cflags & self._sip or not module.ping_nated_only)
        hop = contact.received or contact.address
        if contact.path and contact.cflags & self._sip:
            try:
                hop = parse_routes(contact.path)[0].uri
            except BadMessage:
                log.err("failed to get dst_uri for Path")
                return
        socket = self._force_socket or self.usrloc.socket_of(contact.socket)
        destination = self.core.destination(hop, socket)
        if destination is None:
            log.err("can't resolve_host")
            return
        if destination.proto == "udp":
            self.core.send(self._request(aor_hash, contact, destination) if sip else EMPTY, destination)

    def _request(self, aor_hash: int, contact: Any, destination: Destination) -> str:
        """The SIP request; its From tag says which contact it is for."""
        module, socket = self.module, destination.socket
        self._count += 1
        number = f"{self._count:x}"
        route = f"Route: {contact.path}\r\n" if contact.path else ""
        tag = f"{contact.ruid}-{f'{aor_hash:x}'[::-1]}-{number}"
        return (
            f"{module.sipping_method} {contact.address} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {socket.sent_by_host}:{socket.sent_by_port};branch=z9hG4bK{self._count}\r\n{route}"
            f"From: {module.sipping_from};tag={tag}\r\n"
            f"To: {contact.address}\r\n"
            f"Call-ID: {self.core.random.getrandbits(32):x}-{self.core.random.getrandbits(32):x}-{number}"
            f"@{socket.host_text}\r\n"
            f"CSeq: 1 {module.sipping_method}\r\n"
            "Content-Length: 0\r\n\r\n"
        )

    def replied(self, msg: Message) -> int:
        """Handler of replies: note that a contact answered; 0 for a reply to a ping, which goes no further."""
        module = self.module
        try:
            if msg.cseq_method != module.sipping_method or msg.via2 is not None:
                return 1
            if msg.from_.uri != module.sipping_from.strip("<>"):
                return 1
            ruid, hash, _ = msg.from_.tag.rsplit("-", 2)
            aor_hash = int(hash[::-1], 16)
        except (BadMessage, ValueError):
            return 1
        if module.keepalive_timeout > 0:
            self.api.refresh_keepalive(aor_hash, ruid)
        return 0
