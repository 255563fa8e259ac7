"""All subscriptions: in shared memory, in a database, or in both, as `subs_db_mode` says.

0 memory; 1 memory, and the database at once; 2 memory, and the database from time to time and at the end; 3 the
database alone. In modes 1 and 2 what the database has is read at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kamailio_py.db.database import Database
from kamailio_py.db.errors import DbError
from kamailio_py.log import get_logger
from kamailio_py.modules.presence.rows import Rows
from kamailio_py.modules.presence.subscription import COLUMNS, DIALOG, UNMARKED, Subscription, dialog_of, of_row, row_of

log = get_logger("presence")

NO_DB, WRITE_THROUGH, WRITE_BACK, DB_ONLY = range(4)


class Subscriptions:
    """See the head of the file."""

    def __init__(
        self, rows: Rows, dialogs: Rows, db: Database | None, table: str, mode: int, *, fold: bool = False,
        chunk: int = 500,
    ) -> None:  # fmt: skip
        """`dialogs` has presentity and event by dialog; with `fold` capitals in presentities' URIs make no difference;
        `chunk` rows are fetched at a time."""
        self._rows = rows
        self._dialogs = dialogs
        self._db = db
        self._table = table
        self._mode = mode if db is not None else NO_DB
        self.in_memory = self._mode != DB_ONLY
        self._fold = fold
        self._chunk = chunk
        self._stored: dict[str, tuple[Any, ...]] = {}

    def load(self, now: int) -> None:
        """Read the database into memory, before forking."""
        if self._db is not None and self._mode in (WRITE_THROUGH, WRITE_BACK):
            for row in self._db.fetch(self._table, COLUMNS, chunk=self._chunk):
                s = of_row(dict(zip(COLUMNS, row, strict=True)))
                if s.expires > now:
                    self._remember(s)

    def store(self, now: int) -> None:
        """Write into the database what has changed since this process did it last, in mode 2."""
        if self._db is None or self._mode != WRITE_BACK:
            return
        written = {}
        try:
            with self._db.transaction():
                for data in self._rows:
                    s = Subscription(*data)
                    written[s.id] = data
                    if self._stored.get(s.id) != data:
                        self._db.replace(self._table, {**row_of(s), **UNMARKED}, DIALOG)
                self._db.delete(self._table, [("expires", "<", now)])
        except DbError:
            return  # logged; the next time
        self._stored = written

    def of(self, presentity: str, event: str) -> list[Subscription]:
        """Those of a presentity."""
        if self._mode == DB_ONLY:
            return self._query({"presentity_uri": presentity, "event": event})
        return [Subscription(*data) for data in self._rows.of(self._key(presentity, event))]

    def _key_of(self, s: Subscription) -> str:
        return self._key(s.presentity_uri, s.event)

    def _key(self, presentity: str, event: str) -> str:
        return f"{presentity.lower() if self._fold else presentity} {event}"

    def over(self, before: int) -> Iterable[Subscription]:
        """Those whose time was over before that."""
        if self._mode == DB_ONLY:
            return self._query([("expires", "<", before)])
        return (s for s in map(Subscription._make, self._rows) if s.expires < before)

    def find(self, asked: Subscription) -> Subscription | None:
        """That of a dialog; the request-URI within it need not be the presentity's."""
        if self._mode == DB_ONLY:
            return next(iter(self._query(dialog_of(asked))), None)
        for presentity, event in self._dialogs.of(asked.id):
            return next((s for s in self.of(presentity, event) if s.id == asked.id), None)
        return None

    def put(self, s: Subscription) -> bool:
        """A new one; False when there is no room."""
        if self._mode != DB_ONLY and not self._remember(s):
            return False
        return self._written(lambda db: db.replace(self._table, {**row_of(s), **UNMARKED}, DIALOG))

    def _remember(self, s: Subscription) -> bool:
        if self._rows.put(self._key_of(s), s.id, tuple(s)):
            if self._dialogs.put(s.id, "", (s.presentity_uri, s.event)):
                return True
            self._rows.remove(self._key_of(s), s.id)
        log.err("no more share memory")
        return False

    def change(self, s: Subscription, make: Callable[[Subscription], Subscription]) -> Subscription | None:
        """What `make` makes of it as it is now; None if it is gone."""
        if self._mode == DB_ONLY:
            found = next(iter(self._query(dialog_of(s))), None)
            became = make(found) if found is not None else None
        else:
            data = self._rows.change(self._key_of(s), s.id, lambda data: tuple(make(Subscription(*data))))
            became = Subscription(*data) if data is not None else None
        if became is not None:
            row = row_of(became)
            self._written(lambda db: db.update(self._table, row, dialog_of(s)))
        return became

    def remove(self, s: Subscription) -> bool:
        """Whether it was there."""
        there = self._mode == DB_ONLY or self._rows.remove(self._key_of(s), s.id) is not None
        if there and self._mode != DB_ONLY:
            self._dialogs.remove(s.id, "")
        self._written(lambda db: db.delete(self._table, dialog_of(s)), (WRITE_THROUGH, WRITE_BACK, DB_ONLY))
        return there

    def _written(self, write: Callable[[Database], Any], modes: tuple[int, ...] = (WRITE_THROUGH, DB_ONLY)) -> bool:
        """Do it in the database at once, in these modes; False where it failed and is kept nowhere else."""
        if self._db is None or self._mode not in modes:
            return True
        try:
            write(self._db)
        except DbError:
            return self._mode != DB_ONLY
        return True

    def _query(self, where: Any) -> list[Subscription]:
        assert self._db is not None
        try:
            return [of_row(dict(zip(COLUMNS, row, strict=True))) for row in self._db.query(self._table, COLUMNS, where)]
        except DbError:
            return []
