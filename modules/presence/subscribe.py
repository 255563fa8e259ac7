"""SUBSCRIBE (RFC 6665): new, refresh, end, fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.modules.presence.events import Event, Status
from kamailio_py.modules.presence.publish import FAILED, NO_EVENT, Refused
from kamailio_py.modules.presence.subscription import Subscription
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.nameaddr import NameAddr

if TYPE_CHECKING:
    from kamailio_py.modules.presence import Presence
    from kamailio_py.script.context import Context
    from kamailio_py.sip.address_lists import ListedAddress
    from kamailio_py.sip.message import Message

log = get_logger("presence")

TOO_BRIEF = 423, "Interval Too Brief"
NO_DIALOG = 481, "Subscription does not exist"
OLD = 400, "Bad request"
LONGEST_AGENT = 255


class Subscribing:
    """Handles requests."""

    def __init__(self, presence: Presence) -> None:
        self.presence = presence

    def handle(self, ctx: Context, watcher: str) -> int:
        """Answer the request and send the NOTIFY; 1, or -1 if it was refused. `watcher` is a URI, "" for From's."""
        try:
            self._handle(ctx, watcher)
        except Refused as refused:
            headers = ""
            if refused.code == 489:
                headers = self.presence.events.allowed()
            elif refused.code == 423:
                headers = f"Min-Expires: {self.presence.min_expires}\r\n"
            self.presence.reply(ctx, refused.code, refused.reason, headers)
            return -1
        except BadMessage as bad:
            log.err(f"bad request: {bad.reason}")
            self.presence.reply(ctx, 400, "Bad request")
            return -1
        return 1

    def _handle(self, ctx: Context, watcher: str) -> None:
        msg, presence = ctx.msg, self.presence
        name = msg.header("event")
        if name is None:
            log.err("Missing event header field value")
            raise Refused(*NO_EVENT)
        event = presence.events.find(name)
        if event is None:
            log.notice(f"Unsupported presence event {name.partition(';')[0].strip()}")
            raise Refused(*NO_EVENT)
        expires = presence.lifetime(msg.header("expires"), event)
        if expires and expires < presence.min_expires:
            if presence.min_expires_action == 1:
                raise Refused(*TOO_BRIEF)
            expires = presence.min_expires
        asked = self._asked(ctx, event, watcher, expires)
        if msg.to.tag:
            self._again(ctx, event, asked, expires)
        else:
            self._first(ctx, event, asked, expires)

    def _asked(self, ctx: Context, event: Event, watcher: str, expires: int) -> Subscription:
        """The subscription the request asks for."""
        msg, presence = ctx.msg, self.presence
        contacts = self._contacts(msg)
        if not contacts:
            log.err("cannot parse contact header")
            raise Refused(*FAILED)
        from_, to, uri = msg.from_.parsed_uri, msg.to.parsed_uri, msg.parsed_uri
        seen = NameAddr(watcher).parsed_uri if watcher else from_
        socket = msg.socket
        assert socket is not None
        agent = msg.header("user-agent") or ""
        told = 0 if presence.subscriptions.in_memory else 1  # see Notifier.first
        return Subscription(
            presentity_uri=f"sip:{uri.user}@{uri.host}", watcher_username=seen.user, watcher_domain=seen.host,
            to_user=to.user, to_domain=to.host, event=event.name, event_id="", to_tag=msg.to.tag,
            from_tag=msg.from_.tag, callid=msg.call_id, local_cseq=0, remote_cseq=int(msg.cseq_number),
            contact=contacts[0].uri, record_route=", ".join(msg.headers("record-route")),
            expires=presence.now() + expires, status=Status.ACTIVE, reason="", version=told,
            socket_info=str(socket), local_contact=presence.local_contact(socket),
            from_user=from_.user, from_domain=from_.host, flags=0, user_agent=agent[:LONGEST_AGENT],
        )  # fmt: skip

    @staticmethod
    def _contacts(msg: Message) -> list[ListedAddress]:
        try:
            contacts = msg.contacts
        except BadMessage:
            return []
        return [] if isinstance(contacts, str) else contacts

    def _first(self, ctx: Context, event: Event, asked: Subscription, expires: int) -> None:
        presence = self.presence
        to_tag = presence.to_tag(ctx)
        decision, ruled = presence.watchers.decide(
            asked.presentity_uri, asked.watcher_username, asked.watcher_domain, event, presence.now()
        )
        s = asked._replace(to_tag=to_tag, status=int(decision.status), reason=decision.reason)
        if not expires:
            self._accept(ctx, s, expires)
            presence.notifier.once(s.ended(), event, body=None if s.is_active else "", ruled=ruled)
            return
        if s.status == Status.TERMINATED:
            self._accept(ctx, s, expires)
            presence.notifier.once(s, event, body="")
            return
        if presence.delete_same_subs:
            self._replaced(s)
        if not presence.subscriptions.put(s):
            raise Refused(*FAILED)
        self._accept(ctx, s, expires)
        presence.notifier.watched(s)
        presence.notifier.first(s, event, ruled=ruled)

    def _replaced(self, s: Subscription) -> None:
        """Take out older ones of the same watcher at the same place."""
        for other in self.presence.subscriptions.of(s.presentity_uri, s.event):
            if other.watcher == s.watcher and other.contact == s.contact:
                self.presence.subscriptions.remove(other)

    def _again(self, ctx: Context, event: Event, asked: Subscription, expires: int) -> None:
        presence = self.presence
        s = presence.subscriptions.find(asked)
        if s is None or s.event != event.name or s.status == Status.TERMINATED:
            raise Refused(*NO_DIALOG)
        if asked.remote_cseq <= s.remote_cseq:
            log.err(f"wrong sequence number;received: {asked.remote_cseq} - stored: {s.remote_cseq}")
            raise Refused(*OLD)
        fields = {name: getattr(asked, name) for name in ("remote_cseq", "contact", "expires")}
        if not expires:
            self._end(ctx, event, s, fields)
            return
        became = presence.subscriptions.change(s, lambda now: now._replace(**fields))
        if became is None:
            raise Refused(*NO_DIALOG)
        self._accept(ctx, became, expires)
        presence.notifier.watched(became)
        presence.notifier.again(became, event)

    def _end(self, ctx: Context, event: Event, s: Subscription, fields: dict[str, Any]) -> None:
        subscriptions, notifier = self.presence.subscriptions, self.presence.notifier
        later = notifier.answers_later
        if later is not None:
            ended = subscriptions.change(s, lambda now: now._replace(**fields).ended())
        else:
            told = subscriptions.change(s, lambda now: now._replace(**fields).told())
            ended = told.ended() if told is not None and subscriptions.remove(s) else None
        if ended is None:
            raise Refused(*NO_DIALOG)
        self._accept(ctx, ended._replace(status=s.status, reason=s.reason), 0)
        notifier.watched(ended)
        if later is not None:
            later.mark(ended)
        else:
            notifier.send(ended, event, body=None if s.is_active else "")

    def _accept(self, ctx: Context, s: Subscription, expires: int) -> None:
        self.presence.note(ctx, s, expires)
        headers = f"Expires: {expires}\r\nContact: <{s.local_contact}>\r\n"
        code, reason = (200, "OK") if self.presence.subs_respond_200 else (202, "OK")
        self.presence.reply(ctx, code, reason, headers)
