"""Several branches: in parallel, one after another in failure routes, and which reply wins."""

from __future__ import annotations

from kit.agent import Agent
from kit.calls import ring
from kit.room import Room
from kit.scene import Scene
from kit.sip import Sip

room = Room("forking", params='modparam("tm", "wt_timer", 1000)')

FORK = """
route[{name}] {{
    append_branch("$hdr(X-Two)");
    if ($hdr(X-Three) != $null) {{ append_branch("$hdr(X-Three)"); }}
    {before}
    t_relay();
    xlog("L_NOTICE", "t_relay $rc\\n");
}}
"""


def forked(s: Scene, method: str = "INVITE", third: bool = False) -> tuple[list[Agent], list[Sip], Sip]:
    """A request forked to bob, carol (and dave): the agents, what each of those called got, and what alice sent."""
    names = ["alice", "bob", "carol"] + ["dave"] * third
    alice, *others = s.agents(*names)
    headers = f"X-Two: sip:two@{others[1].host}" + (f"\nX-Three: sip:three@{others[2].host};x=y" if third else "")
    sent = alice.request(method, others[0], headers=headers)
    return [alice, *others], [other.expect(method) for other in others], sent


@room.case(FORK.format(name="first_ok_wins", before=""))
def test_first_ok_wins(s: Scene) -> None:
    """200 from one branch cancels the other, whose 487 stays with the server."""
    (alice, bob, carol), (to_bob, to_carol), _ = forked(s)
    bob.reply(to_bob, 180)
    alice.expect(180)
    carol.reply(to_carol, 180)
    alice.expect(180)
    carol.reply(to_carol, 200)
    alice.expect(200)
    bob.reply(bob.expect("CANCEL"), 200)
    bob.reply(to_bob, 487)
    bob.expect("ACK")


@room.case(FORK.format(name="cancel_waits", before=""))
def test_cancel_waits(s: Scene) -> None:
    """A branch that has not answered yet is cancelled once it does."""
    (alice, bob, carol), (to_bob, to_carol), _ = forked(s)
    carol.reply(to_carol, 200)
    alice.expect(200)
    bob.reply(to_bob, 180)
    bob.reply(bob.expect("CANCEL"), 200)
    bob.reply(to_bob, 487)
    bob.expect("ACK")


def best(name: str, *replies: int) -> None:
    """A case in which bob, carol and dave answer so, in this order."""

    def steps(s: Scene) -> None:
        (alice, *others), requests, sent = forked(s, third=True)
        for other, request, status in zip(others, requests, replies, strict=True):
            headers = f'WWW-Authenticate: Digest realm="{other.name}", nonce="n"' if status == 401 else ""
            headers = f'Proxy-Authenticate: Digest realm="{other.name}", nonce="n"' if status == 407 else headers
            other.reply(
                request, status, headers=headers + (f"\nContact: <sip:{other.name}@moved>" if status == 302 else "")
            )
            other.expect("ACK")
        alice.listen(0.05)
        final = next(a.message for a in alice.arrivals if a.message.status >= 200)
        alice.ack(sent, final)

    steps.__name__ = f"test_{name}"
    steps.__doc__ = f"The best of {replies}."
    steps.__module__ = __name__
    globals()[steps.__name__] = room.case(FORK.format(name=name, before=""))(steps)


best("best_busy_or_none", 486, 404, 480)
best("best_with_6xx", 486, 603, 404)
best("best_with_401", 486, 401, 404)
best("best_two_challenges", 401, 407, 500)
best("best_with_3xx", 302, 500, 404)
best("best_5xx_only", 503, 500, 502)
best("best_484", 484, 404, 415)
best("best_equal", 404, 404, 404)


@room.case(FORK.format(name="fork_message", before=""))
def test_fork_message(s: Scene) -> None:
    """Not an INVITE: the second 200 is not passed on."""
    (alice, bob, carol), (to_bob, to_carol), _ = forked(s, "MESSAGE")
    bob.reply(to_bob, 200)
    alice.expect(200)
    carol.reply(to_carol, 200)
    s.fence()


@room.case(FORK.format(name="fork_two_ok", before=""))
def test_fork_two_ok(s: Scene) -> None:
    """Both answer an INVITE: both 200 go to the caller."""
    (alice, bob, carol), (to_bob, to_carol), _ = forked(s)
    bob.reply(to_bob, 180)
    carol.reply(to_carol, 180)
    s.fence()
    bob.reply(to_bob, 200)
    alice.expect(200)
    carol.expect("CANCEL")
    carol.reply(to_carol, 200)
    alice.expect(200)


@room.case(
    FORK.format(name="fork_branches", before='t_on_branch("PER_BRANCH"); t_on_reply("PER_REPLY");')
    + """
branch_route[PER_BRANCH] {
    xlog("L_NOTICE", "branch $T_branch_idx to $ru\\n");
    append_hf("X-Index: $T_branch_idx\\r\\n"); if ($rU == "two") { drop; }
}
onreply_route[PER_REPLY] { xlog("L_NOTICE", "$rs on branch $T_branch_idx\\n"); }
"""
)
def test_fork_branches(s: Scene) -> None:
    """One branch is dropped in the branch route, the others have headers of their own."""
    alice, bob, carol, dave = s.agents("alice", "bob", "carol", "dave")
    alice.request("MESSAGE", bob, headers=f"X-Two: sip:two@{carol.host}\nX-Three: sip:three@{dave.host}")
    bob.reply(bob.expect("MESSAGE"), 404)
    dave.reply(dave.expect("MESSAGE"), 486)
    alice.expect(404)


@room.case(FORK.format(name="fork_timeout", before=""), tolerance=0.3)
def test_fork_timeout(s: Scene) -> None:
    """One branch says 486, the other nothing: the answer waits for its timer, and 408 is the better one."""
    (alice, bob, carol), (to_bob, _), sent = forked(s)
    bob.reply(to_bob, 486)
    bob.expect("ACK")
    alice.ack(sent, alice.expect(408))
    carol.drain()


@room.case("""
route[serial] { t_on_failure("SERIAL"); t_relay(); }
failure_route[SERIAL] {
    xlog("L_NOTICE", "failed with $T_reply_code $T(reply_code) rs=$rs ru=$ru rm=$rm\\n");
    if (t_is_canceled()) { exit; }
    if (t_check_status("486|408")) {
        $ru = $hdr(X-Two); $du = $null; append_hf("X-Second: try\\r\\n");
        t_on_failure("SERIAL_LAST"); t_relay(); xlog("L_NOTICE", "relayed again $rc\\n");
    }
}
failure_route[SERIAL_LAST] {
    xlog("L_NOTICE", "last $T_reply_code\\n"); if (t_check_status("404")) { t_reply("604", "Nowhere At All");
        xlog("L_NOTICE", "$rc\\n"); }
}
""")
def test_serial(s: Scene) -> None:
    """486 from the first, 404 from the second, the failure route's own reply in the end."""
    alice, bob, carol = s.agents("alice", "bob", "carol")
    sent = alice.request("INVITE", bob, headers=f"X-Two: sip:two@{carol.host}")
    bob.reply(bob.expect("INVITE"), 486)
    bob.expect("ACK")
    to_carol = ring(alice, carol)
    carol.reply(to_carol, 404)
    carol.expect("ACK")
    alice.ack(sent, alice.expect(604))


@room.case("""
route[serial_ok] { t_on_failure("SERIAL_OK"); t_on_branch("SERIAL_BRANCH"); t_on_reply("SERIAL_REPLY"); t_relay(); }
failure_route[SERIAL_OK] { xlog("L_NOTICE", "$T_reply_code\\n"); append_branch("$hdr(X-Two)"); t_relay(); }
branch_route[SERIAL_BRANCH] { xlog("L_NOTICE", "branch $T_branch_idx $ru\\n"); }
onreply_route[SERIAL_REPLY] { xlog("L_NOTICE", "reply $rs branch $T_branch_idx\\n"); }
""")
def test_serial_ok(s: Scene) -> None:
    """Which of the routes stay armed for the second branch."""
    alice, bob, carol = s.agents("alice", "bob", "carol")
    alice.request("INVITE", bob, headers=f"X-Two: sip:two@{carol.host}")
    bob.reply(bob.expect("INVITE"), 486)
    to_carol = carol.expect("INVITE")
    carol.reply(to_carol, 200)
    alice.expect(200)
    bob.expect("ACK")


@room.case(
    """
route[serial_timeout] { t_set_fr(0, 300); t_on_failure("SERIAL_TIMEOUT"); t_relay(); }
failure_route[SERIAL_TIMEOUT] {
    if (t_branch_timeout()) xlog("L_NOTICE", "branch timed out\\n");
    if (!t_branch_replied()) xlog("L_NOTICE", "branch never replied\\n");
    if (t_any_timeout()) xlog("L_NOTICE", "any timed out\\n");
    if (!t_any_replied()) xlog("L_NOTICE", "none replied\\n");
    if (t_is_expired()) xlog("L_NOTICE", "expired\\n"); else xlog("L_NOTICE", "not expired\\n");
    $ru = $hdr(X-Two); t_relay();
}
""",
    tolerance=0.3,
)
def test_serial_timeout(s: Scene) -> None:
    alice, bob, carol = s.agents("alice", "bob", "carol")
    alice.request("MESSAGE", bob, headers=f"X-Two: sip:two@{carol.host}")
    bob.expect("MESSAGE")
    carol.reply(carol.expect("MESSAGE"), 200)
    alice.expect(200)


@room.case("""
route[failure_reply] { t_on_failure("FAILURE_REPLY"); t_relay(); }
failure_route[FAILURE_REPLY] {
    append_to_reply("X-From: failure\\r\\n"); send_reply("480", "Try $rU later"); xlog("L_NOTICE", "$rc\\n");
}
""")
def test_failure_reply(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    bob.reply(bob.expect("INVITE"), 503)
    bob.expect("ACK")
    alice.ack(sent, alice.expect(480))


@room.case("""
route[failure_nothing] { t_on_failure("FAILURE_NOTHING"); t_relay(); }
failure_route[FAILURE_NOTHING] { xlog("L_NOTICE", "$T_reply_code\\n"); drop; }
""")
def test_failure_nothing(s: Scene) -> None:
    """A failure route that does nothing, even one that drops, leaves the reply as it is."""
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    bob.reply(bob.expect("MESSAGE"), 404, headers="X-Kept: 1")
    alice.expect(404)


@room.case("""
route[failure_parallel] { t_on_failure("FAILURE_PARALLEL"); t_relay(); }
failure_route[FAILURE_PARALLEL] {
    if ($avp(tried) == $null) {
        $avp(tried) = 1; append_branch("$hdr(X-Two)"); append_branch("$hdr(X-Three)");
            t_on_failure("FAILURE_PARALLEL"); t_relay();
    }
    else { xlog("L_NOTICE", "again with $T_reply_code\\n"); }
}
""")
def test_failure_parallel(s: Scene) -> None:
    """From a failure route to two at once; replies of the first round no longer count."""
    alice, bob, carol, dave = s.agents("alice", "bob", "carol", "dave")
    alice.request("MESSAGE", bob, headers=f"X-Two: sip:two@{carol.host}\nX-Three: sip:three@{dave.host}")
    bob.reply(bob.expect("MESSAGE"), 401, headers='WWW-Authenticate: Digest realm="x", nonce="n"')
    carol.reply(carol.expect("MESSAGE"), 500)
    dave.reply(dave.expect("MESSAGE"), 486)
    alice.expect(486)


@room.case("""
route[failure_avps] { $avp(a) = "request"; $var(v) = "request"; append_hf("X-Request: 1\\r\\n");
    t_on_failure("FAILURE_AVPS"); t_relay(); }
failure_route[FAILURE_AVPS] {
    xlog("L_NOTICE", "$avp(a) [$T_rpl($rs)] [$T_rpl($hdr(X-Info))] [$T_rpl($rr)] $T_req($rU)\\n");
    $ru = $hdr(X-Two); append_hf("X-Failure: $avp(a)\\r\\n"); t_relay();
}
""")
def test_failure_avps(s: Scene) -> None:
    """Headers added before the first branch are in the second one too."""
    alice, bob, carol = s.agents("alice", "bob", "carol")
    alice.request("MESSAGE", bob, headers=f"X-Two: sip:two@{carol.host}")
    bob.reply(bob.expect("MESSAGE"), 404, headers="X-Info: from bob")
    carol.reply(carol.expect("MESSAGE"), 200)
    alice.expect(200)


@room.case("""
route[branch_failure] { t_on_branch_failure("one"); append_branch("$hdr(X-Two)"); t_relay(); }
event_route[tm:branch-failure:one] {
    xlog("L_NOTICE", "branch failure $T_reply_code\\n");
    if (t_check_status("486")) { $ru = $hdr(X-Three); t_relay(); }
}
""")
def test_branch_failure(s: Scene) -> None:
    alice, bob, carol, dave = s.agents("alice", "bob", "carol", "dave")
    alice.request("MESSAGE", bob, headers=f"X-Two: sip:two@{carol.host}\nX-Three: sip:three@{dave.host}")
    bob.reply(bob.expect("MESSAGE"), 486)
    to_dave = dave.expect("MESSAGE")
    carol.reply(carol.expect("MESSAGE"), 500)
    dave.reply(to_dave, 200)
    alice.expect(200)


@room.case(
    """
route[contacts_by_q] {
    $ru = "sip:none@127.0.0.1:1"; append_branch("$hdr(X-Two)", "0.5"); append_branch("$hdr(X-Three)", "0.9");
    t_load_contacts(); $var(r) = t_next_contacts(); xlog("L_NOTICE", "$var(r) $ru\\n");
    sl_send_reply("200", "OK");
}
""",
    params="""
modparam("tm", "contacts_avp", "tm_contacts")
modparam("tm", "contact_flows_avp", "tm_flows")
modparam("tm", "xavp_contact", "attrs")
""",
)
def test_contacts_by_q(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("MESSAGE", headers="X-Two: sip:two@127.0.0.1:2\nX-Three: sip:three@127.0.0.1:3")
    alice.expect(200)


@room.case("""
route[contacts_with_attributes] {
    $xavp(attrs=>n) = "c3"; $xavp(attrs=>n) = "c2"; $xavp(attrs=>n) = "c1"; $xavp(attrs=>n) = "c0";
    $ru = "sip:c0@h"; append_branch("sip:c1@h", "0.5"); append_branch("sip:c2@h", "0.5");
    append_branch("sip:c3@h", "0.1");
    t_load_contacts();
    xlog("L_NOTICE", "put aside: $xavp(attrs=>n), best $xavp(tm_contacts=>uri)\n");
    $var(i) = 0;
    while ($var(i) < 3) {
        $var(r) = t_next_contacts(); $var(i) = $var(i) + 1;
        xlog("L_NOTICE", "$var(r) $ru $(branch(uri)[*]): $xavp(attrs[0]=>n) $xavp(attrs[1]=>n) $xavp(attrs[2]=>n)\n");
    }
    sl_send_reply("200", "OK");
}
""")
def test_contacts_with_attributes(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("MESSAGE")
    alice.expect(200)


@room.case("""
route[too_many] {
    $var(i) = 0; $var(failed) = 0;
    while ($var(i) < 20) { if (!append_branch("sip:b$var(i)@127.0.0.1:9")) { $var(failed) = $var(failed) + 1; }
        $var(i) = $var(i) + 1; }
    xlog("L_NOTICE", "$branch(count) branches, $var(failed) refused\\n"); sl_send_reply("200", "OK");
}
""")
def test_too_many(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("MESSAGE")
    alice.expect(200)
