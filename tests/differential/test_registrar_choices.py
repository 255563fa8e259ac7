"""usrloc and registrar with other parameters: matching, order, filters, keepalives, connections, received."""

from __future__ import annotations

import re

from kit.agent import Agent
from kit.room import Room
from kit.scene import Scene
from kit.sip import Sip

room = Room(
    "registrar_choices",
    modules="usrloc registrar path",
    listen=("tcp:127.0.0.1",),
    globals_="tcp_children=1",
    params="""
modparam("usrloc", "matching_mode", 1)
modparam("usrloc", "desc_time_order", 1)
modparam("usrloc", "cseq_delay", 1)
modparam("usrloc", "nat_bflag", 3)
modparam("usrloc", "timer_interval", 1)
modparam("usrloc", "ka_mode", 2)
modparam("usrloc", "ka_from", "sip:keep@alive.test")
modparam("usrloc", "ka_domain", "alive.test")
modparam("usrloc", "ka_method", "INFO")
modparam("usrloc", "ka_loglevel", -1)
modparam("usrloc", "handle_lost_tcp", 1)
modparam("registrar", "xavp_cfg", "regcfg")
modparam("registrar", "lookup_filter_mode", 3)
modparam("registrar", "use_expired_contacts", 1)
modparam("registrar", "min_expires", 1)
modparam("registrar", "gruu_enabled", 0)
modparam("registrar", "append_branches", 0)
modparam("registrar", "received_param", "")
modparam("registrar", "received_avp", "$avp(rcv)")
modparam("registrar", "path_check_local", 1)
modparam("registrar", "use_path", 1)
modparam("registrar", "path_mode", 1)
modparam("path", "use_received", 1)
""",
)

ROUTING = """
route[{name}] {{
    if (is_method("REGISTER")) {{ {before} save("location"); exit; }}
    {filter}
    lookup("location"); $var(found) = $rc;
    xlog("L_NOTICE", "lookup $rc: $ru [$du] [$(branch(uri)[0])]\\n");
    if ($var(found) < 0) {{ sl_send_reply("404", "Nobody"); exit; }}
    t_relay();
}}
"""


def routing(name: str, before: str = "", filter: str = "") -> str:
    return ROUTING.format(name=name, before=before, filter=filter)


def register(agent: Agent, *contacts: str, status: int = 200, headers: str = "", **more: object) -> Sip:
    lines = "\n".join([f"Contact: {contact}" for contact in contacts] + ([headers] if headers else []))
    agent.request("REGISTER", headers=lines, **more)  # type: ignore[arg-type]
    return agent.expect(status)


@room.case(routing("matching"))
def test_matching(s: Scene) -> None:
    """A contact is one of a URI and a Call-ID; the newest comes first."""
    s.mask(r"expires=\d+")
    alice = s.agent("alice")
    register(alice, "<sip:a@h>;q=0.9", call_id="one", cseq=1)
    register(alice, "<sip:a@h>;q=0.1", call_id="two", cseq=1)
    register(alice, "<sip:b@h>;q=0.5", call_id="two", cseq=2)
    register(alice, "<sip:a@h>;q=0.3", call_id="one", cseq=2)
    register(alice, "<sip:a@h>;expires=0", call_id="two", cseq=3)
    register(alice, '<sip:c@h>;+sip.instance="<i>"', headers="Supported: gruu", call_id="three")


@room.case(
    routing("filtered", before="if ($hdr(X-Flag) != $null) { setbflag(5); }", filter="$xavp(regcfg=>rlf_bflags) = 32;")
)
def test_filtered(s: Scene) -> None:
    """Only contacts with one of the flags."""
    alice, bob = s.agents("alice", "bob")
    register(bob, f"<sip:without@{bob.host}>")
    alice.request("MESSAGE")
    alice.expect(404)
    register(bob, f"<sip:with@{bob.host}>", headers="X-Flag: 1")
    register(bob, f"<sip:later@{bob.host}>")
    alice.request("MESSAGE")
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)


@room.case(routing("local_path"))
def test_local_path(s: Scene) -> None:
    """A Path whose first hop is this server is followed from the second on."""
    alice, edge = s.agents("alice", "edge")
    register(alice, f"<sip:a@{edge.host}>", headers=f"Path: <sip:{s.host};lr>")
    alice.request("MESSAGE")
    edge.reply(edge.expect("MESSAGE"), 200)
    alice.expect(200)
    register(alice, "<sip:b@192.0.2.1>", headers=f"Path: <sip:{s.host};lr>, <sip:{edge.host};lr>\nSupported: path")
    alice.request("MESSAGE")
    edge.reply(edge.expect("MESSAGE"), 200)


@room.case(
    """
route[way_back] {
    loose_route();
    xlog("L_NOTICE", "$ru $du\\n");
    sl_send_reply("200", "OK");
}
"""
)
def test_way_back(s: Scene) -> None:
    """The received parameter of our Route says where to."""
    alice = s.agent("alice")
    for params in (";received=sip:192.0.2.1:7%3Btransport%3Dtcp", ";received=sip%zz", ";x"):
        route = f"Route: <sip:{s.host};lr{params}>\nRoute: <sip:next@192.0.2.9;lr>"
        alice.request("OPTIONS", uri="sip:way_back@192.0.2.9", to_tag="t", headers=route)
        alice.expect(200)
    for uri in ("sip:way_back@192.0.2.9", ""):
        alice.request("OPTIONS", uri=uri, to_tag="t", headers=f"Route: <sip:{s.host};lr;received=sip:192.0.2.1:7>")
        alice.expect(200)


@room.case(
    routing("over_tcp")
    + """
event_route[usrloc:contact-expired] { xlog("L_NOTICE", "expired $ulc(exp=>aor)\\n"); }
"""
)
def test_over_tcp(s: Scene) -> None:
    """A contact over TCP is called over its connection, and gone with it."""
    s.mask(r";i=[0-9a-f]+")
    alice, bob = s.agent("alice"), s.stream("bob")
    register(bob, f"<sip:bob@{bob.host};transport=tcp>")
    alice.request("MESSAGE")
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)
    bob.hang_up()
    s.wait_log("expired over_tcp")
    alice.request("MESSAGE")
    alice.expect(404)


@room.case(routing("kept_alive", before='setbflag(3); $avp(rcv) = "sip:" + $hdr(X-Received);'))
def test_kept_alive(s: Scene) -> None:
    """Contacts behind a NAT get requests with each round of the timer; the answer is noted and goes no further."""
    s.mask(r"tag=uloc-[0-9a-f.-]+")
    s.mask(r"branch=z9hG4bKx\.\d+\.\d+\.0")
    s.mask(r"ksrulka-[0-9a-f.-]+")
    alice = s.agent("alice")
    register(alice, "<sip:bob@192.0.2.1>;expires=60", headers=f"X-Received: {alice.host}")
    first = alice.expect("INFO")
    alice.reply(first, 200)
    s.wait_log("keepalive roundtrip")
    line = re.search(r"keepalive roundtrip: 0\.\d{6} sec - ruid \[uloc[^]]+\] to-uri: .*", s.server.log())
    s.note(re.sub(r"\d\.\d{6}|uloc-[0-9a-f-]+", "<x>", line[0]) if line else "no line")
    register(alice, "*", headers="Expires: 0")
    alice.drain()
    # how many came depends on the timer; the first is compared
    alice.arrivals = [arrival for arrival in alice.arrivals if arrival.message.method != "INFO"] + [
        next(arrival for arrival in alice.arrivals if arrival.message.method == "INFO")
    ]
