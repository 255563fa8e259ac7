"""blst: senders put on the list of blocked destinations, looked up and taken off it; reasons that are ignored."""

from __future__ import annotations

from kit.blocklist import note_blocked, unblock
from kit.room import Room
from kit.scene import Scene

room = Room(
    "blst",
    listen=("tcp:127.0.0.1",),
    modules="blst ctl",
    globals_="use_dst_blocklist=yes\ndst_blocklist_expire=40",
    params="""
modparam("tm", "blst_503", 1)
modparam("tm", "blst_503_def_timeout", 20)
""",
)


ASKED = """route[asked] {
    $var(r) = 0;
    switch ($hdr(X-Do)) {
        case "add": blst_add(); $var(r) = $rc; break;
        case "add5": blst_add("5"); $var(r) = $rc; break;
        case "add0": blst_add("0"); $var(r) = $rc; break;
        case "after": blst_add_retry_after("10", "30"); $var(r) = $rc; break;
        case "del": blst_del(); $var(r) = $rc; break;
        case "is": blst_is_blocklisted(); $var(r) = $rc; break;
    }
    xlog("L_NOTICE", "$hdr(X-Do) $hdr(Retry-After) -> $var(r)\\n");
    sl_send_reply("200", "OK");
}"""


@room.case(ASKED)
def test_asked(s: Scene) -> None:
    """What each function says, and what the list is like then."""
    alice = s.agent("alice")
    steps = (
        "is", "del", "after", "add", "is", "del", "is", "add5", "add", "del", "add0", "del", "after\nRetry-After: 3",
        "after\nRetry-After: 25", "after\nRetry-After: 99 (later)", "is",
    )  # fmt: skip
    for step in steps:
        alice.request("OPTIONS", headers=f"X-Do: {step}")
        alice.expect(200)
        note_blocked(s, alice)
    unblock(s)


IGNORING = """route[ignoring] {
    t_on_reply("IGNORING");
    if ($hdr(X-Ignore) == "503") { blst_set_ignore("32"); }
    if ($hdr(X-Ignore) == "timeout") { blst_set_ignore("16"); }
    if ($hdr(X-Ignore) == "all") { blst_set_ignore(); }
    if ($hdr(X-Ignore) == "cleared") { blst_set_ignore(); blst_clear_ignore("32"); }
    if ($hdr(X-Ignore) == "other") { blst_set_ignore("16"); blst_rpl_set_ignore("255"); blst_rpl_clear_ignore(); }
    t_relay();
}
onreply_route[IGNORING] { if ($hdr(X-In-Reply) == "yes") { blst_set_ignore("32"); } }
"""


@room.case(IGNORING)
def test_ignoring(s: Scene) -> None:
    """Reasons that the script ignores put nobody on the list."""
    alice, bob = s.agents("alice", "bob")
    for ignored, extra in (("", ""), ("503", ""), ("all", ""), ("cleared", ""), ("other", ""), ("", "X-In-Reply: yes")):
        alice.request("MESSAGE", bob, headers=f"X-Ignore: {ignored}")
        bob.reply(bob.expect("MESSAGE"), 503, headers=extra)
        alice.expect(500)
        note_blocked(s, bob)
        unblock(s)


@room.case(IGNORING.replace("ignoring]", "no_answer]").replace("IGNORING", "NO_ANSWER"))
def test_no_answer(s: Scene) -> None:
    callers = s.agents("alice", "carol", "dave")
    callees = s.agents("bob", "eve", "frank")
    ignored = ("", "timeout", "503")
    sent = [
        caller.request("INVITE", callee, headers=f"X-Ignore: {why}")
        for caller, callee, why in zip(callers, callees, ignored, strict=True)
    ]
    for caller, invite in zip(callers, sent, strict=True):
        caller.ack(invite, caller.expect(408))
    note_blocked(s, *callees)
    unblock(s)


@room.case(IGNORING.replace("ignoring]", "no_connection]").replace("IGNORING", "NO_CONNECTION"))
def test_no_connection(s: Scene) -> None:
    """A connection that is refused."""
    alice, bob = s.agents("alice", "bob")
    for ignored in ("", "timeout", "all"):
        alice.request("MESSAGE", uri=f"sip:{s.name}@127.0.0.1:{bob.port};transport=tcp", headers=f"X-Ignore: {ignored}")
        alice.expect(477)
        note_blocked(s, bob)
        unblock(s)
