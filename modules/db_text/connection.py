"""Kamailio's operations on the text tables of one directory."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamailio_py.db.connection import Connection
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Result, Row, Time, Value, Where, conditions
from kamailio_py.modules.db_text.statements import Statement, parse
from kamailio_py.modules.db_text.table import Column, TextTable

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "&": lambda a, b: bool(a & b),
}
EMPTY: dict[str, Value] = {"i": 0, "d": 0.0, "s": "", "b": b"", "t": Time(0)}
"""What a null counts as where rows are put in order."""


class TextConnection(Connection):
    """One process's view of a directory of tables."""

    cannot = frozenset({"begin"})

    def __init__(self, directory: Path, delimiter: str, empty_strings: bool, most: int = 100_000) -> None:
        """No query may have more rows than `most`."""
        if not directory.is_dir():
            raise DbError(f"database [{directory}] does not exist")
        self._directory = directory
        self._format = (delimiter, empty_strings)
        self._most = most
        self._tables: dict[str, TextTable] = {}

    def close(self) -> None:
        self._tables.clear()

    def _table(self, name: str) -> TextTable:
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = TextTable(self._directory / name, *self._format)
        return table

    # operations

    def query(self, table: str, columns: Sequence[str], where: Where, order: str) -> Result:
        found = self._table(table)
        found.refresh()
        matches = _matcher(found, where)
        rows: Iterable[Row] = filter(matches, found.rows)
        for column, descending in reversed(list(_order(order))):
            at = _position(found, column)
            empty = EMPTY[found.columns[at].kind]
            rows = sorted(rows, key=lambda row: empty if row[at] is None else row[at], reverse=descending)  # type: ignore[arg-type,return-value]
        names = list(columns) or [column.name for column in found.columns]
        if names == ["*"]:
            names = [column.name for column in found.columns]
        places = [_position(found, name) for name in names]
        given = [tuple(row[place] for place in places) for row in rows]
        if len(given) > self._most:
            raise DbError(f"Truncated table at [{self._most}] rows. Please increase 'max_result_rows' param!")
        return Result(names, given)

    def insert(self, table: str, row: Mapping[str, Value]) -> int:
        found = self._table(table)
        with _changing(found):
            given = {_position(found, name): value for name, value in row.items()}
            found.append(tuple(self._new(found, at, column, given.get(at)) for at, column in enumerate(found.columns)))
        return 1

    def _new(self, table: TextTable, at: int, column: Column, value: Value) -> Value:
        """The value of a new row in a column."""
        if value is None and column.auto:
            self.last_id = 1 + max((row[at] for row in table.rows if isinstance(row[at], int)), default=0)
            return self.last_id
        return _fitting(column, value)

    def update(self, table: str, row: Mapping[str, Value], where: Where) -> int:
        found = self._table(table)
        with _changing(found):
            matches = _matcher(found, where)
            at = {_position(found, name): _fitting(found.columns[_position(found, name)], v) for name, v in row.items()}
            rows = [
                tuple(at.get(place, value) for place, value in enumerate(old)) if matches(old) else old
                for old in found.rows
            ]
            changed = sum(map(matches, found.rows))
            if changed:
                found.rewrite(rows)
        return changed

    def delete(self, table: str, where: Where) -> int:
        found = self._table(table)
        with _changing(found):
            matches = _matcher(found, where)
            left = [row for row in found.rows if not matches(row)]
            gone = len(found.rows) - len(left)
            if gone:
                found.rewrite(left)
        return gone

    def raw(self, statement: str) -> Result:
        """select, update and delete, as real db_text knows them."""
        parsed: Statement = parse(statement)
        where = self._typed(parsed.table, parsed.where)
        if parsed.verb == "select":
            self.affected = 0
            return self.query(parsed.table, parsed.columns, where, parsed.order)
        if parsed.verb == "update":
            row = {column: value for column, _, value in self._typed(parsed.table, parsed.changes)}
            self.affected = self.update(parsed.table, row, where)
        else:
            self.affected = self.delete(parsed.table, where)
        return Result()

    def _typed(self, table: str, parts: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, Value]]:
        """Conditions or changes of a statement with values of their columns' types."""
        found = self._table(table)
        found.refresh()
        return [(name, op, _fitting(found.columns[_position(found, name)], text)) for name, op, text in parts]


@contextmanager
def _changing(table: TextTable) -> Iterator[None]:
    try:
        with table.locked():
            yield
    except OSError as error:
        raise DbError(f"could not write table {table.path}: {error.strerror}") from None


def _position(table: TextTable, name: str) -> int:
    for at, column in enumerate(table.columns):
        if column.name == name:
            return at
    raise DbError(f"column <{name}> not found in table {table.path.name}")


def _fitting(column: Column, value: Value) -> Value:
    """A value as the column's type has it; DbError if it cannot."""
    if value is None:
        if not column.nullable:
            raise DbError(f"null value not allowed - field {column.name}")
        return None
    try:
        if column.kind == "s":
            return value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if column.kind == "b":
            return value if isinstance(value, bytes) else str(value).encode("latin-1")
        if column.kind == "d":
            return float(value)
        return Time(value) if column.kind == "t" else int(value)
    except ValueError:
        raise DbError(f"incompatible types! field {column.name} cannot hold {value!r}") from None


def _matcher(table: TextTable, where: Where) -> Callable[[Row], bool]:
    tests = []
    for name, op, value in conditions(where):
        if op not in COMPARE:
            raise DbError(f"unknown operator {op}")
        at = _position(table, name)
        tests.append((at, op, None if value is None else _fitting(table.columns[at], value)))

    def matches(row: Row) -> bool:
        for at, op, value in tests:
            if value is None or row[at] is None:
                equal = value is row[at]
                if not (equal if op == "=" else value is None and not equal and op in ("!=", "<>")):
                    return False
            elif not COMPARE[op](row[at], value):
                return False
        return True

    return matches


def _order(order: str) -> Iterable[tuple[str, bool]]:
    """`name, q desc` as (column, descending)."""
    for part in filter(None, (part.strip() for part in order.split(","))):
        name, _, direction = part.partition(" ")
        if direction.strip().lower() not in ("", "asc", "desc"):
            raise DbError(f"error in order by: {part}")
        yield name, direction.strip().lower() == "desc"
