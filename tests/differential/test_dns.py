"""Where requests to host names go: SRV, NAPTR and address records from a DNS server of the tests' own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from kit.agent import Agent
from kit.name_server import NameServer
from kit.room import Room
from kit.scene import Scene

pytestmark = pytest.mark.own_network

ZONE = NameServer({}, "127.0.0.1", 0)


@pytest.fixture(scope="module", autouse=True)
def name_server() -> Iterator[None]:
    """Both servers ask the same one, for names of their own (`Domain`)."""
    global ZONE
    with NameServer({}, "127.0.0.1", 53) as ZONE:
        yield


class Domain:
    """The names of one scene on one server: @ in names and records stands for its domain."""

    def __init__(self, s: Scene, **records: str) -> None:
        self.s = s
        self.name = f"{s.name}.{s.server.name}.test".replace("_", "-").replace("again", "2")
        s.mask(self.name)
        self.last = len(ZONE.asked)

    def has(self, name: str, *records: str) -> None:
        ZONE.zone[self.full(name)] = [self.full(record) for record in records]

    def full(self, text: str) -> str:
        return text.replace("@", self.name)

    def host(self, agent: Agent, name: str = "") -> None:
        """An agent's address record."""
        self.has(f"{name or agent.name}.@", f"A {agent.address}")

    def service(self, *agents: Agent, service: str = "_sip._udp") -> None:
        """SRV records for agents, the first of them preferred."""
        self.has(f"{service}.@", *(f"SRV {n} 1 {agent.port} {agent.name}.@" for n, agent in enumerate(agents)))
        for agent in agents:
            self.host(agent)

    def note_asked(self) -> None:
        """Note what was asked since the last note."""
        asked = [question for question in ZONE.asked[self.last :] if question.endswith(self.name)]
        self.last = len(ZONE.asked)
        self.s.note(f"asked {asked}")

    def uri(self, name: str = "@", rest: str = "") -> str:
        return f"sip:{self.s.name}@{self.full(name)}{rest}"


plain = Room("dns", listen=("tcp:127.0.0.1",))
RELAY = "route[{0}] {{ t_relay(); }}"
case: Callable[[str], str] = RELAY.format


@plain.case(case("service"))
def test_service(s: Scene) -> None:
    """SRV records give host and port, their hosts' address records the address; both are asked once."""
    alice, bob = s.agents("alice", "bob")
    domain = Domain(s)
    domain.service(bob)
    for _ in range(2):
        alice.request("MESSAGE", uri=domain.uri())
        bob.reply(bob.expect("MESSAGE"), 200)
        alice.expect(200)
        domain.note_asked()


@plain.case(case("with_port"))
def test_with_port(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    domain = Domain(s)
    domain.service(alice)
    domain.host(bob, "@")
    domain.has("@", "A 127.0.0.1")
    alice.request("MESSAGE", uri=domain.uri(rest=f":{bob.port}"))
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)
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
    alice, bob, carol, dave = s.agents("alice", "bob", "carol", "dave")
    domain = Domain(s)
    domain.service(bob, carol, dave)
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
    alice.request("MESSAGE", uri=domain.uri())
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)
    domain.note_asked()


@plain.case(case("over_tcp"))
def test_over_tcp(s: Scene) -> None:
    """The transport of the URI is that of the SRV records."""
    alice, bob = s.agent("alice"), s.stream("bob")
    domain = Domain(s)
    domain.service(bob, service="_sip._tcp")
    alice.request("MESSAGE", uri=domain.uri(rest=";transport=tcp"))
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)
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
        alice.request("MESSAGE", uri=domain.uri(f"{name}.@", f":{bob.port}"))
        bob.reply(bob.expect("MESSAGE"), 200)
        alice.expect(200)
        domain.note_asked()


@plain.case(case("said_along"))
def test_said_along(s: Scene) -> None:
    """What an answer says along with the records is known, too, and not asked for."""
    alice, bob = s.agents("alice", "bob")
    domain = Domain(s)
    domain.has("_sip._udp.@", f"SRV 1 1 {bob.port} bob.@", "+bob.@ A 127.0.0.1", "+stranger.@ A 127.0.0.1")
    alice.request("MESSAGE", uri=domain.uri())
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)
    domain.note_asked()
    alice.request("MESSAGE", uri=domain.uri("stranger.@", f":{bob.port}"))
    alice.expect(478)
    domain.note_asked()


@plain.case(case("short_name"))
def test_short_name(s: Scene) -> None:
    """Names are looked for in the domains of resolv.conf as well."""
    alice, bob = s.agents("alice", "bob")
    domain = Domain(s)
    ZONE.zone[f"{domain.name}.search.test"] = ["A 127.0.0.1"]
    for _ in range(2):
        alice.request("MESSAGE", uri=domain.uri(rest=f":{bob.port}"))
        bob.reply(bob.expect("MESSAGE"), 200)
        alice.expect(200)
    s.note(str([question for question in ZONE.asked if domain.name in question]))


@plain.case(case("no_answer"))
def test_no_answer(s: Scene) -> None:
    """A server that fails, one whose answer does not fit into a datagram, one that says nothing."""
    alice, bob = s.agents("alice", "bob")
    domain = Domain(s)
    ZONE.refused.add(domain.full("fails.@"))
    alice.request("MESSAGE", uri=domain.uri("fails.@", f":{bob.port}"))
    alice.expect(478)
    domain.note_asked()
    domain.has("long.@", "A 127.0.0.1")
    ZONE.truncated.add(domain.full("long.@"))
    alice.request("MESSAGE", uri=domain.uri("long.@", f":{bob.port}"))
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)
    domain.note_asked()
    ZONE.silent.add(domain.full("silent.@"))
    alice.request("MESSAGE", uri=domain.uri("silent.@", f":{bob.port}"))
    alice.expect(478)
    domain.note_asked()


@plain.case('route[stateless] { if (!forward()) { sl_send_reply("500", "not sent"); } }')
def test_stateless(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    domain = Domain(s)
    domain.service(bob)
    alice.request("MESSAGE", uri=domain.uri())
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)
    alice.request("MESSAGE", uri=domain.uri("none.@"))
    alice.expect(500)
    domain.note_asked()


@plain.case(
    'route[names_in_script] { if (src_ip == "from." + $rd) { sl_send_reply("200", "it is"); } else { sl_send_reply("404", "no"); } }'
)
def test_names_in_script(s: Scene) -> None:
    alice = s.agent("alice")
    domain = Domain(s)
    domain.has("from.@", "A 127.0.0.9", "A 127.0.0.1")
    alice.request("MESSAGE", uri=domain.uri())
    alice.expect(200)
