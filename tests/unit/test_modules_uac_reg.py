"""Registrations with other registrars: by which rules one lives, and the table of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.local import Local
from kit.rpc import invoke
from kit.sip import Sip, build_reply

from kamailio_py.db.tables import create_sqlite
from kamailio_py.module import ModuleError, RpcFault
from kamailio_py.modules.uac.registration import Answer, Registration, State, read_answer, usable_password
from kamailio_py.modules.uac.registrations import Registrations
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message

NOW = 1_700_000_000
MODULES = """
loadmodule "db_sqlite"
loadmodule "tm"
loadmodule "sl"
loadmodule "pv"
loadmodule "uac"
modparam("uac", "restore_mode", "none")
"""
PARAMS = """
modparam("uac", "reg_db_url", "sqlite:///{database}")
modparam("uac", "reg_contact_addr", "us.test:7777")
modparam("uac", "reg_timer_interval", 10)
modparam("tm", "fr_timer", 2000)
"""
ROUTES = "request_route { exit; }\n"


def one(**changes: int | str) -> Registration:
    return Registration(**({"l_uuid": "u", "expires": 60} | changes))  # type: ignore[arg-type]


# the rules


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({}, True),
        ({"expires": 0}, False),
        ({"flags": State.DISABLED}, False),
        ({"reg_delay": 5, "reg_init": NOW - 4}, False),
        ({"reg_delay": 5, "reg_init": NOW - 5}, True),
        ({"reg_delay": 5, "reg_init": NOW - 4, "flags": State.BEGUN}, True),
        ({"timer_expires": NOW + 13}, True),
        ({"timer_expires": NOW + 14}, False),
        ({"flags": State.ONGOING, "timer_expires": NOW - 20}, True),
        ({"flags": State.ONGOING, "timer_expires": NOW - 19}, False),
    ],
)
def test_what_is_due(changes: dict[str, int], due: bool) -> None:
    assert one(**changes).is_due(NOW, 10, 20, True) is due
    assert not one(**changes).is_due(NOW, 10, 20, False)


def test_one_that_was_never_answered_begins_anew() -> None:
    lost = one(flags=State.ONGOING | State.AUTH_SENT | State.BEGUN, timer_expires=NOW - 100)
    assert lost.is_due(NOW, 10, 20, True)
    lost.begin(NOW)
    assert (lost.flags, lost.timer_expires) == (State.ONGOING | State.BEGUN, NOW)


def test_a_call_is_gone_on_with_only_while_it_is_in_force() -> None:
    kept = one()
    assert not kept.begin(NOW)
    kept.succeed(Answer(30, "call", 10), keep_call_id=True)
    assert (kept.timer_expires, kept.call_id, kept.cseq) == (NOW + 30, "call", 10)
    assert kept.begin(NOW + 20)
    assert kept.timer_expires == NOW + 20
    assert kept.status(NOW + 20) == -2
    kept.fail(NOW + 20, retry=5)
    assert kept.timer_expires == NOW + 25
    assert not kept.begin(NOW + 25)


def test_another_contact_than_ours_is_no_registration() -> None:
    foreign = one()
    foreign.begin(NOW)
    foreign.succeed(Answer(None, "call", 10), keep_call_id=True)
    assert (foreign.status(NOW), foreign.timer_expires, foreign.call_id) == (-99, NOW, "")


def test_a_failure_disables_where_nothing_is_tried_again() -> None:
    failed = one()
    failed.begin(NOW)
    assert failed.fail(NOW, retry=0)
    assert failed.status(NOW) == -3
    assert not failed.is_due(NOW + 1000, 10, 0, True)


def test_too_brief() -> None:
    brief = one(flags=State.ONGOING)
    brief.stretch(None)
    assert (brief.expires, brief.flags) == (120, 0)
    brief.stretch(77)
    assert brief.expires == 77


@given(st.lists(st.sampled_from(["begin", "succeed", "fail", "challenge", "wait", "disable", "enable"]), max_size=30))
def test_whatever_happens_a_registration_is_never_asked_for_twice_at_once(steps: list[str]) -> None:
    """As long as answers come within the retry interval; and status always tells of what is under way."""
    it, now, asked = one(), NOW, False
    for step in steps:
        if step == "wait":
            now += 10
        elif step == "begin" and it.is_due(now, 10, 10_000, True):
            assert not asked
            it.begin(now)
            asked = True
        elif step == "challenge" and asked:
            it.flags |= State.AUTH_SENT
        elif step in ("disable", "enable"):
            it.flags = it.flags & ~State.DISABLED | (State.DISABLED if step == "disable" else 0)
        elif step in ("succeed", "fail") and asked:
            if step == "succeed":
                it.succeed(Answer(60, "call", 10), keep_call_id=True)
            else:
                it.fail(now, retry=5)
            asked = False
            assert not it.flags & (State.ONGOING | State.AUTH_SENT)
        assert (it.status(now) == -2) is asked


def reply(headers: str, status: int = 200) -> Message:
    lines = "".join(f"{line}\r\n" for line in headers.splitlines())
    return Message(
        f"SIP/2.0 {status} x\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n"
        f"Call-ID: call\r\nCSeq: 11 REGISTER\r\n{lines}\r\n"
    )


@pytest.mark.parametrize(
    ("headers", "expires"),
    [
        ("Contact: <sip:u@x>;expires=5", 5),
        ("Contact: <sip:x@x>;expires=5, <sip:u@x>;expires=6", 6),
        ("Contact: <sip:x@x>\nContact: <sip:u@x>\nExpires: 7", 7),
        ('Contact: "u" <sip:u@x;transport=tcp>;q=0.5;Expires="8"', 8),
        ("Contact: sip:u@x;expires=9", 9),
        ("Contact: <sip:u@x>", 0),
        ("Contact: <sip:x@x>", None),
        ("Contact: *", None),
    ],
)
def test_what_a_200_says(headers: str, expires: int | None) -> None:
    assert read_answer(reply(headers), "u") == Answer(expires, "call", 11)


@pytest.mark.parametrize("headers", ["", "Contact: ", "Contact: <bad>", 'Contact: "u <sip:u@x>', "Contact: <sip:u@x"])
def test_a_200_that_cannot_be_read(headers: str) -> None:
    with pytest.raises(BadMessage):
        read_answer(reply(headers), "u")


def test_passwords() -> None:
    assert usable_password("p", None)
    assert usable_password("", "0123456789abcdefABCDEF0123456789")
    for password, ha1 in ((None, None), ("", ""), ("p", "abc"), ("p", "g" * 32)):
        assert not usable_password(password, ha1)


# the table and the process


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Local]:
    database = tmp_path / "u.db"
    create_sqlite(str(database))
    with sqlite3.connect(database) as rows:
        rows.execute(
            "insert into uacreg (l_uuid, l_username, l_domain, r_username, r_domain, auth_username, auth_password, "
            "auth_proxy, expires) values ('u', 'alice', 'local.test', 'r', 'remote.test', 'a', 'p', "
            "'sip:127.0.0.1:9', 60)"
        )
    rows.close()
    with Local(MODULES + PARAMS.format(database=database) + ROUTES, tmp_path) as local:
        yield local


def module(server: Local) -> tuple[Registrations, list[str]]:
    """The table, and what the first round sent."""
    server._drain(server.core.processes[-1].run)
    table = server.core.module("uac").registrations
    assert table is not None
    return table, [text for text, _ in server.sent]


def test_registering_refreshing_and_a_timeout(server: Local) -> None:
    """The life of a registration: until it is refreshed, and what no answer at all does."""
    table, sent = module(server)
    uac = server.core.module("uac")
    register = Sip(sent[0])
    assert (register.start, register.first("Expires")) == ("REGISTER sip:remote.test SIP/2.0", "60")
    answer = build_reply(register, 200, None, "b", "Contact: <sip:u@us.test:7777>;expires=40", "")
    server.inject(answer, port=9)
    assert invoke(server.core, "uac.reg_info", "l_uuid", "u")[0]["diff_expires"] == 40
    for _ in range(2):
        server.advance(10)
        uac.client.round()
    assert len(server.sent) == 1
    server.advance(10)
    uac.client.round()
    assert Sip(server.sent[1][0]).first("Call-ID") != register.first("Call-ID")
    server.advance(3)
    found = table.get("u")
    assert found is not None
    assert found.flags == State.DISABLED | State.BEGUN
    uac.reg_retry_interval = 30
    invoke(server.core, "uac.reg_enable", "l_uuid", "u")
    before = len(server.sent)
    uac.client.round()
    server.advance(3)
    for _ in range(3):
        uac.client.round()
        server.advance(3)
    sent_meanwhile = {Sip(text).call_id for text, _ in server.sent[before:]}
    assert len(sent_meanwhile) == 1, "it is tried again only after the retry interval"
    server.advance(20)
    uac.client.round()
    assert len({Sip(text).call_id for text, _ in server.sent[before:]}) == 2


def test_a_process_that_was_started_again_does_not_read_the_table_once_more(server: Local) -> None:
    table, _ = module(server)
    module(server)
    assert [registration.l_uuid for registration in table] == ["u"]


def test_many_are_found_and_leave_nothing_behind(server: Local) -> None:
    table, _ = module(server)
    table.clear()
    before = server.core.shm.arena.by_owner()
    for number in range(300):
        assert table.add(Registration(f"u{number}", f"user{number % 100}", f"d{number}", r_username=f"r{number}"))
    for number in (0, 7, 299):
        assert table.get(f"u{number}").r_username == f"r{number}"  # type: ignore[union-attr]
        assert table.of_user(f"user{number % 100}", f"d{number}").l_uuid == f"u{number}"  # type: ignore[union-attr]
        assert table.find("r_username", f"r{number}").l_uuid == f"u{number}"  # type: ignore[union-attr]
    assert table.of_user("user7").l_uuid == "u207"  # type: ignore[union-attr]

    def keep(registration: Registration) -> None:
        registration.call_id, registration.cseq = "call", 5

    assert table.change("u7", keep) is not None
    assert table.remove("u7") is not None
    assert table.remove("u7") is None
    assert table.get("u7") is None
    assert table.of_user("user7", "d7") is None
    with pytest.raises(ValueError, match="realm"):
        table.find("realm", "x")
    assert server.core.shm.check() == []
    table.clear()
    assert list(table) == []
    assert server.core.shm.arena.by_owner() == before


def test_without_memory_nothing_is_half_there(server: Local) -> None:
    table, _ = module(server)
    arena, number = server.core.shm.arena, 0
    while table.add(Registration(f"u{number}", "x" * 3000)):
        number += 1
    free = arena.total - arena.used
    with pytest.raises(RpcFault, match="Failed to add"):
        invoke(server.core, "uac.reg_add", "v", "l", "d", "r", "r", ".", "a", "p", ".", "x", 5, 0, 0, ".", "x" * 40000)
    assert arena.total - arena.used == free
    assert table.get("v") is None
    assert server.core.shm.check() == []


def test_without_a_database_there_are_no_commands(tmp_path: Path) -> None:
    with Local(MODULES + ROUTES, tmp_path) as server:
        assert not list(server.core.module("uac").rpcs())
        assert not server.core.processes


def test_what_the_start_needs(tmp_path: Path, server: Local) -> None:
    """A contact must be given; a table that cannot be read is told, and the server runs."""
    with pytest.raises(ModuleError, match="contact address parameter not set"):
        Local(f'{MODULES}modparam("uac", "reg_db_url", "sqlite:///x")\n{ROUTES}', tmp_path)
    with sqlite3.connect(tmp_path / "u.db") as rows:
        rows.execute("update version set table_version = 4 where table_name = 'uacreg'")
    rows.close()
    table, sent = module(server)
    assert (list(table), sent) == ([], [])
    assert invoke(server.core, "uac.reg_dump") == []
    with pytest.raises(RpcFault, match="Failed to reload"):
        invoke(server.core, "uac.reg_reload")
