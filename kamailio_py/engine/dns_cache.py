"""What is known of host names: records by type and name, in shared memory, for all processes.

`Addresses` asks here when a message is to be sent to a name; A and AAAA records that are not known are asked of the
machine's resolver, SRV records are used where they were put in (dns.add_srv). Types, flags and limits are those of
Kamailio's DNS cache.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kamailio_py.engine.kept import PERMANENT, Kept, KeptTable
from kamailio_py.log import get_logger

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core

logger = get_logger()

TYPES = {"A": 1, "CNAME": 5, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33, "NAPTR": 35, "EBL": 65535}
"""Names of record types -> numbers; EBL is Kamailio's own."""
NEGATIVE = 1
"""Flag of an entry that says that there is no such record."""
RESOLVER_TTL = 60
"""Seconds to keep what the machine's resolver says, which tells no time to live."""


@dataclass(slots=True)
class DnsRecord:
    """One record: `target` is an address or a name; the numbers are those of SRV."""

    target: str
    expires: int
    priority: int = 0
    weight: int = 0
    port: int = 0


@dataclass(slots=True)
class DnsEntry:
    """All records of one type and name; times are monotonic milliseconds."""

    type: str
    name: str
    flags: int
    expires: int
    used: int
    size: int
    records: list[DnsRecord]

    @property
    def negative(self) -> bool:
        return bool(self.flags & NEGATIVE)

    @property
    def permanent(self) -> bool:
        return bool(self.flags & PERMANENT)


class DnsCache:
    """See the head of the file."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._kept: KeptTable | None = None

    def create(self) -> None:
        """Make its place in shared memory, unless dns_cache_init=off; before forking."""
        cfg = self.core.cfg
        if cfg.dns_cache_init:
            self._kept = KeptTable(self.core.shm, self.core.clock, "dns_cache", self.limit)
            self.core.register_timer(self._kept.collect, max(cfg.dns_cache_gc_interval, 1), slow=True)

    @property
    def enabled(self) -> bool:
        return bool(self.core.cfg.use_dns_cache) and self._kept is not None

    @property
    def limit(self) -> int:
        """Bytes it may take."""
        return self.core.cfg.dns_cache_mem * 1024

    @property
    def used(self) -> int:
        return self._table.used

    # resolving

    def address(self, name: str) -> str | None:
        """The address to send to for a host name: A first, then AAAA if dns_try_ipv6; None if there is none."""
        if not self.enabled:
            return _ask(name, socket.AF_UNSPEC)
        for kind in ("A", "AAAA") if self.core.cfg.dns_try_ipv6 else ("A",):
            entry = self.lookup(kind, name)
            if entry is not None:
                return entry.records[0].target
        return None

    def service(self, proto: str, name: str) -> tuple[str, int] | None:
        """Name and port of the first SRV record that is known for a SIP domain, None without one."""
        if not self.enabled:
            return None
        entry = self.find("SRV", f"_sip{'s' if proto == 'tls' else ''}._{'tcp' if proto == 'tls' else proto}.{name}")
        if entry is None or not entry.records:
            return None
        return entry.records[0].target, entry.records[0].port

    def lookup(self, kind: str, name: str) -> DnsEntry | None:
        """The entry with its records, asked of the resolver if it is not known; None if there are none."""
        entry = self.find(kind, name)
        if entry is None and kind in ("A", "AAAA"):
            found = _ask(name, socket.AF_INET if kind == "A" else socket.AF_INET6)
            if found is None:
                self.put(kind, name, None, self.core.cfg.dns_cache_negative_ttl, NEGATIVE)
            else:
                self.put(kind, name, DnsRecord(found, 0), RESOLVER_TTL, 0)
            entry = self.find(kind, name)
        return entry if entry is not None and entry.records else None

    # entries

    def find(self, kind: str, name: str) -> DnsEntry | None:
        """The entry of this type and name that is known now."""
        kept = self._table.get(_key(kind, name))
        return None if kept is None else self._entry(kept)

    def put(self, kind: str, name: str, record: DnsRecord | None, ttl: int, flags: int) -> bool:
        """Add a record to the entry of its type and name; without a record or with NEGATIVE: there is none.

        False when there is no room for it.
        """
        cfg, now = self.core.cfg, self.core.clock.ms()
        ttl = max(ttl, cfg.dns_cache_min_ttl)
        if cfg.dns_cache_max_ttl > 0:
            ttl = min(ttl, cfg.dns_cache_max_ttl)
        expires = now + ttl * 1000
        known = self.find(kind, name)
        records = [] if known is None else known.records
        if record is None or flags & NEGATIVE:
            records, flags = [], flags | NEGATIVE
        else:
            record.expires = expires
            same = (record.target, record.port)
            records = [each for each in records if (each.target, each.port) != same]
            records.append(record)
            records.sort(key=lambda each: (each.priority, -each.weight))
            expires = max(each.expires for each in records)
        data = json.dumps([[r.target, r.expires, r.priority, r.weight, r.port] for r in records])
        if self._table.put(_key(kind, name), data, flags, expires):
            return True
        logger.err(f"dns cache: no room for {kind} {name}")
        return False

    def delete(self, kind: str, name: str) -> bool:
        """Forget an entry; whether there was one."""
        return self._table.remove(_key(kind, name))

    def clear(self, permanent: bool) -> None:
        """Forget all entries; those that are permanent only if told so."""
        self._table.clear(lambda kept: permanent or not kept.flags & PERMANENT)

    def __iter__(self) -> Iterator[DnsEntry]:
        return map(self._entry, self._table)

    @property
    def _table(self) -> KeptTable:
        assert self._kept is not None
        return self._kept

    def _entry(self, kept: Kept) -> DnsEntry:
        kind, _, name = kept.key.partition(" ")
        now = self.core.clock.ms()
        records = [DnsRecord(*values) for values in json.loads(kept.data)]
        if not kept.flags & PERMANENT:
            records = [record for record in records if record.expires > now]
        return DnsEntry(kind, name, kept.flags, kept.expires, kept.used, kept.size, records)


def parse_address(kind: str, text: str) -> str | None:
    """An address of the version that an A or AAAA record has, in its shortest form; None for anything else."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return str(address) if address.version == (4 if kind == "A" else 6) else None


def _key(kind: str, name: str) -> str:
    return f"{kind} {name.lower().rstrip('.')}"


def _ask(name: str, family: int) -> str | None:
    """The machine's resolver."""
    try:
        return str(socket.getaddrinfo(name, None, family=family, type=socket.SOCK_DGRAM)[0][4][0])
    except (OSError, UnicodeError):
        return None
