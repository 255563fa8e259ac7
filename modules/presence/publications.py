"""What was published of presentities, by entity tag: in the database, or with `publ_cache` 2 in shared memory."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, NamedTuple

from kamailio_py.db.database import Database
from kamailio_py.modules.presence.rows import Rows


class Publication(NamedTuple):
    """The names are those of the table presentity."""

    username: str
    domain: str
    event: str
    etag: str
    expires: int  # when it is over, seconds since the epoch
    received_time: int
    body: str
    sender: str
    priority: int
    ruid: str

    @property
    def key(self) -> str:
        return f"{self.username}@{self.domain} {self.event}"

    @property
    def uri(self) -> str:
        return f"sip:{self.username}@{self.domain}"


COLUMNS = Publication._fields
PRESENTITY = ("username", "domain", "event")


class StoredPublications:
    """Those of a database; what fails there raises DbError."""

    def __init__(self, db: Database, table: str, order: str) -> None:
        self._db = db
        self._table = table
        self._order = order

    def of(self, username: str, domain: str, event: str) -> list[Publication]:
        """All of a presentity, in the order in which they go into one body."""
        return self._query({"username": username, "domain": domain, "event": event}, self._order)

    def every(self) -> Iterable[Publication]:
        return self._query({}, "")

    def put(self, publication: Publication) -> bool:
        self._db.insert(self._table, self._row(publication))
        return True

    def replace(self, old: Publication, new: Publication) -> bool:
        """Put another one in its place; False if it is gone."""
        return self._db.update(self._table, self._row(new), self._where(old)) != 0

    def remove(self, old: Publication) -> bool:
        return self._db.delete(self._table, self._where(old)) != 0

    def over(self, now: int) -> list[Publication]:
        return self._query([("expires", "<", now)], "username")

    @staticmethod
    def _row(p: Publication) -> dict[str, Any]:
        return {**p._asdict(), "body": p.body.encode("latin-1")}

    @staticmethod
    def _where(p: Publication) -> dict[str, Any]:
        return {"username": p.username, "domain": p.domain, "event": p.event, "etag": p.etag}

    def _query(self, where: Any, order: str) -> list[Publication]:
        made = []
        for row in self._db.query(self._table, COLUMNS, where, order):
            values = dict(zip(COLUMNS, row, strict=True))
            body = values["body"]
            values["body"] = body.decode("latin-1") if isinstance(body, bytes) else str(body or "")
            values["ruid"] = values["ruid"] or ""
            made.append(Publication(**values))  # type: ignore[arg-type]
        return made


class CachedPublications:
    """Those of shared memory, in the order of one of their fields; where that is the same, the newest first."""

    def __init__(self, rows: Rows, order: str) -> None:
        self._rows = rows
        self._order = attrgetter(order)

    def of(self, username: str, domain: str, event: str) -> list[Publication]:
        found = [Publication(*data) for data in self._rows.of(f"{username}@{domain} {event}")]
        found.reverse()
        return sorted(found, key=self._order)

    def every(self) -> Iterable[Publication]:
        return (Publication(*data) for data in self._rows)

    def put(self, publication: Publication) -> bool:
        return self._rows.put(publication.key, publication.etag, tuple(publication))

    def replace(self, old: Publication, new: Publication) -> bool:
        if self._rows.remove(old.key, old.etag) is None:
            return False
        return self.put(new)

    def remove(self, old: Publication) -> bool:
        return self._rows.remove(old.key, old.etag) is not None

    def over(self, now: int) -> list[Publication]:
        return [p for p in self.every() if p.expires < now]


Publications = StoredPublications | CachedPublications
