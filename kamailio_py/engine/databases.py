"""The databases of a server: a Database for each URL, served by the module that its scheme names.

Made before forking; connections belong to a process and are closed before it forks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.db.database import Database
from kamailio_py.db.errors import DbError
from kamailio_py.db.url import parse_url
from kamailio_py.log import get_logger
from kamailio_py.module import ModuleError

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core

log = get_logger("<core>")

DRIVER_ERRORS = "driver_errors"
"""Statistic of a database module, counted for it here."""


class Databases:
    """See the head of the file. A database module is one that has `connect(url) -> Connection`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._by_url: dict[str, Database] = {}

    def get(self, text: str) -> Database:
        """The Database of a URL; before forking. ModuleError if the URL is none or its module is not loaded."""
        database = self._by_url.get(text)
        if database is not None:
            return database
        try:
            url = parse_url(text)
        except DbError as error:
            log.err(str(error))
            raise ModuleError(str(error)) from None
        module = self._core.module(url.module)
        if not hasattr(module, "connect"):
            problem = f"Module {url.module} not found. Missing loadmodule?"
            log.err(problem)
            raise ModuleError(f"{problem} ({url} needs it)")
        errors = self._core.statistic(module.statistics_group or module.name, DRIVER_ERRORS)
        database = self._by_url[text] = Database(url, module.connect, lambda: self._core.count(errors))
        return database

    def close(self) -> None:
        """Close this process's connections; what is used again is opened again."""
        for database in self._by_url.values():
            database.close()
