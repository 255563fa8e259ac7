"""t_suspend() and t_continue() themselves: who may resume what, and when it is too late."""

from __future__ import annotations

from kit.calls import ring
from kit.room import Room
from kit.scene import Scene

room = Room(
    "suspend",
    params="""
modparam("tm", "wt_timer", 1000)
modparam("tm", "fr_timer", 1500)
modparam("htable", "htable", "susp=>size=4;")
""",
    cfg="""
route[KEEP] {
    if (!t_suspend()) { xlog("L_NOTICE", "t_suspend $rc\\n"); return -1; }
    $sht(susp=>$hdr(X-Key)::i) = $T(id_index); $sht(susp=>$hdr(X-Key)::l) = $T(id_label);
    xlog("L_NOTICE", "suspended as $hdr(X-Key)\\n");
}
""",
)

CONTINUE = """
    if (is_method("OPTIONS")) {
        $var(i) = $sht(susp=>$hdr(X-Key)::i); $var(l) = $sht(susp=>$hdr(X-Key)::l);
        $var(r) = t_continue("$var(i)", "$var(l)", "$hdr(X-Route)");
        xlog("L_NOTICE", "t_continue $var(r)\\n");
        sl_send_reply("200", "continued"); exit;
    }
    if (is_method("CANCEL")) { if (t_check_trans()) { xlog("L_NOTICE", "CANCEL matches\\n"); } t_relay();
        xlog("L_NOTICE", "t_relay $rc\\n"); exit; }
    if (is_method("ACK")) { t_check_trans(); exit; }
"""


def resume(s: Scene, key: str, route: str, who: str = "operator") -> None:
    """Another request, from another agent, resumes what was suspended under `key`."""
    operator = s.agent(f"{who}{key}")
    operator.request("OPTIONS", headers=f"X-Key: {key}\nX-Route: {route}", call_id=f"{s.name}-{who}-{key}")
    operator.expect(200)


def again(s: Scene, key: str, route: str) -> None:
    resume(s, key, route, "again")


@room.case("route[continued] {" + CONTINUE + """
    $avp(a) = "kept"; t_newtran(); route(KEEP); xlog("L_NOTICE", "after t_suspend\\n");
}
route[CONTINUED] { xlog("L_NOTICE", "resumed $rm $avp(a)\\n"); t_reply("200", "resumed"); }
""")  # fmt: skip
def test_continued(s: Scene) -> None:
    """t_suspend() does not end the script; another request resumes this one."""
    alice = s.agent("alice")
    alice.request("MESSAGE", headers="X-Key: c1")
    s.fence()
    resume(s, "c1", "CONTINUED")
    alice.expect(200)


@room.case("route[continued_invite] {" + CONTINUE + """
    t_newtran(); route(KEEP);
}
route[CONTINUED_INVITE] { $ru = "sip:later@127.0.0.1:" + $rp; t_relay(); xlog("L_NOTICE", "relay $rc\\n"); }
""")  # fmt: skip
def test_continued_invite(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("INVITE", bob, headers="X-Key: ci")
    alice.expect(100)
    resume(s, "ci", "CONTINUED_INVITE")
    invite = ring(alice, bob)
    bob.reply(invite, 200)
    alice.expect(200)


@room.case("route[continued_twice] {" + CONTINUE + """
    t_newtran(); route(KEEP);
}
route[CONTINUED_TWICE] { xlog("L_NOTICE", "resumed\\n"); t_reply("200", "once"); }
""")  # fmt: skip
def test_continued_twice(s: Scene) -> None:
    """The second t_continue() finds nothing suspended."""
    alice = s.agent("alice")
    alice.request("MESSAGE", headers="X-Key: c2")
    s.fence()
    resume(s, "c2", "CONTINUED_TWICE")
    alice.expect(200)
    again(s, "c2", "CONTINUED_TWICE")
    s.note_log("transaction is not suspended")


@room.case("route[continue_unknown] {" + CONTINUE + """
    sl_send_reply("200", "OK");
}
route[CONTINUE_UNKNOWN] { xlog("L_NOTICE", "must not run\\n"); }
""")  # fmt: skip
def test_continue_unknown(s: Scene) -> None:
    """Index and label of nothing: a warning, -1, and the server goes on. 0:0 is no different."""
    alice = s.agent("alice")
    resume(s, "never-set", "CONTINUE_UNKNOWN")
    s.note_log("active transaction not found")
    alice.request("MESSAGE")
    alice.expect(200)


@room.case("route[continue_no_route] {" + CONTINUE + """
    t_newtran(); route(KEEP);
}
""")  # fmt: skip
def test_continue_no_route(s: Scene) -> None:
    """Resumed into a route that does not exist: still suspended, so it can be resumed into another."""
    alice = s.agent("alice")
    alice.request("MESSAGE", headers="X-Key: nr")
    s.fence()
    resume(s, "nr", "NO_SUCH_ROUTE")
    alice.expect(408)


@room.case("route[suspend_unanswered] {" + CONTINUE + """
    t_newtran(); route(KEEP);
}
route[SUSPEND_UNANSWERED] { xlog("L_NOTICE", "resumed, and no answer\\n"); }
""", tolerance=0.4)  # fmt: skip
def test_suspend_unanswered(s: Scene) -> None:
    """The resumed route ends without an answer."""
    alice = s.agent("alice")
    alice.request("MESSAGE", headers="X-Key: ua")
    s.fence()
    resume(s, "ua", "SUSPEND_UNANSWERED")
    alice.listen(0.4)


@room.case("route[suspend_timeout] {" + CONTINUE + """
    t_newtran(); t_set_fr(0, 300); route(KEEP);
}
route[SUSPEND_TIMEOUT] { xlog("L_NOTICE", "must not run\\n"); t_reply("200", "late"); }
""", tolerance=0.3)  # fmt: skip
def test_suspend_timeout(s: Scene) -> None:
    """fr_timer while suspended, then a late t_continue()."""
    alice = s.agent("alice")
    alice.request("MESSAGE", headers="X-Key: to")
    alice.expect(408)
    s.server.settle()  # the reply is out before the transaction is put on the wait timer
    resume(s, "to", "SUSPEND_TIMEOUT")
    alice.listen(0.1)


@room.case("route[suspend_timeout_failure] {" + CONTINUE + """
    t_newtran(); t_on_failure("STF"); t_set_fr(0, 300); route(KEEP);
}
failure_route[STF] { xlog("L_NOTICE", "failure $T_reply_code\\n"); $ru = $hdr(X-Two); t_relay(); }
route[STF_LATE] { xlog("L_NOTICE", "must not run\\n"); t_reply("200", "late"); }
""")  # fmt: skip
def test_suspend_timeout_failure(s: Scene) -> None:
    """The timer fires, the failure route forks elsewhere, and only then somebody resumes."""
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", headers=f"X-Key: tf\nX-Two: sip:two@{bob.host}")
    message = bob.expect("MESSAGE")
    resume(s, "tf", "STF_LATE")
    bob.reply(message, 200)
    alice.expect(200)


@room.case("route[suspend_cancelled] {" + CONTINUE + """
    t_newtran(); route(KEEP);
}
route[SUSPEND_CANCELLED] { xlog("L_NOTICE", "must not run\\n"); t_reply("200", "late"); }
""")  # fmt: skip
def test_suspend_cancelled(s: Scene) -> None:
    """CANCEL while suspended answers the INVITE; a later t_continue() does nothing."""
    alice = s.agent("alice")
    sent = alice.request("INVITE", headers="X-Key: ca")
    alice.expect(100)
    alice.cancel(sent)
    alice.expect(200, "CANCEL")
    alice.ack(sent, alice.expect(487))
    resume(s, "ca", "SUSPEND_CANCELLED")
    alice.listen(0.1)


@room.case("route[suspend_after_reply] {" + CONTINUE + """
    t_newtran(); t_reply("200", "at once"); $var(r) = t_suspend(); xlog("L_NOTICE", "t_suspend $var(r)\\n");
}
""")  # fmt: skip
def test_suspend_after_reply(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("MESSAGE")
    alice.expect(200)


@room.case("route[suspend_without] {" + CONTINUE + """
    $var(r) = t_suspend(); xlog("L_NOTICE", "t_suspend $var(r)\\n"); sl_send_reply("200", "no transaction");
}
""")  # fmt: skip
def test_suspend_without(s: Scene) -> None:
    """t_suspend() without a transaction."""
    alice = s.agent("alice")
    alice.request("MESSAGE")
    alice.listen(0.2)


@room.case("route[suspend_twice] {" + CONTINUE + """
    t_newtran(); route(KEEP);
}
route[SUSPEND_SECOND] { xlog("L_NOTICE", "second\\n"); t_suspend(); xlog("L_NOTICE", "again $rc\\n"); }
route[SUSPEND_LAST] { xlog("L_NOTICE", "last\\n"); t_reply("200", "after two"); }
""")  # fmt: skip
def test_suspend_twice(s: Scene) -> None:
    """Suspended again from the resumed route, under the same index and label."""
    alice = s.agent("alice")
    alice.request("MESSAGE", headers="X-Key: s2")
    s.fence()
    resume(s, "s2", "SUSPEND_SECOND")
    again(s, "s2", "SUSPEND_LAST")
    alice.expect(200)


@room.case("route[suspend_provisional] {" + CONTINUE + """
    t_newtran(); t_reply("183", "Working"); route(KEEP);
}
route[SUSPEND_PROVISIONAL] { t_reply("180", "Ringing"); t_reply("200", "OK"); xlog("L_NOTICE", "$rc\\n"); }
""")  # fmt: skip
def test_suspend_provisional(s: Scene) -> None:
    """No automatic 100 when the script has said 183 already."""
    alice = s.agent("alice")
    alice.request("INVITE", headers="X-Key: sp")
    alice.expect(183)
    resume(s, "sp", "SUSPEND_PROVISIONAL")
    alice.expect(200)


@room.case("route[suspend_failure] {" + CONTINUE + """
    t_on_failure("SUSPEND_FAILURE"); t_relay();
}
failure_route[SUSPEND_FAILURE] { xlog("L_NOTICE", "failed $T_reply_code\\n"); route(KEEP); }
route[SUSPEND_FAILURE_2] { xlog("L_NOTICE", "resumed $T_reply_code\\n"); $ru = $hdr(X-Two); t_relay();
    xlog("L_NOTICE", "relay $rc\\n"); }
""")  # fmt: skip
def test_suspend_failure(s: Scene) -> None:
    alice, bob, carol = s.agents("alice", "bob", "carol")
    alice.request("INVITE", bob, headers=f"X-Key: sf\nX-Two: sip:two@{carol.host}")
    bob.reply(bob.expect("INVITE"), 486)
    bob.expect("ACK")
    s.wait_log("suspended as sf")
    resume(s, "sf", "SUSPEND_FAILURE_2")
    to_carol = carol.expect("INVITE")
    carol.reply(to_carol, 200)
    alice.expect(200)


@room.case("route[suspend_beside] {" + CONTINUE + """
    t_relay(); xlog("L_NOTICE", "relayed\\n"); route(KEEP);
}
route[SUSPEND_BESIDE] { xlog("L_NOTICE", "resumed $T_reply_code\\n"); append_branch("$hdr(X-Two)"); t_relay();
    xlog("L_NOTICE", "relay $rc\\n"); }
""", differs="real Kamailio 5.6.3 drops replies of the other branches meanwhile; here they go on")  # fmt: skip
def test_suspend_beside(s: Scene) -> None:
    """Suspended beside a branch that is out already, and resumed into one more."""
    alice, bob, carol = s.agents("alice", "bob", "carol")
    alice.request("INVITE", bob, headers=f"X-Key: sb\nX-Two: sip:two@{carol.host}")
    to_bob = bob.expect("INVITE")
    bob.reply(to_bob, 180)
    s.fence()
    resume(s, "sb", "SUSPEND_BESIDE")
    to_carol = carol.expect("INVITE")
    bob.reply(to_bob, 183)
    alice.expect(183)
    carol.reply(to_carol, 200)
    alice.expect(200)
    bob.reply(bob.expect("CANCEL"), 200)


@room.case("route[suspend_cancel_suspend] {" + CONTINUE + """
    t_newtran(); route(KEEP); t_reply("200", "OK");
}
""")  # fmt: skip
def test_suspend_cancel_suspend(s: Scene) -> None:
    """Suspended and answered by the same run; then somebody tries to resume it."""
    alice = s.agent("alice")
    alice.request("MESSAGE", headers="X-Key: cs")
    alice.expect(200)
    resume(s, "cs", "CONTINUED")
    alice.listen(0.1)


@room.case("route[suspend_reply] {" + CONTINUE + """
    t_on_reply("SUSPEND_REPLY"); t_relay();
}
onreply_route[SUSPEND_REPLY] {
    xlog("L_NOTICE", "reply $rs\\n");
    if (status == "200") {
        if (t_suspend()) { $sht(susp=>$T_req($hdr(X-Key))::i) = $T(id_index);
            $sht(susp=>$T_req($hdr(X-Key))::l) = $T(id_label); xlog("L_NOTICE", "suspended\\n"); }
        else { xlog("L_NOTICE", "t_suspend $rc\\n"); }
    }
}
route[SUSPEND_REPLY_2] { xlog("L_NOTICE", "resumed [$rs] [$rm]\\n"); }
""")  # fmt: skip
def test_suspend_reply(s: Scene) -> None:
    """A reply put aside in its onreply_route and passed on when resumed."""
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob, headers="X-Key: sr")
    bob.reply(bob.expect("MESSAGE"), 200)
    s.wait_log("reply 200")
    s.fence()
    resume(s, "sr", "SUSPEND_REPLY_2")
    alice.listen(0.3)


@room.case("route[suspend_retransmitted] {" + CONTINUE + """
    xlog("L_NOTICE", "script runs\\n"); t_newtran(); route(KEEP);
}
route[SUSPEND_RETRANSMITTED] { t_reply("200", "OK"); }
""", retransmissions=True)  # fmt: skip
def test_suspend_retransmitted(s: Scene) -> None:
    alice = s.agent("alice")
    sent = alice.request("INVITE", headers="X-Key: rt")
    trying = alice.expect(100)
    alice.again(sent)
    alice.expect_repeated(trying)
    resume(s, "rt", "SUSPEND_RETRANSMITTED")
    alice.expect(200)
