"""Where the dispatcher's destinations are: ds_dns_mode bit by bit, and ds_dns_ttl."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.agent import PATIENCE, Agent, Missing
from kit.domain import Domain
from kit.kamcmd import kamcmd
from kit.name_server import NameServer
from kit.room import Room
from kit.scene import Scene

pytestmark = [pytest.mark.own_network, pytest.mark.timeout(300)]  # the first test is due when all have run


@pytest.fixture(scope="module", autouse=True)
def name_server() -> Iterator[None]:
    """Both servers ask the same one, for names of their own."""
    with NameServer({}, "127.0.0.1", 53) as Domain.name_server:
        yield


def empty_list(directory: Path) -> None:
    (directory / "list").write_text("")


def room(mode: int, ttl: int = 0, globals_: str = "") -> Room:
    return Room(
        f"dispatcher_dns_{mode}_{ttl}",
        globals_=globals_,
        listen=("tcp:127.0.0.1",),
        modules="ctl jsonrpcs dispatcher",
        params=f"""
modparam("ctl", "binrpc", "unix:@DIR@/ctl")
modparam("dispatcher", "list_file", "@DIR@/list")
modparam("dispatcher", "reload_delta", 0)
modparam("dispatcher", "setid_pvname", "$var(set)")
modparam("dispatcher", "ds_dns_mode", {mode})
modparam("dispatcher", "ds_dns_ttl", {ttl})
modparam("dispatcher", "ds_dns_interval", 1)
""",
        prepare=empty_list,
    )


LOOK = """route[{0}] {{
    $var(set) = 0; $var(mode) = $(hdr(X-Mode){{s.int}});
    if ($hdr(X-Uri) == $null) {{ ds_is_from_list("1", "$var(mode)"); }}
    else {{ ds_is_from_list("1", "$var(mode)", "$hdr(X-Uri)"); }}
    sl_send_reply("200", "$rc of $var(set)");
}}"""


def rpc(s: Scene, *words: str) -> str:
    return kamcmd(f"unixs:{s.server.directory}/ctl", *words)


def has(s: Scene, domain: Domain, *destinations: str) -> None:
    """Have the server read this list anew, and note what it makes of it."""
    text = "".join(f"{domain.full(destination)}\n" for destination in destinations)
    (s.server.directory / "list").write_text(text)
    rpc(s, "dispatcher.reload")
    note_list(s)
    domain.note_asked()


def note_list(s: Scene) -> None:
    s.note(re.sub(r"(DNSTIME_U?SEC: )[1-9]\d*", r"\1then", rpc(s, "dispatcher.list", "full")))


def look(agent: Agent, uri: str = "", mode: int = 0) -> None:
    """Ask whether the agent, or a URI, is a destination."""
    agent.request("OPTIONS", headers=f"X-Mode: {mode}" + (f"\nX-Uri: {uri}" if uri else ""))
    agent.expect(200)


services = room(9, ttl=30, globals_="dns_cache_max_ttl=20")


@services.case(LOOK.format("services"))
def test_services(s: Scene) -> None:
    """With bit 8 SRV records say which port and transport a destination has; those without any are on port 5060."""
    alice, bob, carol = s.agent("alice"), s.agent("bob"), s.stream("carol")
    domain = Domain(s)
    domain.service(bob)
    domain.service(carol, service="_sip._tcp")
    domain.has("host.@", "A 127.0.0.5")
    has(
        s, domain, "1 sip:@", "1 sip:@;transport=tcp", "1 sip:host.@", "1 sip:host.@:5070", "1 sips:@", "1 sip:no.@ 16",
        "1 sip:gone.@", "1 sip:127.0.0.7", "1 sip:@;transport=other",
    )  # fmt: skip
    for agent in (alice, bob, carol):
        for mode in range(4):
            look(agent, mode=mode)
    host = domain.full("host.@")
    for uri in (
        domain.name, f"{domain.name};transport=tcp", f"127.0.0.1:{bob.port}", f"127.0.0.1:{carol.port};transport=tcp",
        host, f"{host}:5070", f"{host}:5071", f"gone.{domain.name}", "127.0.0.7:5060;transport=udp", "127.0.0.7:5061",
    ):  # fmt: skip
        look(alice, f"sip:{uri}")
    domain.note_asked()


def note_kept(s: Scene, domain: Domain) -> None:
    """Note what is known of the domain, for how many tens of seconds."""
    kept = re.findall(r"name: (\S+)\n\s*type: (\S+)\n.*?expires: (\d+)", rpc(s, "dns.view"), re.DOTALL)
    s.note(str(sorted({(name, kind, -(-int(left) // 10)) for name, kind, left in kept if domain.name in name})))


@services.case('route[kept] { $du = "sip:other." + $rd; t_relay(); }')
def test_kept(s: Scene) -> None:
    """With ds_dns_ttl that is how long the answers to the module are kept, whatever they and the core's limits say."""
    alice, bob = s.agents("alice", "bob")
    domain = Domain(s)
    domain.has("_sip._udp.@", f"1 SRV 1 1 {bob.port} bob.@")
    domain.has("_sip._udp.other.@", f"900 SRV 1 1 {bob.port} bob.other.@", "+bob.other.@ 900 A 127.0.0.1")
    domain.has("bob.@", "900 A 127.0.0.1")
    domain.has("alias.@", "900 CNAME bob.@")
    has(s, domain, "1 sip:@", "1 sip:alias.@", "1 sip:gone.@")
    alice.request("OPTIONS", uri=domain.uri())
    bob.reply(bob.expect("OPTIONS"), 200)
    alice.expect(200)
    note_kept(s, domain)


always = room(10)


@always.case(LOOK.format("each_time"))
def test_each_time(s: Scene) -> None:
    """With bit 2 names are looked up when a source is compared. What SRV records gave once stays the destination's,
    so that from then on only addresses are asked for."""
    alice, bob, carol = s.agents("alice", "bob", "carol")
    domain = Domain(s)
    domain.service(bob)
    domain.service(carol, service="_sip._udp.second")
    has(s, domain, "1 sip:@", "1 sip:second.@", "1 sip:gone.@", "1 sip:no.@ 16")
    for agent in (carol, bob, alice):
        look(agent)
        domain.note_asked()
        note_list(s)
    domain.has("@", "A 127.0.0.1")
    rpc(s, "dns.delete_all")
    look(bob)
    domain.note_asked()


refreshed = room(12, ttl=1)


@refreshed.case(LOOK.format("refreshed"))
def test_refreshed(s: Scene) -> None:
    """With bit 4 names are looked up from time to time: addresses only, once there is a port. What is not found stays
    where it was."""
    alice, bob = s.agents("alice", "bob")
    domain = Domain(s)
    domain.service(bob)
    domain.has("away.@", "A 127.0.0.5")
    has(s, domain, "1 sip:@", "1 sip:away.@")
    look(bob)
    domain.has("@", "A 127.0.0.9")
    del Domain.name_server.zone[domain.full("away.@")]
    over = time.monotonic() + PATIENCE
    while "IPADDR: 127.0.0.9" not in rpc(s, "dispatcher.list", "full"):
        if time.monotonic() > over:
            raise Missing("the names were not looked up again")
        time.sleep(0.05)
    s.note(str(re.findall("(?:IPADDR|PORT|PROTOID): .*", rpc(s, "dispatcher.list", "full"))))
    look(bob)
    look(alice, f"sip:127.0.0.9:{bob.port};transport=udp")
    look(alice, "sip:127.0.0.5")
    s.note(str([question for question in domain.asked() if "SRV" in question]))
