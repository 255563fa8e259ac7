"""The db_flatstore module: rows appended to log files, for accounting.

    modparam("acc", "db_url", "flatstore:/var/log/acc")

Each process writes files of its own, `<table>_<rank>.log`, a line for a row, so that no lock is needed. Every row is in
its file when the insert returns.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from kamailio_py.config.without_effect import SECOND
from kamailio_py.db.connection import Connection
from kamailio_py.db.errors import DbError
from kamailio_py.db.url import DbUrl
from kamailio_py.db.values import Result, Value, Where
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, Rank, rpc

log = get_logger("db_flatstore")


class FlatConnection(Connection):
    """One process's files in a directory."""

    cannot = frozenset({"query", "update", "delete", "raw", "begin", "replace", "insert_update"})

    def __init__(self, directory: str, module: DbFlatstore) -> None:
        self._directory = directory
        self._module = module
        self._files: dict[str, int] = {}
        self._rotations = module.rotations

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def query(self, table: str, columns: Sequence[str], where: Where, order: str) -> Result:
        raise self._unable("query")

    def insert(self, table: str, row: Mapping[str, Value]) -> int:
        module = self._module
        if self._rotations != module.rotations:
            self.close()
            self._rotations = module.rotations
        line = module.field_delimiter.join(map(module.written, row.values())) + module.record_delimiter
        try:
            file = self._files.get(table)
            if file is None:
                path = os.path.join(self._directory, f"{table}_{module.number}{module.file_suffix}")
                file = self._files[table] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(file, line.encode("latin-1"))
        except OSError as error:
            raise DbError(f"could not write to a file of table {table} in {self._directory}: {error}") from None
        return 1


class DbFlatstore(Module):
    """Gives `core.db("flatstore:/...")` its connections."""

    name = "db_flatstore"
    statistics_group = "flatstore"

    flush = Param(int, 1, unused="a row is in its file when it was inserted; nothing waits in a buffer")
    encode_delimiter = Param(int, 1)
    field_delimiter = Param(str, "|")
    record_delimiter = Param(str, "\n")
    escape_char = Param(str, "\\", unused=SECOND)
    file_suffix = Param(str, ".log")

    number = 0
    """What the names of this process's files carry."""

    def mod_init(self) -> None:
        for name in ("field_delimiter", "record_delimiter", "escape_char"):
            if len(getattr(self, name)) != 1:
                raise ModuleError(f"flatstore: Parameter '{name}' must be exactly one character long.")
        arena = self.core.shm.arena
        self._rotations = arena.alloc(8, arena.owner("db_flatstore", "rotations")) >> 3
        self.core.shm.u64[self._rotations] = 0

    def child_init(self, rank: int) -> None:
        self.number = -rank if rank <= 0 else rank - Rank.NOCHLDINIT

    @property
    def rotations(self) -> int:
        """How often files were rotated, counted in shared memory."""
        count: int = self.core.shm.u64[self._rotations]
        return count

    def connect(self, url: DbUrl) -> FlatConnection:
        return FlatConnection(url.rest, self)

    def written(self, value: Value) -> str:
        """A value as it stands in a line."""
        if isinstance(value, float):
            return f"{value:.6f}"
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        text = "" if value is None else str(value)
        if self.encode_delimiter:
            text = text.replace(self.field_delimiter, f"%{ord(self.field_delimiter):02X}")
        return text

    @rpc("flatstore.rotate", "", "Close and reopen flatrotate files during log rotation.")
    def rotate(self, call: Any) -> None:
        """Every process opens new files with its next row."""
        self.core.shm.u64[self._rotations] += 1

    @rpc("flatstore.k_rotate", "", "Close and reopen flatrotate files during log rotation.")
    def k_rotate(self, call: Any) -> None:
        self.rotate(call)
