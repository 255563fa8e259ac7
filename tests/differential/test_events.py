"""Routes the server runs by itself: event routes, onsend_route, what the log gets, several receivers."""

from __future__ import annotations

from kit.room import Room
from kit.scene import Scene, ask

room = Room(
    "events",
    params='modparam("tm", "wt_timer", 1000)\nmodparam("sl", "bind_tm", 1)',
    cfg="""
onsend_route {
    if ($hdr(X-Onsend) == "log") { xlog("L_NOTICE", "sending $rm to $snd(ip):$snd(port) $snd(proto)\\n"); }
    if ($hdr(X-Onsend) == "drop") { drop; }
}
event_route[core:pre-routing] {
    if ($rU == "pre_routed") { xlog("L_NOTICE", "before routing $rm\\n"); if ($hdr(X-Pre) == "drop") { drop; } }
}
event_route[sl:local-response] { if ($rs == 282) { xlog("L_NOTICE", "sent $mt $rm $rs [$rU]\\n"); } }
event_route[sl:filtered-ack] { xlog("L_NOTICE", "filtered $rm of $ci\\n"); }
event_route[tm:local-request] { xlog("L_NOTICE", "local $rm $ru\\n"); append_hf("X-Local: added\\r\\n"); }
""",
)


@room.case('route[pre_routed] { xlog("L_NOTICE", "routing\\n"); sl_send_reply("200", "OK"); }')
def test_pre_routed(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("OPTIONS")
    alice.expect(200)
    alice.request("OPTIONS", headers="X-Pre: drop")


@room.case('route[local_response] { sl_send_reply("282", "OK"); xlog("L_NOTICE", "after\\n"); }')
def test_local_response(s: Scene) -> None:
    ask(s, status=282)


@room.case('route[filtered_ack] { xlog("L_NOTICE", "$rm\\n"); sl_send_reply("500", "No"); }')
def test_filtered_ack(s: Scene) -> None:
    alice = s.agent("alice")
    invite = alice.request("INVITE")
    alice.ack(invite, alice.expect(500))
    s.wait_log("filtered ACK")


@room.case('route[onsend] { $var(r) = t_relay(); xlog("L_NOTICE", "t_relay $var(r)\\n"); }')
def test_onsend(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob, headers="X-Onsend: log")
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)


@room.case("route[onsend_stateless] { forward(); }")
def test_onsend_stateless(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob, headers="X-Onsend: log")
    bob.expect("MESSAGE")
    alice.request("MESSAGE", bob, headers="X-Onsend: drop")


@room.case("""
route[levels] {
    xlog("plain\\n"); xlog("L_ALERT", "alert\\n"); xlog("L_BUG", "bug\\n"); xlog("L_CRIT", "crit\\n");
        xlog("L_ERR", "err\\n");
    xlog("L_WARN", "warn\\n"); xlog("L_NOTICE", "notice\\n"); xlog("L_INFO", "info\\n");
        xlog("L_DBG", "never seen\\n");
    xalert("xalert\\n"); xcrit("xcrit\\n"); xerr("xerr\\n"); xwarn("xwarn\\n"); xnotice("xnotice\\n");
        xinfo("xinfo\\n");
    xdbg("never seen\\n"); xlogl("L_NOTICE", "with line\\n"); log("core log\\n");
    $var(l) = 1; xlog("L_NOTICE", "percent %d %s 100% $$ $rm-$rU $(rU{s.len})x\\n");
    sl_send_reply("200", "OK");
}
""")
def test_levels(s: Scene) -> None:
    ask(s)


@room.case("""
route[from_the_script] {
    t_uac_send("OPTIONS", "$hdr(X-Target)", "", "",
        "From: <sip:me@example.test>\\r\\nTo: <sip:you@example.test>\\r\\nX-Mine: 1\\r\\n", "");
    xlog("L_NOTICE", "$rc\\n"); sl_send_reply("200", "OK");
}
""")
def test_from_the_script(s: Scene) -> None:
    """A request of the server's own."""
    alice, bob = s.agents("alice", "bob")
    s.mask(r"(Call-ID: |tag=|branch=)[^;\r\n]+")
    alice.request("MESSAGE", headers=f"X-Target: sip:bob@{bob.host}")
    alice.expect(200)
    bob.reply(bob.expect("OPTIONS"), 200)
    s.fence()


@room.case("""
route[reply_from_elsewhere] {
    if (is_method("OPTIONS")) { t_reply_callid("$hdr(X-Call)", "1", "486", "From another");
        xlog("L_NOTICE", "$rc\\n"); sl_send_reply("200", "OK"); exit; }
    t_newtran(); t_reply("180", "Ringing");
}
""")
def test_reply_from_elsewhere(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE")
    alice.expect(180)
    bob.request("OPTIONS", headers=f"X-Call: {sent.call_id}")
    bob.expect(200)
    alice.ack(sent, alice.expect(486))


@room.case("""
route[drop_replies] { t_on_failure("DROP_REPLIES"); t_relay(); }
failure_route[DROP_REPLIES] { t_drop_replies(); $ru = $hdr(X-Two); t_relay(); }
""")
def test_drop_replies(s: Scene) -> None:
    """A better reply of an earlier branch that was dropped does not come back."""
    alice, bob, carol = s.agents("alice", "bob", "carol")
    alice.request("MESSAGE", bob, headers=f"X-Two: sip:two@{carol.host}")
    bob.reply(bob.expect("MESSAGE"), 401, headers='WWW-Authenticate: Digest realm="x", nonce="n"')
    carol.reply(carol.expect("MESSAGE"), 500)
    alice.expect(500)


@room.case("""
route[reply_in_reply_route] { t_on_reply("REPLY_IN_REPLY"); t_relay(); }
onreply_route[REPLY_IN_REPLY] { if (status == "183") { $var(r) = send_reply("481", "Own reply");
    xlog("L_NOTICE", "$var(r)\\n"); } }
""")
def test_reply_in_reply_route(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("INVITE", bob)
    invite = bob.expect("INVITE")
    bob.reply(invite, 183)
    s.fence()
    bob.reply(invite, 200)
    alice.listen(0.1)


@room.case("""
route[on_expiry] { t_set_max_lifetime("400", "400"); t_relay(); }
""", tolerance=0.3)  # fmt: skip
def test_on_expiry(s: Scene) -> None:
    """max_lifetime shortens whatever timer is running."""
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    bob.expect("MESSAGE")
    alice.expect(408)


@room.case("""
route[retransmission_timers] { t_set_retr("200", "400"); t_set_fr("0", "1300"); t_relay(); }
""", retransmissions=True, tolerance=0.3)  # fmt: skip
def test_retransmission_timers(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    alice.expect(408)
    bob.drain()


parallel = Room("several receivers", children=3, params='modparam("htable", "htable", "n=>size=4;initval=0;")')


@parallel.case("""
route[counted] { $var(x) = $shtinc(n=>total); t_newtran(); t_reply("200", "OK"); }
route[TOTAL] { xlog("L_NOTICE", "total $sht(n=>total)\\n"); }
""")
def test_counted(s: Scene) -> None:
    """Three receivers, thirty requests at once: each is answered once, nothing is lost in the table."""
    alice = s.agent("alice")
    for _ in range(30):
        alice.request("MESSAGE")
    for _ in range(30):
        alice.expect(200)
    s.mask(r"counted-alice-\d+")
    s.mask(r"<tm-tag \d+>")


@parallel.case("""
route[calls_at_once] { t_on_failure("AT_ONCE"); t_relay(); }
failure_route[AT_ONCE] { $ru = $hdr(X-Two); t_relay(); }
""")
def test_calls_at_once(s: Scene) -> None:
    alice, bob, carol = s.agents("alice", "bob", "carol")
    sent = [alice.request("MESSAGE", bob, headers=f"X-Two: sip:two@{carol.host}") for _ in range(10)]
    for _ in sent:
        bob.reply(bob.expect("MESSAGE"), 486)
    for _ in sent:
        carol.reply(carol.expect("MESSAGE"), 200)
    for _ in sent:
        alice.expect(200)
    s.mask(r"calls_at_once-alice-\d+")
    s.mask(r"z9hG4bK[^;\r\n]+")
