"""Global parameters that change what is accepted, what is answered and what is told, on both servers."""

from __future__ import annotations

import re

from tests.kit.room import Room
from tests.kit.scene import Scene

GLOBALS = """
phone2tel=no
uri_host_extra_chars="_$"
hdr_name_extra_chars="@("
http_reply_hack=yes
onsend_route_reply=yes
sip_warning=yes
sip_parser_log=1
latency_limit_action=20000
latency_limit_cfg=20000
latency_cfg_log=1
latency_log=1
"""
CFG = """
onsend_route {
    xlog("L_NOTICE", "onsend $rs $snd(ip)\\n");
    if ($rs == 486) drop;
}
"""
room = Room("global_parameters", globals_=GLOBALS, cfg=CFG, modules="sqlops db_sqlite",
            params='modparam("sqlops", "sqlcon", "a=>sqlite:///@DIR@/a.db")',
            last='sl_send_reply("200", "done");')  # fmt: skip
off = Room("global_parameters_off", last='sl_send_reply("200", "done");')
USER = '{ xlog("L_NOTICE", "$rU $rd\\n"); $rU = "new"; xlog("L_NOTICE", "$ru\\n"); }'


def asked(s: Scene, uris: tuple[str, ...], headers: str = "") -> None:
    alice = s.agent("alice")
    s.mask(r"pid=\d+")
    for uri in uris:
        alice.request("OPTIONS", uri=uri, headers=headers)
        alice.expect(200)


@room.case(f"route[not_telephone] {USER}")
def test_not_telephone(s: Scene) -> None:
    """With phone2tel off the user of a URI with user=phone is what stands there; sip_warning in the answers."""
    asked(s, (f"sip:not_telephone@{s.host}", f"sip:not_telephone;ext=5@{s.host};user=phone"))


@off.case(f"route[telephone] {USER}")
def test_telephone(s: Scene) -> None:
    """By default parameters of a telephone number are none of the user's."""
    asked(s, (f"sip:telephone@{s.host}", f"sip:telephone;ext=5@{s.host};user=phone"))


@room.case('route[more] { xlog("L_NOTICE", "$rd $hdr(X@b)\\n"); }')
def test_more(s: Scene) -> None:
    """Characters that are accepted in hosts and header names."""
    asked(s, ("sip:more@ho_st.x", "sip:more@ho$st.x"), "X@b: 1\nX(c: 2")
    alice = s.agent("alice")
    for uri, headers in (("sip:more@ho*st.x", ""), (f"sip:more@{s.host}", "X*b: 1")):
        alice.request("OPTIONS", uri=uri, headers=headers)


@off.case('route[no_more] { xlog("L_NOTICE", "$rd\\n"); }')
def test_no_more(s: Scene) -> None:
    asked(s, (f"sip:no_more@{s.host}",))
    alice = s.agent("alice")
    alice.request("OPTIONS", uri="sip:no_more@ho_st.x")
    alice.request("OPTIONS", headers="X@b: 1")


@room.case("""
route[sent] {
    if (is_method("ACK")) { t_relay(); exit; }
    $du = $hdr(X-To);
    if ($hdr(X-How) == "forward") { forward(); exit; }
    t_on_reply("SENT");
    t_relay();
    exit;
}
onreply_route[SENT] { xlog("L_NOTICE", "onreply $rs\\n"); }
""")
def test_sent(s: Scene) -> None:
    """onsend_route for replies on their way back, not for those made here; it can drop them."""
    alice, bob = s.agents("alice", "bob")
    s.mask(r"pid=\d+")
    for how in ("relay", "forward"):
        for status in (200, 486):
            alice.request("MESSAGE", headers=f"X-To: sip:{bob.host}\nX-How: {how}", call_id=f"{how}-{status}")
            bob.reply(bob.expect("MESSAGE"), status)
            if status == 200:
                alice.expect(200)
    for text in ("dropped (onsend_route)", "onsend 486"):
        s.wait_log(text)


@room.case("route[http] { exit; }")
def test_http(s: Scene) -> None:
    """A reply of HTTP goes along its Vias."""
    alice = s.agent("alice")
    reply = (
        f"HTTP/1.1 200 OK\nVia: SIP/2.0/UDP {s.host};branch=z9hG4bK1\n"
        f"Via: SIP/2.0/UDP {alice.host};branch=z9hG4bK2\nFrom: <sip:a@b>;tag=1\nTo: <sip:a@b>;tag=2\n"
        "Call-ID: http\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n"
    )
    alice.send(reply.replace("\n", "\r\n"))
    alice.listen(0.3)


@room.case("""
route[slow] {
    usleep("25000");
    route(SLOWLY);
    if ($rm == "OPTIONS") {
        usleep("26000");
    }
    sql_query("a", "select 1", "r");
}
route[SLOWLY] { usleep("27000"); }
""")
def test_slow(s: Scene) -> None:
    """What takes long is told."""
    s.mask(r"pid=\d+")
    alice = s.agent("alice")
    alice.request("OPTIONS")
    alice.expect(200)
    s.wait_log("request-route executed in: ")
    for action, line in re.findall(r"alert - action \[(.*?)\] cfg \[.*?:(\d+)\] took too long", s.server.log()):
        # an `if` is at its end for Kamailio, and where it begins here
        s.note(action if "(16)" in action else f"{action} at line {line}")


@room.case("route[bad] { exit; }")
def test_bad(s: Scene) -> None:
    """At which level is told what of a bad message."""
    alice = s.agent("alice")
    alice.send("OPTIONS sip:a SIP/2.0\r\nVia: x\r\n\r\n")
    s.wait_log("NOTICE: <core>")
    s.note("told")


turns = Room("route_locks", globals_="route_locks_size=8", children=3)


@turns.case("""
route[turns] {
    xlog("L_NOTICE", "$cs begins\\n");
    usleep("150000");
    xlog("L_NOTICE", "$cs ends\\n");
    sl_send_reply("200", "done");
    exit;
}
""")
def test_turns(s: Scene) -> None:
    """Messages of one call are worked on one after the other, by whatever process."""
    alice = s.agent("alice")
    alice.request("INFO", call_id="turns", cseq=1)
    s.wait_log("1 begins")
    alice.request("INFO", call_id="turns", cseq=2)
    for _ in range(2):
        alice.expect(200)


@turns.case("""
route[no_turns] {
    if ($rm == "INFO") {
        xlog("L_NOTICE", "waits\\n");
        $var(rounds) = 0;
        while ($shv(came) == 0 && $var(rounds) < 90) {
            usleep("50000");
            $var(rounds) = $var(rounds) + 1;
        }
    }
    $shv(came) = $shv(came) + 1;
    xlog("L_NOTICE", "number $shv(came) is $rm\\n");
    sl_send_reply("200", "done");
    exit;
}
""")
def test_no_turns(s: Scene) -> None:
    """Those of different calls are not."""
    alice = s.agent("alice")
    alice.request("INFO", call_id="other0")
    s.wait_log("waits")
    alice.request("MESSAGE", call_id="other1")
    alice.expect(200)
    alice.expect(200)
