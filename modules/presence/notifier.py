"""NOTIFY: what subscribers are told, and what their answers do to subscriptions.

A NOTIFY is built from a subscription as it is after counting it (CSeq, version), so that two processes never send the
same number. What the transaction needs when the answer comes is the subscription, as plain data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kamailio_py.config.host import RouteType
from kamailio_py.db.errors import DbError
from kamailio_py.log import FACILITIES, emit, get_logger
from kamailio_py.modules.presence import winfo
from kamailio_py.modules.presence.events import WINFO, Event, Status
from kamailio_py.modules.presence.publications import Publication
from kamailio_py.modules.presence.subscription import TIMEOUT, Subscription
from kamailio_py.script.context import Context
from kamailio_py.script.xavp import field
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.modules.presence import Presence
    from kamailio_py.modules.presence.notifiers import Notifiers
    from kamailio_py.modules.tm.transaction import Transaction

log = get_logger("presence")

CALLBACK = "presence:notify"
ENDS = (404, 481)
"""Answers after which there is no subscription any more."""
MAX_FORWARDS = 70
COPIED = ("via", "from", "to", "call-id", "cseq")


class Shared(NamedTuple):
    """What all who watch somebody (`user`, `host`) are told, before the rules hide some of it from one of them."""

    user: str
    host: str
    body: str


class Notifier:
    """See the head of the file."""

    def __init__(self, presence: Presence, later: Notifiers | None) -> None:
        """What changes is told at once, or `later`; so is the answer to a SUBSCRIBE, without send_fast_notify."""
        self.presence = presence
        self.core = presence.core
        self.tm = presence.core.module("tm").api
        self.tm.callback(CALLBACK, self._answered)
        self.later = later
        self.answers_later = None if presence.send_fast_notify else self.later

    def body(self, s: Subscription, event: Event, shared: Shared | None = None, ruled: bool = False) -> str:
        """What an active watcher gets to see; of `shared`, if it is known.

        `ruled`: what the rules hide is hidden, which Kamailio does where something was published and where it has
        just decided about a new watcher.
        """
        if event.name.endswith(WINFO):
            package = event.name.removesuffix(WINFO)
            watchers = filter(self._lives, self.presence.subscriptions.of(s.presentity_uri, package))
            return winfo.body(s.presentity_uri, package, s.version, watchers, full=True)
        if shared is None:
            shared = self.shared(s.presentity_uri, event)
        if shared.body and ruled and event.show is not None:
            return event.show(shared.user, shared.host, s.watcher_username, s.watcher_domain, shared.body)
        return shared.body

    def shared(self, presentity: str, event: Event, found: list[Publication] | None = None) -> Shared:
        """One document of what is published, or of `found`; empty where there is nothing."""
        try:
            uri = Uri.parse(presentity)
            if found is None:
                found = self.presence.publications.of(uri.user, uri.host, event.name)
        except (BadMessage, DbError):
            return Shared("", "", "")
        now = self.presence.now()
        bodies = [p.body for p in found if p.expires > now]
        if event.aggregate is not None:
            body = event.aggregate(uri.user, uri.host, bodies)
        else:
            body = bodies[-1] if bodies else ""
        return Shared(uri.user, uri.host, body)

    def _lives(self, s: Subscription) -> bool:
        return s.status != Status.TERMINATED and s.expires > self.presence.now()

    def tell(self, s: Subscription, event: Event, *, shared: Shared | None = None, ruled: bool = False) -> None:
        """Send one NOTIFY, with what is to be seen at this moment."""
        told = self.presence.subscriptions.change(s, Subscription.told)
        if told is not None:
            self.send(told, event, shared=shared, ruled=ruled)

    def send(
        self, s: Subscription, event: Event, *, body: str | None = None, shared: Shared | None = None,
        ruled: bool = False,
    ) -> None:  # fmt: skip
        """Send the NOTIFY of a subscription that was counted already, or is kept nowhere."""
        if body is None:
            shown = s.status == Status.ACTIVE or s.reason == TIMEOUT
            body = self.body(s, event, shared, ruled) if shown and s.reason in ("", TIMEOUT) else ""
        if log.enabled(self.presence.local_log_level):
            self._told(s)
        name = s.event + (f";id={s.event_id}" if s.event_id else "")
        left = max(s.expires - self.presence.now(), 0)
        state = f"terminated;reason={s.reason or TIMEOUT}"
        if s.status != Status.TERMINATED:
            state = f"{winfo.NAMES[Status(s.status)]};expires={left}"
        headers = f"Max-Forwards: {MAX_FORWARDS}\r\nEvent: {name}\r\nContact: <{s.local_contact}>\r\n"
        headers += f"Subscription-State: {state}\r\n"
        if body:
            headers += f"Content-Type: {event.content_type}\r\n"
        routes = f"Route: {s.record_route}\r\n" if s.record_route else ""
        next_hop = s.record_route.partition("<")[2].partition(">")[0] if s.record_route else ""
        self.tm.request(
            "NOTIFY", s.contact, f"<sip:{s.to_user}@{s.to_domain}>;tag={s.to_tag}",
            f"<sip:{s.from_user}@{s.from_domain}>;tag={s.from_tag}", headers=headers, body=body, next_hop=next_hop,
            socket=self.core.addresses.listening(s.socket_info), call_id=s.callid,
            cseq=s.local_cseq + 1 + self.presence.cseq_offset, routes=routes, max_forwards=-1, callback=CALLBACK,
            data=tuple(s),
        )  # fmt: skip

    def _told(self, s: Subscription) -> None:
        """Log that a NOTIFY goes out, at the level and with the facility for that."""
        presence = self.presence
        text = f"NOTIFY {s.watcher} via {s.contact} on behalf of {s.presentity_uri} for event {s.event} : {s.callid}"
        facility = FACILITIES.get(presence.local_log_facility or "", 0)
        emit(presence.local_log_level, f"presence [notifier.py:0]: send_notify_request(): {text}", facility)

    # who has sent a SUBSCRIBE

    def first(self, s: Subscription, event: Event, *, ruled: bool) -> None:
        """Tell a new subscriber; where there is the database alone that does not count, as with Kamailio."""
        if self.answers_later is not None:
            self.answers_later.mark(s, whole=True)
        elif self._answers(event):
            if self.presence.subscriptions.in_memory:
                self.tell(s, event, ruled=ruled)
            else:
                self.send(s, event, ruled=ruled)

    def again(self, s: Subscription, event: Event) -> None:
        """Tell a subscriber who goes on."""
        if self.answers_later is not None:
            self.answers_later.mark(s, whole=True)
        elif self._answers(event):
            self.tell(s, event)

    def once(self, s: Subscription, event: Event, *, body: str | None, ruled: bool = False) -> None:
        """Tell one who is no subscriber: who wants to know the state of the moment, or is refused."""
        if self.answers_later is not None:
            if self.presence.subscriptions.put(s):
                self.answers_later.mark(s)
        elif self.presence.send_fast_notify or (event.watched and s.reason != TIMEOUT):
            self.send(s._replace(version=1), event, body=body, ruled=ruled)

    def _answers(self, event: Event) -> bool:
        """Whether a SUBSCRIBE is followed by a NOTIFY: of packages whose watchers can be watched it always is."""
        return bool(self.presence.send_fast_notify) or event.watched

    # many

    def everybody(
        self,
        presentity: str,
        event: Event,
        *,
        found: list[Publication] | None = None,
        sender: str = "",
        ruled: bool = True,
    ) -> None:
        """Tell all who may see a presentity; `found` are its publications, should they be other than the stored."""
        shared = None
        for s in self.presence.subscriptions.of(presentity, event.name):
            if not self._lives(s) or (sender and s.contact == sender):
                continue
            if self.later is not None:
                self.later.mark(s, whole=True)
            elif s.is_active:
                shared = shared or self.shared(presentity, event, found)
                self.tell(s, event, shared=shared, ruled=ruled)

    def watched(self, s: Subscription) -> None:
        """Tell those who watch the watchers of a presentity of one that came (or of all, when one has gone)."""
        event = self.presence.events.known.get(s.event + WINFO)
        if event is None:
            return
        if self.later is not None:
            self.later.watched(s, event)
            return
        for other in self.presence.subscriptions.of(s.presentity_uri, event.name):
            told = self.presence.subscriptions.change(other, Subscription.told) if self._lives(other) else None
            if told is None:
                continue
            body = None
            if s.status != Status.TERMINATED:
                body = winfo.body(s.presentity_uri, s.event, told.version, [s], full=False)
            self.send(told, event, body=body)

    # answers

    def _answered(self, t: Transaction, code: int, reply: Message | None, data: Any) -> None:
        s = Subscription(*data)
        entry, unwanted = self.presence.reply_route, False
        if entry is not None:
            ctx = self.tm.context(t)
            left = max(s.expires - self.presence.now(), 0)
            self.presence.note(ctx, s, left, reply if reply is not None else self._timeout(t, code))
            self.core.run(entry, ctx, RouteType.REQUEST)
            name = self.presence.xavp_cfg
            unwanted = bool(name and field(ctx.xavps, name, "delete_subscription", int))
        if s.status == Status.TERMINATED:
            return
        if unwanted or code in ENDS or (code == 408 and self.presence.timeout_rm_subs):
            self.presence.subscriptions.remove(s)

    def _timeout(self, t: Transaction, code: int) -> Message:
        """A reply that was never received, for the script to look at."""
        request: Message = Context(self.core, t.request()).msg
        kept = "".join(request.raw(i) for i, name in enumerate(request.names) if name in COPIED)
        return Message(f"SIP/2.0 {code} TIMEOUT\r\n{kept}\r\n")
