"""Servers on several addresses: from which one a request goes on, with and without mhomed; advertised addresses."""

from __future__ import annotations

from kit.agent import Agent
from kit.room import Room
from kit.scene import Scene

SECOND = "127.0.0.2"


def relayed(s: Scene, way: str) -> None:
    """Alice and bob call over the second address."""
    alice, bob = s.agents("alice", "bob")
    alice.server = bob.server = (SECOND, s.server.port)
    invite = alice.request("INVITE", bob, headers=f"X-Way: {way}")
    got = bob.expect("INVITE")
    s.note(f"came from {got.source[0]}")
    bob.reply(got, 200)
    ok = alice.expect(200)
    alice.ack(invite, ok)
    bob.expect("ACK")
    bob.within("BYE", got, ok, cseq=2, callee=True)
    bye = alice.expect("BYE")
    s.note(f"came from {bye.source[0]}")
    alice.reply(bye, 200)
    bob.expect(200, "BYE")


CFG = """
route[{0}] {{
    xlog("L_NOTICE", "$Ri $RAi $RAp\\n");
    record_route();
    if ($hdr(X-Way) == "stateless") {{ forward(); exit; }}
    if ($hdr(X-Way) == "forced") {{ $fs = "udp:127.0.0.2:" + $Rp; }}
    t_relay();
}}
"""
FIRST = "if (has_totag()) { loose_route(); t_relay(); exit; }"

plain = Room("several", listen=(f"udp:{SECOND}",), first=FIRST)
routed = Room("several_mhomed", listen=(f"udp:{SECOND}",), globals_="mhomed=yes", first=FIRST)
advertised = Room("advertised", listen=(f"udp:{SECOND}:{{port}}/198.51.100.7:7777",), first=FIRST)


@plain.case(CFG.format("as_received"))
def test_as_received(s: Scene) -> None:
    """What came in on an address goes out from it."""
    relayed(s, "state")


@plain.case(CFG.format("as_received_stateless"))
def test_as_received_stateless(s: Scene) -> None:
    relayed(s, "stateless")


@routed.case(CFG.format("as_routed"))
def test_as_routed(s: Scene) -> None:
    """With mhomed it goes out from where the system's routes lead."""
    relayed(s, "state")


@routed.case(CFG.format("as_routed_stateless"))
def test_as_routed_stateless(s: Scene) -> None:
    relayed(s, "stateless")


@routed.case(CFG.format("as_forced"))
def test_as_forced(s: Scene) -> None:
    """What the script has set wins."""
    relayed(s, "forced")


@advertised.case(CFG.format("advertises"))
def test_advertises(s: Scene) -> None:
    """Via and Record-Route carry the advertised address; requests for it are for the server."""
    alice, bob = s.agents("alice", "bob")
    alice.server = (SECOND, s.server.port)
    alice.request("MESSAGE", bob)
    got = bob.expect("MESSAGE")
    bob.reply(got, 200)
    alice.expect(200)


@advertised.case("""
route[advertised_myself] { if (uri == myself) { xlog("L_NOTICE", "myself $ru\\n"); } sl_send_reply("200", "OK"); }
""")
def test_advertised_myself(s: Scene) -> None:
    alice: Agent = s.agent("alice")
    for host in ("198.51.100.7:7777", "198.51.100.7", "198.51.100.7:7778", "127.0.0.2"):
        alice.request("OPTIONS", uri=f"sip:advertised_myself@{host}")
        alice.expect(200)
