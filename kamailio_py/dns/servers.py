"""Asking name servers, as the C library does: which servers, how often, for how long, in which domains.

dnspython is the codec of the messages; it is loaded with the first question, for a server that only ever sees addresses
should not pay for it. What is asked blocks the process that asks.
"""

from __future__ import annotations

import os
import socket
import string
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py.dns.records import DnsRecord, RecordSet
from kamailio_py.dns.resolv_conf import ResolvConf
from kamailio_py.log import get_logger

if TYPE_CHECKING:
    from dns.message import Message

logger = get_logger()

RESOLV_CONF = "/etc/resolv.conf"
_IN_A_NAME = frozenset(string.ascii_letters + string.digits + ".-_")
_NO_SERVER = object()


class NameServers:
    """See the head of the file. `cfg` has the global parameters, `count(name)` counts in the group dns."""

    def __init__(self, cfg: Any, count: Callable[[str], None]) -> None:
        self.cfg = cfg
        self.count = count
        self.path = RESOLV_CONF
        self.port = 53
        self._conf = ResolvConf()
        self._read: tuple[int, int] | None = None
        self._turn = 0

    def ask(self, name: str, kind: str) -> list[RecordSet] | None:
        """Sets of the answer and of what was said along with it; None when there is no answer, which is counted."""
        if not name.strip(".") or not _IN_A_NAME.issuperset(name):
            return None
        began = time.monotonic()
        found = self._search(name, kind)
        slow = self.cfg.dns_slow_query_ms
        if slow > 0 and (took := int((time.monotonic() - began) * 1000)) > slow:
            logger.at(self.cfg.latency_log, f"res_search[{kind}][{name}]elapsed[{took}ms]")
            self.count("slow_dns_request")
        if found is None:
            self.count("failed_dns_request")
        return found

    def _search(self, name: str, kind: str) -> list[RecordSet] | None:
        """Ask in this machine's domains, too; what is found there is an alias of the short name."""
        conf, cfg = self._conf_now(), self.cfg
        for full in conf.names(name, bool(cfg.dns_use_search_list)):
            answer = self._query(full, kind)
            if answer is _NO_SERVER:
                return None
            if answer is None:
                continue
            sets = _sets(answer)
            if cfg.dns_use_search_list and all(one.name.lower() != name.rstrip(".").lower() for one in sets):
                sets += self._alias(name, sets)
            return sets
        return None

    def _alias(self, name: str, sets: list[RecordSet]) -> list[RecordSet]:
        """The set that leads from a short name to the one that was answered."""
        for one in sets:
            domain = one.name[len(name) + 1 :].lower()
            if one.name.lower().startswith(f"{name.lower()}.") and (
                not self.cfg.dns_search_full_match or domain in [each.lower().strip(".") for each in self._conf.search]
            ):
                return [RecordSet("CNAME", name, [DnsRecord(one.name, 0)], one.ttls[:1])]
        return []

    def _conf_now(self) -> ResolvConf:
        """resolv.conf, read again when it has changed."""
        try:
            status = os.stat(self.path)
            stamp = status.st_mtime_ns, status.st_ino
        except OSError:
            stamp = 0, 0
        if stamp != self._read:
            self._read, self._conf = stamp, ResolvConf.read(self.path)
        return self._conf

    def _query(self, name: str, kind: str) -> Any:
        """The answer of the first server that has one; None: there is none; _NO_SERVER: no server said anything."""
        import dns.exception
        import dns.message

        try:
            query = dns.message.make_query(name, kind)
        except dns.exception.DNSException:
            return None  # a label that is too long or empty
        conf, cfg = self._conf, self.cfg
        servers = list(conf.servers)
        if 0 <= cfg.dns_servers_no < len(servers):
            servers = servers[: cfg.dns_servers_no]
        if conf.rotate and servers:
            self._turn += 1
            shift = self._turn % len(servers)
            servers = servers[shift:] + servers[:shift]
        first = cfg.dns_retr_time if cfg.dns_retr_time > 0 else conf.timeout
        refused = False
        for attempt in range(cfg.dns_retr_no if cfg.dns_retr_no > 0 else conf.attempts):
            patience = first << attempt
            if attempt:
                patience //= len(servers) or 1
            for server in servers:
                answer = _exchange(query, server, self.port, max(patience, 1))
                if answer is None:
                    continue
                if answer.rcode() in (0, 3):  # NOERROR, NXDOMAIN: that is so
                    return answer if answer.answer else None
                refused = True
            if refused:
                return None
        logger.dbg(f"no name server answers for {name}")
        return _NO_SERVER


def _exchange(query: Message, server: str, port: int, patience: float) -> Message | None:
    """One question to one server; over TCP if the answer is too long for UDP. None if it does not answer."""
    import dns.exception
    import dns.message

    wire = query.to_wire()
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    until = time.monotonic() + patience
    try:
        # connected, so that a port where nobody listens is known at once
        with socket.socket(family, socket.SOCK_DGRAM) as handle:
            handle.connect((server, port))
            handle.send(wire)
            while (left := until - time.monotonic()) > 0:
                handle.settimeout(left)
                try:
                    answer = dns.message.from_wire(handle.recv(65535), ignore_trailing=True, one_rr_per_rrset=True)
                except (dns.exception.DNSException, ValueError):
                    continue
                if query.is_response(answer):
                    break
            else:
                return None
        if answer.flags & 0x0200:  # truncated
            with socket.create_connection((server, port), max(until - time.monotonic(), 0.1)) as stream:
                stream.sendall(len(wire).to_bytes(2, "big") + wire)
                with stream.makefile("rb") as lines:
                    size = int.from_bytes(lines.read(2), "big")
                    answer = dns.message.from_wire(lines.read(size), ignore_trailing=True, one_rr_per_rrset=True)
    except (OSError, dns.exception.DNSException, ValueError):
        return None
    return answer


def _sets(answer: Message) -> list[RecordSet]:
    """What the answer and additional sections hold, in their order; types that nobody asks for are left out."""
    from dns.rdatatype import to_text

    found: dict[tuple[str, str], RecordSet] = {}
    for rrset in [*answer.answer, *answer.additional]:
        kind, name = to_text(rrset.rdtype), _name(rrset.name)
        if kind in _READERS:
            known = found.setdefault((kind, name.lower()), RecordSet(kind, name, [], []))
            known.records += [_READERS[kind](rdata) for rdata in rrset]
            known.ttls += [rrset.ttl] * len(rrset)
    return list(found.values())


def _name(name: Any) -> str:
    return str(name.to_text(omit_final_dot=True))


def _texts(*parts: bytes) -> list[str]:
    return [part.decode("latin-1") for part in parts]


_READERS: dict[str, Callable[[Any], DnsRecord]] = {
    "A": lambda rdata: DnsRecord(rdata.address, 0),
    "AAAA": lambda rdata: DnsRecord(rdata.address, 0),
    "CNAME": lambda rdata: DnsRecord(_name(rdata.target), 0),
    "PTR": lambda rdata: DnsRecord(_name(rdata.target), 0),
    "SRV": lambda rdata: DnsRecord(_name(rdata.target), 0, rdata.priority, rdata.weight, rdata.port),
    "TXT": lambda rdata: DnsRecord("", 0, texts=_texts(*rdata.strings)),
    "NAPTR": lambda rdata: DnsRecord(
        _name(rdata.replacement), 0, rdata.order, rdata.preference, 0,
        _texts(rdata.flags, rdata.service, rdata.regexp),
    ),
}  # fmt: skip


def names_of(address: str) -> list[str]:
    """The names of an address, as the machine's own resolver has them."""
    try:
        name, aliases, _ = socket.gethostbyaddr(address)
    except OSError:
        return []
    return [name, *aliases]


def ask_system(name: str, kind: str) -> list[str]:
    """A or AAAA records as the machine's own resolver has them, /etc/hosts included."""
    try:
        family = socket.AF_INET if kind == "A" else socket.AF_INET6
        return [str(each[4][0]) for each in socket.getaddrinfo(name, None, family=family, type=socket.SOCK_DGRAM)]
    except (OSError, UnicodeError):
        return []
