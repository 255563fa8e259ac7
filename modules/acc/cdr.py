"""Call data records: one record for each call, from the dialog module's events.

When a call began is kept with the dialog as a variable of it, so that any process can write the record when it ends,
also after a restart. Takes no lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py import log as output
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Time
from kamailio_py.db.values import Value as Stored
from kamailio_py.log import get_logger
from kamailio_py.module import ModuleError
from kamailio_py.modules.acc.extra import Value, parse_extras, values

if TYPE_CHECKING:
    from kamailio_py.modules.acc import Acc
    from kamailio_py.modules.dialog.record import View
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("acc")


class CallRecords:
    """See the head of the file."""

    def __init__(self, acc: Acc) -> None:
        core = acc.core
        dialog = core.module("dialog")
        if dialog is None:
            raise ModuleError("can't find dialog module: cdr_enable needs it")
        self.acc = acc
        self.dialog = dialog.api
        self._now = core.clock.now
        self._extra = parse_extras(acc.cdr_extra, core.registry)
        self._facility = 0
        if acc.cdr_facility is not None:
            if acc.cdr_facility not in output.FACILITIES:
                raise ModuleError("invalid cdr log facility configured")
            self._facility = output.FACILITIES[acc.cdr_facility]
        self._db = core.db(acc.db_url) if acc.db_url and acc.cdrs_table else None
        self.dialog.on("confirmed" if acc.cdr_start_on_confirmed else "confirmed_na", self._begins)
        self.dialog.on("terminated", self._ends)
        if acc.cdr_expired_dlg_enable:
            self.dialog.on("expired", self._ends)
        if acc.cdr_on_failed:
            self.dialog.on("failed", self._fails)

    def _begins(self, view: View, msg: Message | None, ctx: Context | None) -> None:
        """A call was answered."""
        self.dialog.set_variable(view.ident, self.acc.cdr_start_id, _text(self._now()))

    def _ends(self, view: View, msg: Message | None, ctx: Context | None) -> None:
        """A call is over."""
        now = self._now()
        try:
            start = float(view.variables.get(self.acc.cdr_start_id, ""))
        except ValueError:
            log.err(f"no start time of the call {view.call_id} is known")
            start = float(view.start_ts or now)
        self._write(view, msg, start, now)

    def _fails(self, view: View, msg: Message | None, ctx: Context | None) -> None:
        """A call never was one."""
        now = self._now()
        self._write(view, msg, now, now)

    def _write(self, view: View, msg: Message | None, start: float, end: float) -> None:
        acc = self.acc
        if acc.cdr_skip and acc.cdr_skip in view.variables:
            return
        start, end = round(start, 3), round(end, 3)
        duration = round(max(end - start, 0.0), 3)
        shown = f"{duration:.3f}" if duration else "0"
        standard = [(acc.cdr_start_id, _text(start)), (acc.cdr_end_id, _text(end)), (acc.cdr_duration_id, shown)]
        for name, text in standard:
            self.dialog.set_variable(view.ident, name, text)
        ctx = self.dialog.context(view, msg)
        extra = values(self._extra, ctx, bool(acc.cdr_extra_nullable))
        if acc.cdr_log_enable and log.enabled(acc.log_level):
            parts: list[tuple[str, Value]] = [*standard, *extra]
            line = "; ".join(f"{name}={'' if value is None else value}" for name, value in parts)
            output.emit(acc.log_level, f"acc: {line}", self._facility)
        if self._db is None:
            return
        row: dict[str, Stored] = {acc.cdr_start_id: Time(int(start)), acc.cdr_end_id: Time(int(end))}
        row[acc.cdr_duration_id] = duration
        row.update(extra)
        try:
            self._db.insert(acc.cdrs_table, row)
        except DbError:
            log.err("failed to insert into database")


def _text(seconds: float) -> str:
    """A time with its milliseconds."""
    return f"{seconds:.3f}"
