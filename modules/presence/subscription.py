"""A subscription: one dialog in which somebody is told of a presentity. Plain data, as it lies in shared memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kamailio_py.modules.presence.events import Status

TIMEOUT = "timeout"
"""Why a subscription has ended that was not taken away."""


class Subscription(NamedTuple):
    """The names are those of the table active_watchers."""

    presentity_uri: str
    watcher_username: str
    watcher_domain: str
    to_user: str
    to_domain: str
    event: str
    event_id: str
    to_tag: str
    from_tag: str
    callid: str
    local_cseq: int
    remote_cseq: int
    contact: str
    record_route: str
    expires: int  # when it is over, seconds since the epoch
    status: int
    reason: str
    version: int
    socket_info: str
    local_contact: str
    from_user: str
    from_domain: str
    flags: int
    user_agent: str

    @property
    def id(self) -> str:
        return f"{self.callid} {self.to_tag} {self.from_tag}"

    @property
    def watcher(self) -> str:
        return f"sip:{self.watcher_username}@{self.watcher_domain}"

    @property
    def is_active(self) -> bool:
        return self.status == Status.ACTIVE and not self.reason

    def ended(self) -> Subscription:
        """After its time, or the subscriber's will."""
        return self._replace(status=int(Status.TERMINATED), reason=TIMEOUT)

    def told(self) -> Subscription:
        """After another NOTIFY."""
        return self._replace(local_cseq=self.local_cseq + 1, version=self.version + 1)


COLUMNS = Subscription._fields
DIALOG = ("callid", "to_tag", "from_tag")
UNMARKED = {"updated": -1, "updated_winfo": -1}
"""Columns of a new row; more of them in marks.py."""


def dialog_of(s: Subscription) -> dict[str, Any]:
    """What tells its row from the others."""
    return {name: getattr(s, name) for name in DIALOG}


def of_row(row: Mapping[str, Any]) -> Subscription:
    """Of a row of the table; what is NULL is empty."""
    empty: dict[str, Any] = {name: 0 if kind == "int" else "" for name, kind in Subscription.__annotations__.items()}
    return Subscription(**{name: empty[name] if row[name] is None else row[name] for name in COLUMNS})


def row_of(s: Subscription) -> dict[str, Any]:
    """The row of the table, with NULL where Kamailio has it."""
    null = {name: getattr(s, name) or None for name in ("event_id", "record_route", "reason")}
    return {**s._asdict(), **null}
