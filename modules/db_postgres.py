"""The db_postgres module: PostgreSQL, through psycopg's libpq (`pip install 'kamailio-py[postgres]'`).

Statements and values go to the server as bytes and come back as text, so that nothing is decoded on the way. Times are
the machine's local time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kamailio_py.db.connection import SqlConnection
from kamailio_py.db.errors import ConnectionLost, DbError
from kamailio_py.db.url import DbUrl
from kamailio_py.db.values import Result, Row, Time, Value, local_text, local_time
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn, PGresult

log = get_logger("db_postgres")

BYTEA = 17
READERS: dict[int, Callable[[bytes], Value]] = {
    BYTEA: lambda text: bytes.fromhex(text[2:].decode("ascii")),
    **dict.fromkeys((20, 21, 23), int),  # int8, int2, int4
    **dict.fromkeys((700, 701, 1700), float),  # float4, float8, numeric
    **dict.fromkeys((1114, 1184), lambda text: local_time(text.decode("ascii"))),  # timestamps
}
"""How a column is read, by the number of its type; all others are text."""


class PostgresConnection(SqlConnection):
    """One process's connection."""

    placeholder = "\0"  # numbered when the statement is whole

    def __init__(self, conninfo: bytes, tries: int) -> None:
        from psycopg import pq

        self._cursors = itertools.count(1)
        for _ in range(max(tries, 1)):
            self._pg: PGconn = pq.PGconn.connect(conninfo)
            if self._pg.status == pq.ConnStatus.OK:
                break
        else:
            raise DbError(f"PQconnectdb failed: {_said(self._pg.error_message)}")
        self._pg.notice_handler = lambda notice: log.dbg(_said(notice.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)))
        self.execute("set bytea_output=hex", ())

    def close(self) -> None:
        self._pg.finish()

    @property
    def last_id(self) -> int:  # type: ignore[override]
        return int(self.execute("select lastval()", ()).rows[0][0])  # type: ignore[arg-type]

    def execute(self, statement: str, values: Sequence[Value]) -> Result:
        result = self._run(statement, values)
        columns = [(result.fname(number) or b"").decode("latin-1") for number in range(result.nfields)]
        self.affected = 0 if columns else result.command_tuples or 0
        return Result(columns, list(_rows(result)))

    def stream(self, statement: str, values: Sequence[Value], chunk: int) -> Iterator[Row]:
        """Through a cursor that the server holds, so that this connection is free meanwhile."""
        name = f"kamailio_{next(self._cursors)}"
        self._run(f"declare {name} cursor with hold for {statement}", values)
        try:
            while True:
                result = self._run(f"fetch {chunk} from {name}", ())
                if not result.ntuples:
                    break
                yield from _rows(result)
        finally:
            self._run(f"close {name}", ())

    def _run(self, statement: str, values: Sequence[Value]) -> PGresult:
        from psycopg import pq

        given = [None if value is None else _stored(value) for value in values]
        types = [BYTEA if isinstance(value, bytes) else 0 for value in values]
        formats = [pq.Format.BINARY if isinstance(value, bytes) else pq.Format.TEXT for value in values]
        if values:
            first, *parts = statement.split(self.placeholder)
            statement = first + "".join(f"${number}{part}" for number, part in enumerate(parts, 1))
        command = statement.encode("latin-1")
        if values:
            result = self._pg.exec_params(command, given, types, formats)
        else:
            result = self._pg.exec_(command)
        if result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.EMPTY_QUERY):
            return result
        text = f"{_said(result.error_message or self._pg.error_message)} in <{statement}>"
        raise (DbError if self._pg.status == pq.ConnStatus.OK else ConnectionLost)(text)


def _stored(value: int | float | str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, Time):
        return local_text(value).encode("ascii")
    return str(value).encode("latin-1")


def _rows(result: PGresult) -> Iterator[Row]:
    columns = range(result.nfields)
    readers = [READERS.get(result.ftype(column), _text) for column in columns]
    for row in range(result.ntuples):
        values = (result.get_value(row, column) for column in columns)
        yield tuple(None if value is None else read(value) for read, value in zip(readers, values, strict=True))


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _said(message: bytes | None) -> str:
    return " ".join((message or b"").decode("utf-8", "replace").split())


class DbPostgres(Module):
    """Gives `core.db("postgres://...")` its connections."""

    name = "db_postgres"
    statistics_group = "postgres"

    retries = Param(int, 2)
    lockset = Param(int, 4, unused="a connection belongs to one process, so there is nothing to lock")
    timeout = Param(int, 0)
    tcp_keepalive = Param(int, 0)
    bytea_output_escape = Param(int, 1, unused="what a query gives is the same in either form")
    con_param = Param(str, setter="add_con_param")

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._more: dict[str, str] = {}

    def add_con_param(self, text: str) -> None:
        """`name=value` of libpq's connection parameters; several are separated by ';'."""
        for part in filter(None, (part.strip() for part in text.split(";"))):
            name, equals, value = part.partition("=")
            if not equals:
                raise ValueError(f"invalid con_param [{part}]: it is name=value")
            self._more[name.strip()] = value.strip()

    def mod_init(self) -> None:
        try:
            from psycopg import pq
        except ImportError:
            raise ModuleError(
                "db_postgres needs the Python package psycopg: pip install 'kamailio-py[postgres]'"
            ) from None
        log.dbg(f"libpq {pq.version()}")

    def connect(self, url: DbUrl) -> PostgresConnection:
        return PostgresConnection(self.conninfo(url).encode(), self.retries)

    def conninfo(self, url: DbUrl) -> str:
        """What libpq is told."""
        from psycopg.conninfo import make_conninfo

        wanted: dict[str, Any] = {
            "host": url.host, "port": url.port or None, "user": url.user, "password": url.password,
            "dbname": url.database,
        }  # fmt: skip
        if self.timeout:
            milliseconds = self.timeout * 1000
            wanted["connect_timeout"] = self.timeout
            wanted["tcp_user_timeout"] = milliseconds
            wanted["options"] = f"-c statement_timeout={milliseconds}"
        if self.tcp_keepalive:
            wanted["keepalives_idle"] = self.tcp_keepalive
        given = {name: value for name, value in (wanted | self._more).items() if value}
        return make_conninfo("", **given)
