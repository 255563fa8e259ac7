"""What may happen to a request that is put aside: suspended again, in a failure route, expired, cancelled, repeated."""

from __future__ import annotations

from kit.aside import answered, async_room
from kit.calls import give_up
from kit.scene import Scene

room = async_room("async fates")


@room.case("""
route[end_of_resumed] { async_task_route("ER_RESUMED"); }
route[ER_RESUMED] { xlog("L_NOTICE", "resumed\\n"); if (1) { return; } t_reply("200", "never"); }
""", tolerance=0.5)  # fmt: skip
def test_end_of_resumed(s: Scene) -> None:
    """The resumed route ends without an answer: what the one who asked gets."""
    alice = s.agent("alice")
    alice.request("MESSAGE")
    alice.listen(0.5)


@room.case("""
route[resumed_calls] { async_task_route("RC_RESUMED"); }
route[RC_RESUMED] { $var(r) = route(RC_INNER); xlog("L_NOTICE", "inner gave $var(r) rc=$rc\\n");
    t_reply("200", "OK"); exit; }
route[RC_INNER] { xlog("L_NOTICE", "inner\\n"); return 7; }
""")
def test_resumed_calls(s: Scene) -> None:
    answered(s)


@room.case("""
route[twice_async] { xlog("L_NOTICE", "one\\n"); async_task_route("TW_SECOND"); }
route[TW_SECOND] { xlog("L_NOTICE", "two\\n"); $avp(s) = "kept"; async_task_route("TW_THIRD"); }
route[TW_THIRD] { xlog("L_NOTICE", "three $avp(s)\\n"); async_ms_route("TW_LAST", "50"); }
route[TW_LAST] { xlog("L_NOTICE", "last $avp(s)\\n"); t_reply("200", "after four"); }
""")
def test_twice_async(s: Scene) -> None:
    """Suspended again from the resumed route."""
    answered(s)


@room.case("""
route[sleep_then_route] { async_ms_sleep("30"); xlog("L_NOTICE", "slept\\n"); route(ST_NEXT); }
route[ST_NEXT] { async_task_route("ST_LAST"); }
route[ST_LAST] { t_reply("200", "OK"); }
""")
def test_sleep_then_route(s: Scene) -> None:
    answered(s)


@room.case("""
route[failure_async] { t_on_failure("FA"); t_relay(); }
failure_route[FA] { xlog("L_NOTICE", "failed $T_reply_code\\n"); route(FA_SUSPEND); }
route[FA_SUSPEND] { async_task_route("FA_RESUMED"); xlog("L_NOTICE", "must not run\\n"); }
route[FA_RESUMED] { xlog("L_NOTICE", "resumed with $T_reply_code $avp(x)\\n"); $ru = $hdr(X-Two); $du = $null;
    t_relay(); xlog("L_NOTICE", "$rc\\n"); }
""")  # fmt: skip
def test_failure_async(s: Scene) -> None:
    """Suspended in a failure route, relayed to the next one when taken up."""
    s.sorted_log = True
    alice, bob, carol = s.agents("alice", "bob", "carol")
    alice.request("INVITE", bob, headers=f"X-Two: sip:two@{carol.host}")
    bob.reply(bob.expect("INVITE"), 486)
    bob.expect("ACK")
    to_carol = carol.expect("INVITE")
    carol.reply(to_carol, 200)
    alice.expect(200)


@room.case("""
route[failure_async_reply] { t_on_failure("FAR"); t_relay(); }
failure_route[FAR] { route(FAR_SUSPEND); }
route[FAR_SUSPEND] { async_ms_route("FAR_RESUMED", "50"); }
route[FAR_RESUMED] { t_reply("480", "Later"); xlog("L_NOTICE", "$rc\\n"); }
""")
def test_failure_async_reply(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    bob.reply(bob.expect("INVITE"), 486)
    bob.expect("ACK")
    alice.ack(sent, alice.expect(480))


@room.case("""
route[expires_first] { t_set_fr(0, 300); async_ms_route("EF_RESUMED", "900"); }
route[EF_RESUMED] { xlog("L_NOTICE", "resumed in time\\n"); t_reply("200", "too late"); xlog("L_NOTICE", "$rc\\n"); }
""", tolerance=0.3)  # fmt: skip
def test_expires_first(s: Scene) -> None:
    """fr_timer fires while the request is put aside: 408, and the route is not run any more."""
    alice = s.agent("alice")
    alice.request("MESSAGE")
    alice.expect(408)
    alice.listen(1.0)


@room.case("""
route[expires_failure] { t_newtran(); t_on_failure("EXF"); t_set_fr(0, 300); async_ms_route("EXF_RESUMED", "900"); }
failure_route[EXF] { xlog("L_NOTICE", "failure $T_reply_code\\n"); t_reply("504", "Gave up"); }
route[EXF_RESUMED] { xlog("L_NOTICE", "must not run\\n"); }
""")
def test_expires_failure(s: Scene) -> None:
    """The failure route that was armed before the suspension gets the 408."""
    alice = s.agent("alice")
    alice.request("MESSAGE")
    alice.expect(504)
    alice.listen(1.0)


@room.case("""
route[cancelled_aside] {
    if (is_method("CANCEL")) { if (t_check_trans()) { xlog("L_NOTICE", "CANCEL matches\\n"); } t_relay(); exit; }
    async_ms_route("CA_RESUMED", "400");
}
route[CA_RESUMED] { xlog("L_NOTICE", "must not run\\n"); t_reply("200", "too late"); }
""")
def test_cancelled_aside(s: Scene) -> None:
    """CANCEL while the INVITE is put aside."""
    alice = s.agent("alice")
    sent = alice.request("INVITE")
    alice.expect(100)
    alice.cancel(sent)
    alice.expect(200, "CANCEL")
    alice.ack(sent, alice.expect(487))
    alice.listen(0.6)


@room.case("""
route[cancelled_relay] {
    if (is_method("CANCEL")) { t_relay(); exit; }
    async_task_route("CR_RESUMED");
}
route[CR_RESUMED] { t_relay(); }
""")
def test_cancelled_relay(s: Scene) -> None:
    """CANCEL after the worker has relayed the INVITE."""
    alice, bob = s.agents("alice", "bob")
    give_up(alice, bob, alice.request("INVITE", bob))


@room.case("""
route[repeated_aside] { xlog("L_NOTICE", "script runs\\n"); async_ms_route("RA_RESUMED", "400"); }
route[RA_RESUMED] { xlog("L_NOTICE", "resumed\\n"); t_reply("200", "once"); }
""", retransmissions=True)  # fmt: skip
def test_repeated_aside(s: Scene) -> None:
    """Retransmissions while the request is put aside: the 100 again for an INVITE, silence for others."""
    alice = s.agent("alice")
    message = alice.request("MESSAGE")
    s.fence()
    alice.again(message)
    s.fence()
    ok = alice.expect(200)
    alice.again(message)
    alice.expect_repeated(ok)
    invite = alice.request("INVITE")
    trying = alice.expect(100)
    alice.again(invite)
    alice.expect_repeated(trying)
    alice.expect(200, "INVITE")


@room.case("""
route[ack_aside] { xlog("L_NOTICE", "$rm\\n"); if (is_method("ACK")) { t_check_trans();
    xlog("L_NOTICE", "ACK $rc\\n"); exit; } t_newtran(); async_task_route("AA"); }
route[AA] { t_reply("403", "No"); }
""")
def test_ack_aside(s: Scene) -> None:
    """The ACK to a reply the worker sent is absorbed."""
    alice = s.agent("alice")
    sent = alice.request("INVITE")
    alice.ack(sent, alice.expect(403))
    s.fence()


@room.case("""
route[exit_in_resumed] { async_task_route("EX_RESUMED"); }
route[EX_RESUMED] { route(EX_INNER); xlog("L_NOTICE", "must not run\\n"); }
route[EX_INNER] { t_reply("200", "OK"); xlog("L_NOTICE", "leaving\\n"); exit; }
""")
def test_exit_in_resumed(s: Scene) -> None:
    answered(s)
    s.wait_log("leaving")


@room.case("""
route[route_type] {
    if (t_is_request_route()) xlog("L_NOTICE", "request route\\n"); async_task_route("RT_RESUMED");
}
route[RT_RESUMED] {
    if (t_is_request_route()) xlog("L_NOTICE", "request route\\n");
    if (t_is_failure_route()) xlog("L_NOTICE", "failure route\\n");
    xlog("L_NOTICE", "status [$T_reply_code] expired\\n");
    $var(r) = t_newtran(); xlog("L_NOTICE", "t_newtran $var(r)\\n");
    $var(r) = sl_send_reply("480", "stateless"); xlog("L_NOTICE", "sl_send_reply $var(r)\\n");
    t_reply("200", "OK");
}
""")
def test_route_type(s: Scene) -> None:
    """What the resumed route believes to be."""
    alice = s.agent("alice")
    alice.request("MESSAGE")
    alice.listen(0.3)
