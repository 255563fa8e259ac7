"""db_cluster: who is read from and written to, who is left out, RPC."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kamailio_py.clock import VirtualClock
from kamailio_py.db.database import Database
from kamailio_py.db.errors import DbError
from kamailio_py.engine.core import Core
from kamailio_py.module import RpcFault
from tests.kit.databases import core_with
from tests.kit.rpc import invoke


@contextmanager
def cluster(directory: Path, places: str, **params: int | str) -> Iterator[tuple[Core, Database]]:
    """A core with cluster k of the databases a and b."""
    for name in "ab":
        with sqlite3.connect(directory / f"{name}.db") as made:
            made.execute("create table t (id integer primary key, name varchar(9))")
            made.execute("insert into t (name) values (?)", (name,))
        made.close()
    with core_with("db_sqlite", "db_cluster", params={"db_cluster": params}, setup=_setup(directory, places)) as core:
        core.clock = VirtualClock()
        yield core, core.db("cluster://k")


def _setup(directory: Path, places: str) -> list[tuple[str, str, str]]:
    found = [("db_cluster", "connection", f"{name}=>sqlite:///{directory}/{name}.db") for name in "ab"]
    return [*found, ("db_cluster", "cluster", f"k=>{places}")]


def read(db: Database) -> object:
    return db.query("t", ["name"], {"id": 1}).rows[0][0]


def names(directory: Path) -> list[list[str]]:
    """What is in a and in b."""
    found = []
    for name in "ab":
        made = sqlite3.connect(directory / f"{name}.db")
        found.append([value for (value,) in made.execute("select name from t order by id")])
        made.close()
    return found


def test_serial(tmp_path: Path) -> None:
    with cluster(tmp_path, "a=5s1s;b=9s2s") as (_, db):
        assert [read(db), read(db)] == ["b", "b"]
        db.insert("t", {"name": "x"})
        assert db.last_id == 2
        assert db.update("t", {"name": "y"}, {"name": "x"}) == 1
        db.replace("t", {"id": 3, "name": "r"}, ["id"])
        db.insert_update("t", {"id": 3, "name": "s"}, ["id"])
        assert names(tmp_path) == [["a"], ["b", "y", "s"]]
        assert db.delete("t", {"id": 3}) == 1
        assert [name for (name,) in db.fetch("t", ["name"])] == ["b", "y"]
        assert not db.can("begin")


def test_round_robin_and_parallel(tmp_path: Path) -> None:
    with cluster(tmp_path, "a=9r9p;b=9r9p") as (_, db):
        assert sorted(map(str, (read(db), read(db)))) == ["a", "b"]
        db.insert("t", {"name": "x"})
        assert names(tmp_path) == [["a", "x"], ["b", "x"]]


def test_one_that_fails_is_left_out_for_a_time(tmp_path: Path) -> None:
    with cluster(tmp_path, "a=9s9s;b=8s8s", inactive_interval=20) as (core, db):
        with sqlite3.connect(tmp_path / "a.db") as a:
            a.execute("alter table t rename to gone")
        assert read(db) == "b"
        with sqlite3.connect(tmp_path / "a.db") as a:
            a.execute("alter table gone rename to t")
        assert read(db) == "b"
        core.clock.advance(21)  # type: ignore[attr-defined]
        assert read(db) == "a"
        assert [name for (name,) in db.fetch("t", ["name"])] == ["a"]


def test_parallel_writes_go_on_without_one(tmp_path: Path) -> None:
    with cluster(tmp_path, "a=9s9p;b=9s9p") as (_, db):
        with sqlite3.connect(tmp_path / "a.db") as a:
            a.execute("drop table t")
        db.insert("t", {"name": "x"})
        assert db.last_id == 2
        assert [name for (name,) in db.fetch("t", ["name"])] == ["b", "x"]
        with pytest.raises(DbError, match=r"no successful write on cluster \[k\]"):
            db.insert("t", {"nothing": 1})
        with pytest.raises(DbError, match=r"no successful read on cluster \[k\]"):
            db.query("t")


def test_rpc(tmp_path: Path) -> None:
    with cluster(tmp_path, "a=9s9s;b=8s8s") as (core, db):
        assert invoke(core, "dbcl.list_clusters") == [{"cluster": "k"}]
        assert invoke(core, "dbcl.disable_connection", "k", "a", 30) == ["Ok. Cluster connection disabled."]
        assert read(db) == "b"
        assert invoke(core, "dbcl.disable_connection", "k", "a", 30) == ["Ok. Cluster connection re-disabled."]
        b, a = invoke(core, "dbcl.list_connections", "k")
        assert (a["connection"], a["state"], b["connection"], b["state"]) == ("a", "disabled", "b", "active")
        with pytest.raises(RpcFault, match="Cannot disable last active connection in a cluster"):
            invoke(core, "dbcl.disable_connection", "k", "b", 30)
        assert invoke(core, "dbcl.enable_connection", "k", "a") == ["Ok. Cluster connection enabled."]
        assert read(db) == "a"
        with pytest.raises(RpcFault, match="Cluster not found"):
            invoke(core, "dbcl.list_connections", "x")
        with pytest.raises(RpcFault, match="Cluster connection not found"):
            invoke(core, "dbcl.enable_connection", "k", "x")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("connection", "a", "invalid connection parameter [a]"),
        ("connection", "a=>sqlite:///x", "duplicate connection name [a]"),
        ("cluster", "k", "invalid cluster parameter [k]"),
        ("cluster", "k=>x=9s9s", "invalid connection id [x]"),
        ("cluster", "k=>a=9p9s", "invalid parameter [9p9s] for connection id [a]"),
    ],
)
def test_parameters_that_are_wrong(name: str, text: str, said: str) -> None:
    core = Core()
    core.registry.load_module("db_cluster")
    core.registry.set_module_param("db_cluster", "connection", "a=>sqlite:///y")
    with pytest.raises(ValueError, match=re.escape(said)):
        core.registry.set_module_param("db_cluster", name, text)


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    with cluster(tmp_path, "a=9s9s") as (core, _), pytest.raises(DbError, match="there is no such cluster"):
        core.db("cluster://other").query("t")
