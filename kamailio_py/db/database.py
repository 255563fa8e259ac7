"""A database as modules use it: one URL, one connection per process that is opened when it is needed.

Made before forking by `core.db(url)`; the same URL gives the same Database, so that a process has one connection to it
whoever asks, as in Kamailio's pool. Nothing is in shared memory and no lock is needed.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kamailio_py.db.connection import Connection
from kamailio_py.db.errors import ConnectionLost, DbError
from kamailio_py.db.url import DbUrl
from kamailio_py.db.values import Result, Row, Value, Where
from kamailio_py.log import get_logger

log = get_logger()


class Database:
    """See the head of the file. What fails is logged and counted, and raised as DbError.

    A lost connection is opened anew once and the operation done again, except within a transaction.
    """

    def __init__(
        self,
        url: DbUrl,
        open: Callable[[DbUrl], Connection],
        failed: Callable[[], None] = lambda: None,
        give: Callable[[str, tuple[Any, ...]], bool] = lambda operation, arguments: False,
        version_table: str = "version",
    ) -> None:
        """`open(url)` connects; `failed()` counts an error; `give(operation, arguments)` has another process do it;
        versions of tables are looked up in `version_table`."""
        self.url = url
        self.affected = 0
        """Rows changed by the last insert, update, delete, ..."""
        self._open = open
        self._failed = failed
        self._give = give
        self._version_table = version_table
        self._connection: Connection | None = None
        self._inherited: Connection | None = None
        self._pid = 0
        self._in_transaction = False

    # the connection

    @property
    def connection(self) -> Connection:
        """This process's connection, opened if there is none."""
        if self._connection is None or self._pid != os.getpid():
            self._inherited = self._connection  # the parent's: not even closed, which would be a use of it
            self._connection = self._open(self.url)
            self._pid = os.getpid()
            self._in_transaction = False
        return self._connection

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._pid == os.getpid()

    def connect(self) -> None:
        """Open the connection now, in child_init, rather than with the first query. DbError if that fails."""
        self._do(lambda connection: None)

    def close(self) -> None:
        """Close this process's connection; the next operation opens another one."""
        if self._connection is not None and self._pid == os.getpid():
            self._connection.close()
        self._connection = None
        self._in_transaction = False

    def can(self, operation: str) -> bool:
        """Whether this kind of database has an operation: query, insert, update, delete, raw, begin, ..."""
        able: bool = self._do(lambda connection: operation not in connection.cannot)
        return able

    # operations

    def query(self, table: str, columns: Sequence[str] = (), where: Where = (), order: str = "") -> Result:
        """Rows of a table: these columns (all, if none are named), sorted by `order` ("q desc")."""
        return self._do(lambda connection: connection.query(table, columns, where, order))

    def fetch(
        self, table: str, columns: Sequence[str] = (), where: Where = (), order: str = "", chunk: int = 2000
    ) -> Iterator[Row]:
        """As `query` for large tables: the rows one by one, about `chunk` of them in memory."""

        def begin(connection: Connection) -> Iterator[Row]:
            rows = connection.fetch(table, columns, where, order, chunk)
            first = list(itertools.islice(rows, 1))  # a connection that was lost shows here
            return itertools.chain(first, rows)

        rows = self._do(begin)
        try:
            yield from rows
        except DbError as error:
            raise self._error(error) from None

    def insert(self, table: str, row: Mapping[str, Value]) -> None:
        """Insert a row; `last_id` is the key the database gave it."""
        self.affected = self._do(lambda connection: connection.insert(table, row))

    def update(self, table: str, row: Mapping[str, Value], where: Where = ()) -> int:
        """Change rows; how many these were."""
        self.affected = self._do(lambda connection: connection.update(table, row, where))
        return self.affected

    def delete(self, table: str, where: Where = ()) -> int:
        """Delete rows; how many these were."""
        self.affected = self._do(lambda connection: connection.delete(table, where))
        return self.affected

    def replace(self, table: str, row: Mapping[str, Value], keys: Sequence[str]) -> None:
        """Insert a row in place of the one with the same `keys`, which are unique in the table."""
        self.affected = self._do(lambda connection: connection.replace(table, row, keys))

    def insert_update(self, table: str, row: Mapping[str, Value], keys: Sequence[str]) -> None:
        """Insert a row or, if there is one with the same `keys`, change that one."""
        self.affected = self._do(lambda connection: connection.insert_update(table, row, keys))

    def raw(self, statement: str) -> Result:
        """Run a statement as it is; empty result if it gives no rows."""
        result: Result = self._do(lambda connection: connection.raw(statement))
        self.affected = self.connection.affected
        return result

    def later(self, operation: str, *arguments: Any) -> None:
        """Have an async worker do `raw` or `insert`; it is done here and now where there is no worker to take it."""
        if not self._give(operation, arguments):
            getattr(self, operation)(*arguments)

    @property
    def last_id(self) -> int:
        """The key that the database gave the row inserted last."""
        key: int = self._do(lambda connection: connection.last_id)
        return key

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """`with db.transaction():` all of it is done, or, if an exception leaves the block, nothing.

        Databases without transactions (`can("begin")` is False) do each operation for itself.
        """
        if not self.can("begin"):
            yield
            return
        self._do(lambda connection: connection.begin())
        self._in_transaction = True
        try:
            yield
        except BaseException:
            if self._in_transaction:
                self._in_transaction = False
                self._do(lambda connection: connection.rollback())
            raise
        if not self._in_transaction:
            raise self._error(DbError("the connection was lost within a transaction: nothing of it was done"))
        self._do(lambda connection: connection.commit())
        self._in_transaction = False

    # versions of tables

    def version(self, table: str) -> int:
        """The version of a table as the table of versions has it; 0 if it is not in there."""
        rows = self.query(self._version_table, ["table_version"], {"table_name": table}).rows
        if not rows:
            log.dbg(f"no row for table {table} found")
            return 0
        value = rows[0][0]
        if len(rows) != 1 or not isinstance(value, int):
            raise self._error(DbError(f"invalid number of rows received: {len(rows)}, {table}"))
        return value

    def check_version(self, table: str, expected: int) -> None:
        """DbError with Kamailio's words if a table has another version than the code was written for."""
        found = self.version(table)
        if found != expected:
            log.err(
                f"invalid version {found} for table {table} found, "
                f'expected {expected} (check table structure and table "version")'
            )
            raise DbError(f"Error during version check for db table: {table}, check database structure.")

    # doing it

    def _do(self, operation: Callable[[Connection], Any]) -> Any:
        try:
            try:
                return operation(self.connection)
            except ConnectionLost as lost:
                broken, self._connection = self._connection, None
                if self._in_transaction:
                    self._in_transaction = False
                    raise
                if broken is None:
                    raise
                log.warn(f"connection to {self.url} was lost ({lost}): opening it anew")
                return operation(self.connection)
        except DbError as error:
            raise self._error(error) from None

    def _error(self, error: DbError) -> DbError:
        log.err(f"{self.url}: {error}")
        self._failed()
        return error
