"""Accounting: what acc writes to the log and into a database for calls that succeed, fail, are cancelled or forked."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from kit.calls import DID, answer, give_up, hang_up, ring, talk
from kit.room import Room
from kit.scene import Scene, ask

from kamailio_py.db.tables import create_sqlite


def database(directory: Path) -> None:
    create_sqlite(str(directory / "acc.db"))
    made = sqlite3.connect(directory / "acc.db")
    for table in ("acc", "missed_calls"):
        for column in ("src_user", "dst_uri", "number", "leg_src", "leg_dst"):
            made.execute(f"alter table {table} add column {column} varchar(64) default 'none'")
    made.execute("create table other as select * from acc")
    made.close()


WITHIN = """
if (has_totag()) {
    loose_route();
    if (is_method("BYE") || $hdr(X-Account) != $null) { setflag(1); setflag(3); }
    t_relay();
    exit;
}
"""

PARAMS = """
modparam("acc", "log_flag", 1)
modparam("acc", "log_missed_flag", 2)
modparam("acc", "db_flag", 3)
modparam("acc", "db_missed_flag", 4)
modparam("acc", "failed_transaction_flag", 5)
modparam("acc", "failed_filter", "404,407")
modparam("acc", "early_media", 1)
modparam("acc", "report_ack", 1)
modparam("acc", "report_cancels", 1)
modparam("acc", "detect_direction", 1)
modparam("acc", "db_url", "sqlite:///@DIR@/acc.db")
modparam("acc", "log_extra", "src_user=$fU;dst_uri=$ru;number=$avp(number);none=$avp(no);code=$T_reply_code")
modparam("acc", "db_extra", "src_user=$fU;dst_uri=$ru;number=$avp(number)")
modparam("acc", "multi_leg_info", "leg_src=$avp(src);leg_dst=$avp(dst)")
"""
room, fresh = (
    Room(name, first=WITHIN, modules="db_sqlite acc", params=PARAMS, prepare=database) for name in ("acc", "acc_fresh")
)
"""Real acc gives a request without a To tag that of what it accounted last: in `fresh` that is nothing."""


def note_lines(s: Scene, time: str) -> None:
    """Note what was logged in this scene; `time` is the pattern of the times in it."""
    s.fence()
    s.server.settle()
    for line in s.server.log(s._log_from).split("\n"):
        _, found, text = line.partition("ACC: ")
        if found:
            level = re.search(r"\) ([A-Z]+): ", line)
            s.note(f"{level[1] if level else '?'} {re.sub(time, 'timestamp=T', text)}")


def accounted(s: Scene) -> None:
    """Note the log lines and rows of this scene."""
    note_lines(s, r"timestamp=\d{10}(?!\d)")
    connection = sqlite3.connect(s.server.directory / "acc.db")
    for table in ("acc", "missed_calls", "other"):
        rows = connection.execute(
            "select method, from_tag, to_tag, callid, sip_code, sip_reason, src_user, dst_uri, number, leg_src,"
            f" leg_dst, typeof(time), abs(time - julianday('now')) < 0.01 from {table}"
            " where callid like ? order by rowid",
            (f"{s.name}-%",),
        )
        for row in rows:
            # An empty value is null for real db_sqlite, which then refuses the row if the column may not be null.
            if row[2] or table == "other":
                s.note(f"{table}: {tuple('' if value is None else value for value in row)}")
    connection.close()


def call(s: Scene, code: int = 200, ack: str = "") -> None:
    """INVITE, 180, a final reply and ACK."""
    alice, bob = s.agents("alice", "bob")
    answer(alice, bob, alice.request("INVITE", bob), code, ack=ack)


FLAGS = "setflag(1); setflag(2); setflag(3); setflag(4);"


@room.case("""
route[answered] {
    setflag(1); setflag(3); record_route(); $avp(number) = 42; t_relay();
}
""")
def test_answered(s: Scene) -> None:
    """A call with a BYE of the caller."""
    alice, bob = s.agents("alice", "bob")
    sent, _, final = talk(alice, bob)
    hang_up(alice, bob, sent, final)
    accounted(s)


@room.case("""
route[callee_ends] {
    setflag(1); setflag(3); record_route(); t_relay();
}
""")
def test_callee_ends(s: Scene) -> None:
    """A BYE of the callee: with detect_direction From and To are those of the caller's request."""
    alice, bob = s.agents("alice", "bob")
    _, received, final = talk(alice, bob)
    hang_up(bob, alice, received, final)
    accounted(s)


@room.case("""
route[acknowledged] { setflag(1); setflag(3); record_route(); t_relay(); }
""")
def test_acknowledged(s: Scene) -> None:
    """report_ack: an ACK is accounted if it has the flag, too."""
    call(s, ack="X-Account: yes")
    accounted(s)


@room.case(f"""
route[busy] {{ {FLAGS} t_relay(); }}
""")
def test_busy(s: Scene) -> None:
    """A missed call; the failure itself is not accounted without the flag."""
    call(s, code=486)
    accounted(s)


@room.case(f"""
route[failed_flag] {{ {FLAGS} setflag(5); t_relay(); }}
""")
def test_failed_flag(s: Scene) -> None:
    call(s, code=480)
    accounted(s)


@room.case(f"""
route[filtered] {{ {FLAGS} setflag(5); t_relay(); }}
""")
def test_filtered(s: Scene) -> None:
    call(s, code=404)
    accounted(s)


@room.case("""
route[nothing] { t_relay(); }
""")
def test_nothing(s: Scene) -> None:
    call(s)
    accounted(s)


@room.case("""
route[late_flag] { t_newtran(); setflag(1); setflag(3); t_relay(); }
""")
def test_late_flag(s: Scene) -> None:
    """A flag that is set when the transaction exists comes too late."""
    call(s)
    accounted(s)


@room.case(f"""
route[cancelled] {{ {FLAGS} setflag(5); t_relay(); }}
""")
def test_cancelled(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    give_up(alice, bob, alice.request("INVITE", bob))
    accounted(s)


@room.case(f"""
route[no_answer] {{ {FLAGS} setflag(5); t_relay(); }}
""")
def test_no_answer(s: Scene) -> None:
    """The callee never answers: 408 is made here."""
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    bob.expect("INVITE")
    alice.ack(sent, alice.expect(408))
    accounted(s)


@room.case("""
route[local_reply] { setflag(1); setflag(5); t_newtran(); t_reply("480", "Nobody here"); }
""")
def test_local_reply(s: Scene) -> None:
    alice = s.agent("alice")
    sent = alice.request("INVITE")
    alice.ack(sent, alice.expect(480))
    accounted(s)


@room.case("""
route[local_ok] { setflag(1); t_newtran(); t_reply("202", "Taken"); }
""")
def test_local_ok(s: Scene) -> None:
    s.agent("alice").request("MESSAGE")
    s.agent("bob")
    accounted(s)


@room.case(f"""
route[serial] {{ {FLAGS} setflag(5); $avp(to) = $ru; t_on_failure("SERIAL"); t_relay(); }}
failure_route[SERIAL] {{
    $avp(number) = "second"; xlog("L_NOTICE", "missed flag $mf\\n"); $ru = "sip:second@" + $(hdr(X-Second)); t_relay();
}}
""")
def test_serial(s: Scene) -> None:
    """The first destination is busy, the second answers: one missed call, one answered."""
    alice, bob, carol = s.agents("alice", "bob", "carol")
    sent = alice.request("INVITE", bob, headers=f"X-Second: {carol.host}")
    invite = bob.expect("INVITE")
    bob.reply(invite, 486)
    second = carol.expect("INVITE")
    carol.reply(second, 200)
    alice.ack(sent, alice.expect(200))
    accounted(s)


@room.case(f"""
route[forked] {{ {FLAGS} append_branch("sip:two@" + $(hdr(X-Second))); t_relay(); }}
""")
def test_forked(s: Scene) -> None:
    alice, bob, carol = s.agents("alice", "bob", "carol")
    sent = alice.request("INVITE", bob, headers=f"X-Second: {carol.host}")
    first, second = bob.expect("INVITE"), carol.expect("INVITE")
    bob.reply(first, 486)
    bob.expect("ACK")
    carol.reply(second, 200)
    alice.ack(sent, alice.expect(200))
    accounted(s)


FORKED = f'{FLAGS} append_branch("sip:two@" + $(hdr(X-Second)));'


def rung_and_refused(s: Scene, *codes: int, backwards: bool = False) -> None:
    """Two phones ring, and both end in failure: refused with these codes, or without any given, cancelled."""
    alice, bob, carol = s.agents("alice", "bob", "carol")
    sent = alice.request("INVITE", bob, headers=f"X-Second: {carol.host}")
    invites = [(agent, agent.expect("INVITE")) for agent in (bob, carol)]
    for agent, invite in invites:
        agent.reply(invite, 180)
        alice.expect(180)
    if not codes:
        alice.cancel(sent)
        alice.expect(200, "CANCEL")
        for agent, _ in invites:
            agent.reply(agent.expect("CANCEL"), 200)
    for (agent, invite), code in list(zip(invites, codes or (487, 487), strict=True))[:: -1 if backwards else 1]:
        agent.reply(invite, code)
        agent.expect("ACK")
    s.fence()
    s.server.settle()
    alice.drain()
    alice.ack(sent, next(arrival.message for arrival in alice.arrivals if arrival.message.status >= 300))
    accounted(s)


@room.case(f"route[forked_cancelled] {{ {FORKED} t_relay(); }}")
def test_forked_cancelled(s: Scene) -> None:
    """The call was missed at the phone whose ringing went upstream last, not at the one whose reply is relayed."""
    rung_and_refused(s)


@room.case(f"""
route[forked_cancelled_route] {{ {FORKED} t_on_failure("CANCELLED"); t_relay(); }}
failure_route[CANCELLED] {{ if (t_is_canceled()) exit; }}
""")
def test_forked_cancelled_route(s: Scene) -> None:
    """The second phone ends first."""
    rung_and_refused(s, backwards=True)


@room.case(f"route[forked_refused] {{ {FORKED} t_relay(); }}")
def test_forked_refused(s: Scene) -> None:
    rung_and_refused(s, 404, 486)


@room.case(f"""
route[forked_answered_here] {{ {FORKED} setflag(5); t_on_failure("ELSEWHERE"); t_relay(); }}
failure_route[ELSEWHERE] {{ t_reply("480", "Try later"); }}
""")
def test_forked_answered_here(s: Scene) -> None:
    rung_and_refused(s, 486, 486)


@room.case(f"""
route[forked_again] {{ setflag(1); setflag(2); t_on_failure("AGAIN"); t_relay(); }}
failure_route[AGAIN] {{ {FORKED} t_relay(); }}
""")
def test_forked_again(s: Scene) -> None:
    """The first one rings, two more are called."""
    alice, bob, carol = s.agents("alice", "bob", "carol")
    sent = alice.request("INVITE", bob, headers=f"X-Second: {carol.host}")
    first = ring(alice, bob)
    bob.reply(first, 486)
    bob.expect("ACK")
    carol.reply(carol.expect("INVITE"), 480)
    alice.ack(sent, alice.expect(480))
    accounted(s)


@room.case("""
route[early] { setflag(1); setflag(3); t_relay(); }
""")
def test_early(s: Scene) -> None:
    """Early media: a provisional reply with a body is accounted."""
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    invite = bob.expect("INVITE")
    bob.reply(invite, 183, headers="Content-Type: application/sdp", body="v=0\r\n")
    alice.expect(183)
    bob.reply(invite, 200)
    alice.ack(sent, alice.expect(200))
    accounted(s)


@room.case("""
route[legs] {
    setflag(1); setflag(3); $avp(src) = "a"; $avp(dst) = "b"; $avp(src) = "c"; $avp(dst) = 7; $avp(dst) = "e";
    t_relay();
}
""")
def test_legs(s: Scene) -> None:
    call(s)
    accounted(s)


@room.case("""
route[options] { setflag(1); setflag(3); t_relay(); }
""")
def test_options(s: Scene) -> None:
    """Any request is accounted, not only calls."""
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    bob.reply(bob.expect("MESSAGE"), 202, "Taken")
    alice.expect(202)
    accounted(s)


@room.case(f"""
route[failure_reply] {{ {FLAGS} setflag(5); t_on_failure("REPLYING"); t_relay(); }}
failure_route[REPLYING] {{ t_reply("480", "Try later"); }}
""")
def test_failure_reply(s: Scene) -> None:
    """The failure route answers itself."""
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    bob.reply(bob.expect("INVITE"), 486)
    bob.expect("ACK")
    alice.ack(sent, alice.expect(480))
    accounted(s)


@fresh.case("""
route[functions] {
    acc_log_request("404 Not here at all"); xlog("L_NOTICE", "$rc\\n");
    acc_log_request("just words"); xlog("L_NOTICE", "$rc\\n");
    $var(c) = "486 Var $rm";
    acc_log_request("$var(c)"); xlog("L_NOTICE", "$rc\\n");
    acc_log_request("$avp(no)"); xlog("L_NOTICE", "$rc\\n");
    acc_log_request("200"); xlog("L_NOTICE", "$rc\\n");
    acc_db_request("487 Gone", "other"); xlog("L_NOTICE", "$rc\\n");
    acc_db_request("nothing", "other"); xlog("L_NOTICE", "$rc\\n");
    acc_db_request("500 No table", "not_there"); xlog("L_NOTICE", "$rc\\n");
    sl_send_reply("200", "done");
}
""")
def test_functions(s: Scene) -> None:
    ask(s)
    accounted(s)


extras = Room(
    "acc_extras",
    first=WITHIN,
    modules="db_sqlite acc",
    params="""
modparam("acc", "log_flag", 1)
modparam("acc", "log_level", 0)
modparam("acc", "db_flag", 1)
modparam("acc", "acc_prepare_flag", 9)
modparam("acc", "acc_extra_nullable", 1)
modparam("acc", "reason_from_hf", 1)
modparam("acc", "time_mode", 1)
modparam("acc", "time_exten", "usec")
modparam("acc", "db_table_acc", "$avp(table)")
modparam("acc", "db_url", "sqlite:///@DIR@/acc.db")
modparam("acc", "acc_sip_reason_column", "reason")
modparam("acc", "log_extra", "x=$avp(x); y = $avp(y)")
modparam("acc", "db_extra", "x=$avp(x)")
""",
)


def extra_database(directory: Path) -> None:
    made = sqlite3.connect(directory / "acc.db")
    made.executescript(
        "create table version (table_name varchar(32), table_version int);"
        "insert into version values ('acc', 5), ('missed_calls', 4);"
    )
    for table in ("one", "two"):
        made.execute(
            f"create table {table} (id integer primary key, method text, from_tag text, to_tag text, callid text,"
            " sip_code text, reason text, time datetime, usec int, time_attr text, x text)"
        )
    made.close()


extras.prepare = extra_database


def extra_rows(s: Scene) -> None:
    note_lines(s, r"timestamp=\d{10};usec=\d{1,6}(?=;)")
    connection = sqlite3.connect(s.server.directory / "acc.db")
    for table in ("one", "two"):
        for row in connection.execute(
            "select method, to_tag, sip_code, reason, x, typeof(usec), typeof(time_attr)"
            f" from {table} where callid like ?",
            (f"{s.name}-%",),
        ):
            s.note(f"{table}: {row}")
    connection.close()


@extras.case("""
route[variables] { setflag(1); $avp(table) = "two"; $avp(x) = 5; t_relay(); }
""")
def test_variables(s: Scene) -> None:
    """The table's name comes from an AVP; an extra that is null; the reason is that of a Reason header."""
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    bob.reply(bob.expect("INVITE"), 200, headers='Reason: Q.850;cause=16;text="ended"')
    alice.ack(sent, alice.expect(200))
    extra_rows(s)


@extras.case("""
route[nullable] { setflag(1); $avp(table) = "one"; t_relay(); }
""")
def test_nullable(s: Scene) -> None:
    call(s)
    extra_rows(s)


@extras.case("""
route[prepared] { setflag(9); $avp(table) = "one"; t_newtran(); setflag(1); $avp(x) = "late"; t_relay(); }
""")
def test_prepared(s: Scene) -> None:
    """acc_prepare_flag: the accounting flag may be set after the transaction was made."""
    call(s)
    extra_rows(s)


def cdr_database(directory: Path) -> None:
    made = sqlite3.connect(directory / "acc.db")
    made.execute("create table cdrs (start_time datetime, end_time datetime, duration, who, ci)")
    made.execute("create table version (table_name varchar(32), table_version int)")
    made.close()


cdrs = Room(
    "acc_cdrs",
    modules="db_sqlite dialog acc",
    first='if (has_totag() && $rU != "fence") { loose_route(); t_relay(); exit; }',
    params="""
modparam("dialog", "timeout_avp", "$avp(timeout)")
modparam("acc", "cdr_enable", 1)
modparam("acc", "cdr_skip", "skip")
modparam("acc", "cdr_expired_dlg_enable", 1)
modparam("acc", "cdrs_table", "cdrs")
modparam("acc", "db_url", "sqlite:///@DIR@/acc.db")
modparam("acc", "cdr_extra", "who=$dlg_var(who);ci=$dlg_var(ci)")
""",
    prepare=cdr_database,
)


def call_records(s: Scene, wanted: int = 1) -> None:
    """Note the records of this scene's calls, in the log and in the database."""
    connection = sqlite3.connect(s.server.directory / "acc.db")
    if wanted:
        s.wait_log(f"ci={s.name}-")
    s.fence()
    s.server.settle()
    for line in s.server.log(s._log_from).split("\n"):
        _, found, text = line.partition("start_time=")
        if found:
            s.note(re.sub(r"\d{10}\.\d{3}", "T", re.sub(r"duration=\d\.\d{3}", "duration=D", f"{found}{text}")))
    for row in connection.execute(
        "select typeof(start_time), abs(end_time - julianday('now')) < 0.01, end_time >= start_time, typeof(duration),"
        " duration > 0, coalesce(who, '') from cdrs where ci like ?",
        (f"{s.name}-%",),
    ):
        s.note(f"cdrs: {row}")
    connection.close()


@cdrs.case("""
route[cdr_call] { record_route(); dlg_manage(); $dlg_var(ci) = $ci; $dlg_var(who) = "me"; t_relay(); }
""")
def test_cdr_call(s: Scene) -> None:
    s.mask(DID)
    alice, bob = s.agents("alice", "bob")
    sent, _, final = talk(alice, bob)
    alice.listen(0.2)
    hang_up(alice, bob, sent, final)
    call_records(s)


@cdrs.case("""
route[cdr_busy] { record_route(); dlg_manage(); $dlg_var(ci) = $ci; t_relay(); }
""")
def test_cdr_busy(s: Scene) -> None:
    """A call that was not one has a record without a duration."""
    s.mask(DID)
    call(s, code=486)
    call_records(s)


@cdrs.case("""
route[cdr_expired] { record_route(); $avp(timeout) = 1; dlg_manage(); $dlg_var(ci) = $ci; $dlg_var(who) = "late";
    t_relay(); }
""")
def test_cdr_expired(s: Scene) -> None:
    s.mask(DID)
    call(s)
    call_records(s)


@cdrs.case("""
route[cdr_skipped] { record_route(); dlg_manage(); $dlg_var(ci) = $ci; $dlg_var(skip) = "yes"; t_relay(); }
""")
def test_cdr_skipped(s: Scene) -> None:
    s.mask(DID)
    call(s, code=486)
    call_records(s, 0)
