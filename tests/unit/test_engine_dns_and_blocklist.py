"""Host names and blocked destinations: what is kept in shared memory, for how long, and what sending makes of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from kamailio_py.dns.records import NEGATIVE, DnsRecord, RecordSet
from kamailio_py.module import RpcFault
from kamailio_py.shm.kept import PERMANENT
from tests.kit.local import Local
from tests.kit.memory import killed_at
from tests.kit.rpc import invoke

CFG = """
use_dst_blocklist=yes
loadmodule "tm"
modparam("tm", "fr_timer", 1000)
request_route {
    if ($rU == "stateless") { forward(); exit; }
    t_relay();
}
"""


@pytest.fixture
def server() -> Iterator[Local]:
    with Local(CFG) as made:
        made.core.dns.servers = NoServers()  # type: ignore[assignment]
        yield made
        faults = made.core.shm.check()
    assert faults == []


class NoServers:
    """Name servers that know one address at most, and what they were asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.known = ""

    def ask(self, name: str, kind: str) -> list[RecordSet] | None:
        self.asked.append(name)
        if name != self.known or kind != "A":
            return None
        return [RecordSet("A", name, [DnsRecord("9.9.9.9", 0)], [60])]


def request(host: str, user: str = "x", ident: str = "1", method: str = "OPTIONS") -> str:
    return (
        f"{method} sip:{user}@{host} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bK{ident}\r\n"
        f"From: <sip:a@b>;tag=1\r\nTo: <sip:x@b>\r\nCall-ID: c{ident}\r\nCSeq: 1 {method}\r\nMax-Forwards: 9\r\n\r\n"
    )


def sent_to(server: Local) -> list[tuple[str, int]]:
    return [(target.host, target.port) for text, target in server.sent if not text.startswith("SIP/2.0")]


# DNS


def test_a_name_is_resolved_from_the_cache(server: Local) -> None:
    invoke(server.core, "dns.add_a", "b.test", 60, "1.2.3.4", 0)
    server.inject(request("b.test"))
    server.inject(request("B.test:5070", ident="2"))
    assert sent_to(server) == [("1.2.3.4", 5060), ("1.2.3.4", 5070)]


def test_a_service_gives_name_and_port(server: Local) -> None:
    for target, weight, port in (("one.test", 1, 5071), ("two.test", 9, 5072)):
        invoke(server.core, "dns.add_srv", "_sip._udp.e.test", 60, 1, weight, port, target, 0)
        invoke(server.core, "dns.add_a", target, 60, f"10.0.0.{weight}", 0)
    server.inject(request("e.test"))
    assert sent_to(server) == [("10.0.0.9", 5072)]


def test_records_are_over_each_in_its_time(server: Local) -> None:
    dns, places = server.core.dns, server.core.places
    dns.put("A", "b.test", DnsRecord("1.1.1.1", 0), 10, 0)
    dns.put("A", "b.test", DnsRecord("2.2.2.2", 0), 30, 0)
    dns.put("A", "for.ever", DnsRecord("3.3.3.3", 0), 1, PERMANENT)
    assert list(places.addresses("b.test")) == ["1.1.1.1", "2.2.2.2"]
    server.clock.advance(15)
    assert places.address("b.test") == "2.2.2.2"
    server.clock.advance(20)
    assert dns.find("A", "b.test") is None
    assert places.address("for.ever") == "3.3.3.3"


def test_name_servers_are_asked_once(server: Local) -> None:
    core = server.core
    servers = NoServers()
    core.dns.servers = servers  # type: ignore[assignment]
    servers.known = "there.test"
    for _ in range(3):
        assert core.places.address("there.test") == "9.9.9.9"
        assert core.places.address("not.test") is None
    assert servers.asked == ["there.test", "not.test"]  # only A: there is no IPv6 socket
    entry = core.dns.find("A", "not.test")
    assert entry is not None
    assert entry.negative
    server.clock.advance(61)
    core.places.address("there.test")
    assert servers.asked[2:] == ["there.test"]
    core.cfg.set("dns_cache_negative_ttl", 0)
    core.places.address("other.test")
    core.places.address("other.test")
    assert servers.asked[3:] == ["other.test", "other.test"]


def test_use_dns_cache_no(server: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    server.core.cfg.set("use_dns_cache", 0)
    monkeypatch.setattr("kamailio_py.dns.places.ask_system", lambda name, kind: ["9.9.9.9"] if kind == "A" else [])
    assert server.core.places.address("there.test") == "9.9.9.9"
    for name in ("dns.view", "dns.mem_info", "dns.delete_all", "dns.lookup", "dns.delete_a"):
        with pytest.raises(RpcFault, match="dns cache support disabled"):
            invoke(server.core, name)
    with pytest.raises(RpcFault, match="Failed to add the entry to the cache"):
        invoke(server.core, "dns.add_a", "b.test", 60, "1.2.3.4", 0)


def test_limits_of_the_cache(server: Local) -> None:
    core = server.core
    cfg, dns = core.cfg, core.dns
    servers = NoServers()
    core.dns.servers = servers  # type: ignore[assignment]
    cfg.set("dns_cache_max_ttl", 5)
    name = "b" * 60
    servers.known = name
    core.places.address(name)
    server.clock.advance(6)
    assert dns.find("A", name) is None
    number = 0
    while dns.put("A", f"host-{number}.test", DnsRecord("1.1.1.1", 0), 5, 0):
        number += 1
    assert dns.used <= dns.limit < dns.used + 200
    assert core.places.address(name) == "9.9.9.9"  # it is only not kept
    assert dns.find("A", name) is None
    server.clock.advance(6)
    assert dns.put("A", "new.test", DnsRecord("1.1.1.1", 0), 5, 0)  # what is over makes room
    dns.clear(permanent=True)
    assert dns.used == 0


def test_living_records_make_room_if_they_may(server: Local) -> None:
    dns = server.core.dns
    server.core.cfg.set("dns_cache_del_nonexp", 1)
    number = 0
    while dns.used < dns.limit - 200:
        assert dns.put("A", f"host-{number}.test", DnsRecord("1.1.1.1", 0), 500, 0)
        number += 1
        server.clock.advance(0.01)
    assert dns.find("A", "host-0.test") is not None  # that is a use of it
    for _ in range(3):
        number += 1
        assert dns.put("A", f"host-{number}.test", DnsRecord("1.1.1.1", 0), 500, 0)
    assert dns.find("A", "host-0.test") is not None
    assert dns.find("A", "host-1.test") is None
    assert dns.used < dns.limit // 16 * 15


def test_what_a_dead_process_left(server: Local) -> None:
    """A process is killed wherever it may be in a change: the table is sound afterwards and can be used."""
    core = server.core
    table = core.dns._table
    table.put("A kept.test", "x" * 50, 0, 10**9)
    lock = table._lock
    for step in itertools.count(1, 5):
        if not killed_at(core.shm, 5, step, lambda: table.put("A kept.test", "y" * 50, 0, 10**9), "shm/kept.py"):
            break
        core.shm.release_dead(5)
        assert lock.holder < 0
        found = table.get("A kept.test")
        assert found is not None
        assert found.data[0] in "xy"
        assert table.used % found.size == 0
        assert 0 < table.used // found.size <= 2
        table.clear()
        assert table.used == 0
        table.put("A kept.test", "x" * 50, 0, 10**9)
    assert step > 20


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("dns.add_a", ["x", 60, "1.2.3", 0]),
        ("dns.add_a", ["x", 60, "::1", 0]),
        ("dns.add_aaaa", ["x", 60, "1.2.3.4", 0]),
    ],
)
def test_addresses_that_are_none(server: Local, name: str, arguments: list[Any]) -> None:
    with pytest.raises(RpcFault, match="Failed to add the entry to the cache"):
        invoke(server.core, name, *arguments)


def test_deleting(server: Local) -> None:
    core = server.core
    invoke(core, "dns.add_a", "a.test", 60, "1.1.1.1", 0)
    invoke(core, "dns.add_a", "p.test", 60, "1.1.1.2", PERMANENT)
    invoke(core, "dns.add_aaaa", "n.test", 60, "::1", NEGATIVE)
    assert sorted(entry["name"] for entry in invoke(core, "dns.view")) == ["a.test", "n.test", "p.test"]
    with pytest.raises(RpcFault, match="Permanent entries cannot be deleted"):
        invoke(core, "dns.delete_a", "p.test")
    with pytest.raises(RpcFault, match="Failed to add the entry to the cache"):
        invoke(core, "dns.add_a", "p.test", 60, "1.1.1.3", 0)
    invoke(core, "dns.delete_aaaa", "n.test")
    with pytest.raises(RpcFault, match="Not found"):
        invoke(core, "dns.delete_aaaa", "n.test")
    assert invoke(core, "dns.delete_all") == [{"status": "ok"}]
    assert [entry["name"] for entry in invoke(core, "dns.view")] == ["p.test"]
    invoke(core, "dns.delete_all_force")
    assert invoke(core, "dns.mem_info") == [0, core.dns.limit]


# blocked destinations


@pytest.mark.parametrize(
    ("entry", "blocked"),
    [
        (["10.0.0.1", 5060, 1, 0], True),
        (["10.0.0.1", 5060, 0, 0], True),
        (["10.0.0.1", 0, 0, 4], True),
        (["10.0.0.1", 5061, 1, 0], False),
        (["10.0.0.1", 5060, 2, 0], False),
        (["10.0.0.2", 5060, 1, 0], False),
    ],
)
@pytest.mark.parametrize("user", ["stateless", "stateful"])
def test_nothing_is_sent_to_a_blocked_destination(server: Local, entry: list[Any], blocked: bool, user: str) -> None:
    invoke(server.core, "dst_blocklist.add", *entry)
    server.inject(request("10.0.0.1", user))
    assert bool(sent_to(server)) is not blocked
    if user == "stateful" and blocked:
        assert server.sent[-1][0].startswith("SIP/2.0 477 Unfortunately error on sending to next hop occurred (477/TM)")


def test_an_entry_is_over(server: Local) -> None:
    invoke(server.core, "dst_blocklist.add", "10.0.0.1", 5060, 1, 0)
    server.clock.advance(61)
    assert invoke(server.core, "dst_blocklist.view") == []
    server.inject(request("10.0.0.1"))
    assert sent_to(server) == [("10.0.0.1", 5060)]


def test_an_invite_without_any_answer_lists_its_destination(server: Local) -> None:
    server.inject(request("10.0.0.1", ident="o"))
    server.advance(2, 0.1)
    assert invoke(server.core, "dst_blocklist.debug") == []
    server.inject(request("10.0.0.1", ident="i", method="INVITE"))
    server.advance(1.5, 0.1)
    assert invoke(server.core, "dst_blocklist.debug") == ["udp", "10.0.0.1", 5060, 60, 16]


def test_sending_that_fails_lists_the_destination(server: Local) -> None:
    server.core.sender = lambda data, target: False
    server.inject(request("10.0.0.1", "stateless"))
    assert invoke(server.core, "dst_blocklist.debug") == ["udp", "10.0.0.1", 5060, 60, 2]
    invoke(server.core, "dst_blocklist.delete_all")
    server.core.cfg.set("dst_blocklist_udp_imask", 2)
    server.inject(request("10.0.0.1", "stateless", "2"))
    assert invoke(server.core, "dst_blocklist.mem_info") == [0, 256000]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (["1.2.3.4", 5060, 5, 0], "Unknown protocol"),
        (["x", 5060, 1, 0], "Malformed ip address"),
        (["1.2.3.4", 5060, 1, 1], "Malformed ip address"),
        (["1.2.3.4", 5060], "error at parameter 2: expected integer type but end of packet encountered"),
    ],
)
def test_entries_that_are_refused(server: Local, entry: list[Any], text: str) -> None:
    with pytest.raises(RpcFault) as caught:
        invoke(server.core, "dst_blocklist.add", *entry)
    assert (caught.value.code, caught.value.text) == (400, text)


def test_without_use_dst_blocklist(server: Local) -> None:
    invoke(server.core, "dst_blocklist.add", "10.0.0.1", 5060, 1, 0)
    server.core.cfg.set("use_dst_blocklist", 0)
    server.inject(request("10.0.0.1"))
    assert sent_to(server)
    for name in ("view", "debug", "mem_info", "delete_all", "add"):
        with pytest.raises(RpcFault, match="dst blocklist support disabled"):
            invoke(server.core, f"dst_blocklist.{name}")
