"""The databases of a server: a Database for each URL, served by the module that its scheme names.

Made before forking; connections belong to a process and are closed before it forks.
"""

from __future__ import annotations

import contextlib
import marshal
from functools import partial
from typing import TYPE_CHECKING, Any

from kamailio_py.db.database import Database
from kamailio_py.db.errors import DbError
from kamailio_py.db.url import parse_url
from kamailio_py.db.values import Time
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
        self._task = 0

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
        if not self._by_url:
            self._task = self._core.tasks.kind("database", self._do)
            self._owner = self._core.shm.arena.owner("core", "database task")
        database = self._by_url[text] = Database(
            url,
            self._core.latency.watched(module.connect),
            lambda: self._core.count(errors),
            partial(self._give, text),
            self._core.cfg.version_table,
        )
        return database

    def close(self) -> None:
        """Close this process's connections; what is used again is opened again."""
        for database in self._by_url.values():
            database.close()

    # operations done by async workers

    def _give(self, url: str, operation: str, arguments: tuple[Any, ...]) -> bool:
        """Let an async worker do an operation; False if there is none or no room, and nothing was done."""
        group = self._core.tasks.group()
        if group is None:
            return False
        arena = self._core.shm.arena
        block = arena.store(marshal.dumps((url, operation, [_plain(value) for value in arguments])), self._owner)
        if block and group.put(self._task, block):
            return True
        if block:
            arena.free(block)
        return False

    def _do(self, block: int, *_: int) -> None:
        url, operation, arguments = marshal.loads(self._core.shm.arena.load(block))
        with contextlib.suppress(DbError):  # the database logged and counted it
            getattr(self._by_url[url], operation)(*map(_unplain, arguments))
        self._core.shm.arena.free(block)


def _plain(value: Any) -> Any:
    """What marshal takes: a Time as a tuple of one."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return (int(value),) if isinstance(value, Time) else value


def _unplain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unplain(item) for name, item in value.items()}
    return Time(value[0]) if isinstance(value, tuple) else value
