"""presence and presence_xml in one process: rows in shared memory, documents, rules, timers, what does not fit."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamailio_py.db.tables import create_sqlite
from kamailio_py.module import ModuleError, RpcFault
from kamailio_py.modules.presence.rows import Rows
from kamailio_py.modules.presence_xml import pidf
from kamailio_py.modules.presence_xml.rules import applies
from kamailio_py.modules.presence_xml.tree import DEEPEST, BadXml, parse
from kamailio_py.shm.memory import SharedMemory
from tests.kit.local import Local
from tests.kit.rpc import invoke

CFG = """
debug=-3
loadmodule "sl"
loadmodule "tm"
loadmodule "pv"
loadmodule "db_sqlite"
loadmodule "presence"
loadmodule "presence_xml"
modparam("presence|presence_xml", "db_url", "sqlite:///{db}")
modparam("presence_xml", "force_active", 1)
{params}
request_route {{
    t_newtran();
    if ($rm == "PUBLISH") {{ handle_publish(); exit; }}
    if ($rm == "SUBSCRIBE") {{ handle_subscribe(); exit; }}
    $var(r) = pres_has_subscribers("sip:bob@127.0.0.1", "presence");
    $var(b) = pres_check_basic("sip:bob@127.0.0.1", "open");
    $var(a) = pres_check_activities("sip:bob@127.0.0.1", "away");
    $var(s) = pres_auth_status("sip:alice@x", "sip:bob@127.0.0.1");
    $var(t) = "is " + $var(r) + " " + $var(b) + " " + $var(a) + " " + $var(s);
    t_reply("200", "$var(t)");
}}
"""
BODY = (
    '<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:bob@x"><tuple id="{id}"><status><basic>{basic}</basic>'
    "</status></tuple><person><activities><away/></activities></person></presence>"
)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    started: list[Local] = []
    create_sqlite(str(tmp_path / "p.db"))

    def make(params: str = "") -> Local:
        started.append(Local(CFG.format(db=tmp_path / "p.db", params=params), tmp_path))
        return started[-1]

    yield make
    for server in started:
        server.close()


def request(method: str, number: int, headers: str, body: str = "", to: str = "") -> str:
    lines = [
        f"{method} sip:bob@127.0.0.1 SIP/2.0", f"Via: SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bK{method}{number}",
        "From: <sip:alice@x>;tag=f", f"To: <sip:bob@x>{to}", f"Call-ID: {method}", f"CSeq: {number} {method}",
        "Contact: <sip:alice@127.0.0.1:40000>", *headers.split("\n"), f"Content-Length: {len(body)}",
    ]  # fmt: skip
    return "\r\n".join(lines) + "\r\n\r\n" + body


def publish(server: Local, number: int, headers: str = "Expires: 60", id: str = "a", basic: str = "open") -> list[str]:
    return server.inject(request("PUBLISH", number, f"Event: presence\n{headers}", BODY.format(id=id, basic=basic)))


def subscribe(server: Local, number: int = 1, headers: str = "Expires: 60", to: str = "") -> list[str]:
    return server.inject(request("SUBSCRIBE", number, f"Event: presence\n{headers}", to=to))


def ok(server: Local, notify: str) -> None:
    """Answer a NOTIFY."""
    kept = [line for line in notify.split("\r\n") if line.startswith(("Via", "From", "To", "Call-ID", "CSeq"))]
    server.inject("\r\n".join(["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""]))


def notifies(sent: list[str]) -> list[str]:
    return [text for text in sent if text.startswith("NOTIFY")]


@pytest.mark.parametrize(
    "params",
    [
        "",
        'modparam("presence", "publ_cache", 2)\nmodparam("presence", "subs_db_mode", 3)\n'
        'modparam("presence", "notifier_processes", 0)',
    ],
)
def test_a_watcher_is_told(start: Any, params: str) -> None:
    server = start(params)
    answer, notify = subscribe(server)
    assert answer.startswith("SIP/2.0 200")
    ok(server, notify)
    [told] = notifies(publish(server, 1))
    assert "<basic>open" in told
    assert server.inject(request("OPTIONS", 1, "X: y"))[0].startswith("SIP/2.0 200 is 1 1 1 1")
    assert invoke(server.core, "presence.refreshWatchers", "sip:bob@127.0.0.1", "presence", 1) == [{}]
    with pytest.raises(RpcFault, match="Not enough parameters"):
        invoke(server.core, "presence.refreshWatchers", "sip:bob@127.0.0.1")


LATER = """
modparam("presence", "subs_db_mode", 3)
modparam("presence", "waitn_time", 1)
modparam("presence", "notifier_poll_rate", 2)
modparam("presence", "notifier_processes", 2)
"""


def rounds(server: Local) -> list[str]:
    """What the notifier processes send in all their rounds."""
    before = len(server.sent)
    for number in range(4):
        server.core.module("presence").notifier.later.round(number)
    return [text for text, _ in server.sent[before:]]


@pytest.mark.parametrize("fast", [0, 1])
def test_notifier_processes_tell_what_has_changed(start: Any, fast: int) -> None:
    """Several changes at once; a SUBSCRIBE is answered at once only with send_fast_notify."""
    server = start(f'{LATER}modparam("presence", "send_fast_notify", {fast})')
    assert [one.description for one in server.core.processes] == ["PRESENCE NOTIFIER 0", "PRESENCE NOTIFIER 1"]
    answer, *told = subscribe(server)
    told += rounds(server)
    assert [re.findall(r"CSeq: (\d+) NOTIFY", text) for text in told] == [["1" if fast else "2"]]
    ok(server, told[0])
    assert rounds(server) == []
    assert notifies(publish(server, 1) + publish(server, 2, id="b")) == []
    [both] = rounds(server)
    assert 'id="a"' in both
    assert 'id="b"' in both
    ok(server, both)
    tag = re.findall(r"To: .*;tag=(\S+)", answer)[0]
    answer, *told = subscribe(server, 2, "Expires: 0", to=f";tag={tag}")
    told += rounds(server)
    assert [re.findall(r"Subscription-State: (.*)\r", text) for text in told] == [["terminated;reason=timeout"]]
    assert subscribe(server, 3, to=f";tag={tag}")[0].startswith("SIP/2.0 481")


def test_what_is_over_is_told_later(start: Any) -> None:
    server = start(f'{LATER}modparam("presence", "db_update_period", 1)')
    subscribe(server, headers="Expires: 2")
    server.advance(5.0)
    [told] = rounds(server)
    assert "terminated;reason=timeout" in told
    assert server.inject(request("OPTIONS", 1, "X: y"))[0].startswith("SIP/2.0 200 is -1")


def test_watchers_of_watchers_are_told_later(start: Any) -> None:
    """All watchers at the beginning and when one has gone, else those that are new, and each of those once."""
    server = start(f'{LATER}modparam("presence", "send_fast_notify", 0)')
    winfo = "Event: presence.winfo\nExpires: 60"
    server.inject(request("SUBSCRIBE", 1, winfo).replace("Call-ID: SUBSCRIBE", "Call-ID: winfo"))
    answer = subscribe(server)[0]
    full, told = sorted(rounds(server), key=lambda text: "winfo" not in text)
    assert 'state="full"' in full
    assert 'id="SUBSCRIBE"' in full
    ok(server, full)
    ok(server, told)
    tag = re.findall(r"To: .*;tag=(\S+)", answer)[0]
    subscribe(server, 2, to=f";tag={tag}")
    partial = next(text for text in rounds(server) if "watcherinfo" in text)
    assert 'state="partial"' in partial
    assert 'id="SUBSCRIBE"' in partial
    server.inject(request("SUBSCRIBE", 3, "Event: presence\nExpires: 60").replace("Call-ID: SUB", "Call-ID: OTHER"))
    partial = next(text for text in rounds(server) if "watcherinfo" in text)
    assert re.findall(r'watcher id="(\w+)"', partial) == ["OTHERSCRIBE"]
    subscribe(server, 3, "Expires: 0", to=f";tag={tag}")
    full = next(text for text in rounds(server) if "watcherinfo" in text)
    assert 'state="full"' in full
    assert re.findall(r'watcher id="(\w+)"', full) == ["OTHERSCRIBE"]


def test_what_is_over_is_told(start: Any) -> None:
    server = start('modparam("presence", "clean_period", 1)\nmodparam("presence", "db_update_period", 1)')
    subscribe(server, headers="Expires: 20")
    publish(server, 1, "Expires: 5")
    before = len(server.sent)
    server.advance(8.0)
    assert any("Subscription-State: active" in text and "Content-Length: 0" in text for text, _ in server.sent[before:])
    server.advance(30.0)
    assert any("terminated;reason=timeout" in text for text, _ in server.sent[before:])
    assert server.inject(request("OPTIONS", 1, "X: y"))[0].startswith("SIP/2.0 200 is -1 -1 -1 1")


def test_subscriptions_outlive_the_server(start: Any, tmp_path: Path) -> None:
    first = start()
    answer = subscribe(first)[0]
    tag = re.findall(r"To: .*;tag=(\S+)", answer)[0]
    first.core.module("presence").destroy()
    with sqlite3.connect(tmp_path / "p.db") as connection:
        assert connection.execute("select callid, status from active_watchers").fetchall() == [("SUBSCRIBE", 1)]
    second = start()
    again = subscribe(second, 2, to=f";tag={tag}")
    assert [text.partition("\r\n")[0].split()[1] for text in again] == ["200", "sip:alice@127.0.0.1:40000"]


def test_without_a_database(tmp_path: Path) -> None:
    plain = CFG.replace('modparam("presence|presence_xml", "db_url", "sqlite:///{db}")\n', "")
    with pytest.raises(ModuleError, match="db_url"):
        Local(plain.format(params=""), tmp_path)
    params = 'modparam("presence", "publ_cache", 2)\nmodparam("presence", "subs_db_mode", 0)'
    with Local(plain.format(params=params), tmp_path) as server:
        subscribe(server)
        assert "<basic>closed" in notifies(publish(server, 1, basic="closed"))[0]


def test_without_memory_a_subscription_is_refused(start: Any) -> None:
    server = start()
    for name in ("_dialogs", "_rows"):
        rows = getattr(server.core.module("presence").subscriptions, name)
        rows._arena = SimpleNamespace(alloc=lambda size, owner: 0, free=server.core.shm.arena.free)
        [answer] = subscribe(server, 1 if name == "_rows" else 2)
        assert answer.startswith("SIP/2.0 500 Server Internal Error")
    assert list(server.core.module("presence").subscriptions.over(1 << 40)) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("prc"), st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 99))))
def test_rows_are_a_dictionary(steps: list[tuple[str, str, str, int]]) -> None:
    shm = SharedMemory.create(f"rows-{uuid4().hex[:12]}", 4 << 20)
    shm.unlink()
    try:
        rows, model = Rows(shm, "test", 4), dict[tuple[str, str], int]()
        for step, key, id, value in steps:
            if step == "p":
                assert rows.put(key, id, (value,))
                model[key, id] = value
            elif step == "r":
                found = rows.remove(key, id)
                assert found == ((model.pop((key, id)),) if (key, id) in model else None)
            elif (key, id) in model:
                model[key, id] += 1
                assert rows.change(key, id, lambda data: (data[0] + 1,)) == (model[key, id],)
            else:
                assert rows.change(key, id, lambda data: data) is None
            for each in "ab":
                mine = sorted(value for (own, _), value in model.items() if own == each)
                assert sorted(value for (value,) in rows.of(each)) == mine
        assert len(list(rows)) == len(model)
        assert not shm.check()
    finally:
        shm.close()


def test_bombs_are_no_documents() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><presence>&b;</presence>'
    for text in (bomb, "<a>" * (DEEPEST + 1) + "</a>" * (DEEPEST + 1), "", "<a>", "garbage"):
        with pytest.raises(BadXml):
            parse(text)
    assert pidf.aggregate([bomb]) == ""
    assert pidf.offline(bomb) == pidf.offline("<presence/>") == ""


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(("open", "closed"))), min_size=1, max_size=6))
def test_every_tuple_is_there_once(tuples: list[tuple[str, str]]) -> None:
    """The newest of each id, and the document is one that is read again as the same."""
    made = pidf.aggregate([BODY.format(id=id, basic=basic) for id, basic in tuples])
    root = parse(made).root
    found = {t.attributes["id"]: t.find("basic") for t in root.all("tuple")}
    assert {id: basic.text for id, basic in found.items() if basic is not None} == dict(tuples)
    assert str(parse(made)) == made


@pytest.mark.parametrize(
    ("identity", "fits"),
    [
        ('<one id="sip:a@x"/>', True),
        ('<one id="sip:b@x"/>', False),
        ("<many/>", True),
        ('<many domain="x"/>', True),
        ('<many domain="y"/>', False),
        ('<many><except id="sip:a@x"/></many>', False),
        ('<many><except domain="x"/></many>', False),
        ('<many><except domain="y"/></many>', True),
        ("", False),
    ],
)
def test_whom_a_rule_is_for(identity: str, fits: bool) -> None:
    rule = parse(f"<rule><conditions><identity>{identity}</identity></conditions></rule>").root
    assert applies(rule, "sip:a@x", "x") is fits


def test_rows_left_twice_are_one_again() -> None:
    """A process died between the two steps of replacing a row."""
    shm = SharedMemory.create(f"rows-{uuid4().hex[:12]}", 4 << 20)
    shm.unlink()
    rows = Rows(shm, "test", 4)
    rows.put("key", "id", (1,))
    rows._table.insert(rows._bucket(b"key"), rows._make(b"key", b"id", (2,)))
    assert rows.change("key", "id", lambda data: (data[0] + 1,)) == (3,)
    assert rows.of("key") == [(3,)]
    assert not shm.check()
    shm.close()


def test_only_what_has_changed_is_written_again(start: Any, tmp_path: Path) -> None:
    server = start()
    subscribe(server)
    presence = server.core.module("presence")
    presence.update()
    with sqlite3.connect(tmp_path / "p.db") as connection:
        connection.execute("update active_watchers set user_agent = 'by another server'")
    presence.update()
    with sqlite3.connect(tmp_path / "p.db") as connection:
        assert connection.execute("select user_agent from active_watchers").fetchall() == [("by another server",)]
    publish(server, 1)
    presence.update()
    with sqlite3.connect(tmp_path / "p.db") as connection:
        [(agent, cseq)] = connection.execute("select user_agent, local_cseq from active_watchers").fetchall()
    assert (agent or "", cseq) == ("", 2)
