"""Dialogs: states, variables, profiles, timeouts, BYEs of the server's own, event routes, RPC, rows in a database."""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path

from kit.agent import Agent
from kit.calls import DID, answer, give_up, hang_up, ring, talk, within
from kit.kamcmd import kamcmd
from kit.room import Room
from kit.scene import Scene, ask
from kit.sip import Sip

from kamailio_py.db.tables import create_sqlite

SHOW = (
    "$dlg(state) $dlg(callid) $dlg(from_tag) $dlg(to_tag) $dlg(from_uri) $dlg(to_uri) $dlg(from_cseq) $dlg(to_cseq)"
    " $dlg(from_contact) $dlg(to_contact) $dlg(lifetime) $dlg(h_entry) $dlg(sflags) $dlg(dflags) $dlg(toroute)"
    " [$dlg_var(a)] [$dlg_ctx(on)] [$dlg_ctx(dir)] [$dlg_ctx(timeout)] [$dlg_ctx(timeout_bye)]"
    " [$DLG_status]"
)

CFG = f"""
route[SHOW] {{ xlog("L_NOTICE", "$rm $rs: {SHOW}\\n"); }}
route[WITHIN] {{
    loose_route();
    if ($hdr(X-Manage) != $null) {{ dlg_manage(); }}
    if (is_known_dlg()) {{ xlog("L_NOTICE", "known\\n"); }}
    if (!is_method("ACK")) {{ route(SHOW); }}
    if ($hdr(X-Ruri) != $null) {{ dlg_set_ruri(); xlog("L_NOTICE", "set $rc $ru\\n"); }}
    switch ($hdr(X-Do)) {{
        case "bye all": dlg_bye("all"); break;
        case "bye callee": dlg_bye("callee"); break;
        case "bye caller": dlg_bye("caller"); break;
        case "refer caller": dlg_refer("caller", "sip:other@example.test"); break;
        case "refer callee": dlg_refer("callee", "sip:other@example.test"); break;
    }}
    if ($hdr(X-Do) != $null) {{ xlog("L_NOTICE", "did $rc\\n"); sl_send_reply("200", "done"); exit; }}
    t_relay();
}}
onreply_route[REPLY] {{ route(SHOW); }}
failure_route[FAILURE] {{ route(SHOW); }}
branch_route[BRANCH] {{ route(SHOW); }}
event_route[dialog:start] {{ xlog("L_NOTICE", "start $rm $rs $dlg(state) $dlg_var(a) $ci\\n"); }}
event_route[dialog:end] {{ xlog("L_NOTICE", "end $rm $dlg(state) $dlg_var(a) $dlg(callid)\\n"); }}
event_route[dialog:failed] {{ xlog("L_NOTICE", "failed $rm $rs $dlg(state) $dlg_var(a) $dlg(callid)\\n"); }}
route[TIMEOUT] {{ xlog("L_NOTICE", "timeout route $rm $dlg(state) $dlg(callid) $dlg_var(a)\\n"); }}
"""

room = Room(
    "dialog",
    modules="jsonrpcs ctl dialog",
    params="""
modparam("ctl", "binrpc", "unix:@DIR@/ctl")
modparam("dialog", "dlg_flag", 4)
modparam("dialog", "default_timeout", 100)
modparam("dialog", "timeout_avp", "$avp(timeout)")
modparam("dialog", "profiles_with_value", "caller ; callee")
modparam("dialog", "profiles_no_value", "inbound;outbound")
modparam("dialog", "dlg_extra_hdrs", "X-Extra: yes\\r\\n")
""",
    cfg=CFG,
    first='if (has_totag() && $rU != "fence") { route(WITHIN); exit; }',
)


def rpc(s: Scene, *words: str) -> None:
    """Note what a command answers."""
    s.fence()
    s.server.settle()
    text = kamcmd(f"unix:{s.server.directory}/ctl", *words)
    text = re.sub(r"\b(h_id|init_ts|start_ts|end_ts|ref_count|ref): \d{3,}", r"\1: <n>", text)
    text = re.sub(r"\b(duration): [01]\b", r"\1: <n>", text)
    text = re.sub(r"\b(timeout): \d{9,}", r"\1: <n>", text)
    s.note(f"{' '.join(words)}:\n{text}")


def call(s: Scene, alice: Agent, bob: Agent) -> tuple[Sip, Sip, Sip]:
    """A call that is answered; (the INVITE as sent, as received, the 200)."""
    s.mask(DID)
    return talk(alice, bob)


@room.case("""
route[whole] {
    route(SHOW); record_route(); dlg_manage(); $dlg_var(a) = "one"; route(SHOW);
    t_on_reply("REPLY"); t_on_branch("BRANCH"); t_relay();
}
""")
def test_whole(s: Scene) -> None:
    """All states and what is known in each."""
    alice, bob = s.agents("alice", "bob")
    sent, _, final = call(s, alice, bob)
    rpc(s, "dlg.stats_active")
    hang_up(alice, bob, sent, final)


@room.case("""
route[callee_bye] { record_route(); dlg_manage(); t_relay(); }
""")
def test_callee_bye(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    _, received, final = call(s, alice, bob)
    within(bob, alice, "INFO", received, final, cseq=5)
    hang_up(bob, alice, received, final, cseq=6)


@room.case("""
route[flagged] { record_route(); setflag(4); $dlg_var(a) = "early"; $dlg_ctx(timeout) = 77; t_relay(); route(SHOW); }
""")
def test_flagged(s: Scene) -> None:
    """A dialog made because of the flag, with what was set before there was one."""
    alice, bob = s.agents("alice", "bob")
    sent, _, final = call(s, alice, bob)
    hang_up(alice, bob, sent, final)


@room.case("""
route[busy] {
    record_route(); dlg_manage(); $dlg_var(a) = "b"; t_on_failure("FAILURE"); t_on_reply("REPLY"); t_relay();
}
""")
def test_busy(s: Scene) -> None:
    s.mask(DID)
    alice, bob = s.agents("alice", "bob")
    answer(alice, bob, alice.request("INVITE", bob), 486, rings=False)


@room.case("""
route[cancelled] { record_route(); dlg_manage(); $dlg_var(a) = "c"; t_relay(); }
""")
def test_cancelled(s: Scene) -> None:
    s.mask(DID)
    alice, bob = s.agents("alice", "bob")
    give_up(alice, bob, alice.request("INVITE", bob))


@room.case("""
route[local_reply] { record_route(); dlg_manage(); $dlg_var(a) = "d"; t_newtran(); t_reply("480", "Nobody"); }
""")
def test_local_reply(s: Scene) -> None:
    alice = s.agent("alice")
    sent = alice.request("INVITE")
    alice.ack(sent, alice.expect(480))


@room.case("""
route[no_answer] { record_route(); dlg_manage(); $dlg_var(a) = "n"; t_relay(); }
""")
def test_no_answer(s: Scene) -> None:
    s.mask(DID)
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    bob.expect("INVITE")
    alice.ack(sent, alice.expect(408))


@room.case("""
route[no_ack] { record_route(); dlg_manage(); $dlg_var(a) = "x"; t_relay(); }
""")
def test_no_ack(s: Scene) -> None:
    """A BYE comes while the ACK never did."""
    s.mask(DID)
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    received = ring(alice, bob)
    bob.reply(received, 200)
    final = alice.expect(200)
    hang_up(alice, bob, sent, final)


@room.case("""
route[timeout] {
    record_route(); $dlg_ctx(timeout_route) = "TIMEOUT"; $avp(timeout) = 1; dlg_manage(); $dlg_var(a) = "t"; t_relay();
}
""")
def test_timeout(s: Scene) -> None:
    """The timeout route runs, and the dialog ends without a BYE."""
    call(s, *s.agents("alice", "bob"))
    s.wait_log("timeout route", 6)
    s.wait_log("end ", 6)


@room.case(
    """
route[timeout_bye] {
    record_route(); $dlg_ctx(timeout_bye) = 1; $avp(timeout) = 1; dlg_manage(); $dlg_var(a) = "t"; t_relay();
}
""",
    differs="real 5.6 does not always run event_route[dialog:end] there",
)
def test_timeout_bye(s: Scene) -> None:
    """Both sides get a BYE."""
    alice, bob = s.agents("alice", "bob")
    call(s, alice, bob)
    alice.reply(alice.expect("BYE", timeout=6), 200)
    bob.reply(bob.expect("BYE", timeout=6), 200)
    if s.ours:
        s.wait_log("end ")


@room.case("""
route[bye_all] { record_route(); dlg_manage(); $dlg_var(a) = "y"; t_relay(); }
""")
def test_bye_all(s: Scene) -> None:
    """dlg_bye() of a request within the dialog, after requests of both sides counted up."""
    alice, bob = s.agents("alice", "bob")
    sent, received, final = call(s, alice, bob)
    within(bob, alice, "INFO", received, final, cseq=40)
    alice.within("INFO", sent, final, cseq=7, headers="X-Do: bye all")
    alice.reply(alice.expect("BYE"), 200)
    bob.reply(bob.expect("BYE"), 200)
    s.wait_log("end ", 6)


@room.case("""
route[bye_callee] { record_route(); dlg_manage(); t_relay(); }
""")
def test_bye_callee(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    sent, _, final = call(s, alice, bob)
    alice.within("INFO", sent, final, cseq=7, headers="X-Do: bye callee")
    bob.reply(bob.expect("BYE"), 200)
    alice.expect(200, "INFO")
    s.wait_log("end ", 6)


@room.case("""
route[refer] { record_route(); dlg_manage(); t_relay(); }
""")
def test_refer(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    sent, _, final = call(s, alice, bob)
    alice.within("INFO", sent, final, cseq=7, headers="X-Do: refer callee")
    alice.reply(alice.expect("REFER"), 202)
    alice.expect(200, "INFO")
    alice.reply(alice.expect("BYE"), 200)


@room.case("""
route[refer_caller] { record_route(); dlg_manage(); t_relay(); }
""")
def test_refer_caller(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    sent, _, final = call(s, alice, bob)
    alice.within("INFO", sent, final, cseq=7, headers="X-Do: refer caller")
    bob.reply(bob.expect("REFER"), 202)
    alice.expect(200, "INFO")
    bob.reply(bob.expect("BYE"), 200)


@room.case("""
route[profiles] {
    dlg_manage();
    set_dlg_profile("caller", "$fu"); xlog("L_NOTICE", "set $rc\\n");
    set_dlg_profile("inbound"); xlog("L_NOTICE", "set $rc\\n");
    set_dlg_profile("caller", "$fu"); xlog("L_NOTICE", "again $rc\\n");
    get_profile_size("caller", "$fu", "$var(n)"); xlog("L_NOTICE", "size $rc $var(n)\\n");
    get_profile_size("caller", "$var(n)"); xlog("L_NOTICE", "size $rc $var(n)\\n");
    get_profile_size("inbound", "$avp(n)"); xlog("L_NOTICE", "size $rc $avp(n)\\n");
    get_profile_size("caller", "nobody", "$var(n)"); xlog("L_NOTICE", "size $rc $var(n)\\n");
    get_profile_size("inbound", "$var(n)"); xlog("L_NOTICE", "size $rc $var(n)\\n");
    get_profile_size("outbound", "$var(n)"); xlog("L_NOTICE", "size $rc $var(n)\\n");
    is_in_profile("caller"); xlog("L_NOTICE", "in $rc\\n");
    is_in_profile("caller", "$fu"); xlog("L_NOTICE", "in $rc\\n");
    is_in_profile("caller", "x"); xlog("L_NOTICE", "in $rc\\n");
    is_in_profile("outbound"); xlog("L_NOTICE", "in $rc\\n");
    is_in_profile("inbound"); xlog("L_NOTICE", "in $rc\\n");
    unset_dlg_profile("caller", "x"); xlog("L_NOTICE", "unset $rc\\n");
    unset_dlg_profile("caller", "$fu"); xlog("L_NOTICE", "unset $rc\\n");
    get_profile_size("caller", "$fu", "$var(n)"); xlog("L_NOTICE", "size $rc $var(n)\\n");
    unset_dlg_profile("inbound"); xlog("L_NOTICE", "unset $rc\\n");
    get_profile_size("inbound", "$var(n)"); xlog("L_NOTICE", "size $rc $var(n)\\n");
    t_newtran(); t_reply("480", "done");
}
""")
def test_profiles(s: Scene) -> None:
    alice = s.agent("alice")
    sent = alice.request("INVITE")
    alice.ack(sent, alice.expect(480))


@room.case("""
route[profile_ends] { record_route(); dlg_manage(); set_dlg_profile("callee", "$tu"); t_relay(); }
""")
def test_profile_ends(s: Scene) -> None:
    """A dialog that ends is in no profile any more."""
    alice, bob = s.agents("alice", "bob")
    sent, _, final = call(s, alice, bob)
    rpc(s, "dlg.profile_get_size", "callee", "sip:profile_ends@example.test")
    rpc(s, "dlg.profile_get_size", "callee")
    rpc(s, "dlg.profile_get_size", "nosuch")
    hang_up(alice, bob, sent, final)
    rpc(s, "dlg.profile_get_size", "callee", "sip:profile_ends@example.test")


@room.case("""
route[variables] {
    dlg_manage();
    $dlg_var(a) = "one"; $dlg_var(b) = 5; $dlg_var(c) = "x"; $dlg_var(c) = $null;
    xlog("L_NOTICE", "[$dlg_var(a)] [$dlg_var(b)] [$dlg_var(c)] [$dlg_var(no)]\\n");
    dlg_setflag("3"); dlg_setflag("5"); dlg_resetflag("5");
    if (dlg_isflagset("3")) { xlog("L_NOTICE", "3 is set\\n"); }
    if (dlg_isflagset("5")) { xlog("L_NOTICE", "5 is set\\n"); }
    xlog("L_NOTICE", "$dlg(sflags) $dlg(dflags)\\n");
    dlg_set_timeout("50"); xlog("L_NOTICE", "$rc $dlg(lifetime)\\n");
    dlg_set_property("timeout-noreset"); xlog("L_NOTICE", "$rc\\n");
    dlg_set_property("ka-src"); xlog("L_NOTICE", "$rc\\n");
    dlg_set_property("nonsense"); xlog("L_NOTICE", "$rc\\n");
    dlg_reset_property("ka-src"); xlog("L_NOTICE", "$rc\\n");
    dlg_get("nosuch", "x", "y"); xlog("L_NOTICE", "$rc\\n");
    dlg_get("$ci", "$ft", ""); xlog("L_NOTICE", "$rc\\n");
    $dlg_ctx(timeout) = 33; $dlg_ctx(timeout_bye) = 1; $dlg_ctx(timeout_route) = "TIMEOUT";
    xlog("L_NOTICE", "$dlg_ctx(timeout) $dlg_ctx(timeout_bye) $dlg_ctx(timeout_route) $dlg(toroute)\\n");
    t_newtran(); t_reply("480", "done");
}
""")
def test_variables(s: Scene) -> None:
    alice = s.agent("alice")
    sent = alice.request("INVITE")
    alice.ack(sent, alice.expect(480))


@room.case("""
route[no_dialog] {
    route(SHOW);
    dlg_bye("all"); xlog("L_NOTICE", "$rc\\n");
    set_dlg_profile("inbound"); xlog("L_NOTICE", "$rc\\n");
    is_in_profile("inbound"); xlog("L_NOTICE", "$rc\\n");
    dlg_setflag("1"); xlog("L_NOTICE", "$rc\\n");
    dlg_isflagset("1"); xlog("L_NOTICE", "$rc\\n");
    dlg_set_timeout("5"); xlog("L_NOTICE", "$rc\\n");
    dlg_set_ruri(); xlog("L_NOTICE", "$rc\\n");
    is_known_dlg(); xlog("L_NOTICE", "$rc\\n");
    dlg_manage(); xlog("L_NOTICE", "manage $rc\\n");
    sl_send_reply("200", "done");
}
""")
def test_no_dialog(s: Scene) -> None:
    s.agent("alice").request("OPTIONS")


@room.case("""
route[spiral] {
    record_route(); dlg_manage(); xlog("L_NOTICE", "manage $rc $dlg(state)\\n");
    if ($hdr(X-Again) == $null) { append_hf("X-Again: 1\\r\\n");
        $du = "sip:127.0.0.1:" + $Rp; $ru = $ru; t_relay(); exit; }
    t_relay();
}
""")
def test_spiral(s: Scene) -> None:
    """The INVITE passes twice: one dialog."""
    alice, bob = s.agents("alice", "bob")
    sent, _, final = call(s, alice, bob)
    hang_up(alice, bob, sent, final)


@room.case("""
route[rpcs] { record_route(); dlg_manage(); $dlg_var(a) = "r"; set_dlg_profile("caller", "me"); t_relay(); }
""")
def test_rpcs(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    call(s, alice, bob)
    rpc(s, "dlg.dlg_list", "rpcs-alice-1")
    rpc(s, "dlg.dlg_list", "rpcs-alice-1", "f1")
    rpc(s, "dlg.dlg_list", "rpcs-alice-1", "f2")
    rpc(s, "dlg.dlg_list", "nosuch")
    rpc(s, "dlg.dlg_list_ctx", "rpcs-alice-1")
    rpc(s, "dlg.list_match", "ci", "eq", "rpcs-alice-1")
    rpc(s, "dlg.list_match", "furi", "sw", "sip:nobody")
    rpc(s, "dlg.list_match", "turi", "re", "sip:rpc.*test")
    rpc(s, "dlg.list_match", "bad", "re", "x")
    rpc(s, "dlg.list_match", "ci", "zz", "x")
    rpc(s, "dlg.list_match")
    rpc(s, "dlg.profile_list", "caller", "me")
    rpc(s, "dlg.profile_list", "nosuch")
    rpc(s, "dlg.is_alive", "rpcs-alice-1", "f1", "tag-bob")
    rpc(s, "dlg.is_alive", "rpcs-alice-1", "f1", "x")
    rpc(s, "dlg.is_alive", "rpcs-alice-1")
    rpc(s, "dlg.end_dlg", "1", "1")
    rpc(s, "dlg.end_dlg")
    rpc(s, "dlg.terminate_dlg", "x", "y", "z")
    rpc(s, "dlg.set_state", "x", "y", "z", "5")
    rpc(s, "dlg.terminate_dlg", "rpcs-alice-1", "f1", "tag-bob")
    alice.reply(alice.expect("BYE"), 200)
    bob.reply(bob.expect("BYE"), 200)
    s.wait_log("end ", 6)


@room.case("""
route[briefing] { record_route(); dlg_manage(); t_relay(); }
""")
def test_briefing(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    sent, _, final = call(s, alice, bob)
    text = kamcmd(f"unix:{s.server.directory}/ctl", "dlg.briefing", "ftcFTISEs")
    lines = text.split("\n}\n")
    lines += kamcmd(f"unix:{s.server.directory}/ctl", "dlg.briefing").split("\n}\n")
    for part in lines:
        if "briefing-alice-1" in part:
            s.note(re.sub(r"(h_id|_ts): \d{2,}", r"\1: <n>", part))
    hang_up(alice, bob, sent, final)


@room.case("""
route[manage_within] { record_route(); dlg_manage(); $dlg_var(a) = "m"; t_relay(); }
""")
def test_manage_within(s: Scene) -> None:
    """dlg_manage() finds the dialog of a request without the Route."""
    alice, bob = s.agents("alice", "bob")
    sent, _, final = call(s, alice, bob)
    alice.request("INFO", bob, call_id=sent.call_id, to_tag="tag-bob", cseq=2)
    bob.reply(bob.expect("INFO"), 200)
    alice.expect(200, "INFO")
    alice.request("INFO", bob, call_id=sent.call_id, to_tag="tag-bob", cseq=3, headers="X-Manage: 1\nX-Ruri: 1")
    bob.reply(bob.expect("INFO"), 200)
    alice.expect(200, "INFO")
    hang_up(alice, bob, sent, final)


@room.case("""
route[reinvite] { record_route(); dlg_manage(); t_relay(); }
""")
def test_reinvite(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    sent, _, final = call(s, alice, bob)
    alice.within("INVITE", sent, final, cseq=2, headers="Contact: <sip:moved@example.test>")
    invite = bob.expect("INVITE")
    bob.reply(invite, 200)
    second = alice.expect(200)
    alice.within("ACK", sent, second, cseq=2)
    bob.expect("ACK")
    hang_up(alice, bob, sent, final, cseq=3)


@room.case(
    """
route[bridge] { sl_send_reply("200", "x"); }
""",
    differs="Call-ID and Via branch are the server's own",
)
def test_bridge(s: Scene) -> None:
    """A call that the server makes: INVITE on hold, REFER, BYE."""
    alice = s.agent("alice")
    rpc(s, "dlg.bridge_dlg", f"sip:alice@{alice.host}", "sip:other@example.test")
    invite = alice.expect("INVITE")
    alice.reply(invite, 180)
    alice.reply(invite, 200)
    alice.expect("ACK")
    alice.reply(alice.expect("REFER"), 202)
    alice.reply(alice.expect("BYE"), 200)


@room.case("""
route[remote] {
    $var(e) = $Ts + 100;
    dlg_remote_profile("add", "caller", "x", "u1", "$var(e)"); xlog("L_NOTICE", "$rc\\n");
    dlg_remote_profile("add", "caller", "x", "u1", "$var(e)"); dlg_remote_profile("add", "caller", "y", "u2", "0");
    dlg_remote_profile("add", "inbound", "", "u3", 0); xlog("L_NOTICE", "$rc\\n"); route(SIZES);
    dlg_remote_profile("add", "nosuch", "x", "u", 0); xlog("L_NOTICE", "$rc\\n");
    dlg_remote_profile("foo", "caller", "x", "u", 0); xlog("L_NOTICE", "$rc\\n");
    dlg_remote_profile("add", "caller", "", "u", 0); xlog("L_NOTICE", "$rc\\n");
    dlg_remote_profile("add", "caller", "x", "", 0); xlog("L_NOTICE", "$rc\\n");
    dlg_remote_profile("rm", "caller", "x", "u2", 0); xlog("L_NOTICE", "$rc\\n"); route(SIZES);
    dlg_remote_profile("rm", "caller", "x", "u1", 0); xlog("L_NOTICE", "$rc\\n"); route(SIZES);
    dlg_remote_profile("rm", "caller", "x", "u1", 0); dlg_remote_profile("rm", "caller", "y", "u2", 0);
    dlg_remote_profile("rm", "inbound", "", "u3", 0); route(SIZES);
    sl_send_reply("200", "done");
}
route[SIZES] {
    get_profile_size("caller", "x", "$var(x)"); get_profile_size("caller", "y", "$var(y)");
    get_profile_size("inbound", "$var(n)"); xlog("L_NOTICE", "$var(x) $var(y) $var(n)\\n");
}
""")
def test_remote(s: Scene) -> None:
    """Members of profiles whose dialogs are other servers'."""
    ask(s)


def database(directory: Path) -> None:
    create_sqlite(str(directory / "d.db"))


stored = Room(
    "dialog_db",
    modules="db_sqlite dialog",
    params="""
modparam("dialog", "db_url", "sqlite:///@DIR@/d.db")
modparam("dialog", "db_mode", 1)
modparam("dialog", "profiles_with_value", "caller")
modparam("dialog", "profiles_no_value", "inbound")
""",
    first='if (has_totag() && $rU != "fence") { loose_route(); t_relay(); exit; }',
    prepare=database,
)


def rows(s: Scene) -> list[str]:
    found = []
    connection = sqlite3.connect(s.server.directory / "d.db")
    connection.row_factory = sqlite3.Row
    for row in connection.execute("select * from dialog where callid like ?", (f"{s.name}-%",)):
        named = dict(row)
        variables = connection.execute(
            "select dialog_key, dialog_value from dialog_vars where hash_entry = ? and hash_id = ? order by id",
            (named["hash_entry"], named["hash_id"]),
        ).fetchall()
        for name in ("id", "hash_id", "start_time", "timeout"):
            named[name] = named[name] > 0
        named["xdata"] = re.sub(r',"puid":"[^"]*"', "", named["xdata"] or "")
        # an empty text is null for real db_sqlite
        found.append(f"{ {name: value or '' for name, value in named.items()} } {[tuple(one) for one in variables]}")
    connection.close()
    return found


def noted(s: Scene, wanted: int) -> None:
    """Note the rows of the case once there are as many as wanted."""
    deadline = time.monotonic() + 12
    while len(rows(s)) != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    s.fence()
    s.server.settle()
    s.note("\n".join(rows(s)) or "no rows")


@stored.case("""
route[realtime] {
    record_route(); $dlg_ctx(timeout_route) = "LATER"; dlg_manage(); $dlg_var(a) = "one"; $dlg_var(b) = "two";
    dlg_setflag("2"); set_dlg_profile("caller", "me"); set_dlg_profile("inbound"); t_relay();
}
route[LATER] { exit; }
""")
def test_realtime(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    sent, _, final = call(s, alice, bob)
    noted(s, 1)
    within(alice, bob, "INFO", sent, final)
    noted(s, 1)
    hang_up(alice, bob, sent, final, cseq=3)
    noted(s, 0)
