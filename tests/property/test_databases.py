"""Databases hold what they are given, and sqlite and text tables agree on what a condition means."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamailio_py.db.database import Database
from kamailio_py.db.values import OPERATORS, Time, Value
from tests.kit.databases import core_with

texts = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=12)
numbers = st.integers(-(2**31), 2**31 - 1)
times = st.integers(0, 2**33).map(Time)
fractions = st.integers(-1000, 1000).map(lambda n: n / 4)
blobs = st.binary(min_size=1, max_size=8)

HEADER = "id(int,auto) s(string) n(int,null) q(double,null) at(time,null) b(blob,null)\n"
CREATE = (
    "create table t (id integer primary key, s varchar(20) not null, n int, q real, "
    "at timestamp without time zone, b blob)"
)
row = st.fixed_dictionaries(
    {
        "s": texts,
        "n": st.none() | numbers,
        "q": st.none() | fractions,
        "at": st.none() | times,
        "b": st.none() | blobs,
    }
)


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Database, Database]]:
    """The same table in sqlite and in a text file."""
    with tempfile.TemporaryDirectory() as directory, core_with("db_sqlite", "db_text") as core:
        (Path(directory) / "t").write_text(HEADER)
        sqlite, text = core.db(f"sqlite:///{directory}/t.db"), core.db(f"text://{directory}")
        sqlite.raw(CREATE)
        yield sqlite, text


@settings(max_examples=60, deadline=None)
@given(row=row)
def test_what_goes_in_comes_out(both: tuple[Database, Database], row: dict[str, Value]) -> None:
    for db in both:
        db.delete("t")
        db.insert("t", row)
        found = db.query("t", list(row)).rows
        assert found == [tuple(row.values())]
        assert [type(value) for value in found[0]] == [type(value) for value in row.values()]
        db.close()
        assert db.query("t", list(row)).rows == found


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.none() | st.integers(-3, 3), max_size=8),
    tests=st.lists(st.tuples(st.sampled_from(OPERATORS), st.none() | st.integers(-3, 3)), max_size=2),
    order=st.sampled_from(["id", "id desc"]),
)
def test_conditions_mean_the_same(
    both: tuple[Database, Database], values: list[int | None], tests: list[tuple[str, int | None]], order: str
) -> None:
    where = [("n", operator, value) for operator, value in tests]
    found = []
    for db in both:
        db.delete("t")
        for number, value in enumerate(values):
            db.insert("t", {"id": number, "s": "x", "n": value})
        found.append(db.query("t", ["id"], where, order).rows)
        changed = db.update("t", {"s": "changed"}, where)
        assert changed == len(found[-1])
        assert db.query("t", ["id"], {"s": "changed"}, order).rows == found[-1]
        assert db.delete("t", where) == changed
    assert found[0] == found[1]
