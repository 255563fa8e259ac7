"""Parameters of tm with other values than their defaults: reparse_invite, failure_exec_mode, reply_relay_mode."""

from __future__ import annotations

from kit.calls import answer, give_up
from kit.ports import Port
from kit.room import Room
from kit.scene import Scene

room = Room(
    "tm_modes",
    listen=("tcp:127.0.0.1",),
    modules="uac",
    params="""
modparam("tm", "reparse_invite", 0)
modparam("tm", "ac_extra_hdrs", "X-")
modparam("tm", "failure_exec_mode", 1)
modparam("tm", "reply_relay_mode", 0)
modparam("tm", "fr_timer", 400)
modparam("uac", "restore_mode", "none")
""",
    first='if (is_method("CANCEL")) { t_relay(); exit; } loose_route();',
)


@room.case("""
route[not_reparsed] { remove_hf("X-B"); append_hf("X-C: added\\r\\n"); uac_replace_from("sip:new@x.test"); t_relay(); }
""")
def test_not_reparsed(s: Scene) -> None:
    """With reparse_invite 0 ACK and CANCEL are made of the INVITE as it was received."""
    alice, bob = s.agents("alice", "bob")
    uri = f"sip:not_reparsed@{bob.host}"
    routes = f"Route: <sip:{s.host};lr>\nRoute: <sip:{bob.host};lr>\nX-A: 1\nX-B: 2\nUser-Agent: alice"
    answer(alice, bob, alice.request("INVITE", uri=uri, headers=routes, max_forwards=30), 486, rings=False)
    give_up(alice, bob, alice.request("INVITE", uri=uri, headers=routes), "Reason: SIP;cause=200")


@room.case("""
route[unsent] {
    t_on_failure("UNSENT"); $du = "sip:127.0.0.1:" + $hdr(X-Port) + ";transport=tcp"; t_relay();
    xlog("L_NOTICE", "relayed $rc\\n");
}
failure_route[UNSENT] {
    xlog("L_NOTICE", "failed $T_reply_code\\n");
    if ($hdr(X-To) != $null) { $du = "sip:" + $hdr(X-To); t_relay(); }
}
""")
def test_unsent(s: Scene) -> None:
    """With failure_exec_mode 1 what cannot be sent is a matter of the failure route, after its time."""
    alice, bob = s.agents("alice", "bob")
    s.mask(r"X-Port: \d+")
    closed = Port()
    try:
        alice.request("MESSAGE", headers=f"X-Port: {closed.number}\nX-To: {bob.host}")
        bob.reply(bob.expect("MESSAGE"), 200)
        alice.expect(200)
        alice.request("MESSAGE", headers=f"X-Port: {closed.number}")
        alice.expect(408)
    finally:
        closed.release()


@room.case("""
route[replaced] { $du = "sip:" + $hdr(X-To); t_on_failure("REPLACED"); t_relay(); }
failure_route[REPLACED] { exit; }
""")
def test_replaced(s: Scene) -> None:
    """With reply_relay_mode 0 a 2xx after the final reply is what a repeated INVITE gets."""
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", headers=f"X-To: {bob.host}")
    invite = bob.expect("INVITE")
    bob.reply(invite, 486)
    bob.expect("ACK")
    alice.expect(486)
    for code in (200, 202):
        bob.reply(invite, code)
        answer = alice.expect(code)
        alice.again(sent)
        alice.expect_repeated(answer)
    alice.ack(sent, answer)
