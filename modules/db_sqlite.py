"""The db_sqlite module: databases in files, through the standard library's sqlite3.

Text is stored byte for byte, and times as Julian day numbers, both as real db_sqlite does, so that each reads what the
other wrote.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from math import floor
from operator import methodcaller
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kamailio_py.db.connection import SqlConnection
from kamailio_py.db.errors import DbError
from kamailio_py.db.url import DbUrl
from kamailio_py.db.values import Result, Row, Time, Value
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param

log = get_logger("db_sqlite")

SECONDS_A_DAY = 86400
EPOCH = 2440587.5
"""The Julian day number of 1970-01-01 00:00 UTC."""
BUSY_SECONDS = 5.0
"""How long to wait for another process that is writing."""
JOURNAL_MODES = ("WAL", "DELETE", "TRUNCATE", "PERSIST", "MEMORY", "OFF")


def to_julian(time: int) -> float:
    """Half a second before `time`, as real db_sqlite stores it."""
    return (time - 0.5) / SECONDS_A_DAY + EPOCH


def from_stored(stored: bytes) -> Time | None:
    """A column of a type for times: a Julian day number, or text as CURRENT_TIMESTAMP and people write it.

    What Kamailio wrote is half a second early, what sqlite's julianday() gives is not: three quarters more suit both.
    """
    try:
        return Time(floor((float(stored) - EPOCH) * SECONDS_A_DAY + 0.75))
    except ValueError:
        try:
            return Time(datetime.fromisoformat(stored.decode()).replace(tzinfo=UTC).timestamp())
        except ValueError:
            return None


for _type in ("TIMESTAMP", "DATETIME", "DATE", "TIME"):
    sqlite3.register_converter(_type, from_stored)


class SqliteConnection(SqlConnection):
    """One process's connection to a file."""

    quote = ""

    def __init__(self, path: str, read_only: bool, journal_mode: str) -> None:
        uri = f"file:{quote(path)}?mode={'ro' if read_only else 'rwc'}"
        try:
            self._sqlite = sqlite3.connect(
                uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, detect_types=sqlite3.PARSE_DECLTYPES
            )
        except sqlite3.Error as error:
            raise DbError(f"failed to open sqlite database '{path}': {error}") from None
        self._sqlite.text_factory = methodcaller("decode", "latin-1")
        if journal_mode:
            self.execute(f"PRAGMA journal_mode={journal_mode}", ())

    def close(self) -> None:
        self._sqlite.close()

    def mark(self, value: Value) -> str:
        return "CAST(? AS TEXT)" if isinstance(value, str) and not value.isascii() else "?"

    def begin(self) -> None:
        """As one that will write: a reader that turns writer cannot wait for another one."""
        self.execute("begin immediate", ())

    def execute(self, statement: str, values: Sequence[Value]) -> Result:
        try:
            cursor = self._run(statement, values)
            self.affected = max(cursor.rowcount, 0)
            self.last_id = cursor.lastrowid or 0
            if cursor.description is None:
                return Result()
            return Result([column[0] for column in cursor.description], cursor.fetchall())
        except (sqlite3.Error, OverflowError) as error:
            raise _failure(error, statement) from None

    def stream(self, statement: str, values: Sequence[Value], chunk: int) -> Iterator[Row]:
        try:
            yield from self._run(statement, values)
        except (sqlite3.Error, OverflowError) as error:
            raise _failure(error, statement) from None

    def _run(self, statement: str, values: Sequence[Value]) -> sqlite3.Cursor:
        try:
            text = statement if statement.isascii() else statement.encode("latin-1").decode()
        except UnicodeDecodeError as error:
            raise DbError(f"the statement is not UTF-8: {error.reason} in <{statement}>") from None
        return self._sqlite.execute(text, [_stored(value) for value in values])


def _stored(value: Value) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("latin-1")
    return to_julian(value) if isinstance(value, Time) else value


def _failure(error: Exception, statement: str) -> DbError:
    text = str(error)
    if text.startswith("no such table"):
        text += " (kamailio-py --create-db FILE makes a database with the standard tables)"
    return DbError(f"{text} in <{statement}>")


class DbSqlite(Module):
    """Gives `core.db("sqlite:///...")` its connections."""

    name = "db_sqlite"
    statistics_group = "sqlite"
    db_set_readonly = Param(str, setter="set_readonly")
    db_set_journal_mode = Param(str, setter="set_journal_mode")

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._read_only: set[str] = set()
        self._journal_modes: dict[str, str] = {}

    def set_readonly(self, path: str) -> None:
        self._read_only.add(path)

    def set_journal_mode(self, text: str) -> None:
        """`path=MODE`, several separated by ';'."""
        for part in filter(None, text.split(";")):
            path, _, mode = part.strip().partition("=")
            if mode.upper() not in JOURNAL_MODES:
                raise ModuleError(f"no journal mode [{mode}] for [{path}]: one of {', '.join(JOURNAL_MODES)}")
            self._journal_modes[path] = mode

    def mod_init(self) -> None:
        log.info(f"SQlite library version {sqlite3.sqlite_version}")

    def connect(self, url: DbUrl) -> SqliteConnection:
        path = url.database
        if path and path != ":memory:" and not Path(path).parent.is_dir():
            raise DbError(f"failed to open sqlite database '{path}': there is no directory {Path(path).parent}")
        return SqliteConnection(path, path in self._read_only, self._journal_modes.get(path, ""))
