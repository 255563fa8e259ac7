"""MySQL, PostgreSQL and sqlite through one API: the same operations, values, errors; servers that go and come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kamailio_py.db.database import Database
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Time
from tests.kit.databases import core_with
from tests.kit.db_servers import DbServer, MariaDb, Postgres, serving

TABLES = {
    "mysql": "create table t (id int auto_increment primary key, name varchar(20) not null default '', n bigint,"
    " d double, at datetime, body blob, unique (name)) character set utf8mb4",
    "postgres": "create table t (id serial primary key, name varchar(20) not null default '', n bigint,"
    " d double precision, at timestamp without time zone, body bytea, unique (name))",
    "sqlite": "create table t (id integer primary key, name varchar(20) not null default '', n integer,"
    " d double precision, at timestamp without time zone, body blob, unique (name))",
}


@pytest.fixture(scope="module", params=["sqlite", "mysql", "postgres"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """(Database, server or None)."""
    if request.param == "sqlite":
        with core_with("db_sqlite") as core:
            yield core.db(f"sqlite:///{tmp_path_factory.mktemp('db')}/t.db"), None
        return
    kind: type[DbServer] = MariaDb if request.param == "mysql" else Postgres
    with serving(kind) as server, core_with(f"db_{request.param}") as core:
        yield core.db(server.url), server


@pytest.fixture
def db(served: tuple[Database, DbServer | None]) -> Iterator[Database]:
    database = served[0]
    database.raw(TABLES[database.url.scheme])
    yield database
    database.raw("drop table t")


def test_values_come_back_as_they_went_in(db: Database) -> None:
    row = {"name": "b\xc3\xb6'\"\\%s", "n": -(2**40), "d": 0.5, "at": Time(1_795_627_256), "body": b"\x00\xff'\\"}
    db.insert("t", row)
    [found] = db.query("t", list(row)).rows
    assert found == tuple(row.values())
    assert list(map(type, found)) == [str, int, float, Time, bytes]
    assert db.query("t", ["id"], row).rows == [(db.last_id,)]
    db.insert("t", {"name": "nulls", "n": None, "d": None, "at": None, "body": None})
    assert db.query("t", ["n", "d", "at", "body"], {"name": "nulls"}).rows == [(None,) * 4]


def test_operators_order_and_counts(db: Database) -> None:
    for n in (1, 2, 3):
        db.insert("t", {"n": n, "name": str(n)})
    db.insert("t", {"n": None})

    def found(operator: str, value: int | None) -> list[object]:
        return [n for (n,) in db.query("t", ["n"], [("n", operator, value)], "n desc")]

    assert [found(op, 2) for op in ("=", "<", ">", "<=", ">=", "!=")] == [[2], [1], [3], [2, 1], [3, 2], [3, 1]]
    assert found("&", 1) == [3, 1]
    assert found("=", None) == [None]
    assert found("!=", None) == [3, 2, 1]
    assert db.update("t", {"d": 1.5, "at": Time(1)}, [("n", ">", 1)]) == 2
    assert db.delete("t", {"d": 1.5}) == 2
    assert db.affected == 2
    assert db.raw("select count(*) from t").rows == [(2,)]


def test_replace_and_insert_update(db: Database) -> None:
    for operation in (db.replace, db.insert_update):
        operation("t", {"name": "x", "n": 1}, ["name"])
        operation("t", {"name": "x", "n": 2}, ["name"])
        operation("t", {"name": "x", "n": 2}, ["name"])
        assert db.query("t", ["name", "n"]).rows == [("x", 2)]
        db.delete("t")


def test_raw_statements(db: Database) -> None:
    assert db.raw("insert into t (name, n) values ('100%', 1), ('b\xc3\xb6', 2)").rows == []
    assert db.affected == 2
    result = db.raw("select name as who, n from t where name like '%' order by n")
    assert result.columns == ["who", "n"]
    assert result.rows == [("100%", 1), ("b\xc3\xb6", 2)]


def test_fetch_in_chunks_while_others_query(db: Database) -> None:
    with db.transaction():
        for n in range(50):
            db.insert("t", {"n": n, "name": f"x{n}"})
    seen = []
    for (n,) in db.fetch("t", ["n"], [("n", "<", 45)], order="n", chunk=7):
        seen.append(n)
        assert len(db.query("t", ["n"], {"n": n})) == 1
    assert seen == list(range(45))
    next(db.fetch("t", ["n"], chunk=7))  # one that is left early is no burden
    assert len(db.query("t")) == 50


def test_a_transaction_is_all_or_nothing(db: Database) -> None:
    def half() -> None:
        with db.transaction():
            db.insert("t", {"n": 1})
            db.insert("t", {"nothing": 1})

    with pytest.raises(DbError):
        half()
    assert len(db.query("t")) == 0


def test_errors_leave_the_connection_usable(db: Database, capfd: pytest.CaptureFixture[str]) -> None:
    db.insert("t", {"name": "x"})
    with pytest.raises(DbError):
        db.insert("t", {"name": "x"})
    with pytest.raises(DbError):
        db.raw("nonsense")
    assert "ERROR" in capfd.readouterr().err
    assert len(db.query("t")) == 1


def test_a_server_that_comes_back(db: Database, served: tuple[Database, DbServer | None]) -> None:
    server = served[1]
    if server is None:
        return
    db.insert("t", {"n": 1})
    server.stop()
    with pytest.raises(DbError):
        db.query("t")
    server.up()
    assert db.query("t", ["n"]).rows == [(1,)]
    server.stop()
    server.up()
    assert db.query("t", ["n"]).rows == [(1,)], "opened anew once, and nobody noticed"
    server.stop()
    server.up()
    assert list(db.fetch("t", ["n"])) == [(1,)]

    def interrupted() -> None:
        with db.transaction():
            server.stop()
            server.up()
            with pytest.raises(DbError):
                db.insert("t", {"n": 2})

    with pytest.raises(DbError, match="the connection was lost within a transaction"):
        interrupted()
    assert db.query("t", ["n"]).rows == [(1,)]


def test_kamailios_own_tables(served: tuple[Database, DbServer | None]) -> None:
    db, server = served
    scripts = Path("/usr/share/kamailio") / db.url.scheme
    if server is None or not scripts.is_dir():
        return
    for name in ("standard", "usrloc", "auth_db"):
        server.sql((scripts / f"{name}-create.sql").read_text())
    db.check_version("location", 9)
    db.check_version("subscriber", 7)
    db.insert("location", {"ruid": "r1", "username": "bob", "contact": "sip:b@h", "expires": Time(2_000_000_000)})
    rows = db.query("location", ["username", "expires", "q", "received", "cseq"], {"ruid": "r1"}).rows
    assert rows == [("bob", Time(2_000_000_000), 1.0, None, 1)]
    assert isinstance(db.query("location", ["last_modified"]).rows[0][0], Time)


def test_wrong_password(served: tuple[Database, DbServer | None]) -> None:
    db, server = served
    if server is None or server.scheme == "postgres":  # its test server trusts everybody
        return
    with core_with(f"db_{server.scheme}") as core, pytest.raises(DbError, match="Access denied"):
        core.db(db.url.text.replace(":kamailiorw", ":wrong")).query("t")
