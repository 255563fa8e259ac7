"""What a database module gives: an open connection of one process, and how Kamailio's operations are done on it.

`Connection` is all that is asked of a driver; `SqlConnection` does it for databases that speak SQL and leaves to the
driver how a statement is executed. Errors are DbError; ConnectionLost if the connection is of no use any more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from kamailio_py.db.errors import DbError
from kamailio_py.db.values import OPERATORS, Result, Row, Value, Where, conditions


class Connection(ABC):
    """One process's connection. What a kind of database cannot do raises DbError, and `cannot` names it."""

    cannot: ClassVar[frozenset[str]] = frozenset()
    """Operations (names of methods here) this kind of database does not have."""
    affected: int = 0
    """Rows the last operation changed."""
    last_id: int = 0
    """What the database made up as the key of the row inserted last."""

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def query(self, table: str, columns: Sequence[str], where: Where, order: str) -> Result: ...

    def fetch(self, table: str, columns: Sequence[str], where: Where, order: str, chunk: int) -> Iterator[Row]:
        """As `query`, but no more than about `chunk` rows are held in memory."""
        return iter(self.query(table, columns, where, order))

    @abstractmethod
    def insert(self, table: str, row: Mapping[str, Value]) -> int: ...

    def update(self, table: str, row: Mapping[str, Value], where: Where) -> int:
        raise self._unable("update")

    def delete(self, table: str, where: Where) -> int:
        raise self._unable("delete")

    def replace(self, table: str, row: Mapping[str, Value], keys: Sequence[str]) -> int:
        """Insert, in place of the row that has the same `keys`."""
        return self.update(table, row, {key: row[key] for key in keys}) or self.insert(table, row)

    def insert_update(self, table: str, row: Mapping[str, Value], keys: Sequence[str]) -> int:
        """Insert, or update the row that has the same `keys`."""
        return self.update(table, row, {key: row[key] for key in keys}) or self.insert(table, row)

    def raw(self, statement: str) -> Result:
        raise self._unable("raw")

    def begin(self) -> None:
        raise self._unable("begin")

    def commit(self) -> None:
        raise self._unable("commit")

    def rollback(self) -> None:
        raise self._unable("rollback")

    def _unable(self, operation: str) -> DbError:
        return DbError(f"this kind of database has no '{operation}'")


class SqlConnection(Connection):
    """A connection that speaks SQL. Values are never part of a statement's text."""

    quote: ClassVar[str] = ""
    """Around names of tables and columns."""
    placeholder: ClassVar[str] = "?"

    @abstractmethod
    def execute(self, statement: str, values: Sequence[Value]) -> Result:
        """Run a statement; `self.affected` and `self.last_id` afterwards tell of it."""

    @abstractmethod
    def stream(self, statement: str, values: Sequence[Value], chunk: int) -> Iterator[Row]:
        """Run a query, giving its rows as they come."""

    def mark(self, value: Value) -> str:
        """What stands in a statement for a value."""
        return self.placeholder

    def name(self, text: str) -> str:
        """A table's or column's name as it is written in a statement."""
        return f"{self.quote}{text}{self.quote}"

    def names(self, texts: Iterable[str]) -> str:
        return ",".join(map(self.name, texts))

    def query(self, table: str, columns: Sequence[str], where: Where, order: str) -> Result:
        return self.execute(*self._select(table, columns, where, order))

    def fetch(self, table: str, columns: Sequence[str], where: Where, order: str, chunk: int) -> Iterator[Row]:
        return self.stream(*self._select(table, columns, where, order), chunk)

    def insert(self, table: str, row: Mapping[str, Value]) -> int:
        return self._change(*self._insert("insert", table, row))

    def update(self, table: str, row: Mapping[str, Value], where: Where) -> int:
        clause, values = self._where(where)
        changes = ",".join(f"{self.name(column)}={self.mark(value)}" for column, value in row.items())
        return self._change(f"update {self.name(table)} set {changes}{clause}", [*row.values(), *values])

    def delete(self, table: str, where: Where) -> int:
        clause, values = self._where(where)
        return self._change(f"delete from {self.name(table)}{clause}", values)

    def raw(self, statement: str) -> Result:
        return self.execute(statement, ())

    def begin(self) -> None:
        self.execute("begin", ())

    def commit(self) -> None:
        self.execute("commit", ())

    def rollback(self) -> None:
        self.execute("rollback", ())

    def _change(self, statement: str, values: Sequence[Value]) -> int:
        self.execute(statement, values)
        return self.affected

    def _insert(self, verb: str, table: str, row: Mapping[str, Value]) -> tuple[str, list[Value]]:
        marks = ",".join(map(self.mark, row.values()))
        return f"{verb} into {self.name(table)} ({self.names(row)}) values ({marks})", list(row.values())

    def _select(self, table: str, columns: Sequence[str], where: Where, order: str) -> tuple[str, list[Value]]:
        clause, values = self._where(where)
        ordered = f" order by {order}" if order else ""
        return f"select {self.names(columns) or '*'} from {self.name(table)}{clause}{ordered}", values

    def _where(self, where: Where) -> tuple[str, list[Value]]:
        parts = []
        values: list[Value] = []
        for column, operator, value in conditions(where):
            if operator not in OPERATORS:
                raise DbError(f"unknown operator {operator}")
            column = self.name(column)
            if value is None and operator in ("=", "!=", "<>"):
                parts.append(f"{column} is {'' if operator == '=' else 'not '}null")
                continue
            parts.append(
                f"({column}&{self.mark(value)})!=0" if operator == "&" else f"{column}{operator}{self.mark(value)}"
            )
            values.append(value)
        return (f" where {' AND '.join(parts)}" if parts else ""), values
