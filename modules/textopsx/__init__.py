"""The textopsx module: further functions on the text of messages.

What works on values of headers and the iterators have files of their own; here are the functions on the message as a
whole.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT, REGEX, STR, VALUE
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import Module, function
from kamailio_py.sip.errors import BadMessage

from .iterators import Iterators
from .selects import SELECTS
from .values import HeaderValues

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("textopsx")

WHOLE = RouteType.REQUEST | RouteType.ONREPLY
ALWAYS_KEPT = frozenset(
    (
        "via", "from", "to", "call-id", "cseq", "content-length", "content-type", "max-forwards", "contact", "route",
        "record-route",
    )
)  # fmt: skip


@lru_cache(256)
def wildcard(text: str) -> re.Pattern[str]:
    """A shell pattern: `*`, `?`, brackets, and a backslash before what is meant literally."""
    out, at = [], 0
    while at < len(text):
        c = text[at]
        at += 1
        if c == "*":
            out.append(".*")
        elif c == "?":
            out.append(".")
        elif c == "\\" and at < len(text):
            out.append(re.escape(text[at]))
            at += 1
        elif c == "[" and (end := text.find("]", at + 1 + (text[at : at + 1] in ("!", "^")))) >= 0:
            inside = text[at:end].replace("\\", "\\\\").replace("[", "\\[")
            out.append(f"[^{inside[1:]}]" if inside[:1] in ("!", "^") else f"[{inside}]")
            at = end + 1
        else:
            out.append(re.escape(c))
    return re.compile("".join(out), re.DOTALL)


class Textopsx(HeaderValues, Iterators, Module):
    """More text operations."""

    name = "textopsx"
    selects = SELECTS

    @function("keep_hf")
    @function("keep_hf", REGEX)
    def keep_hf(self, ctx: Context, pattern: re.Pattern[str] | None = None) -> int:
        """Remove all headers but those every message needs and those whose names match. The result is -1, always."""
        msg = ctx.msg
        try:
            msg.require_headers()
        except BadMessage:
            log.err("error while parsing message headers")
            return -1
        for i, name in enumerate(msg.names):
            if name not in ALWAYS_KEPT and not (pattern is not None and pattern.search(msg.name_text(i))):
                msg.lumps.delete(*msg.span(i))
        return -1

    @function("remove_body")
    def remove_body(self, ctx: Context) -> int:
        msg = ctx.msg
        try:
            msg.require_headers()
        except BadMessage:
            log.err("failed to get body")
            return -1
        if msg.body_offset < len(msg.text):
            msg.lumps.delete(msg.body_offset, len(msg.text))
        return 1

    @function("msg_apply_changes", routes=WHOLE)
    def msg_apply_changes(self, ctx: Context) -> int:
        """Make the edits now: the script goes on with the edited text."""
        msg = ctx.msg
        if msg.is_request:
            if ctx.route_type & RouteType.REQUEST == 0:
                log.err("invalid usage - not in request route or a reply")
                return -1
            if msg.rr_added:
                log.err("cannot apply msg changes after adding record-route header - it breaks conditional 2nd header")
                return -1
        try:
            text = msg.apply_changes()
        except BadMessage:
            log.err("couldn't update msg buffer content")
            return -1
        return self._continue_with(msg, text)

    @function("msg_set_buffer", STR, routes=WHOLE)
    def msg_set_buffer(self, ctx: Context, text: str) -> int:
        """Go on with another message."""
        if not text:
            return -1
        return self._continue_with(ctx.msg, text)

    @staticmethod
    def _continue_with(msg: Message, text: str) -> int:
        try:
            msg.replace_text(text)
        except BadMessage:
            log.err(f"parsing new sip message failed [[{text}]]")
            return 0
        return 1

    # replies

    def _change_code(self, msg: Message, code: int) -> int:
        if not 100 <= code <= 699:
            log.err(f"wrong status code: {code}")
            return -1
        if (msg.status < 300 or code < 300) and msg.status // 100 != code // 100:
            log.err("the class of provisional or positive final replies cannot be changed")
            return -1
        start = msg.first_line_start + len(msg.version) + 1
        msg.text = f"{msg.text[:start]}{code}{msg.text[start + 3 :]}"
        msg.status = code
        return 1

    @function("change_reply_status", INT, VALUE, routes=RouteType.ONREPLY)
    def change_reply_status(self, ctx: Context, code: int, reason: str) -> int:
        """Another code and reason for a reply that is sent on."""
        msg = ctx.msg
        if not reason:
            log.err("reason phrase is empty")
            return -1
        if self._change_code(msg, code) < 0:
            return -1
        start = msg.text.index(msg.reason, msg.first_line_start + len(msg.version) + 5) if msg.reason else 0
        if not start:
            start = msg.first_line_start + len(msg.version) + 5
        msg.lumps.replace(start, start + len(msg.reason), reason)
        return 1

    @function("change_reply_status_code", INT, routes=RouteType.ONREPLY)
    def change_reply_status_code(self, ctx: Context, code: int) -> int:
        return self._change_code(ctx.msg, code)

    @function("fnmatch", STR, STR)
    @function("fnmatch", STR, STR, STR)
    def fnmatch(self, ctx: Context, value: str, pattern: str, flags: str = "") -> int:
        """Does the value match a shell pattern? Kamailio's build for Debian pays no regard to the flags."""
        return 1 if wildcard(pattern).fullmatch(value) else -1
