"""What htables have in a database: loaded when the server starts, stored when it stops, both when asked to.

The usual table has a row for an item (key_name, key_type, value_type, key_value, expires); rows of key_type 1 with the
same name become `name[0]`, `name[1]`, ... and `name::size`. With `cols` any table will do: its first column is the
name, the others make the value. No lock is held while the database is at work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Value as DbValue
from kamailio_py.log import get_logger
from kamailio_py.module import Param, RpcFault
from kamailio_py.modules.htable.table import HashTable, Value
from kamailio_py.modules.htable.variables import Variables
from kamailio_py.script.values import parse_int

if TYPE_CHECKING:
    from kamailio_py.db.database import Database

log = get_logger("htable")

ARRAY = 1
"""key_type of an item that is one of several under a name."""
NUMBER = 1
"""value_type of a number."""
NULL = "*"
"""What a null is in a value made of columns."""

Loaded = tuple[str, Value, int]
"""Name, value, and when it is over, 0 if the row does not say."""


class Stored(Variables):
    """Tables that are in a database, too."""

    db_url = Param(str)
    key_name_column = Param(str, "key_name")
    key_type_column = Param(str, "key_type")
    value_type_column = Param(str, "value_type")
    key_value_column = Param(str, "key_value")
    expires_column = Param(str, "expires")
    array_size_suffix = Param(str, "::size")
    fetch_rows = Param(int, 100)
    db_expires = Param(int, 0)

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._database: Database | None = None

    def load_tables(self) -> None:
        """When the server starts; DbError if something is wrong with a table."""
        if not self.db_url:
            return
        self._database = self.core.db(self.db_url)
        for table in self.tables.values():
            if table.spec.dbtable:
                self._load(table, self._database)

    def store_tables(self) -> None:
        """When the server stops and nobody else is there any more."""
        for table in self.tables.values():
            if self._database is not None and table.spec.dbtable and table.spec.dbmode:
                try:
                    self._store(table, self._database, alone=True)
                except DbError:
                    log.err(f"failed syncing hash table [{table.name}] to db")

    def reload_table(self, name: str) -> str:
        """htable.reload: what the database has in place of what the table has. RpcFault if there is no such table."""
        table, database = self._stored_table(name)
        try:
            self._load(table, database)
        except DbError:
            raise RpcFault(500, "Error loading htable from database") from None
        return "Ok. Htable reloaded."

    def store_table(self, name: str) -> str:
        """htable.store: what the table has in place of what the database has. RpcFault if there is no such table."""
        table, database = self._stored_table(name)
        try:
            self._store(table, database)
        except DbError:
            raise RpcFault(500, "Storing to DB failed") from None
        return "Ok. Htable successfully stored to DB."

    def _stored_table(self, name: str) -> tuple[HashTable, Database]:
        if self._database is None:
            raise RpcFault(500, "No htable db_url")
        table = self.tables.get(name)
        if table is None:
            raise RpcFault(500, "No such htable")
        if not table.spec.dbtable:
            raise RpcFault(500, "No database htable")
        return table, self._database

    # loading

    def _load(self, table: HashTable, database: Database) -> None:
        """Everything is read before anything is changed, so that an error leaves the table as it was."""
        found = list(self._rows(table, database))
        names = {name for name, _, _ in found}
        table.remove_if(lambda item: table.name_of(item) not in names)
        now = int(self.core.clock.now())
        for name, value, expires in found:
            if not table.set(name, value, expires - now if expires else table.autoexpire):
                raise DbError(f"no memory to load table {table.spec.dbtable} into htable {table.name}")

    def _rows(self, table: HashTable, database: Database) -> Iterator[Loaded]:
        if table.spec.cols:
            return self._packed_rows(table, database)
        return self._item_rows(table, database)

    def _item_rows(self, table: HashTable, database: Database) -> Iterator[Loaded]:
        columns = [self.key_name_column, self.key_type_column, self.value_type_column, self.key_value_column]
        if self.db_expires:
            columns.append(self.expires_column)
        now = int(self.core.clock.now())
        sizes: dict[str, int] = {}
        rows = database.fetch(table.spec.dbtable, columns, order=self.key_name_column, chunk=self.fetch_rows)
        for number, (name, kind, value_type, text, *rest) in enumerate(rows):
            if name is None or text is None:
                log.err(f"null value in row {number}")
                raise DbError(f"null value in row {number} of table {table.spec.dbtable}")
            expires = rest[0] if rest and isinstance(rest[0], int) and table.autoexpire else 0
            if 0 < expires < now:
                continue
            name, text = _text(name), _text(text)
            value: Value = (parse_int(text) or 0) if value_type == NUMBER else text
            if kind == ARRAY:
                size = sizes.get(name, 0)
                sizes[name] = size + 1
                yield f"{name}[{size}]", value, expires
            else:
                yield name, value, expires
        for name, size in sizes.items():
            yield f"{name}{self.array_size_suffix}", size, 0

    @staticmethod
    def _packed_rows(table: HashTable, database: Database) -> Iterator[Loaded]:
        columns = [column.strip() for column in table.spec.cols.split(",")]
        for number, (name, *values) in enumerate(database.fetch(table.spec.dbtable, columns, order=columns[0])):
            if name is None:
                log.err(f"htable [{table.name}] row [{number}] has NULL key value")
                raise DbError(f"htable [{table.name}] row [{number}] has NULL key value")
            yield _text(name), ",".join(NULL if value is None else _text(value) for value in values), 0

    # storing

    def _store(self, table: HashTable, database: Database, alone: bool = False) -> None:
        with database.transaction():
            database.delete(table.spec.dbtable)
            for row in self._stored_rows(table.snapshot(alone)):
                database.insert(table.spec.dbtable, row)

    def _stored_rows(self, items: Iterable[Loaded]) -> Iterator[dict[str, DbValue]]:
        for name, value, expires in items:
            row: dict[str, DbValue] = {
                self.key_name_column: name,
                self.key_type_column: 0,
                self.value_type_column: NUMBER if isinstance(value, int) else 0,
                self.key_value_column: str(value),
            }
            if self.db_expires:
                row[self.expires_column] = expires
            yield row


def _text(value: DbValue) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return f"{value:.2f}" if isinstance(value, float) else str(value)
