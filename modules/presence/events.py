"""Event packages: what a PUBLISH or SUBSCRIBE may name, and what is particular to each.

Modules (presence_xml, ...) add theirs in mod_init through `core.module("presence").api.add_event(Event(...))`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

from kamailio_py.dataclass import dataclass, field

WINFO = ".winfo"


class Status(IntEnum):
    """Of a subscription, as the tables have it."""

    ACTIVE = 1
    PENDING = 2
    TERMINATED = 3
    WAITING = 4


class Decision(NamedTuple):
    """What a watcher may see."""

    status: Status
    reason: str = ""


@dataclass(slots=True)
class Event:
    """One package.

    publish     refuses a body of PUBLISH: (status, reason) of the answer, None if it is good
    aggregate   one body out of those of all publications, oldest first; "" if there is none
    offline     what is left of a publication that ended
    authorize   what a watcher (user, domain) may see of a presentity (user, domain), of the rules that are stored
    has_rules   whether there are rules for a presentity (user, domain)
    show        what a watcher (user, domain) sees of a body of a presentity (user, domain)
    forgotten   why a subscription ends whose watcher the rules do not name any more
    """

    name: str
    content_type: str
    default_expires: int = 3600
    watched: bool = False
    """There is a package of its watchers, name.winfo."""
    publish: Callable[[str], tuple[int, str] | None] | None = None
    aggregate: Callable[[str, str, Sequence[str]], str] | None = None
    offline: Callable[[str], str] | None = None
    authorize: Callable[[str, str, str, str], Decision | None] | None = None
    has_rules: Callable[[str, str], bool] | None = None
    show: Callable[[str, str, str, str, str], str] | None = None
    forgotten: str = ""


@dataclass(slots=True)
class Events:
    """All packages, by name."""

    known: dict[str, Event] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """A package that is known already is left as it is; with `watched` that of its watchers is added, too."""
        self.known.setdefault(event.name, event)
        if event.watched:
            name = event.name + WINFO
            self.known.setdefault(name, Event(name, "application/watcherinfo+xml", event.default_expires))

    def find(self, header: str | None) -> Event | None:
        """The package an Event header names; with parameters none, as with Kamailio."""
        if header is None:
            return None
        name, _, params = header.partition(";")
        return None if params.strip() else self.known.get(name.strip().lower())

    def allowed(self) -> str:
        """The header line of a 489, the package added last first."""
        return f"Allow-Events: {', '.join(reversed(self.known))}\r\n" if self.known else ""
