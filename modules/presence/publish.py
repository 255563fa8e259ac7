"""PUBLISH (RFC 3903): initial, refresh, modify, remove; entity tags; who is told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kamailio_py.db.errors import DbError
from kamailio_py.log import get_logger
from kamailio_py.modules.presence.events import Event
from kamailio_py.modules.presence.publications import Publication
from kamailio_py.script.xavp import field
from kamailio_py.sip.errors import BadMessage

if TYPE_CHECKING:
    from kamailio_py.modules.presence import Presence
    from kamailio_py.script.context import Context

log = get_logger("presence")

NO_EVENT = 489, "Bad Event"
BAD_REQUEST = 400, "Invalid request"
UNKNOWN_TAG = 412, "Conditional request failed"
FAILED = 500, "Server Internal Error"
TIMES_BEGIN = 1420070400
"""Where the priorities begin that are times: 2015, so that they are small."""


class Refused(Exception):
    """The request is answered with this status and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Publishing:
    """Handles requests; `a.<start>.<pid>.<count>.<how often refreshed>` are its entity tags."""

    def __init__(self, presence: Presence) -> None:
        self.presence = presence
        self._started = presence.now()
        self._count = 0

    def tag(self, refreshed: int) -> str:
        self._count += 1
        return f"a.{self._started}.{os.getpid()}.{self._count}.{refreshed}"

    def handle(self, ctx: Context, sender: str) -> int:
        """Answer the request and tell the subscribers; 1, or -1 if it was refused (but for a 412, as in Kamailio)."""
        try:
            self._handle(ctx, sender)
        except Refused as refused:
            allow = self.presence.events.allowed() if refused.code == 489 else ""
            self.presence.reply(ctx, refused.code, refused.reason, allow)
            return 1 if refused.code == 412 else -1
        except BadMessage as bad:
            log.err(f"bad request: {bad.reason}")
            self.presence.reply(ctx, 400, "Bad request")
            return -1
        except DbError:
            log.err("when updating presentity")
            self.presence.reply(ctx, *FAILED)
            return -1
        return 1

    def _handle(self, ctx: Context, sender: str) -> None:
        msg = ctx.msg
        name = msg.header("event")
        event = self.presence.events.find(name)
        if event is None:
            log.warn("Missing or unsupported event header field value")
            if name is not None:
                log.err(f"    event=[{name}]")
            raise Refused(*NO_EVENT)
        expires = self.presence.lifetime(msg.header("expires"), event)
        tag, body = msg.header("sip-if-match"), msg.body
        if not body and tag is None:
            log.err("No E-Tag and no body found")
            raise Refused(*BAD_REQUEST)
        if body and event.publish is not None:
            refused = event.publish(body)
            if refused is not None:
                raise Refused(*refused)
        uri = msg.parsed_uri
        if tag is None:
            self._first(ctx, event, uri.user, uri.host, body, expires, sender)
        else:
            self._again(ctx, event, uri.user, uri.host, tag.strip(), body, expires, sender)

    def _first(self, ctx: Context, event: Event, user: str, domain: str, body: str, expires: int, sender: str) -> None:
        presence = self.presence
        now, tag = presence.now(), self.tag(0)
        made = Publication(
            user, domain, event.name, tag, now + expires + presence.expires_offset, now, body, sender,
            self._priority(ctx, now), presence.unique_id(),
        )  # fmt: skip
        if expires and not presence.publications.put(made):
            raise Refused(*FAILED)
        self._accept(ctx, expires, tag)
        if expires:
            presence.notifier.everybody(made.uri, event, sender=sender)

    def _again(
        self, ctx: Context, event: Event, user: str, domain: str, tag: str, body: str, expires: int, sender: str
    ) -> None:
        presence = self.presence
        refreshed = tag.rpartition(".")[2]
        if "." not in tag or not refreshed.isdecimal():
            log.err("wrong etag")
            log.err("when updating presentity")
            raise Refused(*FAILED)
        stored = presence.publications.of(user, domain, event.name)
        old = next((p for p in stored if p.etag == tag), None)
        if old is None:
            raise Refused(*UNKNOWN_TAG)
        if not expires:
            presence.publications.remove(old)
            self._accept(ctx, 0, tag)
            presence.ended(old, stored, event, sender)
            return
        now = presence.now()
        new = old._replace(
            etag=self.tag(int(refreshed) + 1), expires=now + expires + presence.expires_offset, received_time=now,
            sender=sender, body=body or old.body, priority=self._priority(ctx, now),
        )  # fmt: skip
        if not presence.publications.replace(old, new):
            raise Refused(*UNKNOWN_TAG)
        self._accept(ctx, expires, new.etag)
        presence.notifier.everybody(new.uri, event, sender=sender)

    def _priority(self, ctx: Context, now: int) -> int:
        """What the script says; otherwise, as Kamailio has it, newer ones are the more important ones."""
        name = self.presence.xavp_cfg
        if not name:
            return 0
        said: int | None = field(ctx.xavps, name, "priority", int)
        return now - TIMES_BEGIN if said is None else said

    def _accept(self, ctx: Context, expires: int, tag: str) -> None:
        self.presence.reply(ctx, 200, "OK", f"Expires: {expires}\r\nSIP-ETag: {tag}\r\n")
