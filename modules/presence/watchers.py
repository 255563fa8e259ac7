"""Whom a presentity lets see it: the table watchers, and the rules an event package knows. Only in the database."""

from __future__ import annotations

import contextlib

from kamailio_py.db.database import Database
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Value
from kamailio_py.modules.presence.events import Decision, Event, Status
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.uri import Uri


class Watchers:
    """Decisions by presentity, watcher and event."""

    def __init__(self, db: Database | None, table: str) -> None:
        self._db = db
        self._table = table

    def decide(self, presentity: str, user: str, domain: str, event: Event, now: int) -> tuple[Decision, bool]:
        """As it was decided before, or by the rules now, which is kept; events without rules let everybody see.

        And whether the rules were looked at.
        """
        if event.authorize is None:
            return Decision(Status.ACTIVE), False
        known = self._known(presentity, user, domain, event.name)
        if known is not None:
            return known, False
        decision = self.by_rules(presentity, user, domain, event)
        if self._db is not None:
            row: dict[str, Value] = {**self._where(presentity, user, domain, event.name), "inserted_time": now}
            with contextlib.suppress(DbError):  # logged
                self._db.insert(self._table, {**row, "status": int(decision.status), "reason": decision.reason})
        return decision, True

    @staticmethod
    def by_rules(
        presentity: str, user: str, domain: str, event: Event, before: Status | int = Status.PENDING
    ) -> Decision:
        """What the rules say; where they say nothing, pending, and for a watcher who was not, the end."""
        try:
            uri = Uri.parse(presentity)
        except BadMessage:
            return Decision(Status.PENDING)
        assert event.authorize is not None
        decision = event.authorize(uri.user, uri.host, user, domain)
        if decision is not None:
            return decision
        return Decision(Status.PENDING) if before == Status.PENDING else Decision(Status.TERMINATED, event.forgotten)

    def of(self, presentity: str, event: str) -> list[tuple[str, str, Decision]]:
        """All that was decided for a presentity: user and domain of each watcher."""
        if self._db is None:
            return []
        columns = ("watcher_username", "watcher_domain", "status", "reason")
        where = {"presentity_uri": presentity, "event": event}
        rows = self._db.query(self._table, columns, where)
        return [(str(user), str(domain), Decision(Status(int(str(status))), str(reason or "")))
                for user, domain, status, reason in rows]  # fmt: skip

    def keep(self, presentity: str, user: str, domain: str, event: str, decision: Decision) -> None:
        """Keep another decision."""
        if self._db is not None:
            row = {"status": int(decision.status), "reason": decision.reason or None}
            self._db.update(self._table, row, self._where(presentity, user, domain, event))

    def forget(self, now: int, age: int) -> None:
        """Forget those who wait for a decision since then."""
        if self._db is not None:
            where = [("inserted_time", "<", now - age), ("status", "=", int(Status.PENDING))]
            self._db.delete(self._table, where)

    def _known(self, presentity: str, user: str, domain: str, event: str) -> Decision | None:
        if self._db is None:
            return None
        try:
            rows = self._db.query(self._table, ("status", "reason"), self._where(presentity, user, domain, event)).rows
        except DbError:
            return None
        return Decision(Status(int(str(rows[0][0]))), str(rows[0][1] or "")) if rows else None

    @staticmethod
    def _where(presentity: str, user: str, domain: str, event: str) -> dict[str, str]:
        return {"presentity_uri": presentity, "watcher_username": user, "watcher_domain": domain, "event": event}
