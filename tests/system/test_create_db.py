"""The tables of `kamailio-py --create-db` are those of kamdbctl, column by column."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from kamailio_py.db.tables import standard_tables
from tests.kit.programs import program

SETTINGS = "DBENGINE=SQLITE\nINSTALL_PRESENCE_TABLES=yes\nINSTALL_EXTRA_TABLES=yes\nINSTALL_DBUID_TABLES=yes\n"


def create(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kamailio_py.server", "--create-db", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def described(path: Path) -> dict[str, list[object]]:
    """Columns, keys and version of each table."""
    database = sqlite3.connect(path)
    names = [name for (name,) in database.execute("select name from sqlite_master where type='table' order by name")]
    found: dict[str, list[object]] = {}
    for name in names:
        found[name] = database.execute(f"pragma table_info({name})").fetchall()
        for _, key, unique, *_ in sorted(database.execute(f"pragma index_list({name})").fetchall(), key=lambda r: r[1]):
            found[name].append((key, unique, database.execute(f"pragma index_info({key})").fetchall()))
        found[name] += database.execute("select table_version from version where table_name=?", (name,)).fetchall()
    database.close()
    return found


@pytest.mark.kamailio
def test_the_same_tables_as_kamdbctl(tmp_path: Path) -> None:
    program("sqlite3")  # which kamdbctl runs
    (tmp_path / ".kamctlrc").write_text(SETTINGS)
    theirs, ours = tmp_path / "theirs.db", tmp_path / "ours.db"
    environment = {**os.environ, "HOME": str(tmp_path)}
    command = [program("kamdbctl"), "create", str(theirs)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    made = create(ours)
    assert made.stdout == f"{ours}: {len(standard_tables())} tables; in a config it is sqlite:///{ours}\n"
    expected, found = described(theirs), described(ours)
    assert len(expected) > 50
    for name, table in expected.items():
        assert found[name] == table, name


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    path.write_text("precious")
    made = create(path)
    assert made.returncode == 255
    assert made.stderr == f"ERROR: {path} is there already\n"
    assert path.read_text() == "precious"


def test_where_no_file_can_be(tmp_path: Path) -> None:
    made = create(tmp_path / "no" / "users.db")
    assert made.returncode == 255
    assert "could not make" in made.stderr
