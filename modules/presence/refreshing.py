"""Watchers are told again, from outside: what is published has changed, or the rules have, in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.db.errors import DbError
from kamailio_py.log import get_logger
from kamailio_py.modules.presence.events import Decision, Event, Status
from kamailio_py.modules.presence.subscription import Subscription

if TYPE_CHECKING:
    from kamailio_py.modules.presence import Presence

log = get_logger("presence")

RULES, STATE, FILES = range(3)
"""What has changed."""


class Refreshing:
    """See the head of the file."""

    def __init__(self, presence: Presence) -> None:
        self.presence = presence

    def everybody(self, presentity: str, name: str, kind: int) -> bool:
        """Tell the watchers of a presentity, after looking at its rules again if that is what has changed."""
        event = self.presence.events.known.get(name)
        if event is None:
            log.err("wrong event parameter")
            return False
        if kind == RULES:
            return self.decide(presentity, name)
        self.presence.notifier.everybody(presentity, event, ruled=False)
        return True

    def decide(self, presentity: str, name: str) -> bool:
        """Look at the rules again and tell those for whom something has changed."""
        event, watchers = self.presence.events.known.get(name), self.presence.watchers
        if event is None:
            log.err(f"event {name} is not registered")
            return False
        user, _, domain = presentity.partition(":")[2].partition("@")
        if event.authorize is None or event.has_rules is None or not event.has_rules(user, domain):
            log.err("no rules doc found for the user")
            return False
        try:
            for watcher, host, before in watchers.of(presentity, name):
                after = watchers.by_rules(presentity, watcher, host, event, before.status)
                if after != before:
                    watchers.keep(presentity, watcher, host, name, after)
        except DbError:
            return False
        for s in self.presence.subscriptions.of(presentity, name):
            after = watchers.by_rules(presentity, s.watcher_username, s.watcher_domain, event, s.status)
            if s.status != Status.TERMINATED and (s.status, s.reason) != after:
                self._changed(s, event, after)
        return True

    def _changed(self, s: Subscription, event: Event, decision: Decision) -> None:
        """Another decision for a subscription."""
        subscriptions, notifier = self.presence.subscriptions, self.presence.notifier

        def decided(now: Subscription) -> Subscription:
            became = now._replace(status=int(decision.status), reason=decision.reason)
            return became if notifier.later is not None else became.told()

        became = subscriptions.change(s, decided)
        if became is None:
            return
        if notifier.later is not None:
            notifier.later.mark(became)
            return
        if became.status == Status.TERMINATED:
            subscriptions.remove(became)
        notifier.send(became, event, body="" if became.status == Status.TERMINATED else None)
        notifier.watched(became)
