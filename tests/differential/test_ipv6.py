"""SIP over IPv6, UDP and TCP, and between IPv6 and IPv4."""

from __future__ import annotations

import socket

import pytest
from kit.agent import Agent
from kit.calls import answer, hang_up
from kit.room import Room
from kit.scene import Scene


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")

room = Room(
    "ipv6",
    listen=("udp:[::1]", "tcp:127.0.0.1", "tcp:[::1]"),
    globals_="tcp_children=1",
    first="if (has_totag()) { loose_route(); t_relay(); exit; }",
)


@room.case("""
route[seen] {
    xlog("L_NOTICE", "$si:$sp $Ri:$Rp $su $sas $Ru $rd $rp $siz $RAi $RAu $pr\\n");
    if (af == INET6) { xlog("L_NOTICE", "INET6\\n"); }
    if (src_ip == [::1]) { xlog("L_NOTICE", "source\\n"); }
    if (src_ip == ::/0) { xlog("L_NOTICE", "network\\n"); }
    if (uri == myself) { xlog("L_NOTICE", "myself\\n"); }
    sl_send_reply("200", "OK");
}
""")
def test_seen(s: Scene) -> None:
    for alice in (s.agent6("alice"), s.stream6("bob")):
        alice.request("OPTIONS")
        alice.expect(200)
        alice.request("OPTIONS", uri=f"sip:seen@[0:0:0::0001]:{s.server.port}")
        alice.expect(200)
        alice.request("OPTIONS", via_params=";rport", uri="sip:seen@[::2]")
        alice.expect(200)
        text = alice.request("OPTIONS", send=False).text
        alice.send(text.replace("[::1]:" + str(alice.port) + ";branch", f"[0::1]:{alice.port};branch"))
        alice.expect(200)
        alice.send(text.replace("[::1]:" + str(alice.port) + ";branch", f"elsewhere.test:{alice.port};branch"))
        alice.expect(200)


CALL = """
route[{0}] {{ record_route(); t_on_reply("{0}"); t_relay(); }}
onreply_route[{0}] {{ xlog("L_NOTICE", "$rs of $rm from $si over $pr\\n"); }}
"""


def call(alice: Agent, bob: Agent) -> None:
    sent = alice.request("INVITE", bob)
    alice.expect(100)
    received, final = answer(alice, bob, sent, rings=False)
    hang_up(bob, alice, received, final)


@room.case(CALL.format("call_over_ipv6"))
def test_call_over_ipv6(s: Scene) -> None:
    call(s.agent6("alice"), s.agent6("bob"))


@room.case(CALL.format("call_ipv6_to_ipv4"))
def test_call_ipv6_to_ipv4(s: Scene) -> None:
    call(s.agent6("alice"), s.agent("bob"))


@room.case(CALL.format("call_ipv4_to_ipv6_tcp"))
def test_call_ipv4_to_ipv6_tcp(s: Scene) -> None:
    call(s.agent("alice"), s.stream6("bob"))


@room.case(CALL.format("call_ipv6_tcp"))
def test_call_ipv6_tcp(s: Scene) -> None:
    call(s.stream6("alice"), s.stream6("bob"))


@room.case("""
route[stateless6] { forward(); }
""")
def test_stateless6(s: Scene) -> None:
    alice, bob, carol = s.agent6("alice"), s.agent6("bob"), s.stream6("carol")
    alice.request("MESSAGE", bob)
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)
    alice.request("MESSAGE", carol)
    carol.reply(carol.expect("MESSAGE"), 200)
    alice.expect(200)
