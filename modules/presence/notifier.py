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
from kamailio_py.modules.presence.subscription import Subscription
from kamailio_py.script.context import Context
from kamailio_py.script.xavp import field
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.modules.presence import Presence
    from kamailio_py.modules.tm.transaction import Transaction

log = get_logger("presence")

CALLBACK = "presence:notify"
ENDS = (404, 481)
"""Answers after which there is no subscription any more."""
TIMEOUT = "timeout"
MAX_FORWARDS = 70
COPIED = ("via", "from", "to", "call-id", "cseq")


class Shared(NamedTuple):
    """What all who watch somebody (`user`, `host`) are told, before the rules hide some of it from one of them."""

    user: str
    host: str
    body: str


class Notifier:
    """See the head of the file."""

    def __init__(self, presence: Presence) -> None:
        self.presence = presence
        self.core = presence.core
        self.tm = presence.core.module("tm").api
        self.tm.callback(CALLBACK, self._answered)

    def body(self, s: Subscription, event: Event, shared: Shared | None = None, ruled: bool = False) -> str:
        """What an active watcher gets to see; of `shared`, if it is known.

        `ruled`: what the rules hide is hidden, which Kamailio does where something was published and where it has
        just decided about a new watcher.
        """
        if event.name.endswith(WINFO):
            package = event.name.removesuffix(WINFO)
            watchers = [w for w in self.presence.subscriptions.of(s.presentity_uri, package) if self._lives(w)]
            return winfo.body(s.presentity_uri, package, s.version, watchers, full=True)
        if shared is None:
            shared = self._shared(s.presentity_uri, event)
        if shared.body and ruled and event.show is not None:
            return event.show(shared.user, shared.host, s.watcher_username, s.watcher_domain, shared.body)
        return shared.body

    def _shared(self, presentity: str, event: Event, found: list[Publication] | None = None) -> Shared:
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
        return s.expires > self.presence.now()

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
            socket=self._socket(s.socket_info), call_id=s.callid,
            cseq=s.local_cseq + 1 + self.presence.cseq_offset, routes=routes, max_forwards=-1, callback=CALLBACK,
            data=tuple(s),
        )  # fmt: skip

    def _told(self, s: Subscription) -> None:
        """Log that a NOTIFY goes out, at the level and with the facility for that."""
        presence = self.presence
        text = f"NOTIFY {s.watcher} via {s.contact} on behalf of {s.presentity_uri} for event {s.event} : {s.callid}"
        facility = FACILITIES.get(presence.local_log_facility or "", 0)
        emit(presence.local_log_level, f"presence [notifier.py:0]: send_notify_request(): {text}", facility)

    def _socket(self, info: str) -> Any:
        """The socket of `udp:127.0.0.1:5060`, None if this server does not have it (any more)."""
        return next((s for s in self.core.sockets if f"{s.proto}:{s.host}:{s.port}" == info), None)

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
            if s.is_active and self._lives(s) and (not sender or s.contact != sender):
                shared = shared or self._shared(presentity, event, found)
                self.tell(s, event, shared=shared, ruled=ruled)

    def watched(self, s: Subscription) -> None:
        """Tell those who watch the watchers of a presentity of one that came (or of all, when one has gone)."""
        event = self.presence.events.known.get(s.event + WINFO)
        if event is None:
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
