"""The database room on sqlite: operations, values, errors, transactions, one connection per process."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from kamailio_py.db.database import Database
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Time
from kamailio_py.engine.core import Core
from kamailio_py.module import ModuleError
from tests.kit.databases import core_with

TABLE = (
    "create table t (id integer primary key, name varchar(20) default '' not null, n integer, d real, "
    "at timestamp without time zone, body blob)"
)


@pytest.fixture(scope="module")
def core() -> Iterator[Core]:
    with core_with("db_sqlite") as core:
        yield core


@pytest.fixture
def db(core: Core, tmp_path: Path) -> Database:
    database = core.db(f"sqlite:///{tmp_path}/t.db")
    database.raw(TABLE)
    return database


def test_values_come_back_as_they_went_in(db: Database) -> None:
    row = {"name": "b\xc3\xb6\xff'\"\\", "n": -(2**40), "d": 0.5, "at": Time(1_795_627_256), "body": b"\x00\xff'"}
    db.insert("t", row)
    assert db.query("t", list(row)).rows == [tuple(row.values())]
    assert isinstance(db.query("t", ["at"]).rows[0][0], Time)
    assert db.query("t", ["id"], row).rows == [(db.last_id,)]


def test_text_is_stored_byte_for_byte(db: Database) -> None:
    db.insert("t", {"name": "b\xc3\xb6\xff"})
    raw = sqlite3.connect(db.url.database)
    assert raw.execute("select hex(name), typeof(name) from t").fetchone() == ("62C3B6FF", "text")


def test_times_are_stored_as_kamailio_stores_them(db: Database) -> None:
    """What real db_sqlite put into a database for these seconds; and what SQL may put there."""
    for seconds, stored in ((1795629605, 2461370.2500520833), (1795629609, 2461370.25009838)):
        db.insert("t", {"at": Time(seconds)})
        db.raw(f"insert into t (at) values ({stored!r})")
        db.raw(f"insert into t (at) values (julianday({seconds}, 'unixepoch'))")
        raw = sqlite3.connect(db.url.database)
        assert raw.execute("select at from t order by id").fetchone() == (stored,)
        assert db.query("t", ["at"]).rows == [(Time(seconds),)] * 3
        db.delete("t")


def test_times_written_as_text_are_read(db: Database) -> None:
    db.raw("insert into t (at) values ('2000-01-01 00:00:01')")
    assert db.query("t", ["at"]).rows == [(Time(946684801),)]


def test_all_operators(db: Database) -> None:
    for n in (1, 2, 3, None):
        db.insert("t", {"n": n})

    def found(operator: str, value: int | None) -> list[object]:
        return [n for (n,) in db.query("t", ["n"], [("n", operator, value)], "n")]

    assert found("=", 2) == [2]
    assert found("<", 2) == [1]
    assert found(">", 2) == [3]
    assert found("<=", 2) == [1, 2]
    assert found(">=", 2) == [2, 3]
    assert found("!=", 2) == [1, 3]
    assert found("&", 1) == [1, 3]
    assert found("=", None) == [None]
    assert found("!=", None) == [1, 2, 3]
    with pytest.raises(DbError, match="unknown operator"):
        found("like", 1)


def test_changes_are_counted(db: Database) -> None:
    for n in (1, 2, 3):
        db.insert("t", {"n": n})
        assert db.last_id == n
    assert db.update("t", {"name": "x"}, [("n", ">", 1)]) == 2
    assert db.delete("t", {"name": "x"}) == 2
    assert db.delete("t", {"name": "x"}) == 0
    assert list(db.query("t", ["n"])) == [(1,)]


def test_replace_and_insert_update(db: Database) -> None:
    for operation in (db.replace, db.insert_update):
        operation("t", {"id": 7, "n": 1}, ["id"])
        operation("t", {"id": 7, "n": 2}, ["id"])
        assert db.query("t", ["id", "n"]).rows == [(7, 2)]
        db.delete("t")


def test_fetch_gives_all_rows_and_lets_others_query(db: Database) -> None:
    with db.transaction():
        for n in range(500):
            db.insert("t", {"n": n})
    seen = []
    for (n,) in db.fetch("t", ["n"], order="n", chunk=100):
        seen.append(n)
        assert len(db.query("t", ["n"], {"n": n})) == 1
    assert seen == list(range(500))


def test_a_transaction_is_all_or_nothing(db: Database) -> None:
    def half() -> None:
        with db.transaction():
            db.insert("t", {"n": 1})
            db.query("missing")

    with pytest.raises(DbError):
        half()
    assert len(db.query("t")) == 0
    with db.transaction():
        db.insert("t", {"n": 1})
    assert len(db.query("t")) == 1


def test_each_process_has_its_own_connection(db: Database) -> None:
    here = db.connection
    pid = os.fork()
    if pid == 0:
        own = db.connection is not here
        db.insert("t", {"n": 5})
        os._exit(0 if own else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert db.query("t", ["n"]).rows == [(5,)]
    assert db.connection is here


def test_processes_that_write_at_the_same_time_wait_for_each_other(db: Database) -> None:
    pids = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            for n in range(10):
                with db.transaction():
                    db.query("t", ["n"], {"name": str(number)})
                    db.insert("t", {"name": str(number), "n": n})
            os._exit(0)
        pids.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * 4
    assert len(db.query("t")) == 40


def test_the_same_url_is_the_same_database(core: Core, db: Database) -> None:
    assert core.db(db.url.text) is db


def test_an_error_is_logged_and_counted(core: Core, db: Database, capfd: pytest.CaptureFixture[str]) -> None:
    counter = core.statistic("sqlite", "driver_errors")
    before = core.shm.counters.total(counter)
    with pytest.raises(DbError, match="no such table: missing"):
        db.query("missing")
    assert core.shm.counters.total(counter) == before + 1
    assert "no such table: missing" in capfd.readouterr().err


def test_numbers_that_are_too_large(db: Database) -> None:
    with pytest.raises(DbError, match="too large"):
        db.insert("t", {"n": 2**70})


def test_a_wrong_version_is_said_as_kamailio_says_it(db: Database, capfd: pytest.CaptureFixture[str]) -> None:
    db.raw("create table version (table_name varchar(32), table_version integer)")
    db.insert("version", {"table_name": "t", "table_version": 6})
    db.check_version("t", 6)
    with pytest.raises(DbError, match="Error during version check for db table: t, check database structure"):
        db.check_version("t", 7)
    assert "invalid version 6 for table t found, expected 7 (check table structure" in capfd.readouterr().err
    assert db.version("other") == 0


def test_what_is_missing_is_said(core: Core) -> None:
    with pytest.raises(ModuleError, match="Module db_mongodb not found"):
        core.db("mongodb://localhost/kamailio")
    with pytest.raises(ModuleError, match="cannot parse URL 'nothing'"):
        core.db("nothing")
    with pytest.raises(DbError, match="there is no directory /nowhere"):
        core.db("sqlite:////nowhere/t.db").query("t")


def test_read_only_and_journal_mode(tmp_path: Path) -> None:
    path = f"{tmp_path}/t.db"
    sqlite3.connect(path).execute(TABLE)
    with core_with("db_sqlite", params={"db_sqlite": {"db_set_journal_mode": f"{path}=WAL"}}) as core:
        assert core.db(f"sqlite:///{path}").raw("pragma journal_mode").rows == [("wal",)]
    with core_with("db_sqlite", params={"db_sqlite": {"db_set_readonly": path}}) as core:
        database = core.db(f"sqlite:///{path}")
        assert len(database.query("t")) == 0
        with pytest.raises(DbError, match="readonly"):
            database.insert("t", {"n": 1})
