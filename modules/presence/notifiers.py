"""Notifier processes: where subscriptions are in the database alone, what is to be told is marked there and told later.

Each process goes through rounds of its own, `notifier_poll_rate` in a second and all of them in `waitn_time` seconds,
and tells those who are marked (marks.py) with the number of the round. So what changes several times meanwhile is told
once, and nobody is told by two processes at the same time. Servers with one database share the work. Takes no lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from zlib import crc32

from kamailio_py.module import Rank
from kamailio_py.modules.presence import winfo
from kamailio_py.modules.presence.events import WINFO, Event, Status
from kamailio_py.modules.presence.subscription import Subscription

if TYPE_CHECKING:
    from kamailio_py.modules.presence import Presence
    from kamailio_py.modules.presence.marks import Marks
    from kamailio_py.modules.presence.notifier import Shared


class Notifiers:
    """See the head of the file."""

    def __init__(self, presence: Presence, marks: Marks, processes: int, rate: int, seconds: int) -> None:
        """All rounds of a process, `rate` in a second, take so many `seconds`."""
        self._presence = presence
        self._marks = marks
        self._pause = 1 / rate
        self._rounds = seconds * rate
        self._all_rounds = self._rounds * processes
        for number in range(processes):
            presence.core.register_process(f"PRESENCE NOTIFIER {number}", Rank.TIMER, self._process(number))

    def _process(self, number: int) -> Callable[[Any], None]:
        def run(process: Any) -> None:
            done = 0
            while process.every(self._pause):
                self.round(number * self._rounds + done % self._rounds)
                done += 1

        return run

    # what is to be told

    def mark(self, s: Subscription, *, whole: bool = False) -> None:
        """Have a subscriber told; one who watches watchers of all of them, if it is to be the `whole` list."""
        whole = whole and s.event.endswith(WINFO)
        self._marks.put(s, crc32(s.id.encode("latin-1", "replace")) % self._all_rounds, whole=whole)

    def watched(self, s: Subscription, event: Event) -> None:
        """Have those who watch the watchers (`event`) told of one that came, or of all when one has gone."""
        gone = s.status == Status.TERMINATED
        others = self._presence.subscriptions.of(s.presentity_uri, event.name)
        if others and not gone:
            self._marks.put_news(s)
        for other in others:
            self.mark(other, whole=gone)

    # telling it

    def round(self, number: int) -> None:
        """Tell those with this mark."""
        presence = self._presence
        subscriptions, notifier = presence.subscriptions, presence.notifier
        known: dict[tuple[str, str], Shared] = {}
        for s, whole in self._marks.of(number):
            event = presence.events.known.get(s.event)
            if not self._marks.take(s, number) or event is None:
                continue
            if s.status == Status.TERMINATED:
                if subscriptions.remove(s):
                    notifier.send(s.told(), event, body="")
                continue
            told = subscriptions.change(s, Subscription.told)
            if told is None:
                continue
            if event.name.endswith(WINFO):
                notifier.send(told, event, body=None if whole else self._news(told))
                continue
            of = (s.presentity_uri, s.event)
            if told.is_active and of not in known:
                known[of] = notifier.shared(s.presentity_uri, event)
            notifier.send(told, event, shared=known.get(of))

    def _news(self, s: Subscription) -> str:
        """The watchers of whom those who watch them have not been told."""
        package, marks = s.event.removesuffix(WINFO), self._marks
        news = marks.news(s.presentity_uri, package)
        if not marks.are_on(s.presentity_uri, s.event):
            marks.take_news(s.presentity_uri, package)
        return winfo.body(s.presentity_uri, package, s.version, news, full=False)
