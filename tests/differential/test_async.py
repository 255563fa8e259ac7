"""The async module: requests put aside and taken up again by another process.

Delays are compared with a tolerance: real Kamailio's async timer looks once a second, so that a delay of one second
takes anything between one and two.
"""

from __future__ import annotations

from kit.aside import answered, async_room
from kit.scene import Scene

room = async_room("async")

WHOLE_SECONDS = 1.6
"""Real Kamailio's grain, and one tick of a machine that is busy."""


@room.case(
    """
route[route_seconds] { async_route("RS_RESUMED", "1"); xlog("L_NOTICE", "must not run\\n"); }
route[RS_RESUMED] { xlog("L_NOTICE", "resumed $rm $rU $ru $ci\\n"); t_reply("200", "Later");
    xlog("L_NOTICE", "$rc\\n"); }
""",
    tolerance=WHOLE_SECONDS,
)
def test_route_seconds(s: Scene) -> None:
    answered(s)


@room.case(
    """
route[route_invite] { async_route("RI_RESUMED", "1"); }
route[RI_RESUMED] { send_reply("404", "Not found"); exit; }
""",
    tolerance=WHOLE_SECONDS,
)
def test_route_invite(s: Scene) -> None:
    """The page's example: 100 at once, the 404 when it is taken up again."""
    answered(s, 404, "INVITE")


@room.case(
    """
route[route_variables] { $var(name) = "RV_" + $hdr(X-Which); $var(s) = 1; async_route("$var(name)", "$var(s)"); }
route[RV_B] { t_reply("200", "B"); }
""",
    tolerance=WHOLE_SECONDS,
)
def test_route_variables(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("MESSAGE", headers="X-Which: B")
    alice.expect(200)


@room.case("""
route[route_unknown] { $var(r) = async_route("NO_SUCH_ROUTE", "1"); xlog("L_NOTICE", "$var(r)\\n");
    sl_send_reply("500", "No route"); }
""")
def test_route_unknown(s: Scene) -> None:
    answered(s, 500)


@room.case("""
route[too_long] {
    $var(s) = 500; $var(r) = async_route("TL_RESUMED", "$var(s)"); xlog("L_NOTICE", "$var(r)\\n");
        t_reply("500", "Too long");
    xlog("L_NOTICE", "no transaction yet: $rc\\n"); sl_send_reply("500", "Too long");
}
route[TL_RESUMED] { t_reply("200", "never"); }
""")
def test_too_long(s: Scene) -> None:
    answered(s, 500)
    s.note_log("max sleep time is")


@room.case("""
route[ms_route] { async_ms_route("MS_RESUMED", "150"); xlog("L_NOTICE", "must not run\\n"); }
route[MS_RESUMED] { xlog("L_NOTICE", "resumed\\n"); t_reply("200", "Soon"); }
""", tolerance=0.15)  # fmt: skip
def test_ms_route(s: Scene) -> None:
    answered(s)


@room.case("""
route[ms_sleep] {
    xlog("L_NOTICE", "before\\n"); async_ms_sleep("100"); xlog("L_NOTICE", "after\\n"); async_ms_sleep("100");
    xlog("L_NOTICE", "second\\n"); t_reply("200", "OK"); exit;
}
""", tolerance=0.2)  # fmt: skip
def test_ms_sleep(s: Scene) -> None:
    answered(s)


@room.case("""
route[sleep_top] { xlog("L_NOTICE", "before\\n"); async_sleep("1"); xlog("L_NOTICE", "after\\n");
    t_reply("404", "Not found"); exit; }
""", tolerance=WHOLE_SECONDS)  # fmt: skip
def test_sleep_top(s: Scene) -> None:
    answered(s, 404)


@room.case("""
route[sleep_in_if] {
    if ($rm == "MESSAGE") { xlog("L_NOTICE", "in if\\n"); async_ms_sleep("50"); xlog("L_NOTICE", "still in if\\n");
        t_reply("200", "in if"); }
    xlog("L_NOTICE", "behind the if\\n");
}
""")
def test_sleep_in_if(s: Scene) -> None:
    """Only the rest of the innermost block is run, nothing behind it."""
    answered(s)


@room.case("""
route[sleep_nested] {
    xlog("L_NOTICE", "outer\\n"); route(SN_INNER); xlog("L_NOTICE", "outer goes on\\n"); t_reply("500", "outer");
}
route[SN_INNER] { async_ms_sleep("50"); xlog("L_NOTICE", "inner goes on $rm\\n"); t_reply("200", "inner"); }
""")
def test_sleep_nested(s: Scene) -> None:
    answered(s)


@room.case("""
route[sleep_loop] {
    $avp(n) = 0;
    while ($avp(n) < 3) { $avp(n) = $avp(n) + 1; xlog("L_NOTICE", "round $avp(n)\\n"); async_ms_sleep("50");
        xlog("L_NOTICE", "slept $avp(n)\\n"); }
    xlog("L_NOTICE", "behind the loop\\n");
    t_reply("200", "OK");
}
""")
def test_sleep_loop(s: Scene) -> None:
    """What follows in the loop's body is run once, then the request has no one to answer it but the timer."""
    alice = s.agent("alice")
    alice.request("MESSAGE")
    alice.listen(0.6)


@room.case("""
route[sleep_switch] {
    switch ($rU) { case "sleep_switch": async_ms_sleep("50"); xlog("L_NOTICE", "in case\\n");
        t_reply("200", "case"); break; default: ; }
    xlog("L_NOTICE", "behind the switch\\n");
}
""")
def test_sleep_switch(s: Scene) -> None:
    answered(s)


@room.case("""
route[sleep_last] { t_newtran(); if (1) { async_ms_sleep("50"); } t_reply("200", "not reached"); }
""")
def test_sleep_last(s: Scene) -> None:
    """Nothing follows in the block: the transaction is taken up and left alone."""
    alice = s.agent("alice")
    alice.request("MESSAGE")
    alice.listen(0.4)


@room.case("""
route[task_route] { async_task_route("TASK_RESUMED"); xlog("L_NOTICE", "must not run\\n"); }
route[TASK_RESUMED] { xlog("L_NOTICE", "task $rm $rU $si:$sp $Ri\\n"); t_reply("200", "Task");
    xlog("L_NOTICE", "done\\n"); }
""")
def test_task_route(s: Scene) -> None:
    answered(s)
    s.wait_log("done")


@room.case("""
route[task_many] { async_task_route("TASK_MANY"); }
route[TASK_MANY] { $shv(n) = $shv(n) + 1; t_reply("200", "OK $rm"); }
""")
def test_task_many(s: Scene) -> None:
    alice = s.agent("alice")
    for _ in range(20):
        alice.request("MESSAGE")
        alice.expect(200)


@room.case("""
route[task_group] { async_task_group_route("TASK_GROUP", "$hdr(X-Group)"); xlog("L_NOTICE", "after $rc\\n"); }
route[TASK_GROUP] { xlog("L_NOTICE", "in a group\\n"); t_reply("200", "Group"); }
""")
def test_task_group(s: Scene) -> None:
    alice = s.agent("alice")
    for group in ("fast", "slow"):
        alice.request("MESSAGE", headers=f"X-Group: {group}")
        alice.expect(200)


@room.case("""
route[task_data] {
    async_task_data("TASK_DATA", "some data for $rU"); xlog("L_NOTICE", "goes on $rc\\n"); sl_send_reply("200", "OK");
}
route[TASK_DATA] { xlog("L_NOTICE", "data [$async(data)] method [$rm] [$ci]\\n"); }
""")
def test_task_data(s: Scene) -> None:
    """No transaction, no suspension: the route gets the text, the script goes on."""
    s.sorted_log = True
    s.mask(r"\[[^\]]*\] \[[^\]]*\]$")
    answered(s)
    s.wait_log("data [")


@room.case(
    """
route[task_group_data] {
    $var(r) = async_task_group_data("TASK_GROUP_DATA", "fast", "grouped"); xlog("L_NOTICE", "$var(r)\\n");
        sl_send_reply("200", "OK");
}
route[TASK_GROUP_DATA] { xlog("L_NOTICE", "data [$async(data)]\\n"); }
""",
    differs="real Kamailio 5.6.3 loses the data of a task that is given to a named group",
)
def test_task_group_data(s: Scene) -> None:
    answered(s)
    s.wait_log("data [grouped]" if s.ours else "data [")


@room.case("""
route[what_survives] {
    $avp(a) = "avp"; $avp(a) = "second"; $avp(n) = 42; $xavp(x=>y) = "xavp"; $xavp(x[0]=>z) = 7; $sht(t=>k) = "table";
    $shv(s) = "shared"; $var(v) = "private"; setflag(4); setbflag(2); $ru = "sip:changed@h.test;p=1";
        $du = "sip:127.0.0.1:99";
    append_hf("X-Before: 1\\r\\n"); remove_hf("X-Gone"); append_branch("sip:second@b.test", "0.4");
    async_task_route("SURVIVED");
}
route[SURVIVED] {
    xlog("L_NOTICE", "avp $(avp(a)[*]) n $avp(n) xavp $xavp(x=>y) $xavp(x=>z) sht $sht(t=>k) shv\\n");
    xlog("L_NOTICE", "$shv(s) var $var(v)\\n");
    if ($avp(n) == 42) xlog("L_NOTICE", "still an integer\\n");
    if (isflagset(4)) xlog("L_NOTICE", "flag 4\\n"); if (isbflagset(2)) xlog("L_NOTICE", "branch flag 2\\n");
    xlog("L_NOTICE", "ru $ru ou $ou du $du rU $rU branches $branch(count) $(branch(uri)[0])\\n");
    xlog("L_NOTICE", "gone [$hdr(X-Gone)] body [$rb] si $si sp $sp\\n");
    t_reply("200", "OK");
}
""")
def test_what_survives(s: Scene) -> None:
    """What a request takes along into another process, and what stays behind."""
    alice = s.agent("alice")
    alice.request("MESSAGE", headers="X-Gone: 1\nContent-Type: text/plain", body="the body")
    alice.expect(200)


@room.case("""
route[relay_later] {
    record_route(); append_hf("X-Before: 1\\r\\n"); t_on_reply("RL_REPLY"); t_on_failure("RL_FAILURE");
        t_on_branch("RL_BRANCH");
    async_task_route("RL_RESUMED");
}
route[RL_RESUMED] { append_hf("X-After: 1\\r\\n"); $var(r) = t_relay(); xlog("L_NOTICE", "relay $var(r)\\n"); }
branch_route[RL_BRANCH] { xlog("L_NOTICE", "branch $T_branch_idx\\n"); }
onreply_route[RL_REPLY] { xlog("L_NOTICE", "reply $rs on $T_branch_idx\\n"); }
failure_route[RL_FAILURE] { xlog("L_NOTICE", "failure $T_reply_code\\n"); }
""")
def test_relay_later(s: Scene) -> None:
    """A call relayed by the worker, with headers from before and after; the branch index counts the suspension."""
    s.sorted_log = True
    alice, bob = s.agents("alice", "bob")
    alice.request("INVITE", bob, headers="Content-Type: application/sdp", body="v=0\r\n")
    invite = bob.expect("INVITE")
    alice.expect(100)
    bob.reply(invite, 180)
    alice.expect(180)
    bob.reply(invite, 200)
    alice.expect(200)


@room.case("""
route[relay_later_busy] { t_on_failure("RLB"); async_task_route("RLB_RESUMED"); }
route[RLB_RESUMED] { t_relay(); }
failure_route[RLB] { xlog("L_NOTICE", "failure $T_reply_code\\n"); if (t_check_status("486")) { $ru = $hdr(X-Two);
    t_relay(); } }
""")
def test_relay_later_busy(s: Scene) -> None:
    alice, bob, carol = s.agents("alice", "bob", "carol")
    sent = alice.request("INVITE", bob, headers=f"X-Two: sip:two@{carol.host}")
    bob.reply(bob.expect("INVITE"), 486)
    bob.expect("ACK")
    carol.reply(carol.expect("INVITE"), 603)
    carol.expect("ACK")
    alice.ack(sent, alice.expect(603))


@room.case("""
route[fork_later] { append_branch("$hdr(X-Two)"); async_task_route("FL_RESUMED"); }
route[FL_RESUMED] { xlog("L_NOTICE", "branches [$branch(count)]\\n"); append_branch("$hdr(X-Three)"); t_relay(); }
""")
def test_fork_later(s: Scene) -> None:
    """Branches from before and from after the suspension."""
    alice, bob, carol, dave = s.agents("alice", "bob", "carol", "dave")
    alice.request("MESSAGE", bob, headers=f"X-Two: sip:two@{carol.host}\nX-Three: sip:three@{dave.host}")
    bob.expect("MESSAGE")
    dave.reply(dave.expect("MESSAGE"), 200)
    alice.expect(200)
    carol.listen(0.05)
