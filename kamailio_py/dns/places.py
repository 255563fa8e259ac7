"""From the host of a URI to the addresses a request may be sent to, one after the other: RFC 3263 as Kamailio does it.

A `Walk` is what is left to be tried, as plain data: tm keeps it with a branch, whichever process needs the next address
takes it from there. Nothing is asked before it is needed.

What is tried: with dns_try_naptr NAPTR records, where the URI has neither port nor transport; SRV records, where it has
no port; addresses. Where there is no transport, SRV records of all transports are looked for in the order of
dns_udp_pref and its like, if there is failover or NAPTR, and those of UDP only, if there is neither.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from kamailio_py.dns.cache import DnsCache
from kamailio_py.dns.records import DnsRecord, parse_address, rank
from kamailio_py.dns.servers import ask_system, names_of

DEFAULT_PORT = {"udp": 5060, "tcp": 5060, "tls": 5061, "sctp": 5060}
_SERVICE = {"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp.", "sctp": "_sip._sctp."}
_NAPTR_SERVICES = {"sip+d2u": "udp", "sip+d2t": "tcp", "sips+d2t": "tls", "sip+d2s": "sctp"}
_ZERO_WEIGHT_CHANCE = 1000
"""One in so many picks of a record of weight 1 goes to one of weight 0 of the same priority."""

NAPTR, SRV, HOST = 0, 1, 2
Stage = tuple[int, str, int, str]
"""What to look up: its kind, the name, the port that comes with it (0 of SRV records), the transport."""


class Place(NamedTuple):
    """One address to send to."""

    host: str
    port: int
    proto: str


class Walk:
    """What is left to be tried of a name: addresses of `host`, then other kinds of addresses of it, then other hosts of
    the service, then what else there is to look up."""

    __slots__ = ("addresses", "domain", "host", "kinds", "port", "proto", "reached", "service", "services", "stages")

    def __init__(
        self,
        stages: list[Stage],
        domain: str = "",
        services: list[list[Any]] | None = None,
        host: str = "",
        kinds: list[str] | None = None,
        addresses: list[str] | None = None,
        port: int = 0,
        proto: str = "",
        service: str = "",
        reached: bool = False,
    ) -> None:
        self.stages = stages
        self.domain = domain
        """The name all this is about."""
        self.services = services or []
        self.host = host
        self.kinds = kinds or []
        self.addresses = addresses or []
        self.port = port
        self.proto = proto
        self.service = service
        """The name of the SRV records in use, and whether they have led anywhere."""
        self.reached = reached

    def state(self) -> tuple[Any, ...]:
        """Plain data, for Walk(*state)."""
        return (
            self.stages, self.domain, self.services, self.host, self.kinds, self.addresses, self.port, self.proto,
            self.service, self.reached,
        )  # fmt: skip

    def __bool__(self) -> bool:
        """Whether there may be more."""
        return bool(self.addresses or self.kinds or self.services or self.stages)


class Places:
    """See the head of the file."""

    def __init__(self, cfg: Any, cache: DnsCache, rng: random.Random) -> None:
        self.cfg = cfg
        self.cache = cache
        self.random = rng

    def address(self, name: str) -> str | None:
        """An address of a host, None if it has none."""
        return next(self.addresses(name), None)

    def addresses(self, name: str) -> Iterator[str]:
        """All addresses of a host of the first version that it has any of."""
        for kind in self.cache.address_kinds():
            found = self._records(kind, name)
            yield from (record.target for record in found)
            if found:
                return

    @staticmethod
    def is_named(name: str, address: str) -> bool:
        """Whether an address has this name, by reverse look-up."""
        return name.lower() in (each.lower() for each in names_of(address))

    @staticmethod
    def is_named_like(name: str, address: str) -> bool:
        """Whether an address has a name that begins so, which is how Kamailio looks at the host of a Via."""
        return any(each.startswith(name) for each in names_of(address))

    @property
    def failover(self) -> bool:
        """Whether further addresses are tried when one fails; that needs the cache."""
        return bool(self.cfg.use_dns_failover) and self.cache.enabled

    def first(self, name: str, port: int, proto: str) -> Place | None:
        """The only place of a host name where nothing else will be tried, failover or not."""
        return self.next(self._walk(name, port, proto, False))

    def start(self, name: str, port: int, proto: str) -> Walk:
        """The walk for a host name; no port is 0, no transport is ""."""
        return self._walk(name, port, proto, self.failover)

    def _walk(self, name: str, port: int, proto: str, failover: bool) -> Walk:
        naptr = self.cfg.dns_try_naptr
        if not port and proto in ("ws", "wss"):
            return Walk([])
        naptrs = self._naptrs(name) if naptr and (failover or not (port or proto)) else []
        if failover or naptr:
            protos = [proto] if proto else self._preferred()
        else:
            protos = [proto or "udp"]
        # without failover SRV records are looked for even if there is a port, once NAPTR is switched on
        services = [(SRV, f"{_SERVICE[each]}{name}", 0, each) for each in protos if each in _SERVICE]
        if port and (failover or not naptr):
            services = []
        first = protos[0] if naptr and not failover and protos else proto or "udp"
        host = (HOST, name, port or DEFAULT_PORT.get(first, 5060), proto or "udp")
        if failover and (port or proto):
            return Walk([*services, host, *naptrs], name)
        return Walk([*naptrs, *services, host], name)

    def next(self, walk: Walk) -> Place | None:
        """The next address, None when there are no more; it is taken out of the walk."""
        while True:
            if walk.addresses:
                # what was found settles what was open; only other NAPTRs remain
                walk.stages = [stage for stage in walk.stages if stage[0] == NAPTR]
                walk.reached = True
                return Place(walk.addresses.pop(0), walk.port, walk.proto)
            if walk.kinds:
                walk.addresses = [record.target for record in self._records(walk.kinds.pop(0), walk.host)]
            elif walk.services:
                _, _, walk.port, host = walk.services.pop(self._pick(walk.services))
                self._look_at(walk, host)
            elif walk.reached and walk.service and self.cfg.dns_try_naptr:
                # nothing more where NAPTR has led to: others are spared that for a while
                self.cache.skip(walk.domain, walk.service)
                walk.service = ""
            elif walk.stages:
                kind, name, port, walk.proto = walk.stages.pop(0)
                walk.service, walk.reached = name if kind != HOST else "", False
                if kind == HOST:
                    walk.port = port
                    self._look_at(walk, name)
                else:
                    found = sorted(self._records("SRV", name), key=rank)
                    walk.services = [[each.priority, each.weight, each.port, each.target] for each in found]
            else:
                return None

    def _look_at(self, walk: Walk, host: str) -> None:
        """Go on with the addresses of a host."""
        walk.host = host
        numeric = parse_address("A", host) or parse_address("AAAA", host)
        walk.addresses, walk.kinds = ([numeric], []) if numeric else ([], list(self.cache.address_kinds()))

    def _pick(self, services: list[list[Any]]) -> int:
        """Which of the records is next: the first, or by weight among those of its priority (RFC 2782)."""
        if not self.cfg.dns_srv_lb:
            return 0
        weights = [weight for priority, weight, _, _ in services if priority == services[0][0]]
        total = sum(weights)
        if len(weights) == 1 or not total:
            return 0
        at = self.random.randrange(total) + 1
        if at == 1 and 0 in weights and not self.random.randrange(_ZERO_WEIGHT_CHANCE + 1):
            return weights.index(0)
        number = 0
        while at > weights[number]:
            at -= weights[number]
            number += 1
        return number

    # transports

    def _preferred(self) -> list[str]:
        """Transports this server has, the most preferred first."""
        return sorted(filter(self._supported, DEFAULT_PORT), key=self._score, reverse=True)

    def _score(self, proto: str) -> int:
        cfg = self.cfg
        return int({"udp": cfg.dns_udp_pref, "tcp": cfg.dns_tcp_pref, "tls": cfg.dns_tls_pref}[proto])

    def _supported(self, proto: str) -> bool:
        cfg = self.cfg
        if proto == "sctp" or self._score(proto) < 0:
            return False
        if proto == "udp":
            return True
        return not cfg.disable_tcp and (proto == "tcp" or bool(cfg.enable_tls or not cfg.disable_tls))

    def _naptrs(self, name: str) -> list[Stage]:
        """The SRV names that NAPTR records lead to, the most preferred first."""
        found = []
        for record in self._records("NAPTR", name):
            flags, service, regexp = record.texts
            if record.skipped:
                continue
            proto = _NAPTR_SERVICES.get(service.lower(), "")
            if flags.lower() == "s" and not regexp and proto and self._supported(proto):
                score = self._score(proto) if self.cfg.dns_naptr_ignore_rfc else 1
                found.append((-score, record.priority, record.weight, record.target, proto))
        found.sort(key=lambda each: each[:3])
        return [(NAPTR, target, 0, proto) for *_, target, proto in found]

    def _records(self, kind: str, name: str) -> list[DnsRecord]:
        """Records from the cache; without it addresses from the machine's resolver, others from the name servers."""
        if self.cache.enabled:
            return self.cache.records(kind, name)
        if kind in ("A", "AAAA"):
            return [DnsRecord(address, 0) for address in ask_system(name, kind)]
        sets = self.cache.servers.ask(name, kind) or []
        return [record for one in sets if one.type == kind for record in one.records]
