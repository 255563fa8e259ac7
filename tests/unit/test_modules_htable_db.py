"""htables and their database while the server runs: reloaded, stored, and what happens when that goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kamailio_py.db.tables import create_sqlite
from kamailio_py.engine.core import Core
from kamailio_py.module import ModuleError, RpcFault
from tests.kit.databases import core_with


@contextmanager
def htables(directory: Path, url: bool = True) -> Iterator[Core]:
    """Tables a (in the database, too) and b (not)."""
    path = directory / "h.db"
    if not path.exists():
        create_sqlite(str(path))
    setup = [
        ("htable", "htable", "a=>size=2;dbtable=htable;autoexpire=100;dbmode=1"),
        ("htable", "htable", "b=>size=2"),
    ]
    params: dict[str, int | str] = {"db_expires": 1}
    if url:
        params["db_url"] = f"sqlite:///{path}"
    with core_with("db_sqlite", "htable", params={"htable": params}, setup=setup) as core:
        yield core


def test_store_and_reload(tmp_path: Path) -> None:
    with htables(tmp_path) as core:
        htable, db = core.module("htable"), core.db(f"sqlite:///{tmp_path}/h.db")
        table = htable.tables["a"]
        table.set("kept", "v", 1000)
        table.set("n", -5)
        assert htable.store_table("a") == "Ok. Htable successfully stored to DB."
        rows = db.query("htable", ["key_name", "value_type", "key_value"], order="key_name").rows
        assert rows == [("kept", 0, "v"), ("n", 1, "-5")]
        table.set("only here", 1)
        db.update("htable", {"key_value": "-6"}, {"key_name": "n"})
        assert htable.reload_table("a") == "Ok. Htable reloaded."
        assert {name: value for name, value, _ in table.snapshot()} == {"kept": "v", "n": -6}
        assert 990 < table.expires_in("kept") <= 1000
    with htables(tmp_path) as core:  # the next start
        assert core.module("htable").tables["a"].get("n") == -6


def test_an_error_leaves_both_as_they_were(tmp_path: Path) -> None:
    with htables(tmp_path) as core:
        htable, db = core.module("htable"), core.db(f"sqlite:///{tmp_path}/h.db")
        htable.tables["a"].set("x", 1)
        htable.store_table("a")
        db.raw("alter table htable rename to gone")
        with pytest.raises(RpcFault):
            htable.reload_table("a")
        assert htable.tables["a"].get("x") == 1
        with pytest.raises(RpcFault):
            htable.store_table("a")
        assert db.query("gone", ["key_name"]).rows == [("x",)]


@pytest.mark.parametrize(
    ("name", "url", "said"),
    [("a", False, "No htable db_url"), ("nope", True, "No such htable"), ("b", True, "No database htable")],
)
def test_faults(tmp_path: Path, name: str, url: bool, said: str) -> None:
    with htables(tmp_path, url) as core:
        for method in (core.module("htable").reload_table, core.module("htable").store_table):
            with pytest.raises(RpcFault, match=said) as fault:
                method(name)
            assert fault.value.code == 500


def test_a_table_that_cannot_be_loaded_stops_the_start(tmp_path: Path) -> None:
    with htables(tmp_path) as core:
        core.db(f"sqlite:///{tmp_path}/h.db").raw("drop table htable")
    with pytest.raises(ModuleError, match="no such table: htable"), htables(tmp_path):
        pass
