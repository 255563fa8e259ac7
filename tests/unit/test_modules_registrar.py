"""registrar: addresses of record, the parts of a REGISTER, and where lookup() leads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit.local import Local
from kit.requests import request

from kamailio_py.db.errors import DbError
from kamailio_py.db.tables import create_sqlite
from kamailio_py.module import ModuleError
from kamailio_py.modules.registrar.aor import AorRules
from kamailio_py.modules.registrar.refusals import Refused
from kamailio_py.modules.registrar.request import unsigned
from kamailio_py.modules.registrar.save import thousandths
from kamailio_py.modules.usrloc.contact import State

CFG = """
loadmodule "sl"
loadmodule "pv"
loadmodule "usrloc"
loadmodule "registrar"
loadmodule "xlog"
{params}
request_route {{
    if ($rm == "REGISTER") {{ save("location"); exit; }}
    if (lookup("location")) {{ sl_send_reply("200", ": $ru $(branch(uri)[0]) $du"); exit; }}
    sl_send_reply("404", "Not Here");
}}
"""


def register(contact: str = "<sip:bob@10.0.0.1>", **more: Any) -> str:
    extra = f"Contact: {contact}" if contact else ""
    return request("REGISTER", "sip:example.test", extra="\n".join([extra, more.pop("extra", "")]), **more)


@pytest.mark.parametrize(
    ("rules", "uri", "aor"),
    [
        (AorRules(), "sip:Alice%20A@Example.test:5070;x=y", "alice a"),
        (AorRules(use_domain=True), "sip:Alice@Example.test", "alice@example.test"),
        (AorRules(use_domain=True), "sip:Example.test", "example.test"),
        (AorRules(use_domain=True, case_sensitive=True), "sip:Alice@Example.test", "Alice@example.test"),
        (AorRules(use_domain=True, realm_prefix="sip."), "sip:a@sip.test", "a@test"),
    ],
)
def test_address_of_record(rules: AorRules, uri: str, aor: str) -> None:
    assert rules.aor(uri) == aor


@pytest.mark.parametrize("uri", ["alice", "sip:a%zz@h", "sip:a%01@h", "sip:" + "a" * 600 + "@h"])
def test_no_address_of_record(uri: str) -> None:
    with pytest.raises(Refused):
        AorRules().aor(uri)


@pytest.mark.parametrize(
    ("text", "q"),
    [("0.7", 700), (".5", 500), ("1", 1000), ("1.0", 1000), ("0", 0), ("0.12345", 123), ("1.5", None), ("x", None),
     ("", None), ("2", None), (".", None)],
)  # fmt: skip
def test_q(text: str, q: int | None) -> None:
    assert thousandths(text) == q


def test_unsigned() -> None:
    assert [unsigned(text) for text in ("0", "4294967295", "4294967296", "-1", "1x", "")] == [
        0, 4294967295, None, None, None, None,
    ]  # fmt: skip


def test_register_and_look_up() -> None:
    with Local(CFG.format(params="")) as server:
        [reply] = server.inject(register('<sip:bob@10.0.0.1>;q=0.5, "B" <sip:bob@10.0.0.2>;expires=100'))
        assert "Contact: <sip:bob@10.0.0.1>;q=0.5;expires=3600, <sip:bob@10.0.0.2>;expires=100\r\n" in reply
        [reply] = server.inject(request("OPTIONS"))
        assert reply.startswith("SIP/2.0 200 : sip:bob@10.0.0.1 sip:bob@10.0.0.2 <null>\r\n")
        server.advance(200, step=10)
        [reply] = server.inject(request("OPTIONS", branch="z9hG4bKb2"))
        assert reply.startswith("SIP/2.0 200 : sip:bob@10.0.0.1 <null> <null>\r\n")


def test_a_retransmission_changes_nothing() -> None:
    with Local(CFG.format(params="")) as server:
        first = server.inject(register())
        server.advance(1)
        [again] = server.inject(register())
        assert "expires=3599" in again
        assert first != [again]


def test_expires_range() -> None:
    with Local(CFG.format(params='modparam("registrar", "default_expires_range", 50)')) as server:
        seen = set()
        for number in range(20):
            [reply] = server.inject(register(call_id=f"c{number}", branch=f"z9hG4bKb{number}"))
            seen.add(int(reply.partition("expires=")[2].partition("\r")[0]))
        assert all(1800 <= seconds < 3600 for seconds in seen)
        assert len(seen) > 5


STORED = CFG.format(
    params="""
loadmodule "db_sqlite"
modparam("usrloc", "db_url", "sqlite:///{path}")
modparam("usrloc", "db_mode", 1)
"""
)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Local]:
    create_sqlite(str(tmp_path / "u.db"))
    cfg = STORED.replace("{path}", str(tmp_path / "u.db"))
    with Local(cfg) as server:
        yield server


def rows(server: Local) -> list[tuple[Any, ...]]:
    """What the database has."""
    database = server.core.module("usrloc").store.database
    return [tuple(row) for row in database.query("location", ["username", "contact", "cseq"], (), "contact")]


def broken(*arguments: object) -> None:
    raise DbError("broken")


def test_what_the_database_refuses_is_refused(stored: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    store = stored.core.module("usrloc").store
    with monkeypatch.context() as patch:
        patch.setattr(store, "insert", broken)
        [reply] = stored.inject(register())
        assert reply.startswith("SIP/2.0 500 Server Internal Error")
        assert "P-Registrar-Error: usrloc_contact_insert failed" in reply
        assert "Contact" not in reply
    assert stored.core.module("usrloc").api.domain("location").contacts("bob") is None
    [reply] = stored.inject(register(branch="z9hG4bKb2"))
    assert reply.startswith("SIP/2.0 200")
    assert rows(stored) == [("bob", "sip:bob@10.0.0.1", 1)]


def test_what_could_not_be_written_is_written_later(stored: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    store = stored.core.module("usrloc").store
    stored.inject(register())
    with monkeypatch.context() as patch:
        patch.setattr(store, "update", broken)
        patch.setattr(store, "insert", broken)
        [reply] = stored.inject(register(cseq=2, branch="z9hG4bKb2"))
        assert "P-Registrar-Error: usrloc_contact_update failed" in reply
        [reply] = stored.inject(register("<sip:bob@10.0.0.2>", cseq=3, branch="z9hG4bKb3"))
        assert "P-Registrar-Error: usrloc_contact_insert failed" in reply
    assert rows(stored) == [("bob", "sip:bob@10.0.0.1", 1)]
    stored.advance(61, step=1)
    assert rows(stored) == [("bob", "sip:bob@10.0.0.1", 2), ("bob", "sip:bob@10.0.0.2", 3)]
    states = {one.state for one in stored.core.module("usrloc").api.domain("location").contacts("bob")}
    assert states == {State.SYNC}


def test_a_wrong_version_stops_the_start(tmp_path: Path) -> None:
    create_sqlite(str(tmp_path / "u.db"))
    database = sqlite3.connect(tmp_path / "u.db")
    database.execute("update version set table_version = 8 where table_name = 'location'")
    database.commit()
    with pytest.raises(ModuleError, match="location"):
        Local(STORED.replace("{path}", str(tmp_path / "u.db")))
