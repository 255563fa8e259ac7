"""The db_mysql module: MySQL and MariaDB, through PyMySQL (`pip install 'kamailio-py[mysql]'`).

Text goes over the connection as the bytes it is made of; the connection's character set is utf8mb4, as real db_mysql
has it. Times are the machine's local time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from kamailio_py.config.without_effect import SECOND
from kamailio_py.db.connection import SqlConnection
from kamailio_py.db.errors import ConnectionLost, DbError
from kamailio_py.db.url import DbUrl
from kamailio_py.db.values import Result, Row, Time, Value, local_text, local_time
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param

if TYPE_CHECKING:
    import pymysql

log = get_logger("db_mysql")

PORT = 3306
SOCKETS = ("/run/mysqld/mysqld.sock", "/var/run/mysqld/mysqld.sock", "/tmp/mysql.sock")
"""Where "localhost" is looked for first, as MySQL's own clients do."""
LOST = (1053, 1927, 2006, 2013, 2055, 4031)
"""Errors after which a connection is of no use: shutdown, killed, gone away, lost, timed out."""
READS_IN_A_TIMEOUT = 3
"""MySQL's client library tries a read this often before `timeout_interval` counts."""


class MysqlConnection(SqlConnection):
    """One process's connection. `connect()` gives PyMySQL's, so that large results get one of their own."""

    quote = "`"
    placeholder = "%s"

    def __init__(self, connect: Callable[[], pymysql.Connection[Any]], reconnect: bool, delayed: bool) -> None:
        self._connect = connect
        self._lost = ConnectionLost if reconnect else DbError
        self._insert_verb = "insert delayed" if delayed else "insert"
        self._mysql = self._call(connect)

    def close(self) -> None:
        if self._mysql.open:
            self._mysql.close()

    def execute(self, statement: str, values: Sequence[Value]) -> Result:
        return self._call(lambda: self._execute(statement, values))

    def _execute(self, statement: str, values: Sequence[Value]) -> Result:
        with self._mysql.cursor() as cursor:
            self.affected = cursor.execute(statement, values or None)
            if cursor.description is None:
                self.last_id = cursor.lastrowid or self.last_id
                return Result()
            self.affected = 0
            return Result([column[0] for column in cursor.description], list(cursor.fetchall()))

    def stream(self, statement: str, values: Sequence[Value], chunk: int) -> Iterator[Row]:
        from pymysql.cursors import SSCursor

        own = self._call(self._connect)
        try:
            with own.cursor(SSCursor) as cursor:
                self._call(lambda: cursor.execute(statement, values or None))
                while rows := self._call(lambda: cursor.fetchmany(chunk)):
                    yield from rows
        finally:
            own.close()

    def insert(self, table: str, row: Mapping[str, Value]) -> int:
        return self._change(*self._insert(self._insert_verb, table, row))

    def replace(self, table: str, row: Mapping[str, Value], keys: Sequence[str]) -> int:
        return self._change(*self._insert("replace", table, row))

    def insert_update(self, table: str, row: Mapping[str, Value], keys: Sequence[str]) -> int:
        statement, values = self._insert("insert", table, row)
        changes = ",".join(f"{column}=values({column})" for column in map(self.name, row))
        return self._change(f"{statement} on duplicate key update {changes}", values)

    def _call(self, work: Callable[[], Any]) -> Any:
        """What `work` gives; PyMySQL's errors become ours."""
        import pymysql

        try:
            return work()
        except (pymysql.err.InterfaceError, OSError) as error:
            raise self._lost(f"driver error: {error}") from None
        except pymysql.err.Error as error:
            code = error.args[0] if error.args else 0
            text = f"driver error ({code}): {error.args[-1] if error.args else error}"
            raise (self._lost if code in LOST else DbError)(text) from None


class DbMysql(Module):
    """Gives `core.db("mysql://...")` its connections."""

    name = "db_mysql"
    statistics_group = "mysql"
    statistics = ("driver_errors",)

    ping_interval = Param(int, 300, unused="a lost connection is noticed by the next statement and opened anew")
    connect_timeout = Param(int, 2, unused=SECOND)
    send_timeout = Param(int, 0, unused=SECOND)
    receive_timeout = Param(int, 0, unused=SECOND)
    retries = Param(int, 1, unused=SECOND)
    server_timezone = Param(int, 0, unused=SECOND)
    timeout_interval = Param(int, 2)
    auto_reconnect = Param(int, 1)
    insert_delayed = Param(int, 0)
    update_affected_found = Param(int, 0)
    unsigned_type = Param(int, 0, unused="a number has no width and no sign bit in Python")
    opt_ssl_mode = Param(int, 0)

    def mod_init(self) -> None:
        if find_spec("pymysql") is None:
            raise ModuleError("db_mysql needs the Python package PyMySQL: pip install 'kamailio-py[mysql]'")

    def connect(self, url: DbUrl) -> MysqlConnection:
        # Here, since a config may load this module and name another database; before forking, as databases are first
        # asked for in mod_init.
        import pymysql

        log.dbg(f"PyMySQL {pymysql.__version__}")
        return MysqlConnection(lambda: self._connect(url), bool(self.auto_reconnect), bool(self.insert_delayed))

    def _connect(self, url: DbUrl) -> pymysql.Connection[Any]:
        import pymysql
        from pymysql.constants import CLIENT

        patience = self.timeout_interval * READS_IN_A_TIMEOUT or None
        socket = next((path for path in SOCKETS if os.path.exists(path)), None) if _is_local(url) else None
        made = pymysql.connect(
            host=url.host or "localhost",
            port=url.port or PORT,
            unix_socket=socket,
            user=url.user or None,
            password=url.password,
            database=url.database or None,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=self.timeout_interval or 10,
            read_timeout=patience,
            write_timeout=patience,
            client_flag=CLIENT.FOUND_ROWS if self.update_affected_found else 0,
            conv=conversions(),
            **self._ssl(),
        )
        made.encoding = "latin-1"  # the bytes as they are, in statements and in texts that are read
        return made

    def _ssl(self) -> dict[str, Any]:
        """What opt_ssl_mode says, with MySQL's numbers: 3 encrypted, 4 with a checked certificate, 5 and host name."""
        if self.opt_ssl_mode < 3:
            return {"ssl_disabled": self.opt_ssl_mode == 1} if self.opt_ssl_mode else {}
        checked = self.opt_ssl_mode >= 4
        return {
            "ssl": {"check_hostname": self.opt_ssl_mode == 5},
            "ssl_verify_cert": checked,
            "ssl_verify_identity": self.opt_ssl_mode == 5,
        }


def _is_local(url: DbUrl) -> bool:
    return url.host in ("", "localhost") and not url.port


def conversions() -> dict[Any, Any]:
    """How PyMySQL turns values into ours and back."""
    from pymysql.constants import FIELD_TYPE as TYPE
    from pymysql.converters import encoders

    numbers = (TYPE.TINY, TYPE.SHORT, TYPE.INT24, TYPE.LONG, TYPE.LONGLONG)
    return {
        **encoders,
        Time: lambda value, mapping: f"'{local_text(value)}'",
        **dict.fromkeys(numbers, int),
        TYPE.FLOAT: float,
        TYPE.DOUBLE: float,
        TYPE.DATETIME: local_time,
        TYPE.TIMESTAMP: local_time,
    }
