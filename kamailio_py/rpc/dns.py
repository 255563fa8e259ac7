"""RPC commands `dns.*`: the cache of host names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.dns.records import NEGATIVE, TYPES, DnsEntry, DnsRecord, parse_address
from kamailio_py.module import Command, RpcFault, rpc
from kamailio_py.rpc.group import Group
from kamailio_py.rpc.values import Struct

if TYPE_CHECKING:
    from kamailio_py.rpc.call import Call

YES_NO = {True: "yes", False: "no"}
REFUSED = "Failed to add the entry to the cache"
REFERENCES = 1
"""Kamailio counts who uses an entry; here everybody gets a copy."""


class Dns(Group):
    def rpcs(self) -> Iterator[Command]:
        yield from super().rpcs()
        for kind in TYPES:
            doc = f"Forgets the {kind} records of a name."
            yield Command(f"dns.delete_{kind.lower()}", "", doc, False, None, self._delete(kind))

    def _needs_cache(self) -> None:
        if not self.core.dns.enabled:
            raise RpcFault(500, "dns cache support disabled (see use_dns_cache)")

    def _left(self, expires: int) -> int:
        """Whole seconds until then, rounded up."""
        return max(-(-(expires - self.core.clock.ms()) // 1000), 0)

    def _entries(self) -> Iterator[DnsEntry]:
        self._needs_cache()
        return iter(self.core.dns)

    # looking

    @rpc("dns.mem_info", "", "Bytes in use, and how many may be.")
    def mem_info(self, call: Call) -> Iterator[int]:
        self._needs_cache()
        yield self.core.dns.used
        yield self.core.dns.limit

    @rpc("dns.debug", "", "For each entry: name, type, size, references, seconds left, seconds since used, flags.")
    def debug(self, call: Call) -> Iterator[str | int]:
        for entry in self._entries():
            yield entry.name
            yield TYPES[entry.type]
            yield from self._state(entry)

    @rpc("dns.debug_all", "", "For each record what dns.debug has for its entry, its kind, value and seconds left.")
    def debug_all(self, call: Call) -> Iterator[str | int]:
        for entry in self._entries():
            for number, record in enumerate(entry.records):
                yield entry.name
                yield TYPES[entry.type]
                yield number
                yield from self._state(entry)
                yield from _short(entry.type, record)
                yield self._left(record.expires)

    def _state(self, entry: DnsEntry) -> tuple[int, int, int, int, int]:
        idle = (self.core.clock.ms() - entry.used) // 1000
        return entry.size, REFERENCES, self._left(entry.expires), idle, entry.flags

    @rpc("dns.view", "", "The entries with their records.", array=True)
    def view(self, call: Call) -> Iterator[dict[str, Any]]:
        for entry in self._entries():
            yield self._described(entry, REFERENCES)

    @rpc("dns.lookup", "", "The entry of a type and name, asked of the resolver if it is not known.")
    def lookup(self, call: Call) -> dict[str, Any]:
        self._needs_cache()
        kind, name = call.scan("SS")
        kind = kind.upper().removeprefix("T_")
        if kind not in TYPES:
            raise RpcFault(400, "Invalid type")
        entry = self.core.dns.lookup(kind, name)
        if entry is None:
            raise RpcFault(400, "Not found")
        return self._described(entry, REFERENCES + 1)

    def _described(self, entry: DnsEntry, references: int) -> dict[str, Any]:
        described: dict[str, Any] = {
            "name": entry.name, "type": entry.type, "size_bytes": entry.size, "reference_counter": references,
            "permanent": YES_NO[entry.permanent], "expires": 0 if entry.permanent else self._left(entry.expires),
            "last_used": (self.core.clock.ms() - entry.used) // 1000, "negative_entry": YES_NO[entry.negative],
        }  # fmt: skip
        if not entry.negative:
            described["records"] = [self._record(entry, *each) for each in enumerate(entry.records)]
        return described

    def _record(self, entry: DnsEntry, number: int, record: DnsRecord) -> Struct:
        members: list[tuple[str, Any]] = [("rr_idx", number)]
        if entry.type == "SRV":
            members += [("rr_name", record.target), ("rr_port", record.port), ("rr_priority", record.priority),
                        ("rr_weight", record.weight)]  # fmt: skip
        elif entry.type == "NAPTR":
            flags, service, regexp = record.texts
            # the replacement has the regexp's name, as with Kamailio
            members += [("rr_order", record.priority), ("rr_preference", record.weight), ("rr_flags", flags),
                        ("rr_service", service), ("rr_regexp", regexp), ("rr_regexp", record.target)]  # fmt: skip
        elif entry.type == "TXT":
            members.append(("txt", [{"idx": idx, "rr_txt": text} for idx, text in enumerate(record.texts)]))
        else:
            members.append(("rr_ip" if entry.type in ("A", "AAAA") else "rr_name", record.target))
        left = 0 if entry.permanent else self._left(record.expires)
        return Struct([*members, ("rr_permanent", YES_NO[entry.permanent]), ("rr_expires", left)])

    # changing

    @rpc("dns.add_a", "SdSd", "Adds an A record: name, time to live, address, flags (1: there is none, 2: permanent).")
    def add_a(self, call: Call, name: str, ttl: int, address: str, flags: int) -> None:
        self._add_address("A", name, ttl, address, flags)

    @rpc("dns.add_aaaa", "SdSd", "Adds an AAAA record: name, time to live, address, flags.")
    def add_aaaa(self, call: Call, name: str, ttl: int, address: str, flags: int) -> None:
        self._add_address("AAAA", name, ttl, address, flags)

    def _add_address(self, kind: str, name: str, ttl: int, text: str, flags: int) -> None:
        address = parse_address(kind, text)
        if address is None and not flags & NEGATIVE:
            raise RpcFault(400, REFUSED)
        self._put(kind, name, None if address is None else DnsRecord(address, 0), ttl, flags)

    @rpc("dns.add_srv", "SddddSd", "Adds an SRV record: name, time to live, priority, weight, port, target, flags.")
    def add_srv(
        self, call: Call, name: str, ttl: int, priority: int, weight: int, port: int, target: str, flags: int
    ) -> None:
        self._put("SRV", name, DnsRecord(target, 0, priority, weight, port), ttl, flags)

    def _put(self, kind: str, name: str, record: DnsRecord | None, ttl: int, flags: int) -> None:
        if not self.core.dns.enabled or not self.core.dns.put(kind, name, record, ttl, flags):
            raise RpcFault(400, REFUSED)

    def _delete(self, kind: str) -> Any:
        def delete(call: Call) -> None:
            self._needs_cache()
            [name] = call.scan("S")
            entry = self.core.dns.find(kind, name)
            if entry is not None and entry.permanent:
                raise RpcFault(400, "Permanent entries cannot be deleted")
            if entry is None or not self.core.dns.delete(kind, name):
                raise RpcFault(400, "Not found")

        return delete

    @rpc("dns.delete_all", "", "Forgets all entries that are not permanent.")
    def delete_all(self, call: Call) -> dict[str, str]:
        self._needs_cache()
        self.core.dns.clear(permanent=False)
        return {"status": "ok"}

    @rpc("dns.delete_all_force", "", "Forgets all entries.")
    def delete_all_force(self, call: Call) -> dict[str, str]:
        self._needs_cache()
        self.core.dns.clear(permanent=True)
        return {"status": "ok"}


def _short(kind: str, record: DnsRecord) -> tuple[str, str]:
    """What dns.debug_all says of a record."""
    if kind in ("A", "AAAA"):
        return "ip", record.target
    if kind == "NAPTR":
        return "naptr ", record.texts[0]
    if kind == "TXT":
        return "txt", record.texts[0] if record.texts else ""
    return kind.lower(), record.target
