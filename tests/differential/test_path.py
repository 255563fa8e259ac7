"""path with other parameters: the received address as ip~port~protocol, a Path for each side."""

from __future__ import annotations

from kit.room import Room
from kit.scene import Scene

room = Room(
    "path",
    modules="path",
    listen=("tcp:127.0.0.1",),
    globals_="tcp_children=1",
    params="""
modparam("path", "use_received", 1)
modparam("path", "received_format", 1)
modparam("path", "received_name", "came")
modparam("path", "enable_r2", 1)
""",
)


@room.case("""
route[added] {
    add_path(); add_path("u"); add_path("u", "x=y"); add_path_received(); add_path_received("u", "x");
    $du = "sip:" + $hdr(X-To);
    t_relay();
}
""")
def test_added(s: Scene) -> None:
    """Two each, with r2; the address received from is the client's, over UDP and TCP."""
    alice, tcp, next_hop = s.agent("alice"), s.stream("tcp"), s.agent("next")
    for agent in (alice, tcp):
        agent.request("REGISTER", headers=f"X-To: {next_hop.host}\nContact: <sip:a@h>")
        next_hop.reply(next_hop.expect("REGISTER"), 200)
        agent.expect(200)


@room.case("""
route[way_back] {
    loose_route();
    xlog("L_NOTICE", "$ru $du\\n");
    sl_send_reply("200", "OK");
}
""")
def test_way_back(s: Scene) -> None:
    """The destination is made of the three parts; one that is no such thing changes nothing."""
    alice = s.agent("alice")
    for came in (
        "192.0.2.1~7~1",
        "192.0.2.1~7~2",
        "192.0.2.1~7~3",
        "192.0.2.1~7~5",
        "[2001:db8::1]~7~1",
        "192.0.2.1~7~0",
        "192.0.2.1~7~9",
        "192.0.2.1~~1",
        "192.0.2.1~7~1~2",
        "192.0.2.1~7~12",
        "192.0.2.1~7~x",
        "192.0.2.1~7~",
        "192.0.2.1~7~1x",
        "192.0.2.1~7~6",
        "192.0.2.1~7~4",
        "192.0.2.1~x~1",
        "~7~1",
        "%31~7~1",
        "",
    ):
        route = f"Route: <sip:{s.host};lr;came={came}>"
        alice.request("OPTIONS", uri="sip:way_back@192.0.2.9", to_tag="t", headers=route)
        alice.expect(200)
