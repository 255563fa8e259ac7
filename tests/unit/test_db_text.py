"""db_text: files as real db_text writes them, operations, several processes, statements, files that are broken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kamailio_py.db.database import Database
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Time
from tests.kit.databases import core_with
from tests.kit.rpc import invoke

HEADER = "id(int,auto) name(string) n(int,null) q(double,null) at(time,null) body(blob,null) note(str,null)"
WRITTEN_BY_KAMAILIO = f"""{HEADER}
6:hel\\:l\\\\o:200::1795628718::
5:a\\nb\\tc:7:1.50:3:x\\0y:n
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "t").write_text(WRITTEN_BY_KAMAILIO)
    return tmp_path / "t"


@pytest.fixture
def db(path: Path) -> Iterator[Database]:
    with core_with("db_text") as core:
        yield core.db(f"text://{path.parent}")


def test_what_kamailio_wrote_is_read(db: Database) -> None:
    assert db.query("t").rows == [
        (6, "hel:l\\o", 200, None, Time(1795628718), None, None),
        (5, "a\nb\tc", 7, 1.5, Time(3), b"x\0y", "n"),
    ]


def test_it_is_written_as_kamailio_writes(db: Database, path: Path) -> None:
    db.update("t", {"n": 7}, {"n": 7})
    assert path.read_text() == WRITTEN_BY_KAMAILIO
    db.insert("t", {"name": "b\xc3\xb6b:", "q": 2, "at": Time(9), "body": b"\r"})
    assert path.read_text("latin-1") == WRITTEN_BY_KAMAILIO + "7:b\xc3\xb6b\\:::2.00:9:\\r:\n"
    assert db.last_id == 7
    assert db.query("t", ["name"], {"id": 7}).rows == [("b\xc3\xb6b:",)]


def test_operators_and_order(db: Database, path: Path) -> None:
    path.write_text("id(int) n(int,null) s(string)\n1:5:b\n2::a\n3:4:c\n4:5:a\n")

    def found(operator: str, value: int | None) -> list[object]:
        return [i for (i,) in db.query("t", ["id"], [("n", operator, value)])]

    assert [found(op, 5) for op in ("=", "<", ">", "<=", ">=", "!=", "&")] == [
        [1, 4], [3], [], [1, 3, 4], [1, 4], [3], [1, 3, 4],
    ]  # fmt: skip
    assert found("=", None) == [2]
    assert found("!=", None) == [1, 3, 4]
    assert [i for (i,) in db.query("t", ["id"], order="s, n desc")] == [4, 2, 1, 3]
    assert db.delete("t", [("n", ">", 4), ("s", "=", "a")]) == 1
    assert db.update("t", {"s": "new"}, {"n": None}) == 1
    assert path.read_text() == "id(int) n(int,null) s(string)\n1:5:b\n2::new\n3:4:c\n"


def test_replace(db: Database) -> None:
    for n in (1, 2):
        db.replace("t", {"name": "x", "n": n}, ["name"])
    assert db.query("t", ["n"], {"name": "x"}).rows == [(2,)]
    with db.transaction():
        db.insert("t", {"name": "y"})
    assert not db.can("begin")


def test_a_file_that_is_edited_is_read_again(db: Database, path: Path) -> None:
    assert len(db.query("t")) == 2
    with path.open("a") as file:
        file.write("9:appended:::::\n")
    assert db.query("t", ["name"], {"id": 9}).rows == [("appended",)]
    path.write_text(f"{HEADER}\n1:other:::::\n")
    assert db.query("t", ["id", "name"]).rows == [(1, "other")]


def test_processes_that_insert_at_the_same_time_lose_nothing(db: Database, path: Path) -> None:
    pids = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            for n in range(25):
                db.insert("t", {"name": f"{number}", "n": n})
                if n % 10 == 0:
                    db.update("t", {"q": 1}, {"name": f"{number}"})
            os._exit(0)
        pids.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * 4
    rows = db.query("t", ["id", "name", "n"], [("id", ">", 6)]).rows
    assert sorted(row[0] for row in rows) == list(range(7, 107))
    assert {row[1:] for row in rows} == {(str(number), n) for number in range(4) for n in range(25)}
    assert [file.name for file in path.parent.iterdir()] == ["t"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id(int) x(wrong)\n", "line 1: no column: x(wrong)"),
        ("id(int) x(int)\n1:2\n1:a\n", "line 3: field x: a"),
        ("id(int) x(int)\n1\n", "line 2: 1 fields, 2 columns"),
        ("id(int) x(int)\n1:2:3\n", "line 2: 3 fields, 2 columns"),
        ("id(int) x(int)\n1:\n", "line 2: null value not allowed - field x"),
        ("id(int) x(string)\n1:\\x\n", "line 2: field x: "),
    ],
)
def test_broken_files(db: Database, path: Path, content: str, said: str) -> None:
    path.write_text(content)
    with pytest.raises(DbError) as error:
        db.query("t")
    assert said in str(error.value)


def test_what_is_not_there_or_does_not_fit(db: Database) -> None:
    with pytest.raises(DbError, match="table missing does not exist!"):
        db.query("missing")
    with pytest.raises(DbError, match="column <nope> not found in table t"):
        db.query("t", ["nope"])
    with pytest.raises(DbError, match="null value not allowed - field name"):
        db.insert("t", {"n": 1})
    with pytest.raises(DbError, match="incompatible types! field n"):
        db.update("t", {"n": "x"})
    with core_with("db_text") as core, pytest.raises(DbError, match=r"database \[/nowhere\] does not exist"):
        core.db("text:///nowhere").query("t")
    with core_with("db_text") as core, pytest.raises(DbError, match=r"database \[/etc/kamailio/nowhere\] does not"):
        core.db("text://nowhere").query("t")


def test_another_delimiter(path: Path) -> None:
    path.write_text("id(int) name(string)\n1,a:b\n")
    with core_with("db_text", params={"db_text": {"db_delim": ","}}) as core:
        db = core.db(f"text://{path.parent}")
        db.insert("t", {"id": 2, "name": "c,d"})
        assert db.query("t").rows == [(1, "a:b"), (2, "c,d")]
        assert path.read_text() == "id(int) name(string)\n1,a:b\n2,c\\,d\n"


def test_no_more_rows_than_the_config_allows(path: Path) -> None:
    path.write_text("id(int) name(string)\n1:a\n2:b\n3:c\n")
    with core_with("db_text", params={"db_text": {"max_result_rows": 2}}) as core:
        db = core.db(f"text://{path.parent}")
        assert len(db.query("t", where=[("id", ">", 1)]).rows) == 2
        with pytest.raises(DbError, match="Truncated table at"):
            db.query("t")


@pytest.mark.parametrize(("emptystring", "expected"), [(0, (1, None, None)), (1, (1, "", None))])
def test_empty_fields(path: Path, emptystring: int, expected: tuple[object, ...]) -> None:
    path.write_text("id(int) s(str,null) n(int,null)\n1::\n")
    with core_with("db_text", params={"db_text": {"emptystring": emptystring}}) as core:
        assert core.db(f"text://{path.parent}").query("t").rows == [expected]


def test_statements(db: Database) -> None:
    assert db.raw('select name, n from t where name="hel:l\\\\o"').rows == [("hel:l\\o", 200)]
    assert db.raw("SELECT * FROM t WHERE n>7 AND id='6'").rows[0][0] == 6
    assert db.raw("select id from t order by n").rows == [(5,), (6,)]
    assert db.raw('update t set note="x, y" , n = 9 where id=5').rows == []
    assert db.affected == 1
    assert db.query("t", ["note", "n"], {"id": 5}).rows == [("x, y", 9)]
    db.raw("delete from t where n=9")
    assert len(db.query("t")) == 1
    for wrong in ("insert into t values (1)", "update t set n=1", "select id from t where n=1 or n=2", "select"):
        with pytest.raises(DbError):
            db.raw(wrong)


def test_rpc(path: Path) -> None:
    with core_with("db_text") as core:
        assert invoke(core, "db_text.dump") == ["Dump OK"]
        assert invoke(core, "db_text.query", "select * from t") == ["invalid connection : "]
    with core_with("db_text", params={"db_text": {"default_connection": f"text://{path.parent}"}}) as core:
        assert invoke(core, "db_text.query", "select id, n from t") == ["id n", "6:200", "5:7", "total rows 2 / 2"]
        assert invoke(core, "db_text.query", "select id from t where n=0") == ["statement returned 0 rows"]
        assert invoke(core, "db_text.query", "delete from t where n=7") == ["1 affected rows"]
        assert invoke(core, "db_text.query", "select nope from t") == ["error executing sql statement"]
