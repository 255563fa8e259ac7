"""Marks of subscriptions that are in the database alone: who is to be told something, and of whom.

`updated` is the number of a round of the notifier processes (notifiers.py), -1 where there is nothing to be told.
`updated_winfo` is 1 for a watcher of whom those who watch the watchers have not been told, and for one of those who is
to get the whole list. What fails in the database is logged there; it is told with the next change.
"""

from __future__ import annotations

from typing import Any

from kamailio_py.db.database import Database
from kamailio_py.db.errors import DbError
from kamailio_py.modules.presence.events import WINFO
from kamailio_py.modules.presence.subscription import COLUMNS, UNMARKED, Subscription, dialog_of, of_row


class Marks:
    """See the head of the file."""

    def __init__(self, db: Database, table: str) -> None:
        self._db = db
        self._table = table

    def put(self, s: Subscription, number: int, *, whole: bool = False) -> None:
        row = {"updated": number, "updated_winfo": 1} if whole else {"updated": number}
        self._update(row, dialog_of(s))

    def take(self, s: Subscription, number: int) -> bool:
        """Take the mark away; False if another process was faster."""
        row = UNMARKED if s.event.endswith(WINFO) else {"updated": -1}
        return self._update(row, {**dialog_of(s), "updated": number}) != 0

    def of(self, number: int) -> list[tuple[Subscription, bool]]:
        """Those with this mark, and whether it is the whole list that they are to get."""
        return self._query({"updated": number})

    def are_on(self, presentity: str, event: str) -> bool:
        """Whether somebody still waits there."""
        where = [("presentity_uri", "=", presentity), ("event", "=", event), ("updated", "!=", -1)]
        return bool(self._query(where))

    def put_news(self, s: Subscription) -> None:
        self._update({"updated_winfo": 1}, dialog_of(s))

    def news(self, presentity: str, event: str) -> list[Subscription]:
        """The watchers of whom those who watch them have not been told."""
        return [s for s, _ in self._query({"presentity_uri": presentity, "event": event, "updated_winfo": 1})]

    def take_news(self, presentity: str, event: str) -> None:
        self._update({"updated_winfo": -1}, {"presentity_uri": presentity, "event": event})

    def _update(self, row: dict[str, Any], where: dict[str, Any]) -> int:
        try:
            return self._db.update(self._table, row, where)
        except DbError:
            return 0

    def _query(self, where: Any) -> list[tuple[Subscription, bool]]:
        columns = (*COLUMNS, *UNMARKED)
        try:
            rows = [dict(zip(columns, row, strict=True)) for row in self._db.query(self._table, columns, where)]
        except DbError:
            return []
        return [(of_row(row), row["updated_winfo"] == 1) for row in rows]
