"""One record of accounting, written as a line of the log or as rows of a table.

Lives here: the standard values of a record and how they are written; the module says when. A record that cannot be
written is logged by the database and counted there. Takes no lock.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kamailio_py import log as output
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Time
from kamailio_py.db.values import Value as Stored
from kamailio_py.log import get_logger
from kamailio_py.module import ModuleError
from kamailio_py.modules.acc.extra import Value, legs_of, parse_extras, parse_legs, values

if TYPE_CHECKING:
    from kamailio_py.modules.acc import Acc
    from kamailio_py.script.context import Context

log = get_logger("acc")

ANSWERED = "transaction answered"
MISSED = "call missed"
REQUEST = "request accounted"
ACKED = "request acknowledged"

DELAYED, ASYNC = 1, 2
"""db_insert_mode: rows that may be written later, by the database or by an async worker."""
MICROSECONDS, SECONDS, LOCAL, UTC = 1, 2, 3, 4
"""time_mode."""


class Event:
    """What is to be accounted: the request with its transaction's AVPs, and how it ended."""

    __slots__ = ("code", "ctx", "reason", "to_tag", "upstream")

    def __init__(self, ctx: Context, code: str, reason: str, to_tag: str, upstream: bool) -> None:
        self.ctx = ctx
        self.code = code
        self.reason = reason
        self.to_tag = to_tag
        self.upstream = upstream

    def core(self) -> tuple[str, str, str, str, str, str]:
        """Method, From-tag, To-tag, Call-ID, code and reason; tags as the caller's request had them."""
        msg = self.ctx.msg
        tags = (msg.from_.tag, self.to_tag)
        if self.upstream:
            tags = tags[::-1]
        return (msg.cseq[1], *tags, msg.call_id, self.code, self.reason)


class Records:
    """See the head of the file."""

    def __init__(self, acc: Acc) -> None:
        core = acc.core
        registry = core.registry
        self.acc = acc
        self._now = core.clock.now
        self._nullable = bool(acc.acc_extra_nullable)
        self._log_extra = parse_extras(acc.log_extra, registry)
        self._db_extra = parse_extras(acc.db_extra, registry) if acc.db_url else []
        self._legs = parse_legs(acc.multi_leg_info, registry)
        self._facility = 0
        if acc.log_facility is not None:
            if acc.log_facility not in output.FACILITIES:
                raise ModuleError("invalid log facility configured")
            self._facility = output.FACILITIES[acc.log_facility]
        self._tables = registry.format(acc.db_table_acc), registry.format(acc.db_table_missed_calls)
        self._columns = (
            acc.acc_method_column, acc.acc_from_tag_column, acc.acc_to_tag_column, acc.acc_callid_column,
            acc.acc_sip_code_column, acc.acc_sip_reason_column,
        )  # fmt: skip
        self._db = core.db(acc.db_url) if acc.db_url else None

    def table(self, event: Event) -> str:
        """The table of answered transactions."""
        return self._tables[0].evaluate(event.ctx)

    def missed_table(self, event: Event) -> str:
        return self._tables[1].evaluate(event.ctx)

    # the log

    def log(self, event: Event, what: str) -> int:
        """Write the record as a line; 1."""
        if not log.enabled(self.acc.log_level):
            return 1
        now = self._now()
        names = ("method", "from_tag", "to_tag", "call_id", "code", "reason")
        parts: list[tuple[str, Value]] = [*zip(names, event.core(), strict=True)]
        parts += values(self._log_extra, event.ctx, False)
        if self._legs:
            for leg in legs_of(self._legs, event.ctx):
                parts += leg
        text = "".join(f";{name}={'' if value is None else value}" for name, value in parts)
        line = f"acc: ACC: {what}: timestamp={int(now)}{self._logged_time(now)}{text}"
        output.emit(self.acc.log_level, line, self._facility)
        return 1

    def _logged_time(self, now: float) -> str:
        mode = self.acc.time_mode
        if mode == MICROSECONDS:
            return f";{self.acc.time_exten}={int(now % 1 * 1_000_000)}"
        if mode == SECONDS:
            return f";{self.acc.time_attr}={int(now * 1000) / 1000:.3f}"
        if mode in (LOCAL, UTC):
            return f";{self.acc.time_attr}={self._formatted(now)}"
        return ""

    def _formatted(self, now: float) -> str:
        broken = time.localtime(now) if self.acc.time_mode == LOCAL else time.gmtime(now)
        return time.strftime(self.acc.time_format, broken)

    # the database

    def insert(self, event: Event, table: str) -> int:
        """Write the record as a row, or one for each leg; 1, or -1 if that failed."""
        db = self._db
        if db is None:
            return -1
        now = self._now()
        row: dict[str, Stored] = dict(zip(self._columns, event.core(), strict=True))
        row[self.acc.acc_time_column] = Time(int(now))
        row.update(self._stored_time(now))
        row.update(values(self._db_extra, event.ctx, self._nullable))
        rows = [row]
        if self._legs:
            rows = [{**row, **dict(leg)} for leg in legs_of(self._legs, event.ctx)]
        try:
            for one in rows:
                if self.acc.db_insert_mode == ASYNC:
                    db.later("insert", table, one)
                else:
                    db.insert(table, one)
        except DbError:
            log.err("failed to insert into database")
            return -1
        return 1

    def _stored_time(self, now: float) -> dict[str, Stored]:
        acc = self.acc
        mode = acc.time_mode
        if mode == MICROSECONDS:
            return {acc.time_attr: int(now), acc.time_exten: int(now % 1 * 1_000_000)}
        if mode == SECONDS:
            return {acc.time_attr: now}
        if mode in (LOCAL, UTC):
            return {acc.time_attr: self._formatted(now)}
        return {}
