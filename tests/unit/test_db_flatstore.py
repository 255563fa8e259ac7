"""db_flatstore: lines as real Kamailio writes them, one file for each process, rotation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Time
from kamailio_py.module import ModuleError, Rank
from tests.kit.databases import core_with
from tests.kit.rpc import invoke

ROW = {
    "method": "OPTIONS",
    "callid": "c\xc3\xbc",
    "none": None,
    "time": Time(1795628967),
    "x": "a|b\\c",
    "y": "n\nl",
    "d": 1.5,
}


def test_lines_and_names(tmp_path: Path) -> None:
    with core_with("db_flatstore") as core:
        db = core.db(f"flatstore:{tmp_path}")
        core.child_init(1)
        db.insert("acc", ROW)
        db.insert("acc", {"method": b"INVITE"})
        assert (tmp_path / "acc_129.log").read_text("latin-1") == (
            "OPTIONS|c\xc3\xbc||1795628967|a%7Cb\\c|n\nl|1.500000\nINVITE\n"
        )
        core.child_init(Rank.TIMER)
        db.insert("missed_calls", {"method": "BYE"})
        assert (tmp_path / "missed_calls_1.log").read_text() == "BYE\n"


def test_parameters(tmp_path: Path) -> None:
    params: dict[str, int | str] = {"field_delimiter": ",", "record_delimiter": ";", "file_suffix": ".csv"}
    with core_with("db_flatstore", params={"db_flatstore": {**params, "encode_delimiter": 0}}) as core:
        core.child_init(2)
        core.db(f"flatstore:{tmp_path}").insert("acc", {"a": "x,y", "b": 1})
        assert (tmp_path / "acc_130.csv").read_text() == "x,y,1;"
    with (
        pytest.raises(ModuleError, match="Parameter 'field_delimiter' must be exactly one character long"),
        core_with("db_flatstore", params={"db_flatstore": {"field_delimiter": "::"}}),
    ):
        pass


@pytest.mark.parametrize("command", ["flatstore.rotate", "flatstore.k_rotate"])
def test_rotation_reaches_every_process(tmp_path: Path, command: str) -> None:
    with core_with("db_flatstore") as core:
        db = core.db(f"flatstore:{tmp_path}")
        go, gone = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            core.child_init(1)
            for n in range(3):
                db.insert("acc", {"n": n})
                os.write(gone[1], b"+")
                os.read(go[0], 1)
            os._exit(0)
        os.read(gone[0], 1)
        (tmp_path / "acc_129.log").rename(tmp_path / "old")
        os.write(go[1], b"+")
        os.read(gone[0], 1)
        assert (tmp_path / "old").read_text() == "0\n1\n"
        assert invoke(core, command) == []
        os.write(go[1], b"+")
        os.read(gone[0], 1)
        os.write(go[1], b"+")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert (tmp_path / "acc_129.log").read_text() == "2\n"


def test_what_it_cannot_do(tmp_path: Path) -> None:
    with core_with("db_flatstore") as core:
        db = core.db(f"flatstore:{tmp_path}")
        assert db.can("insert")
        assert not any(map(db.can, ("query", "update", "delete", "raw", "begin")))
        for wrong in (lambda: db.query("t"), lambda: db.update("t", {"a": 1}), lambda: db.raw("select 1")):
            with pytest.raises(DbError, match="this kind of database has no"):
                wrong()
        with pytest.raises(DbError, match="could not write to a file of table acc in /nowhere"):
            core.db("flatstore:/nowhere").insert("acc", {"a": 1})
