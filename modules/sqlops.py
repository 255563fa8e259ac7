"""The sqlops module: SQL from scripts, its results in $dbr(...), XAVPs or any variable.

    modparam("sqlops", "sqlcon", "ca=>sqlite:////var/lib/users.db")
    sql_query("ca", "select name from users where id=$var(id)", "ra");
    xlog("$dbr(ra=>rows) rows, the first is $dbr(ra=>[0,0])\\n");

Results belong to the process and stay until the next query into the same container.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import RAW, STR, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Result
from kamailio_py.db.values import Value as DbValue
from kamailio_py.log import get_logger
from kamailio_py.module import Function, Module, Param, Rank, pvar
from kamailio_py.script import xavp
from kamailio_py.script.transformations.base import Apply, Cursor, members
from kamailio_py.script.values import Value

if TYPE_CHECKING:
    from kamailio_py.db.database import Database
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner, PVar

log = get_logger("sqlops")

ERROR, NO_CONNECTION = -1, -2
ROWS, NO_ROWS, NO_CONTAINER = 1, 2, 3
"""What the queries return, besides what is below zero."""
TRY_LATER = 1
"""connect_mode: a database that is not there when the server starts may come later."""
ONE_EACH = ("avp", "xavp")
"""Variables that hold a value for each row."""
_ESCAPED = str.maketrans({"'": "\\'", '"': '\\"', "\\": "\\\\", "\0": "\\0"})
_CELL = re.compile(r"\[\s*(?P<row>[^,\]]+?)\s*,\s*(?P<column>[^,\]]+?)\s*\]")
_NAME = re.compile(r"colname\[\s*(?P<column>[^\]]+?)\s*\]")


def script_value(value: DbValue) -> Value:
    """A value of a database as scripts see it: no fractions, and what is no number of 32 bits is a text."""
    if isinstance(value, int):
        return int(value) if -(1 << 31) <= value < 1 << 31 else str(value)
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return None if isinstance(value, float) else value


class Sqlops(Module):
    """Queries for scripts."""

    name = "sqlops"
    sqlcon = Param(str, setter="add_connection")
    sqlres = Param(str, setter="add_result")
    tr_buf_size = Param(int, 2048)
    connect_mode = Param(int, 0)
    results_maxsize = Param(int, 32)

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._urls: dict[str, str] = {}
        self._databases: dict[str, Database] = {}
        self._results: dict[str, Result] = {}

    @property
    def transformations(self) -> dict[str, Any]:  # type: ignore[override]
        """{sql.val}, {sql.val.int}, {sql.val.str}: they differ in what null becomes."""
        nulls = {"val": "NULL", "val.int": "0", "val.str": "''"}
        return {"sql": members({name: self._sql_val(null) for name, null in nulls.items()})}

    # parameters

    def add_connection(self, text: str) -> None:
        """`name=>url`."""
        name, arrow, url = text.partition("=>")
        if not arrow or not name.strip() or not url.strip():
            log.err(f"invalid sqlops parameter [{text}]")
            raise ValueError(f"invalid sqlops parameter [{text}]: it is name=>url")
        if name.strip() in self._urls:
            log.err("duplicate connection name")
            raise ValueError(f"duplicate connection name {name.strip()}")
        self._urls[name.strip()] = url.strip()

    def add_result(self, name: str) -> None:
        self._container(name)

    def _container(self, name: str) -> str:
        """A result container's name; ValueError if there are too many of them."""
        if name and name not in self._results:
            if len(self._results) > self.results_maxsize:
                log.err("too many result containers defined")
                raise ValueError("too many result containers defined (parameter results_maxsize)")
            self._results[name] = Result()
        return name

    def _connection(self, name: str) -> str:
        if name not in self._urls:
            log.err(f"invalid connection [{name}]")
            raise ValueError(f"invalid connection [{name}] (there is no such sqlcon)")
        return name

    # life cycle

    def mod_init(self) -> None:
        self._databases = {name: self.core.db(url) for name, url in self._urls.items()}

    def child_init(self, rank: int) -> None:
        if rank in (Rank.INIT, Rank.MAIN, Rank.TCP_MAIN):
            return
        for name, database in self._databases.items():
            try:
                database.connect()
            except DbError:
                if self.connect_mode != TRY_LATER:
                    log.err(f"failed to connect to the database [{name}]")
                    raise
                log.info(f"failed to connect to the database [{name}] - trying next")

    # functions

    def functions(self) -> Iterable[Function]:
        connection = Fixup("connection", prepare=self._connection)
        container = Fixup("result", prepare=self._container)
        variables = Fixup("variables", prepare=self._variables)
        for name, arguments, call in (
            ("sql_query", (connection, STR, container), self.query),
            ("sql_query", (connection, STR), self.query),
            ("sql_query_async", (connection, STR), self.query_async),
            ("sql_xquery", (connection, STR, RAW), self.xquery),
            ("sql_pvquery", (connection, STR, variables), self.pvquery),
            ("sql_result_free", (container,), self.result_free),
        ):
            yield Function(self.name, name, arguments, RouteType.ANY, call)

    def _run(self, name: str, statement: str) -> Result | int:
        """The result of a query, or what the function is to return instead."""
        database = self._databases[name]
        try:
            if not database.connected:
                database.connect()
        except DbError:
            log.err("failed to connect to database")
            return NO_CONNECTION
        try:
            return database.raw(statement)
        except DbError:
            log.err(f"cannot do the query [{statement}]")
            return ERROR

    def query(self, ctx: Context, connection: str, statement: str, container: str = "") -> int:
        if container:
            self._results[container] = Result()
        result = self._run(connection, statement)
        if isinstance(result, int):
            return result
        if not result.rows:
            return NO_ROWS
        if not container:
            log.dbg("no sqlresult parameter, ignoring result from query")
            return NO_CONTAINER
        self._results[container] = result
        return ROWS

    def query_async(self, ctx: Context, connection: str, statement: str) -> int:
        database = self._databases[connection]
        try:
            if not database.connected:
                database.connect()
        except DbError:
            log.err("invalid connection to database")
            return NO_CONNECTION
        try:
            database.later("raw", statement)
        except DbError:
            return ERROR
        return 1

    def xquery(self, ctx: Context, connection: str, statement: str, name: str) -> int:
        """The rows become XAVPs of this name, the first of them on top."""
        result = self._run(connection, statement)
        if isinstance(result, int):
            return result
        for row in reversed(result.rows):
            values = zip(result.columns, row, strict=True)
            xavp.push(ctx.xavps, name, {column: [script_value(value)] for column, value in values})
        return ROWS if result.rows else NO_ROWS

    def pvquery(self, ctx: Context, connection: str, statement: str, variables: list[PVar]) -> int:
        """The first row is put into variables; AVPs and XAVPs get a value of each row."""
        result = self._run(connection, statement)
        if isinstance(result, int):
            return result
        if not result.rows:
            return NO_ROWS
        for number in reversed(range(len(result.rows))):
            for position, value in enumerate(result.rows[number]):
                if position >= len(variables):
                    log.err(f"Missing pv spec for column {position + 1}")
                    return ERROR
                variable = variables[position]
                plain = script_value(value)
                if variable.name in ONE_EACH:
                    if plain is not None:
                        variable.set(ctx, plain)
                elif number == 0:
                    variable.set(ctx, plain)
        return ROWS

    def _variables(self, text: str) -> list[PVar]:
        """A list of pseudo-variables as sql_pvquery has it."""
        found = []
        for position, part in enumerate(filter(None, (part.strip() for part in re.split(r"[,;](?![^(]*\))", text))), 1):
            variable = self.core.registry.pvar(part, strict=True)
            if not variable.writable:
                log.err(f"result variable [{position}] is read-only")
                raise ValueError(f"result variable [{position}] is read-only: {part}")
            found.append(variable)
        if not found:
            raise ValueError(f"invalid result parameter [{text}]")
        return found

    def result_free(self, ctx: Context, container: str) -> int:
        if container:
            self._results[container] = Result()
        return 1

    # pseudo-variables

    @pvar("dbr", inner=True)
    def dbr(self, inner: Inner) -> Getter:
        """$dbr(name=>rows), cols, [row,column], colname[column]."""
        name, arrow, key = (part.strip() for part in inner.text.partition("=>"))
        if not arrow:
            log.err(f"invalid pv name [{inner.text}]")
            raise ValueError(f"invalid pv name [{inner.text}]")
        self._container(name)
        results = self._results
        if key == "rows":
            return lambda ctx: len(results[name].rows)
        if key == "cols":
            return lambda ctx: len(results[name].columns)
        if heading := _NAME.fullmatch(key):
            column = self._index(heading["column"], inner)
            return lambda ctx: _at(results[name].columns, column(ctx))
        if cell := _CELL.fullmatch(key):
            row, column = self._index(cell["row"], inner), self._index(cell["column"], inner)
            return lambda ctx: script_value(_at(_at(results[name].rows, row(ctx)), column(ctx)))
        log.err(f"unknown key [{key}]")
        raise ValueError(f"invalid index in [{key}]" if key.startswith("[") else f"unknown key [{key}]")

    @staticmethod
    def _index(text: str, inner: Inner) -> Callable[[Context], Value]:
        if text[:1] == "$":
            get: Callable[[Context], Value] = inner.registry.parse(text, True).get
            return get
        if not text.isdigit():
            log.err(f"bad number <{text}>")
            raise ValueError(f"bad number <{text}>")
        number = int(text)
        return lambda ctx: number

    @pvar("sqlrows", type="int", inner=True)
    def sqlrows(self, inner: Inner) -> Getter:
        """$sqlrows(connection): rows changed by the last query."""
        name = self._connection(inner.text.strip())
        return lambda ctx: self._databases[name].affected

    # transformations

    def _sql_val(self, null: str) -> Callable[[Cursor], Apply]:
        """{sql.val}: a value as it stands in a statement, null as `null`."""

        def apply(ctx: Context, value: Value) -> Value:
            if value is None:
                return null
            if isinstance(value, int):
                return str(value)
            if len(value) * 2 + 1 >= self.tr_buf_size:
                log.err("escape buffer to short")
                return None
            return f"'{value.translate(_ESCAPED)}'"

        return lambda cursor: apply


def _at(values: Any, index: Value) -> Any:
    return values[index] if values and isinstance(index, int) and 0 <= index < len(values) else None
