"""Dialogs in a database: loaded when the server starts, written at once, now and then, or when it stops.

Only dialogs that were answered are kept there. A row is named by hash entry and hash id; variables have a table of
their own. What cannot be written is logged and counted by the database and stays in memory.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kamailio_py.db.errors import DbError
from kamailio_py.log import get_logger
from kamailio_py.module import Module, Param
from kamailio_py.modules.dialog.record import NOT_OURS, Flag, Ident, State, View

if TYPE_CHECKING:
    from kamailio_py.db.values import Value
    from kamailio_py.modules.dialog import Dialogs

log = get_logger("dialog")

NO_DB, REALTIME, DELAYED, SHUTDOWN = range(4)
"""db_mode."""
TABLE_VERSION, VARS_VERSION = 7, 1
_ANSWERED = (State.CONFIRMED_NA, State.CONFIRMED)


class StoredParameters(Module):
    """What the config says of the database."""

    db_url = Param(str, "mysql://kamailio:kamailiorw@localhost/kamailio")
    db_mode = Param(int, 0)
    table_name = Param(str, "dialog")
    call_id_column = Param(str, "callid")
    from_uri_column = Param(str, "from_uri")
    from_tag_column = Param(str, "from_tag")
    to_uri_column = Param(str, "to_uri")
    to_tag_column = Param(str, "to_tag")
    h_id_column = Param(str, "hash_id")
    h_entry_column = Param(str, "hash_entry")
    state_column = Param(str, "state")
    start_time_column = Param(str, "start_time")
    timeout_column = Param(str, "timeout")
    to_cseq_column = Param(str, "callee_cseq")
    from_cseq_column = Param(str, "caller_cseq")
    to_route_column = Param(str, "callee_route_set")
    from_route_column = Param(str, "caller_route_set")
    to_contact_column = Param(str, "callee_contact")
    from_contact_column = Param(str, "caller_contact")
    to_sock_column = Param(str, "callee_sock")
    from_sock_column = Param(str, "caller_sock")
    sflags_column = Param(str, "sflags")
    toroute_name_column = Param(str, "toroute_name")
    vars_table_name = Param(str, "dialog_vars")
    vars_h_id_column = Param(str, "hash_id")
    vars_h_entry_column = Param(str, "hash_entry")
    vars_key_column = Param(str, "dialog_key")
    vars_value_column = Param(str, "dialog_value")
    db_update_period = Param(int, 60)
    db_fetch_rows = Param(int, 200)
    db_skip_load = Param(int, 0)


class Stored:
    """See the head of the file."""

    def __init__(self, module: Dialogs) -> None:
        self.module = module
        self.core = module.core
        self.table = module.table
        self.mode = module.db_mode
        if self.mode == NO_DB:
            return
        self.db = self.core.db(module.db_url)
        self.db.check_version(module.table_name, TABLE_VERSION)
        self.db.check_version(module.vars_table_name, VARS_VERSION)
        self._texts = {
            module.call_id_column: "call_id", module.from_uri_column: "from_uri", module.from_tag_column: "from_tag",
            module.to_uri_column: "to_uri", module.to_tag_column: "to_tag", module.to_cseq_column: "to_cseq",
            module.from_cseq_column: "from_cseq", module.to_route_column: "to_rs", module.from_route_column: "from_rs",
            module.to_contact_column: "to_contact", module.from_contact_column: "from_contact",
            module.toroute_name_column: "toroute_name", "req_uri": "ruri",
        }  # fmt: skip
        self._numbers = {
            module.state_column: "state", module.start_time_column: "start_ts", module.sflags_column: "sflags",
            "iflags": "iflags",
        }  # fmt: skip
        if not module.db_skip_load:
            self.load()
        if self.mode == DELAYED:
            self.core.register_timer(self.flush, module.db_update_period)

    # rows

    def _key(self, ident: Ident) -> dict[str, Value]:
        module = self.module
        return {module.h_entry_column: ident[0], module.h_id_column: ident[1]}

    def _vars_key(self, ident: Ident) -> dict[str, Value]:
        module = self.module
        return {module.vars_h_entry_column: ident[0], module.vars_h_id_column: ident[1]}

    def _row(self, view: View) -> dict[str, Value]:
        module = self.module
        row: dict[str, Value] = {column: getattr(view, name) for column, name in self._texts.items()}
        row |= {column: getattr(view, name) for column, name in self._numbers.items()}
        row[module.timeout_column] = int(self.core.clock.now() + (view.due - self.core.clock.ms()) / 1000)
        row[module.from_sock_column] = module.socket_text(view.caller_socket)
        row[module.to_sock_column] = module.socket_text(view.callee_socket)
        profiles = [{"name": name} | ({"value": value} if value else {}) for name, value in view.profiles]
        row["xdata"] = json.dumps({"profiles": profiles[::-1]}, separators=(",", ":")) if profiles else None
        return row

    def _write(self, ident: Ident) -> None:
        """Bring row and variables of a dialog up to date."""
        view = self.table.get(ident)
        if view is None or view.state not in _ANSWERED:
            return
        module, key = self.module, self._key(ident)
        try:
            if view.dflags & Flag.NEW:
                self.db.insert(module.table_name, {**key, **self._row(view)})
            else:
                self.db.update(module.table_name, self._row(view), key)
            if view.dflags & Flag.CHANGED_VARS:
                self.db.delete(module.vars_table_name, self._vars_key(ident))
                for name, value in reversed(view.variables.items()):
                    row: dict[str, Value] = {module.vars_key_column: name, module.vars_value_column: value}
                    self.db.insert(module.vars_table_name, {**self._vars_key(ident), **row})
        except DbError:
            log.err("could not update the dialog in the database")
            return
        self.table.set_bits(ident, "dflags", off=Flag.NEW | Flag.CHANGED | Flag.CHANGED_VARS)

    # what tracking tells

    def confirmed(self, view: View) -> None:
        """A dialog was answered."""
        if self.mode == REALTIME:
            self._write(view.ident)

    def changed(self, view: View) -> None:
        """Something of an answered dialog is new."""
        if self.mode == REALTIME:
            self._write(view.ident)
        elif self.mode == DELAYED:
            self.table.set_bits(view.ident, "dflags", Flag.CHANGED)

    def removed(self, view: View) -> None:
        """A dialog has ended."""
        if self.mode not in (REALTIME, DELAYED) or view.dflags & Flag.NEW:
            return
        try:
            self.db.delete(self.module.table_name, self._key(view.ident))
            self.db.delete(self.module.vars_table_name, self._vars_key(view.ident))
        except DbError:
            log.err("could not delete the dialog from the database")

    def flush(self) -> None:
        """Write what has changed since the last time."""
        for view in self.table.all():
            if view.state in _ANSWERED and view.dflags & (Flag.NEW | Flag.CHANGED | Flag.CHANGED_VARS):
                self._write(view.ident)

    def shut_down(self) -> None:
        """The server stops: what is in memory goes into the database."""
        if self.mode in (DELAYED, SHUTDOWN):
            try:
                if self.mode == SHUTDOWN:
                    self.db.delete(self.module.table_name)
                    self.db.delete(self.module.vars_table_name)
                    for view in self.table.all():
                        self.table.set_bits(view.ident, "dflags", Flag.NEW | Flag.CHANGED_VARS)
            except DbError:
                log.err("could not empty the tables of dialogs")
            self.flush()

    # loading

    def load(self, call_id: str = "") -> bool:
        """Load dialogs that are not in memory yet: all, or those of a Call-ID; False if that failed."""
        module = self.module
        if self.mode == NO_DB:
            return False
        columns = [
            module.h_entry_column, module.h_id_column, *self._texts, *self._numbers, module.timeout_column,
            module.from_sock_column, module.to_sock_column, "xdata",
        ]  # fmt: skip
        where = {module.call_id_column: call_id} if call_id else ()
        try:
            rows = list(self.db.fetch(module.table_name, columns, where, chunk=module.db_fetch_rows or 2000))
            for row in rows:
                self._load(dict(zip(columns, row, strict=True)))
        except DbError:
            return False
        return True

    def _load(self, row: dict[str, Any]) -> None:
        module = self.module
        ident = int(row[module.h_entry_column]), int(row[module.h_id_column])
        texts = {name: str(row[column] or "") for column, name in self._texts.items()}
        if ident[0] != self.table.entry_of(texts["call_id"]):
            log.err(
                f"inconsistent hash data in the dialog database: you may have restarted Kamailio using a different "
                f"hash_size: please erase {module.table_name} database and restart"
            )
            return
        now = self.core.clock.now()
        left = max(int(row[module.timeout_column]) - now, 0)
        fields = {
            "entry": ident[0], "id": ident[1], "lifetime": int(left), "init_ts": int(row[module.start_time_column]),
            "toroute": module.route_number(texts["toroute_name"]),
            "caller_socket": self._socket(row[module.from_sock_column]),
            "callee_socket": self._socket(row[module.to_sock_column]),
        }  # fmt: skip
        fields |= {name: int(row[column] or 0) for column, name in self._numbers.items()}
        if fields["state"] not in _ANSWERED:
            return
        if not self.table.insert(fields, texts, self.core.clock.ms() + int(left * 1000)):
            return
        module.count("active")
        module.count("processed")
        for name, value in self._variables(ident):
            self.table.set_variable(ident, name, value)
        self.table.set_bits(ident, "dflags", off=Flag.CHANGED_VARS)
        for name, value in _profiles(row["xdata"]):
            if name in self.module.profiles.with_value:
                module.join(ident, name, value)

    def _variables(self, ident: Ident) -> list[tuple[str, str]]:
        module = self.module
        rows = self.db.query(
            module.vars_table_name, [module.vars_key_column, module.vars_value_column], self._vars_key(ident)
        ).rows
        return [(str(name), str(value)) for name, value in rows[::-1]]

    def _socket(self, text: Any) -> int:
        """Index of a socket of this server; one that is none has NOT_OURS."""
        found = self.core.addresses.listening(str(text)) if text else None
        if found is None:
            log.warn(f"non-local socket <{text}>...ignoring")
            return NOT_OURS
        return found.index


def _profiles(text: Any) -> list[tuple[str, str]]:
    """Names and values of the profiles in the column xdata."""
    try:
        found = json.loads(text)["profiles"] if text else []
        return [(str(one["name"]), str(one.get("value", ""))) for one in found][::-1]
    except (ValueError, KeyError, TypeError):
        log.err(f"bad xdata of a dialog: {text!r}")
        return []
