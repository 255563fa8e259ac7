"""Reading the list of destinations, from a file or a database, when the server starts and when it is asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.db.errors import DbError
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param
from kamailio_py.modules.dispatcher.sets import Entry, Head, parse_line

if TYPE_CHECKING:
    from kamailio_py.db.database import Database
    from kamailio_py.modules.dispatcher.sets import Sets

log = get_logger("dispatcher")

TABLE_VERSION = 4


class Loading(Module):
    """What Dispatcher knows of its list."""

    list_file = Param(str, "/etc/kamailio/dispatcher.list")
    db_url = Param(str)
    table_name = Param(str, "dispatcher")
    setid_col = Param(str, "setid")
    destination_col = Param(str, "destination")
    flags_col = Param(str, "flags")
    priority_col = Param(str, "priority")
    attrs_col = Param(str, "attrs")
    ds_attrs_none = Param(int, 0)
    ds_db_extra_attrs = Param(str)
    ds_load_mode = Param(int, 0)
    reload_delta = Param(int, 5)

    sets: Sets
    _db: Database | None

    def load_first(self) -> None:
        """The list that the server starts with; ModuleError if there is none."""
        pairs = (part.partition("=") for part in (self.ds_db_extra_attrs or "").split(";") if part)
        self._extra = [(name.strip(), column.strip()) for name, _, column in pairs]
        self._db = self.core.db(self.db_url) if self.db_url else None
        if self._db is not None:
            self._db.check_version(self.table_name, TABLE_VERSION)
        if not self.load(first=True):
            where = "from database" if self.db_url else f"from list file [{self.list_file}]"
            raise ModuleError(f"no dispatching list loaded {where}")

    def load(self, first: bool = False) -> bool:
        """Read the list and put it into force; False if it cannot be read, and the old one stays."""
        try:
            entries = self._from_database() if self._db is not None else self._from_file()
            loaded = self.sets.replace(entries, strict=bool(self.ds_load_mode))
        except (OSError, DbError, ValueError) as error:
            log.err(f"can't load the list: {error}")
            return False
        self.sets.set_head(Head.reloaded, int(self.core.clock.now()) if not first else 0)
        return loaded

    def _from_file(self) -> list[Entry]:
        entries = []
        with open(self.list_file, encoding="latin-1") as file:
            for number, line in enumerate(file, 1):
                try:
                    entry = parse_line(line)
                except ValueError as error:
                    log.err(f"bad line {number} in {self.list_file}: {error}")
                    if self.ds_load_mode:
                        raise
                    continue
                if entry is not None:
                    entries.append(entry)
        return entries

    def _from_database(self) -> list[Entry]:
        assert self._db is not None
        columns = [self.setid_col, self.destination_col, self.flags_col, self.priority_col, self.attrs_col]
        extra = [column for _, column in self._extra]
        entries = []
        for row in self._db.query(self.table_name, [*columns, *extra]).rows:
            number, uri, flags, priority, attrs = row[:5]
            parts = [str(attrs)] if attrs else []
            parts += [f"{name}={value!s}" for (name, _), value in zip(self._extra, row[5:], strict=True) if value]
            entries.append(Entry(int(number or 0), str(uri), int(flags or 0), int(priority or 0), ";".join(parts)))
        return entries
