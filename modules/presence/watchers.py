"""Whom a presentity lets see it: the table watchers, and the rules an event package knows. Only in the database."""

from __future__ import annotations

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

    def decide(self, presentity: str, user: str, domain: str, event: Event, now: int) -> Decision:
        """As it was decided before, or by the rules now, which is kept; events without rules let everybody see."""
        if event.authorize is None:
            return Decision(Status.ACTIVE)
        known = self._known(presentity, user, domain, event.name)
        if known is not None:
            return known
        decision = self.by_rules(presentity, user, domain, event)
        if self._db is not None:
            row: dict[str, Value] = {**self._where(presentity, user, domain, event.name), "inserted_time": now}
            try:
                self._db.insert(self._table, {**row, "status": int(decision.status), "reason": decision.reason})
            except DbError:
                return decision  # logged
        return decision

    @staticmethod
    def by_rules(presentity: str, user: str, domain: str, event: Event) -> Decision:
        """What the rules say; pending where they say nothing."""
        try:
            uri = Uri.parse(presentity)
        except BadMessage:
            return Decision(Status.PENDING)
        assert event.authorize is not None
        return event.authorize(uri.user, uri.host, user, domain) or Decision(Status.PENDING)

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
