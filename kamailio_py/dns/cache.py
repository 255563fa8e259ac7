"""What is known of host names: records by type and name, in shared memory, for all processes.

What is not known is asked of the name servers, and kept for as long as they say; that there is no answer, for
dns_cache_negative_ttl. Types, flags and limits are those of Kamailio's DNS cache. An answer's further records
(addresses of SRV targets, where an alias leads) are kept as well. Takes the lock of its table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kamailio_py.clock import Clock
from kamailio_py.dns.records import NEGATIVE, DnsEntry, DnsRecord, RecordSet, rank
from kamailio_py.dns.servers import NameServers
from kamailio_py.log import get_logger
from kamailio_py.shm.kept import PERMANENT, Kept, KeptTable
from kamailio_py.shm.memory import SharedMemory

logger = get_logger()

LONGEST_CHAIN = 10
"""Most aliases from a name to its records."""
IPV4_ONLY, IPV6_ONLY, IPV6_FIRST = 1, 2, 4
"""Bits of dns_cache_flags."""
NEW_WINS, LONGER_WINS = 2, 3
"""Values of dns_cache_rec_pref: what becomes of records that are known when an answer brings others along. With 1 only
what says that there are none is replaced, with 0 nothing."""


class DnsCache:
    """See the head of the file."""

    def __init__(self, cfg: Any, clock: Clock, servers: NameServers) -> None:
        self.cfg = cfg
        self.clock = clock
        self.servers = servers
        self._kept: KeptTable | None = None
        self._ttl = 0

    def create(self, shm: SharedMemory) -> None:
        """Make its place in shared memory; before forking."""
        self._kept = KeptTable(shm, self.clock, "dns_cache", self.limit)

    @property
    def enabled(self) -> bool:
        return bool(self.cfg.use_dns_cache) and self._kept is not None

    @property
    def limit(self) -> int:
        """Bytes it may take."""
        return int(self.cfg.dns_cache_mem) * 1024

    @property
    def used(self) -> int:
        return self._table.used

    def collect(self) -> None:
        """Forget what is over; where more than three quarters are used, only until half of it is free."""
        self._table.shrink(self.limit // 2 if self.used > self.limit // 16 * 12 else 0)

    # questions

    def address_kinds(self) -> tuple[str, ...]:
        """Which records to look for, in this order, where an address is wanted."""
        flags = self.cfg.dns_cache_flags
        if flags & IPV4_ONLY or not self.cfg.dns_try_ipv6:
            return ("A",)
        if flags & IPV6_ONLY:
            return ("AAAA",)
        return ("AAAA", "A") if flags & IPV6_FIRST else ("A", "AAAA")

    def records(self, kind: str, name: str) -> list[DnsRecord]:
        """Records of this type and name, aliases followed; [] when there are none."""
        entry = self.lookup(kind, name)
        return entry.records if entry is not None else []

    def lookup(self, kind: str, name: str) -> DnsEntry | None:
        """The entry with its records, asked of the name servers if it is not known; None if there are none."""
        said: dict[str, DnsEntry] = {}  # there is an answer even where there is no room to keep it
        asked = ""
        for _ in range(LONGEST_CHAIN):
            entry = self.find(kind, name) or said.get(_key(kind, name))
            if entry is not None:
                return entry if entry.records else None
            alias = self.find("CNAME", name) or said.get(_key("CNAME", name)) if kind != "CNAME" else None
            if alias is not None and alias.records:
                name = alias.records[0].target
            elif asked == name:
                return None
            else:
                asked = name
                said = self._ask(kind, name)
        logger.warn(f'CNAME chain too long or recursive CNAMEs ("{name}")')
        return None

    @contextmanager
    def keeping(self, seconds: int) -> Iterator[None]:
        """Meanwhile this process keeps records for so long, whatever they say and the limits are; 0: as ever."""
        self._ttl = seconds
        try:
            yield
        finally:
            self._ttl = 0

    def _ask(self, kind: str, name: str) -> dict[str, DnsEntry]:
        """Ask for it, and keep what the answer says of it; what there was no room for, by key."""
        sets = self.servers.ask(name, kind)
        unkept = {}
        if sets is not None:
            for one in _wanted(sets, kind, name, self.address_kinds()):
                if not self._keep(one):
                    unkept[_key(one.type, one.name)] = DnsEntry(one.type, one.name, 0, 0, 0, 0, one.records)
        elif self.cfg.dns_cache_negative_ttl:
            self._store(kind, name, [], NEGATIVE, self.clock.ms() + self.cfg.dns_cache_negative_ttl * 1000)
        return unkept

    def _keep(self, found: RecordSet) -> bool:
        """Keep what a server said, unless what is known already is to be preferred; False when there is no room."""
        cfg, now = self.cfg, self.clock.ms()
        for record, seconds in zip(found.records, found.ttls, strict=True):
            ttl = max(seconds, cfg.dns_cache_min_ttl)
            if cfg.dns_cache_max_ttl >= 0:
                ttl = min(ttl, max(cfg.dns_cache_max_ttl, cfg.dns_cache_min_ttl))
            record.expires = now + (self._ttl or ttl) * 1000
        if found.type == "SRV":
            found.records.sort(key=rank)
        expires = max(record.expires for record in found.records)
        old = self.find(found.type, found.name)
        if old is not None and not self._replaces(old, expires):
            return True
        return self._store(found.type, found.name, found.records, 0, expires)

    def _replaces(self, old: DnsEntry, expires: int) -> bool:
        """Whether an answer takes the place of what is known, by dns_cache_rec_pref."""
        preference = self.cfg.dns_cache_rec_pref
        if old.permanent or not preference:
            return False
        return old.negative or preference == NEW_WINS or (preference == LONGER_WINS and old.expires < expires)

    # entries

    def find(self, kind: str, name: str) -> DnsEntry | None:
        """The entry of this type and name that is known now."""
        kept = self._table.get(_key(kind, name))
        return None if kept is None else self._entry(kept)

    def put(self, kind: str, name: str, record: DnsRecord | None, ttl: int, flags: int) -> bool:
        """Add a record to the entry of its type and name; with NEGATIVE: there is none. As dns.add_... does it.

        False when there is no room for it, or when a permanent entry is in its way.
        """
        expires = self.clock.ms() + ttl * 1000
        old = self.find(kind, name)
        if old is not None and old.permanent and not flags & PERMANENT:
            logger.err("A non-permanent record cannot overwrite a permanent entry")
            return False
        if record is None or flags & NEGATIVE:
            return self._store(kind, name, [], flags | NEGATIVE, expires)
        record.expires = expires
        records = [record]
        if old is not None and not old.negative and old.permanent == bool(flags & PERMANENT):
            flags = old.flags
            records = [*(each for each in old.records if each.target != record.target), record]
            records.sort(key=rank)
        return self._store(kind, name, records, flags, max(each.expires for each in records))

    def skip(self, name: str, target: str) -> None:
        """Have the NAPTR record of a name that leads to `target` passed over, if there is one."""
        entry = self.find("NAPTR", name)
        for record in entry.records if entry is not None else []:
            if record.target == target and not record.skipped:
                logger.notice(f"Mark to skip {target} NAPTR record due to all IPs are unreachable")
                record.skipped = True
                assert entry is not None
                self._store("NAPTR", name, entry.records, entry.flags, entry.expires)

    def _store(self, kind: str, name: str, records: list[DnsRecord], flags: int, expires: int) -> bool:
        key, data = _key(kind, name), json.dumps([record.state() for record in records])
        if self._table.put(key, data, flags, expires):
            return True
        logger.warn("cache full, trying to free...")
        self._table.shrink(self.used // 16 * 14, living=bool(self.cfg.dns_cache_del_nonexp))
        if self._table.put(key, data, flags, expires):
            return True
        logger.err("max. cache mem size exceeded")
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
        now = self.clock.ms()
        records = [DnsRecord(*values) for values in json.loads(kept.data)]
        if not kept.flags & PERMANENT:
            records = [record for record in records if record.expires > now]
        return DnsEntry(kind, name, kept.flags, kept.expires, kept.used, kept.size, records)


def _wanted(sets: list[RecordSet], kind: str, name: str, addresses: tuple[str, ...]) -> Iterator[RecordSet]:
    """Of what a server said, what belongs to the question: the records, aliases up to them, what they lead to."""
    left = {(one.type, one.name.lower()): one for one in sets}
    open_ = [(kind, name)]
    while open_:
        kind, name = open_.pop()
        key = name.lower().rstrip(".")
        found = left.pop((kind, key), None)
        if found is None:
            found = left.pop(("CNAME", key), None)
            if found is not None:
                open_.append((kind, found.records[0].target))
        elif kind == "SRV":
            open_ += [(each, record.target) for record in found.records for each in addresses]
        elif kind == "NAPTR":
            open_ += [("SRV", record.target) for record in found.records]
        if found is not None:
            yield found


def _key(kind: str, name: str) -> str:
    return f"{kind} {name.lower().rstrip('.')}"
