"""SIP over TCP: framing, connections and what is sent over which."""

from __future__ import annotations

import time

from kit.agent import Agent
from kit.calls import answer, give_up, hang_up, within
from kit.room import Room
from kit.scene import Scene
from kit.sip import Sip
from kit.stream_agent import StreamAgent

room = Room(
    "tcp",
    listen=("tcp:127.0.0.1",),
    globals_="tcp_children=1\ntcp_connection_lifetime=60\nudp_mtu=1200\nudp_mtu_try_proto=TCP\ntcp_crlf_ping=yes",
    modules="tcpops",
    first="if (has_totag()) { loose_route(); t_relay(); exit; }",
    cfg="""
onreply_route {
    if ($hdr(X-Log) != $null) { xlog("L_NOTICE", "reply $rs $pr\\n"); }
    if ($hdr(X-Fail) != $null) { return -1; }
}
""",
)


def ok(name: str) -> str:
    """A route that says 200."""
    return f'route[{name}] {{ sl_send_reply("200", "OK"); }}'


def still_open(alice: StreamAgent, method: str = "INFO") -> None:
    """Show that the server goes on with the connection."""
    alice.request(method)
    alice.expect(200)


def pieces(alice: StreamAgent, text: str, size: int) -> None:
    data = text.encode("latin-1")
    for at in range(0, len(data), size):
        alice.raw(data[at : at + size])
        time.sleep(0.01)


@room.case("""
route[plain] { xlog("L_NOTICE", "$rm $pr $si:$sp to $Ri:$Rp $(rb{s.len}) $su $sas $prid $proto\\n");
    sl_send_reply("200", "OK"); }
""")
def test_plain(s: Scene) -> None:
    """One request; its reply over the same connection; rport and received."""
    alice = s.stream("alice")
    alice.request("OPTIONS")
    alice.expect(200)
    alice.request("OPTIONS", via_params=";rport")
    alice.expect(200)
    alice.request("OPTIONS", via_params=";received=9.9.9.9", body="text")
    alice.expect(200)
    text = alice.request("OPTIONS", send=False).text
    alice.send(text.replace(f"127.0.0.1:{alice.port};branch", "elsewhere.test:9;branch"))
    alice.expect(200)


@room.case(ok("several_in_one_segment"))
def test_several_in_one_segment(s: Scene) -> None:
    alice = s.stream("alice")
    texts = [alice.request(method, body="x" * n, send=False).text for n, method in
             enumerate(("OPTIONS", "INFO", "MESSAGE"))]  # fmt: skip
    alice.send("".join(texts))
    for method in ("OPTIONS", "INFO", "MESSAGE"):
        alice.expect(200, method)


@room.case(ok("one_in_many_segments"))
def test_one_in_many_segments(s: Scene) -> None:
    alice = s.stream("alice")
    pieces(alice, alice.request("INFO", body="some text\r\n\r\nmore", send=False).text, 37)
    alice.expect(200)
    one, two = (alice.request("INFO", body="body", send=False).text for _ in range(2))
    cut = len(one) - 2
    alice.send(one[:cut])
    time.sleep(0.05)
    alice.send(one[cut:] + two[:20])
    alice.expect(200)
    alice.send(two[20:])
    alice.expect(200)


@room.case(ok("keepalives"))
def test_keepalives(s: Scene) -> None:
    """Two empty lines are answered with one, wherever they come between messages; single ones are not."""
    alice = s.stream("alice")
    alice.raw(b"\r\n\r\n")
    alice.expect_pong()
    alice.raw(b"\r\n")
    still_open(alice)
    alice.raw(b"\r\n\r\n\r\n\r\n")
    alice.expect_pong()
    alice.expect_pong()
    alice.send("\r\n" + alice.request("INFO", send=False).text)
    alice.expect(200)
    alice.send("\r\n\r\n" + alice.request("INFO", send=False).text + "\r\n\r\n")
    alice.expect_pong()
    alice.expect(200)
    alice.expect_pong()
    alice.raw(b"\r\n\r")
    time.sleep(0.05)
    alice.raw(b"\n")
    alice.expect_pong()
    alice.raw(b"\n\n  \0\0")
    still_open(alice)


def framed(alice: StreamAgent, old: str, new: str, body: str = "") -> None:
    text = alice.request("OPTIONS", body=body, send=False).text
    assert old in text
    alice.send(text.replace(old, new))


@room.case(ok("length_spellings"))
def test_length_spellings(s: Scene) -> None:
    """How Content-Length may be written."""
    alice = s.stream("alice")
    for spelling in ("l: 4", "L : 4", "CONTENT-LENGTH:4", "Content-Length:\t4  "):
        framed(alice, "Content-Length: 4", spelling, "abcd")
        alice.expect(200)
    text = alice.request("OPTIONS", body="abcd", send=False).text
    alice.send(text.replace("\r\n", "\n"))
    alice.expect(200)


def refusal(name: str, old: str, new: str, body: str = "") -> None:
    """A case that shows that the server closes the connection; the next one works."""

    def steps(s: Scene) -> None:
        alice = s.stream("alice")
        framed(alice, old, new, body)
        alice.expect_closed()
        still_open(alice)

    steps.__name__ = name
    globals()[name] = room.case(ok(name.removeprefix("test_")))(steps)


refusal("test_no_length", "Content-Length: 0\r\n", "")
refusal("test_length_of_letters", "Content-Length: 0", "Content-Length: abc")
refusal("test_length_below_zero", "Content-Length: 0", "Content-Length: -1")
refusal("test_length_folded", "Content-Length: 0", "Content-Length:\r\n 0")
refusal("test_first_line_of_nothing", "OPTIONS sip:", "hello")
refusal("test_no_from", "From:", "X-From:")
refusal("test_no_via", "Via:", "X-Via:")
refusal("test_bad_header", "Max-Forwards: 70", "nonsense")
refusal("test_too_long", "Max-Forwards: 70", "X: " + "y" * 20000)


@room.case(ok("not_sip"))
def test_not_sip(s: Scene) -> None:
    """Another protocol is passed over, the connection stays."""
    alice = s.stream("alice")
    framed(alice, "SIP/2.0\r\nVia", "SIP/3.0\r\nVia")
    alice.raw(b"GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    still_open(alice)


@room.case("""
route[script_end] {
    if ($hdr(X-End) == "drop") { drop; }
    if ($hdr(X-End) == "negative") { exit -1; }
    if ($hdr(X-End) == "exit") { exit; }
    sl_send_reply("200", "OK");
}
""")
def test_script_end(s: Scene) -> None:
    """A route that fails ends the connection, one that drops does not."""
    alice = s.stream("alice")
    alice.request("OPTIONS", headers="X-End: drop")
    alice.request("OPTIONS", headers="X-End: exit")
    still_open(alice)
    alice.request("OPTIONS", headers="X-End: negative")
    alice.expect_closed()


@room.case("""
route[reply_flags] {
    if ($hdr(X-Way) == "close") { set_reply_close(); }
    if ($hdr(X-Way) == "mode") { send_reply_mode("200", "OK", "4"); exit; }
    if ($hdr(X-Way) == "documented") { send_reply_mode("200", "OK", "2"); exit; }
    if ($hdr(X-Way) == "state") { set_reply_close(); t_newtran(); t_reply("200", "OK"); exit; }
    if ($hdr(X-Way) == "none") { set_reply_no_connect(); }
    sl_send_reply("200", "OK");
}
""")
def test_reply_flags(s: Scene) -> None:
    alice = s.stream("alice")
    for way in ("none", "documented", "close", "mode", "state"):
        alice.request("INFO", headers=f"X-Way: {way}")
        alice.expect(200)
        if way not in ("none", "documented"):
            alice.expect_closed()


CALL = """
route[{0}] {{
    record_route();
    if (is_method("INVITE")) {{ t_on_reply("{0}"); }}
    t_relay();
}}
onreply_route[{0}] {{ xlog("L_NOTICE", "$rs of $rm over $pr\\n"); }}
"""


def call(alice: Agent, bob: Agent) -> None:
    """A whole call; within it both ends send."""
    sent = alice.request("INVITE", bob, body="v=0\r\n")
    alice.expect(100)
    received, final = answer(alice, bob, sent, body="v=0\r\n")
    within(bob, alice, "INFO", received, final, cseq=7)
    hang_up(alice, bob, sent, final)


@room.case(CALL.format("call_over_tcp"))
def test_call_over_tcp(s: Scene) -> None:
    call(*s.streams("alice", "bob"))


@room.case(CALL.format("call_tcp_to_udp"))
def test_call_tcp_to_udp(s: Scene) -> None:
    """Two Record-Routes; replies over the connection of the INVITE; a request to the caller opens one of its own."""
    call(s.stream("alice"), s.agent("bob"))


@room.case(CALL.format("call_udp_to_tcp"))
def test_call_udp_to_tcp(s: Scene) -> None:
    call(s.agent("alice"), s.stream("bob"))


@room.case(CALL.format("canceled_tcp"))
def test_canceled_tcp(s: Scene) -> None:
    alice, bob = s.streams("alice", "bob")
    give_up(alice, bob, alice.request("INVITE", bob))


@room.case("""
route[busy_tcp] { t_on_failure("busy_tcp"); t_relay(); }
failure_route[busy_tcp] { xlog("L_NOTICE", "failed with $T_reply_code over $pr\\n"); }
""")
def test_busy_tcp(s: Scene) -> None:
    alice, bob = s.streams("alice", "bob")
    answer(alice, bob, alice.request("INVITE", bob), 486, rings=False)


@room.case(
    """
route[no_repetition] { t_relay(); }
""",
    retransmissions=True,
)
def test_no_repetition(s: Scene) -> None:
    """Nothing is sent twice over TCP; the transaction ends by its timer."""
    alice, bob = s.streams("alice", "bob")
    alice.request("MESSAGE", bob)
    bob.expect("MESSAGE")
    alice.expect(408)


@room.case("""
route[refused] { t_relay(); xlog("L_NOTICE", "relayed $rc\\n"); }
""")
def test_refused(s: Scene) -> None:
    """Nobody listens there."""
    alice, bob = s.streams("alice", "bob")
    bob.stop_listening()
    alice.request("MESSAGE", bob)
    alice.expect(477)
    carol = s.agent("carol")
    carol.request("MESSAGE", bob)
    carol.expect(477)


@room.case("""
route[refused_stateless] { forward(); xlog("L_NOTICE", "forwarded $rc\\n"); sl_send_reply("500", "No"); }
""")
def test_refused_stateless(s: Scene) -> None:
    alice, bob = s.streams("alice", "bob")
    bob.stop_listening()
    alice.request("MESSAGE", bob)
    alice.expect(500)


@room.case("""
route[forwarded_tcp] { if ($hdr(X-Rport) != $null) { add_local_rport(); } forward(); }
""")
def test_forwarded_tcp(s: Scene) -> None:
    """Stateless: replies find the connection by what our Via says of it."""
    s.mask(r";i=[0-9a-f]+")
    alice, bob, carol = s.stream("alice"), s.agent("bob"), s.stream("carol")
    alice.request("MESSAGE", bob, headers="X-Rport: 1")
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)
    alice.request("MESSAGE", carol)
    carol.reply(carol.expect("MESSAGE"), 202)
    alice.expect(202)
    bob.request("MESSAGE", carol)
    carol.reply(carol.expect("MESSAGE"), 200)
    bob.expect(200)


@room.case("""
route[reuse] { t_relay(); }
""")
def test_reuse(s: Scene) -> None:
    """A second request takes the connection that is there; one to the port a connection came from goes back on it."""
    alice, bob, carol = s.streams("alice", "bob", "carol")
    for sender in (alice, carol, alice):
        sender.request("MESSAGE", bob)
        bob.reply(bob.expect("MESSAGE"), 200)
        sender.expect(200)
    assert alice.own is not None
    carol.request("MESSAGE", uri=f"sip:reuse@127.0.0.1:{alice.own.port};transport=tcp")
    alice.reply(alice.expect("MESSAGE"), 200)
    carol.expect(200)


@room.case("""
route[alias_kept] { if (is_method("REGISTER")) { force_tcp_alias(); sl_send_reply("200", "OK"); exit; } t_relay(); }
""")
def test_alias_kept(s: Scene) -> None:
    """With force_tcp_alias() requests for the port in Via take the connection."""
    alice, bob = s.streams("alice", "bob")
    bob.request("MESSAGE", alice)
    alice.reply(alice.expect("MESSAGE"), 200)
    bob.expect(200)
    dave = s.stream("dave")
    dave.request("REGISTER")
    dave.expect(200)
    bob.request("MESSAGE", dave)
    dave.reply(dave.expect("MESSAGE"), 200)
    bob.expect(200)


@room.case("""
route[gone] { t_relay(); }
""")
def test_gone(s: Scene) -> None:
    """The connection of the request has ended: the reply opens one to where Via says."""
    alice, bob = s.stream("alice"), s.agent("bob")
    alice.request("MESSAGE", bob)
    got = bob.expect("MESSAGE")
    alice.hang_up()
    s.server.settle()
    bob.reply(got, 200)
    alice.expect(200)


@room.case("""
route[gone_no_connect] { set_reply_no_connect(); t_relay(); }
""")
def test_gone_no_connect(s: Scene) -> None:
    alice, bob = s.stream("alice"), s.agent("bob")
    alice.request("MESSAGE", bob)
    got = bob.expect("MESSAGE")
    alice.hang_up()
    s.server.settle()
    bob.reply(got, 200)
    alice.listen(0.3)


@room.case("""
route[forward_flags] {
    if ($hdr(X-Way) == "none") { set_forward_no_connect(); }
    if ($hdr(X-Way) == "close") { set_forward_close(); }
    t_relay();
}
""")
def test_forward_flags(s: Scene) -> None:
    alice, bob = s.streams("alice", "bob")
    alice.request("MESSAGE", bob, headers="X-Way: none")
    alice.expect(477)
    alice.request("MESSAGE", bob, headers="X-Way: close")
    bob.expect("MESSAGE")
    bob.expect_closed()


@room.case("""
route[big] { if ($hdr(X-Way) == "stateless") { forward(); exit; } record_route(); t_relay(); }
""")
def test_big(s: Scene) -> None:
    """A request too big for UDP goes over TCP to the same port."""
    alice, bob = s.agent("alice"), s.stream("bob")
    for way in ("state", "stateless"):
        alice.request("MESSAGE", uri=f"sip:big@{bob.host}", body="x" * 1100, headers=f"X-Way: {way}")
        got = bob.expect("MESSAGE")
        bob.reply(got, 200)
        alice.expect(200)
    carol = s.agent("carol")
    alice.request("MESSAGE", carol, body="x" * 500)
    carol.expect("MESSAGE")


@room.case("""
route[no_length_udp] { t_relay(); }
""")
def test_no_length_udp(s: Scene) -> None:
    """What comes over UDP without Content-Length gets one on its way to TCP, in both directions."""
    alice, bob = s.agent("alice"), s.stream("bob")
    text = alice.request("MESSAGE", bob, body="text", send=False).text
    alice.send(text.replace("Content-Length: 4\r\n", ""))
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)
    carol = s.stream("carol")
    carol.request("MESSAGE", alice)
    got = alice.expect("MESSAGE")
    reply = alice.reply(Sip(got.text, ("127.0.0.1", alice.port)), 200, body="abc").text
    alice.send(reply.replace("Content-Length: 3\r\n", ""))
    carol.expect(200)


@room.case(
    """
route[async_tcp] { t_newtran(); $avp(x) = $pr; t_suspend_here(); }
""".replace("t_suspend_here();", 't_reply("200", "$avp(x)");')
)
def test_async_tcp(s: Scene) -> None:
    alice = s.stream("alice")
    request = alice.request("MESSAGE")
    alice.expect(200)
    alice.again(request)
    alice.listen(0.2)


@room.case("""
route[stray_replies] { sl_send_reply("200", "OK"); }
""")
def test_stray_replies(s: Scene) -> None:
    """Replies that belong to nobody do not end the connection, one that fails in its route does."""
    alice = s.stream("alice")
    lines = [
        "Via: SIP/2.0/TCP " + s.host,
        "From: <sip:a@b>;tag=1",
        "To: <sip:a@b>;tag=2",
        "Call-ID: stray",
        "CSeq: 1 INFO",
    ]
    head = "\r\n".join(["SIP/2.0 200 OK", *lines])
    alice.send(head + "\r\nX-Log: 1\r\nContent-Length: 0\r\n\r\n")
    still_open(alice)
    alice.send(head + "\r\nX-Log: 1\r\nX-Fail: 1\r\nContent-Length: 0\r\n\r\n")
    alice.expect_closed()


# -- tcpops


@room.case("""
route[tcpops_state] {
    $var(a) = tcp_conid_state("$conid"); $var(b) = tcp_conid_alive("$conid");
    $var(c) = tcp_conid_state("99999"); $var(d) = tcp_conid_alive("99999");
    xlog("L_NOTICE", "$var(a) $var(b) $var(c) $var(d) <$tcp(c_si)> <$tcp(c_sp)>\\n");
    $var(a) = tcp_get_conid("$si:$sp", "$var(x)"); $var(b) = tcp_get_conid("127.0.0.1:1", "$var(y)");
    if ($var(x) == $conid) { xlog("L_NOTICE", "found itself\\n"); }
    xlog("L_NOTICE", "$var(a) $var(b) $var(y)\\n");
    $var(a) = tcp_keepalive_enable("30", "3", "5"); $var(b) = tcp_keepalive_disable();
    $var(c) = tcp_keepalive_enable("99999", "30", "3", "5"); $var(d) = tcp_keepalive_disable("99999");
    xlog("L_NOTICE", "$var(a) $var(b) $var(c) $var(d)\\n");
    $var(a) = tcp_close_connection("99999");
    $var(b) = tcp_set_connection_lifetime("30");
    xlog("L_NOTICE", "$var(a) $var(b)\\n");
    sl_send_reply("200", "OK");
}
""")
def test_tcpops_state(s: Scene) -> None:
    alice = s.stream("alice")
    alice.request("OPTIONS")
    alice.expect(200)


@room.case("""
route[tcpops_udp] {
    $var(a) = tcp_keepalive_enable("30", "3", "5"); $var(b) = tcp_keepalive_disable();
    $var(c) = tcp_close_connection();
    xlog("L_NOTICE", "$var(a) $var(b) $var(c) <$tcp(c_si)> <$tcp(conid)> <$conid>\\n");
    sl_send_reply("200", "OK");
}
""")
def test_tcpops_udp(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("OPTIONS")
    alice.expect(200)


@room.case("""
route[tcpops_close] { sl_send_reply("200", "OK"); $var(r) = tcp_close_connection(); xlog("L_NOTICE", "$var(r)\\n"); }
""")
def test_tcpops_close(s: Scene) -> None:
    alice = s.stream("alice")
    alice.request("OPTIONS")
    alice.expect(200)
    alice.expect_closed()


events = Room(
    "tcp_events",
    listen=("tcp:127.0.0.1",),
    globals_="tcp_children=1",
    modules="tcpops",
    cfg="""
event_route[tcp:closed] { xlog("L_NOTICE", "closed $proto <$conid> $si:$sp $Ri:$Rp $rm\\n"); }
event_route[tcp:reset] { xlog("L_NOTICE", "reset $proto <$conid> $si:$sp\\n"); }
""",
)


@events.case("""
route[ends] { if ($hdr(X-End) == "negative") { exit -1; } sl_send_reply("200", "OK"); }
""")
def test_ends(s: Scene) -> None:
    """The ends of connections as events: by the client, by a reset, by nonsense, by the route."""
    alice = s.stream("alice")
    alice.request("OPTIONS")
    alice.expect(200)
    alice.hang_up()
    s.wait_log("closed tcp")
    alice.request("OPTIONS")
    alice.expect(200)
    alice.hang_up(reset=True)
    s.wait_log("reset tcp")
    alice.raw(b"nonsense\r\n\r\n")
    alice.expect_closed()
    alice.request("OPTIONS", headers="X-End: negative")
    alice.expect_closed()


manual = Room(
    "tcp_events_manual",
    listen=("tcp:127.0.0.1",),
    globals_="tcp_children=1",
    modules="tcpops",
    params='modparam("tcpops", "closed_event", 2)',
    cfg="""
event_route[tcp:closed] { xlog("L_NOTICE", "closed $si:$sp\\n"); }
""",
)


@manual.case("""
route[chosen] {
    if ($hdr(X-Event) != $null) { $var(r) = tcp_enable_closed_event(); xlog("L_NOTICE", "$var(r)\\n"); }
    sl_send_reply("200", "OK");
}
""")
def test_chosen(s: Scene) -> None:
    """With closed_event 2 only those that the script has chosen."""
    alice, bob = s.streams("alice", "bob")
    alice.request("OPTIONS")
    alice.expect(200)
    alice.hang_up()
    bob.request("OPTIONS", headers="X-Event: 1")
    bob.expect(200)
    bob.hang_up()
    s.wait_log("closed 127")


counted = Room("tcp_counted", listen=("tcp:127.0.0.1",), globals_="tcp_children=1")
COUNTERS = [
    "established",
    "passive_open",
    "connect_success",
    "connect_failed",
    "con_reset",
    "current_opened_connections",
]


@counted.case(
    'route[counters] { if (is_method("MESSAGE")) { forward(); exit; }'
    + "".join(f'xlog("L_NOTICE", "{name} $stat({name})\\n");' for name in COUNTERS)
    + ' sl_send_reply("200", "OK"); }'
)
def test_counters(s: Scene) -> None:
    """The statistics of the group tcp after connections in, out, refused and reset."""
    alice, bob, nobody = s.streams("alice", "bob", "nobody")
    alice.request("OPTIONS")
    alice.expect(200)
    alice.request("MESSAGE", bob)
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)
    nobody.stop_listening()
    alice.request("MESSAGE", nobody)
    carol = s.stream("carol")
    carol.request("OPTIONS")
    carol.expect(200)
    carol.hang_up(reset=True)
    s.server.settle()
    alice.request("OPTIONS")
    alice.expect(200)


aliases = Room("tcp_aliases", listen=("tcp:127.0.0.1",), globals_="tcp_children=1\ntcp_accept_aliases=yes")


@aliases.case("""
route[named] { if (is_method("REGISTER")) { sl_send_reply("200", "OK"); exit; } t_relay(); }
""")
def test_named(s: Scene) -> None:
    """Via's alias: requests for its port take the connection; without it they open one."""
    alice, bob, carol = s.streams("alice", "bob", "carol")
    bob.request("REGISTER", via_params=";alias")
    bob.expect(200)
    carol.request("REGISTER")
    carol.expect(200)
    for called in (bob, carol):
        alice.request("MESSAGE", called)
        called.reply(called.expect("MESSAGE"), 200)
        alice.expect(200)


@room.case("""
route[otcpid] {
    switch ($hdr(X-Do)) {
        case "keep": $shv(conid) = $conid; sl_send_reply("200", "OK"); exit;
        case "set": tcp_set_otcpid("$shv(conid)"); xlog("L_NOTICE", "$rc\\n"); break;
        case "gone": tcp_set_otcpid("99999"); xlog("L_NOTICE", "$rc\\n"); break;
    }
    if ($hdr(X-Flag) != $null) { tcp_set_otcpid_flag("$(hdr(X-Flag){s.int})"); xlog("L_NOTICE", "$rc\\n"); }
    $du = "sip:127.0.0.1:" + $hdr(X-Port) + ";transport=tcp";
    if ($rm == "INFO") { forward(); exit; }
    t_on_failure("OTCPID");
    if (!t_relay()) { sl_reply_error(); }
}
failure_route[OTCPID] { xlog("L_NOTICE", "failed $T_reply_code\\n"); }
""")
def test_otcpid(s: Scene) -> None:
    """t_relay() sends over the connection that the script chose, if its flag is set; forward() does not."""
    alice, bob, carol = s.streams("alice", "bob", "carol")
    bob.request("OPTIONS", headers="X-Do: keep")
    bob.expect(200)
    for method, do, flag in (
        ("MESSAGE", "set", "X-Flag: 1"), ("MESSAGE", "set", ""), ("MESSAGE", "set", "X-Flag: 0"),
        ("MESSAGE", "gone", "X-Flag: 1"), ("INFO", "set", "X-Flag: 1"),
    ):  # fmt: skip
        alice.request(method, headers=f"X-Do: {do}\nX-Port: {carol.port}\n{flag}")
        end = bob if method == "MESSAGE" and do == "set" and flag.endswith("1") else carol
        end.reply(end.expect(method), 200)
        alice.expect(200, method)
    alice.request("INVITE", headers=f"X-Do: set\nX-Port: {carol.port}\nX-Flag: 1")
    bob.reply(bob.expect("INVITE"), 486)
    bob.expect("ACK")
    alice.expect(486)


balanced = Room(
    "balanced",
    listen=("tcp:127.0.0.1",),
    globals_="tcp_children=1\ntcp_accept_haproxy=yes\ntcp_wait_data=600",
    last='sl_send_reply("200", "done");',
)
VERSION_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\x09\x08\x07\x0a\x01\x01\x01\x15\xb4\x13\xc4"


@balanced.case('route[header] { if ($si =~ "^127") xlog("L_NOTICE", "its own\\n"); else xlog("L_NOTICE", "$si\\n"); }')
def test_header(s: Scene) -> None:
    """Who is at the other end of a load balancer; a connection that says nothing ends."""
    for number, header in enumerate((
        b"PROXY TCP4 10.9.8.7 10.1.1.1 5555 5060\r\n", b"PROXY TCP6 2001:db8::1 2001:db8::2 5555 5060\r\n",
        b"PROXY UNKNOWN\r\n", b"", VERSION_2,
    )):  # fmt: skip
        alice = s.stream(f"alice{number}")
        alice.connect().socket.sendall(header)
        for _ in range(2):
            alice.request("INFO")
            alice.expect(200)
    bob = s.stream("bob")
    silent = bob.connect().socket
    silent.settimeout(5)
    s.note(f"{silent.recv(10)!r}")
