"""Transactions: replies by the server, absorbed retransmissions, relayed requests of one branch."""

from __future__ import annotations

from kit.room import Room
from kit.scene import Scene, ask

room = Room("stateful", params='modparam("tm", "wt_timer", 1000)')


@room.case("""
route[newtran_reply] {
    xlog("L_NOTICE", "script runs\\n"); $var(r) = t_newtran(); xlog("L_NOTICE", "t_newtran $var(r)\\n");
    append_to_reply("X-Added: 1\\r\\n"); t_reply("404", "Not here"); xlog("L_NOTICE", "t_reply $rc\\n");
}
""")
def test_newtran_reply(s: Scene) -> None:
    ask(s, status=404)


@room.case(
    """
route[retransmitted] { xlog("L_NOTICE", "script runs\\n"); t_newtran(); xlog("L_NOTICE", "new\\n");
    t_reply("200", "once"); }
""",
    retransmissions=True,
)
def test_retransmitted(s: Scene) -> None:
    """A retransmission gets the same bytes again; the script runs up to t_newtran() only."""
    alice = s.agent("alice")
    sent = alice.request("MESSAGE")
    reply = alice.expect(200)
    alice.again(sent)
    alice.expect_repeated(reply)
    alice.again(sent)
    alice.expect_repeated(reply, 2)


@room.case(
    """
route[invite_reply] { t_newtran(); t_reply("480", "Nobody"); }
""",
    retransmissions=True,
    tolerance=0.25,
)
def test_invite_reply(s: Scene) -> None:
    """A negative final reply to INVITE is repeated until the ACK; the ACK is absorbed."""
    alice = s.agent("alice")
    invite = alice.request("INVITE")
    reply = alice.expect(480)
    alice.expect_repeated(reply, 1)
    alice.ack(invite, reply)
    alice.listen(1.2)


@room.case("""
route[provisional_first] {
    t_newtran(); t_reply("180", "Ringing"); t_reply("183", "Progress"); t_reply("200", "OK");
        t_reply("500", "too late");
    xlog("L_NOTICE", "last t_reply $rc\\n");
}
""")
def test_provisional_first(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("INVITE")
    alice.expect(200)


@room.case("""
route[forgotten] { t_newtran(); }
""")
def test_forgotten(s: Scene) -> None:
    """A transaction the script leaves alone gets no reply, only a warning."""
    s.agent("alice").request("MESSAGE")
    s.fence()
    s.note_log("script writer didn't release transaction")


@room.case("""
route[released] {
    t_newtran();
    if (t_is_set("failure_route")) xlog("L_NOTICE", "failure set\\n"); else xlog("L_NOTICE", "not set\\n");
    t_on_failure("NEVER"); if (t_is_set("failure_route")) xlog("L_NOTICE", "failure set\\n");
    t_release(); xlog("L_NOTICE", "$rc\\n"); sl_send_reply("200", "stateless");
}
failure_route[NEVER] { ; }
""")
def test_released(s: Scene) -> None:
    ask(s)


@room.case("""
route[send_reply_stateful] { t_newtran(); send_reply("486", "Busy"); xlog("L_NOTICE", "$rc\\n"); }
""")
def test_send_reply_stateful(s: Scene) -> None:
    ask(s, status=486)


@room.case("""
route[relayed] {
    if (is_method("INVITE")) { record_route(); }
    if (!t_relay()) { sl_reply_error(); }
    xlog("L_NOTICE", "t_relay $rc\\n");
}
""")
def test_relayed(s: Scene) -> None:
    """A call: INVITE, 180, 200, ACK and BYE with no routes taken."""
    alice, bob = s.agents("alice", "bob")
    alice.request("INVITE", bob, headers="Content-Type: application/sdp\nSupported: 100rel", body="v=0\r\n")
    alice.expect(100)
    invite = bob.expect("INVITE")
    bob.reply(invite, 100)
    bob.reply(invite, 180)
    alice.expect(180)
    bob.reply(invite, 200, headers="Content-Type: application/sdp", body="v=0\r\no=b\r\n")
    alice.expect(200)
    alice.request("ACK", bob, call_id=invite.call_id, to_tag="tag-bob")
    bob.expect("ACK")
    alice.request("BYE", bob, call_id=invite.call_id, to_tag="tag-bob", cseq=2)
    bob.reply(bob.expect("BYE"), 200)
    alice.expect(200, "BYE")


@room.case("""
route[busy] { t_relay(); }
""")
def test_busy(s: Scene) -> None:
    """The server ACKs the 486 itself and absorbs the caller's ACK."""
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    invite = bob.expect("INVITE")
    bob.reply(invite, 486, headers="X-Reason: in a meeting")
    bob.expect("ACK")
    busy = alice.expect(486)
    alice.ack(sent, busy)
    s.fence()


@room.case("route[relay_retransmitted] { t_relay(); }", retransmissions=True)
def test_relay_retransmitted(s: Scene) -> None:
    """Retransmissions of a relayed request: nothing yet, the last provisional, the final reply."""
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    trying = alice.expect(100)
    invite = bob.expect("INVITE")
    bob.reply(invite, 180)
    ringing = alice.expect(180)
    alice.again(sent)
    alice.expect_repeated(ringing)
    bob.reply(invite, 603)
    bob.expect("ACK")
    final = alice.expect(603)
    alice.again(sent)
    alice.expect_repeated(final)
    alice.ack(sent, final)
    bob.reply(invite, 603)
    s.fence()
    assert trying.status == 100


@room.case("route[unanswered] { t_relay(); }", retransmissions=True, tolerance=0.3)
def test_unanswered(s: Scene) -> None:
    """fr_timer without any reply: retransmissions and a local 408."""
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    alice.expect(408)
    bob.expect("MESSAGE")


@room.case("route[unanswered_invite] { t_relay(); }", retransmissions=True, tolerance=0.3)
def test_unanswered_invite(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    alice.ack(sent, alice.expect(408))
    bob.drain()


@room.case("route[only_ringing] { t_set_fr(700, 400); t_relay(); }", tolerance=0.3)
def test_only_ringing(s: Scene) -> None:
    """fr_inv_timer after a provisional: 408 for the caller, CANCEL for the one called."""
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    invite = bob.expect("INVITE")
    bob.reply(invite, 180)
    alice.expect(180)
    alice.ack(sent, alice.expect(408))
    cancel = bob.expect("CANCEL")
    bob.reply(cancel, 200)
    bob.reply(invite, 487)
    bob.expect("ACK")


@room.case("""
route[reply_seen] { t_on_reply("SEEN"); t_relay(); }
onreply_route[SEEN] {
    xlog("L_NOTICE", "$rs $rr $rm from $si:$sp T=$T_reply_code status $T(reply_code) branch $T_branch_idx\\n");
    if (status =~ "18[0-9]") { append_hf("X-Progress: $rs\\r\\n"); }
    if (t_check_status("200")) { append_hf("X-Final: yes\\r\\n"); }
    if ($hdr(X-Drop) == "1") { drop; }
}
""")
def test_reply_seen(s: Scene) -> None:
    """Provisional replies can be dropped here, final ones cannot."""
    alice, bob = s.agents("alice", "bob")
    alice.request("INVITE", bob)
    invite = bob.expect("INVITE")
    bob.reply(invite, 183, headers="X-Drop: 1")
    bob.reply(invite, 180)
    alice.expect(180)
    bob.reply(invite, 200, headers="X-Drop: 1")
    alice.expect(200)


@room.case("""
route[branch_edit] { t_on_branch("EACH"); append_hf("X-All: 1\\r\\n"); t_relay(); xlog("L_NOTICE", "main $ru\\n"); }
branch_route[EACH] {
    xlog("L_NOTICE", "branch $T_branch_idx $ru\\n"); append_hf("X-Branch: $T_branch_idx\\r\\n"); remove_hf("Subject");
    $ru = $ru + ";in=branch";
}
""")
def test_branch_edit(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob, headers="Subject: s")
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)


@room.case("""
route[branch_dropped] { t_on_branch("NO_BRANCH"); $var(r) = t_relay(); xlog("L_NOTICE", "t_relay $var(r)\\n"); }
branch_route[NO_BRANCH] { drop; }
""")
def test_branch_dropped(s: Scene) -> None:
    """All branches dropped: t_relay() fails and tm replies when the script ends."""
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    alice.listen(0.1)
    s.fence()
    bob.drain()


@room.case("""
route[relay_fails] {
    $ru = "sip:nowhere.invalid:5060;transport=tcp"; $du = $null;
    if (!t_relay()) { xlog("L_NOTICE", "failed $rc\\n"); t_reply("478", "Unresolvable"); }
}
""")
def test_relay_fails(s: Scene) -> None:
    ask(s, status=478)


@room.case("""
route[remapped_503] { t_relay(); }
""")
def test_remapped_503(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    bob.reply(bob.expect("MESSAGE"), 503, headers="Retry-After: 5\nX-Other: 1")
    alice.expect(500)


@room.case("""
route[challenged] { t_relay(); }
""")
def test_challenged(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    bob.reply(bob.expect("MESSAGE"), 401, headers='WWW-Authenticate: Digest realm="x", nonce="n"')
    alice.expect(401)


@room.case("""
route[lookups] {
    if (is_method("ACK|CANCEL")) { if (t_check_trans()) xlog("L_NOTICE", "$rm matches\\n");
        else xlog("L_NOTICE", "$rm alone $rc\\n"); exit; }
    if (t_check_trans()) { xlog("L_NOTICE", "known $rc\\n"); exit; }
    xlog("L_NOTICE", "new $rm rc=$rc\\n"); t_newtran();
    if (t_lookup_request()) xlog("L_NOTICE", "looked up\\n"); else xlog("L_NOTICE", "not looked up\\n");
    xlog("L_NOTICE", "index $T(id_index)\\n");
    if (is_method("INVITE")) { t_reply("180", "Ringing"); } else { t_reply("200", "OK"); }
}
""")
def test_lookups(s: Scene) -> None:
    alice = s.agent("alice")
    invite = alice.request("INVITE")
    alice.expect(180)
    alice.again(invite)
    s.fence()
    alice.cancel(invite)
    s.fence()
    alice.request("CANCEL", call_id="unknown")
    alice.request("ACK", call_id="unknown")
    alice.request("MESSAGE")
    alice.expect(200)


@room.case("""
route[transaction_avps] {
    $avp(a) = "set before relay"; $xavp(x=>y) = "x too"; $var(v) = "request"; setflag(5); t_on_reply("AVPS"); t_relay();
    $avp(late) = "after";
}
onreply_route[AVPS] {
    xlog("L_NOTICE", "$avp(a) [$xavp(x=>y)] late $avp(late)\\n"); if (isflagset(5)) xlog("L_NOTICE", "flag 5\\n");
    $avp(count) = $avp(count) + 1; xlog("L_NOTICE", "$avp(count) $(avp(count)[*])\\n");
}
""")
def test_transaction_avps(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("INVITE", bob)
    invite = bob.expect("INVITE")
    bob.reply(invite, 180)
    alice.expect(180)
    bob.reply(invite, 200)
    alice.expect(200)


@room.case(
    """
route[relay_to] { t_relay_to_udp("127.0.0.1", "9"); xlog("L_NOTICE", "$rc\\n"); }
"""
)
def test_relay_to(s: Scene) -> None:
    """A fixed destination nobody listens on: only what the caller sees."""
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    alice.expect(408)


@room.case("""
route[uri_and_destination] {
    $du = "sip:" + $hdr(X-Next); $ru = "sip:someone@elsewhere.test;user=phone"; t_relay();
}
""")
def test_uri_and_destination(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob, headers=f"X-Next: {bob.host}")
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)


@room.case("route[late_replies] { t_relay(); }")
def test_late_replies(s: Scene) -> None:
    """A second 200 to INVITE still goes on, a provisional after the final does not."""
    alice, bob = s.agents("alice", "bob")
    alice.request("INVITE", bob)
    invite = bob.expect("INVITE")
    bob.reply(invite, 200)
    alice.expect(200)
    bob.reply(invite, 180)
    bob.reply(invite, 200, headers="X-Again: 1")
    s.fence()


local = Room("local replies")


@local.case(
    """
route[local_reply_routes] { t_on_reply("LOCAL"); t_newtran(); t_reply("200", "OK"); }
onreply_route[LOCAL] { xlog("L_NOTICE", "must not run for local replies\\n"); }
event_route[tm:local-response] { xlog("L_NOTICE", "local response to $ci [$T_reply_code]\\n"); }
""",
    differs="real Kamailio 5.6.3 runs tm:local-response for the first local reply of a process only",
)
def test_local_reply_routes(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("MESSAGE")
    alice.expect(200)
    s.wait_log("local response to local_reply_routes-alice-1 [0]")
    alice.request("MESSAGE")
    alice.expect(200)
    if s.ours:
        s.wait_log("local response to local_reply_routes-alice-2 [0]")
    s.fence()
    s.server.settle()
    assert not s.server.log_contains("must not run", s._log_from)
