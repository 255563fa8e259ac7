"""The db_text module: tables in text files, one directory for a database.

    modparam("usrloc", "db_url", "text:///etc/kamailio/dbtext")

Rows are kept in each process's memory and are read again when a file changes, so tables may be edited while the
server runs. Changes are in the file at once, not only when the server stops.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamailio_py.config.without_effect import MEMORY
from kamailio_py.db.errors import DbError
from kamailio_py.db.url import DbUrl
from kamailio_py.log import get_logger
from kamailio_py.module import Module, Param, rpc
from kamailio_py.modules.db_text.connection import TextConnection

if TYPE_CHECKING:
    from kamailio_py.db.database import Database

log = get_logger("db_text")

CONFIG_DIRECTORY = Path("/etc/kamailio")
"""Where directories that are not given from the root on are looked for."""


class DbText(Module):
    """Gives `core.db("text:///...")` its connections."""

    name = "db_text"
    statistics_group = "text"

    db_mode = Param(int, 0, unused="tables are kept in memory, and read again when their file has changed")
    emptystring = Param(int, 0)
    file_buffer_size = Param(int, 16384, unused=MEMORY)
    max_result_rows = Param(int, 100000)
    default_connection = Param(str, "")
    db_delim = Param(str, ":")

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._default: Database | None = None

    def mod_init(self) -> None:
        if len(self.db_delim) != 1:
            log.warn('db_delim must be a character, defaulting to ":"')
            self.db_delim = ":"
        if self.default_connection:
            self._default = self.core.db(self.default_connection)

    def connect(self, url: DbUrl) -> TextConnection:
        if not url.rest:
            raise DbError(f"invalid database URL - should be: <text://[/]path/to/directory> Current: {url.text}")
        return TextConnection(CONFIG_DIRECTORY / url.rest, self.db_delim, bool(self.emptystring), self.max_result_rows)

    # RPC

    @rpc("db_text.dump", "", "Write back to disk modified tables")
    def rpc_dump(self, call: Any) -> str:
        """Nothing is ever only in memory here."""
        return "Dump OK"

    @rpc("db_text.query", "S", "Perform Live Query")
    def rpc_query(self, call: Any, statement: str) -> Iterator[str]:
        """A select, an update or a delete on the default connection."""
        if self._default is None:
            yield f"invalid connection : {self.default_connection}"
            return
        try:
            result = self._default.raw(statement)
        except DbError:
            yield "error executing sql statement"
            return
        if not result.columns:
            yield f"{self._default.affected} affected rows"
        elif not result.rows:
            yield "statement returned 0 rows"
        else:
            yield " ".join(result.columns)
            for row in result.rows:
                yield self.db_delim.join("" if value is None else str(value) for value in row)
            yield f"total rows {len(result.rows)} / {len(result.rows)}"
