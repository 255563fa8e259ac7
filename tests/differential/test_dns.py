"""Where requests to host names go: SRV, NAPTR and address records from a DNS server of the tests' own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.agent import Agent
from kit.blocklist import note_blocked, unblock
from kit.calls import answer, exchange
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


def served(s: Scene, *names: str) -> tuple[Domain, Agent, list[Agent]]:
    """A domain, alice, who asks for it, and the agents that its SRV records name, the first of them preferred."""
    alice, *agents = s.agents("alice", *names)
    domain = Domain(s)
    domain.service(*agents)
    return domain, alice, agents


plain = Room("dns", listen=("tcp:127.0.0.1",), modules="ctl cfg_rpc")
RELAY = "route[{0}] {{ t_relay(); }}"
case: Callable[[str], str] = RELAY.format


@plain.case(case("service"))
def test_service(s: Scene) -> None:
    """SRV records give host and port, their hosts' address records the address; both are asked once."""
    domain, alice, (bob,) = served(s, "bob")
    for _ in range(2):
        exchange(alice, bob, uri=domain.uri())
        domain.note_asked()


@plain.case(case("with_port"))
def test_with_port(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    domain = Domain(s)
    domain.service(alice)
    domain.host(bob, "@")
    domain.has("@", "A 127.0.0.1")
    exchange(alice, bob, uri=domain.uri(rest=f":{bob.port}"))
    domain.note_asked()


@plain.case(case("nowhere"))
def test_nowhere(s: Scene) -> None:
    """A name that does not exist is an error of the client's, and is not asked for again for a while."""
    alice = s.agent("alice")
    domain = Domain(s)
    for _ in range(2):
        alice.request("MESSAGE", uri=domain.uri())
        alice.expect(478)
        domain.note_asked()


@plain.case(case("preferred"))
def test_preferred(s: Scene) -> None:
    """Of several SRV records the one with the lowest priority, of these the heaviest; there is no failover."""
    domain, alice, (bob, carol, dave) = served(s, "bob", "carol", "dave")
    domain.has(
        "_sip._udp.@", f"SRV 20 9 {bob.port} bob.@", f"SRV 10 1 {carol.port} carol.@", f"SRV 10 5 {dave.port} dave.@"
    )
    alice.request("MESSAGE", uri=domain.uri())
    dave.reply(dave.expect("MESSAGE"), 503)
    alice.expect(500)
    domain.note_asked()


@plain.case(case("second_host"))
def test_second_host(s: Scene) -> None:
    """A host of the service that does not exist is passed over."""
    alice, bob = s.agents("alice", "bob")
    domain = Domain(s)
    domain.has("_sip._udp.@", "SRV 1 1 5060 none.@", f"SRV 2 1 {bob.port} bob.@")
    domain.host(bob)
    exchange(alice, bob, uri=domain.uri())
    domain.note_asked()


@plain.case(case("over_tcp"))
def test_over_tcp(s: Scene) -> None:
    """The transport of the URI is that of the SRV records."""
    alice, bob = s.agent("alice"), s.stream("bob")
    domain = Domain(s)
    domain.service(bob, service="_sip._tcp")
    exchange(alice, bob, uri=domain.uri(rest=";transport=tcp"))
    domain.note_asked()


@plain.case(case("only_tcp"))
def test_only_tcp(s: Scene) -> None:
    """Without a transport it is UDP's records that are looked for, and no others."""
    alice, bob = s.agent("alice"), s.stream("bob")
    domain = Domain(s)
    domain.service(bob, service="_sip._tcp")
    alice.request("MESSAGE", uri=domain.uri())
    alice.expect(478)
    domain.note_asked()


@plain.case(case("sips"))
def test_sips(s: Scene) -> None:
    alice = s.agent("alice")
    domain = Domain(s)
    domain.has("@", "A 127.0.0.1")
    for rest in ("", ";transport=udp", ";transport=tcp"):
        alice.request("MESSAGE", uri=f"sips:{s.name}@{domain.name}{rest}")
        alice.expect(478 if "udp" in rest else 500)
        domain.note_asked()


@plain.case(case("in_hosts"))
def test_in_hosts(s: Scene) -> None:
    """The cache is filled by name servers only: /etc/hosts is not looked at."""
    alice = s.agent("alice")
    alice.request("MESSAGE", uri=f"sip:{s.name}@in-hosts.test")
    alice.expect(478)


@plain.case(case("aliases"))
def test_aliases(s: Scene) -> None:
    """Aliases are followed, said at once or only when they are asked for."""
    alice, bob = s.agents("alice", "bob")
    domain = Domain(s)
    domain.host(bob)
    domain.has("one.@", "CNAME two.@")
    domain.has("two.@", "CNAME bob.@")
    for name in ("one", "two", "bob"):
        exchange(alice, bob, uri=domain.uri(f"{name}.@", f":{bob.port}"))
        domain.note_asked()


@plain.case(case("said_along"))
def test_said_along(s: Scene) -> None:
    """What an answer says along with the records is known, too, and not asked for."""
    alice, bob = s.agents("alice", "bob")
    domain = Domain(s)
    domain.has("_sip._udp.@", f"SRV 1 1 {bob.port} bob.@", "+bob.@ A 127.0.0.1", "+stranger.@ A 127.0.0.1")
    exchange(alice, bob, uri=domain.uri())
    domain.note_asked()
    alice.request("MESSAGE", uri=domain.uri("stranger.@", f":{bob.port}"))
    alice.expect(478)
    domain.note_asked()


@plain.case(case("short_name"))
def test_short_name(s: Scene) -> None:
    """Names are looked for in the domains of resolv.conf as well."""
    alice, bob = s.agents("alice", "bob")
    domain = Domain(s)
    Domain.name_server.zone[f"{domain.name}.search.test"] = ["A 127.0.0.1"]
    for _ in range(2):
        exchange(alice, bob, uri=domain.uri(rest=f":{bob.port}"))
    s.note(str([question for question in Domain.name_server.asked if domain.name in question]))


@plain.case(case("longer_names"))
def test_longer_names(s: Scene) -> None:
    """An answer may be about a longer name than the one that was asked for: with dns_search_full_match only if what it
    has more is a domain of resolv.conf."""
    domain = Domain(s)
    names = ("a", "b")
    for name in names:
        long = f"{name}.{domain.name}.else.test"
        Domain.name_server.zone[f"{name}.{domain.name}.search.test"] = [f"={long} A 127.0.0.9"]
        Domain.name_server.zone[f"alias-{name}.{domain.name}.search.test"] = [f"CNAME alias-{long}"]
        Domain.name_server.zone[f"alias-{long}"] = ["A 127.0.0.8"]
    for name, full in zip(names, ("1", "0"), strict=True):
        rpc(s, "cfg.set_now_int", "core", "dns_search_full_match", full)
        rpc(s, "dns.lookup", "A", f"{name}.{domain.name}")
        rpc(s, "dns.lookup", "A", f"alias-{name}.{domain.name}")
        s.note(str([question for question in Domain.name_server.asked if domain.name in question]))
    rpc(s, "cfg.set_now_int", "core", "dns_search_full_match", "1")


@plain.case(case("known_before"))
def test_known_before(s: Scene) -> None:
    """What an answer says along of names that are known already, with each dns_cache_rec_pref: what is told later
    counts if nothing but the absence of records is known (1), always (2), or if it is good for longer (3)."""
    domain = Domain(s)
    for preference in "0123":
        rpc(s, "cfg.set_now_int", "core", "dns_cache_rec_pref", preference)
        for name, ttl in (("none", 0), ("shorter", 10), ("longer", 100)):
            host, service = f"{name}{preference}.@", f"_sip._udp.{name}{preference}.@"
            if ttl:
                domain.has(host, f"{ttl} A 127.0.0.1")
            domain.has(service, f"50 SRV 1 1 5060 {host}", f"+{host} 50 A 127.0.0.2")
            rpc(s, "dns.lookup", "A", domain.full(host))
            rpc(s, "dns.lookup", "SRV", domain.full(service))
            rpc(s, "dns.lookup", "A", domain.full(host))
    rpc(s, "cfg.set_now_int", "core", "dns_cache_rec_pref", "0")
    domain.note_asked()


@plain.case(case("no_answer"))
def test_no_answer(s: Scene) -> None:
    """A server that fails, one whose answer does not fit into a datagram, one that says nothing."""
    alice, bob = s.agents("alice", "bob")
    domain = Domain(s)
    Domain.name_server.refused.add(domain.full("fails.@"))
    alice.request("MESSAGE", uri=domain.uri("fails.@", f":{bob.port}"))
    alice.expect(478)
    domain.note_asked()
    domain.has("long.@", "A 127.0.0.1")
    Domain.name_server.truncated.add(domain.full("long.@"))
    exchange(alice, bob, uri=domain.uri("long.@", f":{bob.port}"))
    domain.note_asked()
    Domain.name_server.silent.add(domain.full("silent.@"))
    alice.request("MESSAGE", uri=domain.uri("silent.@", f":{bob.port}"))
    alice.expect(478)
    domain.note_asked()


@plain.case('route[stateless] { if (!forward()) { sl_send_reply("500", "not sent"); } }')
def test_stateless(s: Scene) -> None:
    domain, alice, (bob,) = served(s, "bob")
    exchange(alice, bob, uri=domain.uri())
    alice.request("MESSAGE", uri=domain.uri("none.@"))
    alice.expect(500)
    domain.note_asked()


@plain.case("""route[names_in_script] {
    if (src_ip == "from." + $rd) { sl_send_reply("200", "it is"); }
    else { sl_send_reply("404", "it is not"); }
}""")
def test_names_in_script(s: Scene) -> None:
    alice = s.agent("alice")
    domain = Domain(s)
    domain.has("from.@", "A 127.0.0.9", "A 127.0.0.1")
    alice.request("MESSAGE", uri=domain.uri())
    alice.expect(200)


# RPC


def rpc(s: Scene, *words: str) -> None:
    """Note what a command says, without times and sizes."""
    said = kamcmd(s.server.ctl, *words)
    said = re.sub(r"(size_bytes|last_used|expires): \d+", r"\1: N", said)
    s.note(f"{' '.join(words)}: {said}")


@plain.case(case("lookups"))
def test_lookups(s: Scene) -> None:
    """Each kind of record as dns.lookup shows it."""
    domain = Domain(s)
    domain.has("@", 'NAPTR 4 5 "s" "SIP+D2U" "" _sip._udp.@', 'TXT "one" "two"', "A 127.0.0.1", "A 127.0.0.2")
    domain.has("alias.@", "CNAME @")
    domain.has("six.@", "AAAA ::1")
    domain.has("_sip._udp.@", "SRV 2 1 5062 second.@", "SRV 1 2 5061 first.@", "SRV 1 9 5060 heavy.@")
    domain.has("9.0.0.127.in-addr.arpa", "PTR host.test")
    rpc(s, "dns.delete_all")
    for kind in ("A", "NAPTR", "t_txt", "AAAA", "CNAME"):
        rpc(s, "dns.lookup", kind, domain.name)
    for kind, name in (
        ("A", "alias.@"),
        ("CNAME", "alias.@"),
        ("AAAA", "six.@"),
        ("srv", "_sip._udp.@"),
        ("A", "no.@"),
    ):
        rpc(s, "dns.lookup", kind, domain.full(name))
    rpc(s, "dns.lookup", "PTR", "9.0.0.127.in-addr.arpa")
    domain.note_asked()
    for kind in ("naptr", "txt", "cname", "ptr", "ebl", "srv"):
        rpc(s, f"dns.delete_{kind}", domain.name)
    rpc(s, "dns.lookup", "CNAME", domain.full("alias.@"))


@plain.case(case("counted"))
def test_counted(s: Scene) -> None:
    """Questions without an answer are counted, each once."""
    domain = Domain(s)
    alice = s.agent("alice")
    rpc(s, "stats.reset_statistics", "dns:")
    for _ in range(2):
        alice.request("MESSAGE", uri=domain.uri())
        alice.expect(478)
    rpc(s, "stats.get_statistics", "dns:")


# NAPTR

naptr = Room("dns_naptr", listen=("tcp:127.0.0.1",), globals_="dns_try_naptr=yes", modules="ctl cfg_rpc")


def both_ways(s: Scene, prefer: str) -> tuple[Domain, Agent, Agent]:
    """A domain that is reached by UDP (bob) and TCP (carol); NAPTR records prefer one."""
    bob, carol = s.agent("bob"), s.stream("carol")
    domain = Domain(s)
    domain.service(bob)
    domain.service(carol, service="_sip._tcp")
    order = {"udp": (1, 2), "tcp": (2, 1)}[prefer]
    domain.has(
        "@",
        f'NAPTR {order[0]} 5 "s" "SIP+D2U" "" _sip._udp.@',
        'NAPTR 0 0 "u" "E2U+sip" "!^.*$!sip:x@y!" .',
        f'NAPTR {order[1]} 5 "S" "sip+d2t" "" _sip._tcp.@',
        'NAPTR 0 1 "s" "SIPS+D2T" "" _sips._tcp.@',
    )
    return domain, bob, carol


def reaches(s: Scene, domain: Domain, agent: Agent, rest: str = "") -> None:
    alice = s.agent(f"alice-{len(s._agents)}")
    exchange(alice, agent, uri=domain.uri(rest=rest))
    domain.note_asked()


@naptr.case(case("preferred_transport"))
def test_preferred_transport(s: Scene) -> None:
    """Our preference goes before that of the domain, which is not what the RFC says, and Kamailio's default."""
    domain, bob, _ = both_ways(s, "tcp")
    reaches(s, domain, bob)


@naptr.case(case("order_of_the_domain"))
def test_order_of_the_domain(s: Scene) -> None:
    domain, _, carol = both_ways(s, "tcp")
    rpc(s, "cfg.set_now_int", "core", "dns_naptr_ignore_rfc", "0")
    reaches(s, domain, carol)
    reaches(s, domain, carol)
    rpc(s, "cfg.set_now_int", "core", "dns_naptr_ignore_rfc", "1")


@naptr.case(case("only_over_tcp"))
def test_only_over_tcp(s: Scene) -> None:
    """NAPTR records choose the transport."""
    domain, _, carol = both_ways(s, "udp")
    domain.has("@", 'NAPTR 1 1 "s" "SIP+D2T" "" _sip._tcp.@')
    reaches(s, domain, carol)


@naptr.case(case("naptr_and_port"))
def test_naptr_and_port(s: Scene) -> None:
    """Where there is a port or a transport NAPTR is not asked for; SRV records go before the port."""
    domain, bob, carol = both_ways(s, "tcp")
    reaches(s, domain, carol, ";transport=tcp")
    reaches(s, domain, bob, ";transport=udp")
    reaches(s, domain, bob, ":5999")
    other = Domain(s)
    other.name = f"other.{other.name}"
    other.has("@", "A 127.0.0.1")
    reaches(s, other, bob, f":{bob.port}")


@naptr.case(case("naptr_nowhere"))
def test_naptr_nowhere(s: Scene) -> None:
    """Records that lead nowhere are passed over; without any, SRV records of all transports are tried."""
    domain, _, carol = both_ways(s, "udp")
    domain.has("@", 'NAPTR 1 1 "s" "SIP+D2U" "" none.@', 'NAPTR 2 2 "s" "SIP+D2T" "" _sip._tcp.@')
    reaches(s, domain, carol)
    domain = Domain(s)
    domain.name = f"second.{domain.name}"
    domain.service(carol, service="_sip._tcp")
    reaches(s, domain, carol)


# failover

FAILOVER = "use_dns_failover=yes\n"
failover = Room("dns_failover", listen=("tcp:127.0.0.1", "udp:127.0.0.2"), globals_=FAILOVER, modules="uac")


def stops(agent: Agent, status: int = 503, headers: str = "") -> None:
    agent.reply(agent.expect("MESSAGE"), status, headers=headers)


def passes_on(alice: Agent, bob: Agent, carol: Agent, headers: str = "", **request: Any) -> None:
    """A request of alice's: bob says 503, with these headers, and carol answers."""
    alice.request("MESSAGE", **request)
    stops(bob, headers=headers)
    carol.reply(carol.expect("MESSAGE"), 200)
    alice.expect(200)


@failover.case(case("unavailable"), retransmissions=True)
def test_unavailable(s: Scene) -> None:
    """A 503 sends the request on to the next place."""
    domain, alice, (bob, carol) = served(s, "bob", "carol")
    alice.request("MESSAGE", uri=domain.uri())
    request = bob.expect("MESSAGE")
    domain.note_asked()
    bob.reply(request, 503)
    carol.reply(carol.expect("MESSAGE"), 200)
    alice.expect(200)
    domain.note_asked()


@failover.case(case("all_unavailable"))
def test_all_unavailable(s: Scene) -> None:
    domain, alice, (bob, carol) = served(s, "bob", "carol")
    alice.request("MESSAGE", uri=domain.uri())
    stops(bob)
    stops(carol)
    alice.expect(500)


@failover.case(case("other_failures"))
def test_other_failures(s: Scene) -> None:
    """Any other reply is an answer."""
    domain, alice, (bob, _) = served(s, "bob", "carol")
    alice.request("MESSAGE", uri=domain.uri())
    stops(bob, 500)
    alice.expect(500)
    domain.note_asked()


@failover.case(case("silent"))
def test_silent(s: Scene) -> None:
    """No reply in time: the next place is tried."""
    domain, alice, (bob, carol) = served(s, "bob", "carol")
    alice.request("MESSAGE", uri=domain.uri())
    bob.expect("MESSAGE")
    carol.reply(carol.expect("MESSAGE"), 200)
    alice.expect(200)


@failover.case(
    'route[calls] { t_on_failure("CALLS"); t_on_reply("CALLS"); t_on_branch("CALLS"); t_relay(); }'
    'failure_route[CALLS] { xlog("L_NOTICE", "failed $T_reply_code\\n"); }'
    'onreply_route[CALLS] { xlog("L_NOTICE", "reply $rs $T_branch_idx\\n"); }'
    'branch_route[CALLS] { xlog("L_NOTICE", "branch $T_branch_idx\\n"); append_hf("X-Branch: $T_branch_idx\\r\\n"); }'
)
def test_calls(s: Scene) -> None:
    """A call that its first place cannot take; the routes that were armed are those of the second, too."""
    domain, alice, (bob, carol) = served(s, "bob", "carol")
    invite = alice.request("INVITE", uri=domain.uri())
    bob.reply(bob.expect("INVITE"), 503)
    bob.expect("ACK")
    answer(alice, carol, invite, 486)


@failover.case(case("only_tcp_there"))
def test_only_tcp_there(s: Scene) -> None:
    """With failover SRV records of all transports are looked for."""
    domain = Domain(s)
    carol = s.stream("carol")
    domain.service(carol, service="_sip._tcp")
    reaches(s, domain, carol)


def second_of_two(s: Scene) -> None:
    """A place that refuses the connection cannot be sent to."""
    alice, bob, carol = s.agent("alice"), s.stream("bob"), s.stream("carol")
    domain = Domain(s)
    domain.service(bob, carol, service="_sip._tcp")
    domain.has("bob.@", "A 127.0.0.77")
    exchange(alice, carol, uri=domain.uri(rest=";transport=tcp"))


@failover.case(case("refused_connection"))
def test_refused_connection(s: Scene) -> None:
    second_of_two(s)


@failover.case('route[one_more_stateless] { if (!forward()) { sl_send_reply("500", "not sent"); } }')
def test_one_more_stateless(s: Scene) -> None:
    second_of_two(s)


@failover.case("route[not_wanted] { t_set_disable_failover(1); t_relay(); }")
def test_not_wanted(s: Scene) -> None:
    """The flag is one of INVITEs: it does nothing for other requests that have no transaction yet."""
    domain, alice, (bob, carol) = served(s, "bob", "carol")
    invite = alice.request("INVITE", uri=domain.uri())
    bob.reply(bob.expect("INVITE"), 503)
    bob.expect("ACK")
    alice.ack(invite, alice.expect(500))
    passes_on(alice, bob, carol, uri=domain.uri())


@failover.case(
    """route[relay_flags] {
    if ($hdr(X-Flags) == "t_newtran") { t_newtran(); t_set_disable_failover(1); t_relay(); }
    else if ($hdr(X-Flags) == "1") { t_relay_to("1"); }
    else if ($hdr(X-Flags) == "2") { t_relay_to("2"); }
    else { t_relay_to("4"); }
}"""
)
def test_relay_flags(s: Scene) -> None:
    """Flags of t_relay_to() do nothing without a next hop."""
    domain, alice, (bob, carol) = served(s, "bob", "carol")
    passes_on(alice, bob, carol, uri=domain.uri(), headers="X-Flags: 4")
    alice.request("MESSAGE", uri=domain.uri(), headers="X-Flags: t_newtran")
    stops(bob)
    alice.expect(500)
    alice.request("MESSAGE", uri=domain.uri("none.@"), headers="X-Flags: 2")
    alice.expect(478)
    invite = alice.request("INVITE", uri=domain.uri(), headers="X-Flags: 1")
    alice.expect(100)
    answer(alice, bob, invite, 486, rings=False)


@failover.case(case("from_which_socket"))
def test_from_which_socket(s: Scene) -> None:
    """The first request goes out from where it came in, the next from the server's choice."""
    domain, alice, (bob, carol) = served(s, "bob", "carol")
    alice.request("MESSAGE", uri=domain.uri())
    got = bob.expect("MESSAGE")
    s.note(f"from {got.source[0]}")
    bob.reply(got, 503)
    got = carol.expect("MESSAGE")
    s.note(f"from {got.source[0]}")
    carol.reply(got, 200)
    alice.expect(200)


# without the cache

uncached = Room("dns_uncached", globals_="use_dns_cache=no\nrev_dns=yes\ndns=yes\n")


@uncached.case(case("hosts_file"))
def test_hosts_file(s: Scene) -> None:
    """Without the cache addresses are the machine's resolver's business, which looks into /etc/hosts."""
    alice, bob = s.agents("alice", "bob")
    exchange(alice, bob, uri=f"sip:{s.name}@in-hosts.test:{bob.port}")


@uncached.case(case("asked_again"))
def test_asked_again(s: Scene) -> None:
    domain, alice, (bob,) = served(s, "bob")
    for _ in range(2):
        exchange(alice, bob, uri=domain.uri())
        domain.note_asked()


@uncached.case("""route[names_of_addresses] {
    if (src_ip == "LOCALHOST") { sl_send_reply("200", "local"); }
    else { sl_send_reply("404", "not"); }
}""")
def test_names_of_addresses(s: Scene) -> None:
    """With rev_dns=yes the names of an address count in scripts, and in a Via, whose host needs no received= then."""
    alice = s.agent("alice")
    for host in ("localhost", "local", "LOCALHOST", "in-hosts.test", "nowhere.test", "127.0.0.1"):
        via = f"Via: SIP/2.0/UDP {host}:{alice.port};branch=z9hG4bK-{host}"
        sent = alice.request("OPTIONS", send=False).text
        alice.send(re.sub(r"Via: [^\r\n]*", via, sent))
        alice.expect(200)


# what tm makes of it

reparsed = Room(
    "dns_failover_anew",
    listen=("udp:127.0.0.2", "tcp:127.0.0.1"),
    globals_=f"{FAILOVER}use_dst_blocklist=yes\ndns_try_naptr=yes\n",
    modules="ctl",
    params="""
modparam("tm", "reparse_on_dns_failover", 0)
modparam("tm", "dns_reuse_rcv_socket", 1)
modparam("tm", "blst_503", 1)
modparam("tm", "blst_503_def_timeout", 20)
modparam("tm", "blst_503_min_timeout", 10)
modparam("tm", "blst_503_max_timeout", 30)
""",
)


@reparsed.case(case("built_anew"))
def test_built_anew(s: Scene) -> None:
    """The request is built again from the one received, and goes out from where that came in."""
    domain, alice, (bob, carol) = served(s, "bob", "carol")
    alice.request("MESSAGE", uri=domain.uri())
    bob.expect("MESSAGE")
    got = carol.expect("MESSAGE")
    s.note(f"from {got.source[0]}")
    carol.reply(got, 200)
    alice.expect(200)
    note_blocked(s, bob, carol)
    unblock(s)


@reparsed.case(case("retry_after"))
def test_retry_after(s: Scene) -> None:
    """Who answers 503 is left alone: for as long as it says, within limits, and for a time of ours if it does not."""
    domain, alice, (bob, carol) = served(s, "bob", "carol")
    for after in ("", "Retry-After: 5", "Retry-After: 25 (busy);duration=9", "Retry-After: 99", "Retry-After: soon"):
        passes_on(alice, bob, carol, after, uri=domain.uri())
        note_blocked(s, bob, carol)
        unblock(s)


@reparsed.case(case("left_alone"))
def test_left_alone(s: Scene) -> None:
    """A place that is blocked is passed over at once."""
    domain, alice, (bob, carol) = served(s, "bob", "carol")
    passes_on(alice, bob, carol, uri=domain.uri())
    alice.request("MESSAGE", uri=domain.uri())
    carol.reply(carol.expect("MESSAGE"), 503)
    alice.expect(500)
    alice.request("MESSAGE", uri=domain.uri())
    alice.expect(477)
    note_blocked(s, bob, carol)
    unblock(s)


@reparsed.case(case("call_without_answer"))
def test_call_without_answer(s: Scene) -> None:
    """A call nobody answers: both places are tried, and blocked."""
    domain, alice, (bob, carol) = served(s, "bob", "carol")
    invite = alice.request("INVITE", uri=domain.uri())
    bob.expect("INVITE")
    carol.expect("INVITE")
    alice.ack(invite, alice.expect(408))
    note_blocked(s, bob, carol)
    unblock(s)


@failover.case(
    """route[of_our_own] {
    $uac_req(method) = "OPTIONS"; $uac_req(ruri) = "sip:x@" + $rd; $uac_req(furi) = "sip:me@here.test";
    $uac_req(evroute) = 1; uac_req_send(); sl_send_reply("200", "asked");
}
event_route[uac:reply] { xlog("L_NOTICE", "answered $uac_req(evcode)\\n"); }"""
)
def test_of_our_own(s: Scene) -> None:
    """Requests of the server's own go on to the next place as well."""
    alice, bob, carol = s.agents("alice", "bob", "carol")
    s.mask(r"Call-ID: \S+")
    s.mask(r"branch=\S+")
    s.mask(r"tag=\S+")
    domain = Domain(s)
    domain.service(bob, carol)
    alice.request("MESSAGE", uri=domain.uri())
    alice.expect(200)
    bob.reply(bob.expect("OPTIONS"), 503)
    carol.reply(carol.expect("OPTIONS"), 200)
    s.wait_log("answered")


@reparsed.case(case("other_transport"))
def test_other_transport(s: Scene) -> None:
    """Once the places of one transport are used up, those of the next NAPTR record are tried."""
    domain, bob, carol = both_ways(s, "udp")
    alice = s.agent("alice")
    passes_on(alice, bob, carol, uri=domain.uri())
    domain.note_asked()
    alice.request("MESSAGE", uri=domain.uri())
    carol.reply(carol.expect("MESSAGE", timeout=2), 200)
    alice.expect(200)


@reparsed.case(case("naptr_and_transport"))
def test_naptr_and_transport(s: Scene) -> None:
    domain, bob, carol = both_ways(s, "udp")
    reaches(s, domain, carol, ";transport=tcp")
    reaches(s, domain, bob)
