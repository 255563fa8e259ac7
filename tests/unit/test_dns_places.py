"""From a host name to addresses: what is looked up in which order (RFC 3263), and how a walk goes on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from kamailio_py.clock import VirtualClock
from kamailio_py.dns.cache import DnsCache
from kamailio_py.dns.places import Place, Places, Walk
from kamailio_py.dns.records import DnsRecord, RecordSet
from kamailio_py.engine.settings import GlobalValues
from kamailio_py.shm.memory import SharedMemory
from tests.kit.memory import segment

Zone = dict[str, list[DnsRecord]]


class Servers:
    """Name servers that answer from a dictionary of "TYPE name"."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.asked: list[str] = []

    def ask(self, name: str, kind: str) -> list[RecordSet] | None:
        self.asked.append(f"{kind} {name}")
        found = self.zone.get(f"{kind} {name}")
        return [RecordSet(kind, name, found, [60] * len(found))] if found else None


class World:
    """Places over such servers, with a cache of its own in shared memory."""

    def __init__(self, zone: Zone, memory: SharedMemory, **cfg: Any) -> None:
        self.cfg = GlobalValues()
        for name, value in {"dns_try_ipv6": 0, "enable_tls": 1, **cfg}.items():
            self.cfg.set(name, value)
        self.servers = Servers(zone)
        cache = DnsCache(self.cfg, VirtualClock(), self.servers)  # type: ignore[arg-type]
        cache.create(memory)
        self.places = Places(self.cfg, cache, random.Random(1))

    def all(self, name: str, port: int = 0, proto: str = "") -> list[str]:
        """Every place of a walk that is stored and taken up again between any two of them."""
        walk = self.places.start(name, port, proto)
        found = []
        while (place := self.places.next(walk)) is not None:
            found.append(f"{place.proto}:{place.host}:{place.port}")
            walk = Walk(*walk.state())
        return found


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with segment(4 << 20, 4) as made:
        yield made


def a(*addresses: str) -> list[DnsRecord]:
    return [DnsRecord(address, 0) for address in addresses]


def srv(*records: tuple[int, int, int, str]) -> list[DnsRecord]:
    return [DnsRecord(target, 0, priority, weight, port) for priority, weight, port, target in records]


def naptr(*records: tuple[int, int, str, str]) -> list[DnsRecord]:
    return [DnsRecord(target, 0, order, pref, 0, ["s", service, ""]) for order, pref, service, target in records]


ZONE: Zone = {
    "A x.test": a("1.1.1.1", "1.1.1.2"),
    "SRV _sip._udp.x.test": srv((2, 0, 5072, "two"), (1, 1, 5071, "one"), (1, 9, 5079, "nine")),
    "SRV _sip._tcp.x.test": srv((1, 1, 5081, "one")),
    "SRV _sips._tcp.x.test": srv((1, 1, 5091, "9.9.9.9")),
    "A one": a("2.2.2.1", "2.2.2.2"),
    "A nine": a("2.2.2.9"),
    "AAAA two": a("2::2"),
    "A two": a("2.2.2.3"),
    "NAPTR x.test": naptr((1, 1, "SIP+D2T", "_sip._tcp.x.test"), (2, 1, "SIP+D2U", "_sip._udp.x.test"),
                          (0, 0, "SIPS+D2T", "_sips._tcp.x.test"), (0, 0, "SIP+D2S", "_sip._sctp.x.test")),
}  # fmt: skip
UDP = ["udp:2.2.2.9:5079", "udp:2.2.2.1:5071", "udp:2.2.2.2:5071", "udp:2.2.2.3:5072"]
TCP = ["tcp:2.2.2.1:5081", "tcp:2.2.2.2:5081"]
TLS = ["tls:9.9.9.9:5091"]
HOST = ["udp:1.1.1.1:5060", "udp:1.1.1.2:5060"]


@pytest.mark.parametrize(
    ("arguments", "cfg", "places"),
    [
        (("x.test",), {}, UDP),
        (("x.test", 0, "tcp"), {}, TCP),
        (("x.test", 0, "tls"), {}, TLS),
        (("x.test", 0, "ws"), {}, []),
        (("x.test", 5060), {}, HOST),
        (("x.test", 5060, "ws"), {}, ["ws:1.1.1.1:5060", "ws:1.1.1.2:5060"]),
        (("two", 0, "tls"), {}, ["tls:2.2.2.3:5061"]),
        (("nowhere",), {}, []),
        (("x.test",), {"use_dns_failover": 1}, UDP),
        (("x.test",), {"use_dns_failover": 1, "dns_tcp_pref": 40}, TCP),
        (("x.test",), {"use_dns_failover": 1, "dns_udp_pref": -1}, TCP),
        (("x.test",), {"use_dns_failover": 1, "dns_udp_pref": -1, "dns_tcp_pref": -1}, TLS),
        (("x.test",), {"use_dns_failover": 1, "dns_udp_pref": -1, "disable_tcp": 1}, HOST),
        (("x.test",), {"dns_try_naptr": 1}, [*UDP, *TCP, *TLS]),
        (("x.test",), {"dns_try_naptr": 1, "dns_naptr_ignore_rfc": 0}, [*TLS, *TCP, *UDP]),
        (("x.test",), {"dns_try_naptr": 1, "dns_tcp_pref": 50, "dns_tls_pref": -1}, [*TCP, *UDP]),
        (("x.test",), {"dns_try_naptr": 1, "use_dns_failover": 1, "dns_tls_pref": -1}, [*UDP, *TCP]),
        (("x.test", 0, "tls"), {"dns_try_naptr": 1, "use_dns_failover": 1}, [*TLS, *UDP, *TCP, *TLS]),
        (("one", 7), {"dns_try_naptr": 1, "use_dns_failover": 1}, ["udp:2.2.2.1:7", "udp:2.2.2.2:7"]),
        (("two", 7), {"dns_try_ipv6": 1}, ["udp:2.2.2.3:7", "udp:[2::2]:7"]),
        (("two", 7), {"dns_try_ipv6": 1, "dns_cache_flags": 4}, ["udp:[2::2]:7", "udp:2.2.2.3:7"]),
        (("two", 7), {"dns_try_ipv6": 1, "dns_cache_flags": 2}, ["udp:[2::2]:7"]),
        (("two", 7), {"dns_try_ipv6": 1, "dns_cache_flags": 1}, ["udp:2.2.2.3:7"]),
    ],
)  # fmt: skip
def test_places(memory: SharedMemory, arguments: Any, cfg: dict[str, int], places: list[str]) -> None:
    world = World(ZONE, memory, **cfg)
    assert world.all(*arguments) == [place.replace("[", "").replace("]", "") for place in places]


def test_nothing_is_asked_before_it_is_needed(memory: SharedMemory) -> None:
    world = World(ZONE, memory, use_dns_failover=1)
    walk = world.places.start("x.test", 0, "")
    assert world.servers.asked == []
    assert world.places.next(walk) == Place("2.2.2.9", 5079, "udp")
    assert world.servers.asked == ["SRV _sip._udp.x.test", "A nine"]
    assert walk
    while world.places.next(walk) is not None:
        pass
    assert world.servers.asked[2:] == ["A one", "A two"]
    assert not walk


def test_weights(memory: SharedMemory) -> None:
    """With dns_srv_lb the weights say how often a record of the best priority comes first; all come at last."""
    zone = {"SRV _sip._udp.x": srv((1, 10, 1, "1.1.1.1"), (1, 30, 2, "1.1.1.2"), (1, 0, 3, "1.1.1.3"),
                                   (2, 99, 4, "1.1.1.4"))}  # fmt: skip
    world = World(zone, memory, dns_srv_lb=1)
    orders = Counter(tuple(place[-1] for place in world.all("x")) for _ in range(400))
    assert all(sorted(order) == list("1234") and order[-1] == "4" for order in orders)
    first = Counter[str]()
    for order, count in orders.items():
        first[order[0]] += count
    assert 60 < first["1"] < 140
    assert 260 < first["2"] < 340
    assert first["3"] < 5


def test_without_weights_the_order_stays(memory: SharedMemory) -> None:
    zone = {"SRV _sip._udp.x": srv((1, 0, 1, "1.1.1.1"), (1, 0, 2, "1.1.1.2"))}
    world = World(zone, memory)
    for balanced in (0, 1):
        world.cfg.set("dns_srv_lb", balanced)
        assert world.all("x") == ["udp:1.1.1.1:1", "udp:1.1.1.2:2"]
