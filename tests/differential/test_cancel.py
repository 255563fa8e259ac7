"""CANCEL: with and without provisional replies, unmatched, late, and what happens to failure routes."""

from __future__ import annotations

from kit.calls import give_up, ring
from kit.room import Room
from kit.scene import Scene

room = Room("cancel", params='modparam("tm", "wt_timer", 1000)')

RELAY = """
route[{name}] {{
    if (is_method("CANCEL")) {{
        if (t_check_trans()) {{ xlog("L_NOTICE", "CANCEL matches\\n"); }} else {{
            xlog("L_NOTICE", "CANCEL alone\\n"); }}
        t_relay(); xlog("L_NOTICE", "t_relay $rc\\n"); exit;
    }}
    {before} t_relay();
}}
"""


@room.case(RELAY.format(name="after_ringing", before=""))
def test_after_ringing(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    give_up(alice, bob, alice.request("INVITE", bob), 'Reason: Q.850;cause=16;text="done"')


@room.case(RELAY.format(name="before_any_reply", before=""), tolerance=0.4)
def test_before_any_reply(s: Scene) -> None:
    """The CANCEL waits for a provisional reply."""
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    invite = bob.expect("INVITE")
    alice.cancel(sent)
    alice.expect(200, "CANCEL")
    bob.reply(invite, 100)
    bob.reply(bob.expect("CANCEL"), 200)
    bob.reply(invite, 487)
    bob.expect("ACK")
    alice.ack(sent, alice.expect(487))


@room.case(RELAY.format(name="never_a_reply", before=""), tolerance=0.4)
def test_never_a_reply(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    bob.expect("INVITE")
    alice.cancel(sent)
    alice.expect(200, "CANCEL")
    alice.ack(sent, alice.expect(487))


@room.case(RELAY.format(name="unmatched", before=""))
def test_unmatched(s: Scene) -> None:
    """A CANCEL for nothing known is relayed as any request is."""
    alice, bob = s.agents("alice", "bob")
    alice.request("CANCEL", bob)
    bob.reply(bob.expect("CANCEL"), 481, "No Such Call")
    alice.expect(481)


@room.case(RELAY.format(name="after_the_answer", before=""))
def test_after_the_answer(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    invite = bob.expect("INVITE")
    bob.reply(invite, 200)
    alice.expect(200)
    alice.cancel(sent)
    alice.expect(200, "CANCEL")


@room.case(RELAY.format(name="crossing_answer", before=""))
def test_crossing_answer(s: Scene) -> None:
    """The one called answers while the CANCEL is under way: the 200 goes through."""
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    invite = ring(alice, bob)
    alice.cancel(sent)
    cancel = bob.expect("CANCEL")
    alice.expect(200, "CANCEL")
    bob.reply(invite, 200)
    alice.expect(200, "INVITE")
    bob.reply(cancel, 200)


@room.case(RELAY.format(name="cancel_repeated", before=""), retransmissions=True)
def test_cancel_repeated(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    invite = ring(alice, bob)
    cancel = alice.cancel(sent)
    bob.reply(bob.expect("CANCEL"), 200)
    answer = alice.expect(200, "CANCEL")
    alice.again(cancel)
    alice.expect_repeated(answer)
    bob.reply(invite, 487)
    bob.expect("ACK")
    alice.ack(sent, alice.expect(487))


@room.case(RELAY.format(name="cancelled_forks", before='append_branch("$hdr(X-Two)");'))
def test_cancelled_forks(s: Scene) -> None:
    """Two branches, one ringing, one silent."""
    alice, bob, carol = s.agents("alice", "bob", "carol")
    sent = alice.request("INVITE", bob, headers=f"X-Two: sip:two@{carol.host}")
    to_bob, to_carol = bob.expect("INVITE"), carol.expect("INVITE")
    bob.reply(to_bob, 180)
    alice.expect(180)
    alice.cancel(sent)
    alice.expect(200, "CANCEL")
    bob.reply(bob.expect("CANCEL"), 200)
    bob.reply(to_bob, 487)
    bob.expect("ACK")
    carol.reply(to_carol, 183)
    carol.reply(carol.expect("CANCEL"), 200)
    carol.reply(to_carol, 487)
    carol.expect("ACK")
    alice.ack(sent, alice.expect(487))


@room.case(
    RELAY.format(name="cancelled_failure", before='t_on_failure("CANCELLED"); t_on_reply("CANCEL_REPLY");')
    + """
failure_route[CANCELLED] {
    if (t_is_canceled()) { xlog("L_NOTICE", "cancelled, $T_reply_code\\n"); } else {
        xlog("L_NOTICE", "not cancelled\\n"); }
    $ru = $hdr(X-Two); $var(r) = t_relay(); xlog("L_NOTICE", "relay after CANCEL: $var(r)\\n");
}
onreply_route[CANCEL_REPLY] { xlog("L_NOTICE", "$rs $rm\\n"); }
"""
)
def test_cancelled_failure(s: Scene) -> None:
    """The failure route runs for the 487, but no new branch starts any more."""
    alice, bob, carol = s.agents("alice", "bob", "carol")
    give_up(alice, bob, alice.request("INVITE", bob, headers=f"X-Two: sip:two@{carol.host}"))


@room.case("""
route[cancel_newtran] {
    if (is_method("CANCEL")) { if (!t_relay_cancel()) { xlog("L_NOTICE", "t_relay_cancel $rc\\n"); }
        xlog("L_NOTICE", "after $rc\\n"); exit; }
    t_newtran(); t_reply("180", "Ringing");
}
""")
def test_cancel_newtran(s: Scene) -> None:
    """CANCEL of an INVITE the script answers itself, without branches."""
    alice = s.agent("alice")
    sent = alice.request("INVITE")
    alice.expect(180)
    alice.cancel(sent)
    alice.expect(200, "CANCEL")
    alice.ack(sent, alice.expect(487))


@room.case("""
route[cancel_from_script] {
    if (is_method("MESSAGE")) { t_cancel_callid("$hdr(X-Call)", "1", "21", "404"); xlog("L_NOTICE", "$rc\\n");
        sl_send_reply("200", "OK"); exit; }
    t_relay();
}
""")
def test_cancel_from_script(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    invite = ring(alice, bob)
    alice.request("MESSAGE", headers=f"X-Call: {sent.call_id}")
    alice.expect(200, "MESSAGE")
    bob.reply(bob.expect("CANCEL"), 200)
    bob.reply(invite, 487)
    bob.expect("ACK")
    alice.listen(0.1)
    final = next((a.message for a in alice.arrivals if a.message.status >= 300), None)
    if final:
        alice.ack(sent, final)


@room.case("""
route[cancel_in_reply_route] { t_on_reply("CANCEL_OTHERS"); append_branch("$hdr(X-Two)"); t_relay(); }
onreply_route[CANCEL_OTHERS] { if (status == "183") { t_cancel_branches("others"); xlog("L_NOTICE", "$rc\\n"); } }
""")
def test_cancel_in_reply_route(s: Scene) -> None:
    alice, bob, carol = s.agents("alice", "bob", "carol")
    alice.request("INVITE", bob, headers=f"X-Two: sip:two@{carol.host}")
    to_bob, to_carol = bob.expect("INVITE"), carol.expect("INVITE")
    carol.reply(to_carol, 180)
    alice.expect(180)
    bob.reply(to_bob, 183)
    alice.expect(183)
    carol.reply(carol.expect("CANCEL"), 200)
    carol.reply(to_carol, 487)
    carol.expect("ACK")
    bob.reply(to_bob, 200)
    alice.expect(200)
