"""textops' functions on bodies: setting one, parts of multipart bodies, what kind it is, and the Date header."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from kamailio_py.config.arguments import PVAR, RAW, STR, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import function
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.multipart import boundary_of, find_line

from .headers import CHANGING, readable
from .search import NOT_EVENTS, body_start

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar
    from kamailio_py.sip.message import Message

log = get_logger("textops")

_SPACE = " \t\r\n"
_MIME = re.compile(r"[ \t]*(\*|[\w+.-]+)[ \t]*/[ \t]*(\*|[\w+.-]+)[ \t]*(?:;.*)?\Z", re.ASCII | re.DOTALL)
TYPES = frozenset(("text", "message", "multipart", "application"))
SUBTYPES = frozenset(
    (
        "plain", "pidf+xml", "sdp", "cpim", "cpim-pidf+xml", "cpl+xml", "rlmi+xml", "related", "lpidf+xml",
        "watcherinfo+xml", "xpidf+xml", "xml+msrtc.pidf", "external-body", "mixed", "isup", "*",
    )
)  # fmt: skip
"""What Kamailio tells apart; all other types are one to it."""
DEFAULT_BOUNDARY = "unique-boundary-1"


def mime(text: str) -> tuple[str, str]:
    """Type and subtype as far as Kamailio tells them apart; ValueError if this is none."""
    match = _MIME.match(text)
    if match is None:
        raise ValueError(f"unsupported mime <{text}>")
    kind, sub = match.group(1).lower(), match.group(2).lower()
    return (kind if kind in TYPES or kind == "*" else "", sub if sub in SUBTYPES else "")


def body_type(text: str) -> tuple[str, str] | None:
    return mime(text) if text else None


def content_type(msg: Message) -> tuple[str, str] | None:
    """Type of the body, SDP if nothing says so; None if the header is bad."""
    value = msg.header("content-type")
    if value is None:
        return ("application", "sdp")
    try:
        return mime(value)
    except ValueError:
        log.err("failed to extract content type hdr")
        return None


def is_multipart(msg: Message) -> bool:
    return msg.header("content-type") is not None and content_type(msg) == ("multipart", "mixed")


def part(text: str, kind: str, disposition: str, boundary: str, first: bool) -> str | None:
    """A body part with the boundary line behind it and, for the first, before it."""
    if not text or not kind or not boundary:
        log.err("invalid parameters")
        return None
    if boundary[0] == "-":
        log.err("delimiter with initial '-'. Invalid parameter.")
        return None
    start = f"--{boundary}\r\n" if first else ""
    extra = f"Content-Disposition: {disposition}\r\n" if disposition else ""
    end = "" if text.endswith("\r\n\r\n") else "\r\n"
    return f"{start}Content-Type: {kind}\r\n{extra}\r\n{text}{end}--{boundary}\r\n"


class Bodies:
    """Functions on the body."""

    core: Core

    @function("has_body")
    @function("has_body", Fixup("mime type", prepare=body_type))
    def has_body(self, ctx: Context, wanted: tuple[str, str] | None = None) -> int:
        msg = ctx.msg
        try:
            length = msg.content_length
        except BadMessage:
            return -1
        if not length:
            return -1
        if wanted is None:
            return 1
        return 1 if content_type(msg) == wanted else -1

    @function("set_body", STR, STR, routes=NOT_EVENTS)
    def set_body(self, ctx: Context, body: str, kind: str) -> int:
        """Another body in place of the one that Content-Length tells of."""
        msg = ctx.msg
        if not body or not kind:
            log.err("invalid body parameter" if not body else "invalid content-type parameter")
            return -1
        if not readable(msg):
            return -1
        lumps = msg.lumps
        start = msg.body_offset
        lumps.clear(msg.headers_end + 1)
        length = msg.content_length
        if length:
            if start + length > len(msg.text):
                log.err(f"invalid content length: {length}")
                return -1
            lumps.delete(start, start + length)
        self._headers_for(msg, f"Content-Type: {kind}\r\n" if msg.header("content-type") != kind else "", len(body))
        lumps.insert(start, body)
        return 1

    @staticmethod
    def _headers_for(msg: Message, kind: str, length: int, extra: str = "") -> None:
        """Content-Type if it changes, Content-Length if there is none."""
        i = msg.find("content-type")
        if kind and i >= 0:
            msg.lumps.delete(*msg.span(i))
        if msg.find("content-length") < 0:
            kind += f"Content-Length: {length}\r\n"
        if kind or extra:
            msg.lumps.insert(msg.headers_end, kind + extra)

    @function("set_reply_body", STR, STR, routes=CHANGING)
    def set_reply_body(self, ctx: Context, body: str, kind: str) -> int:
        """The body of replies that are made here."""
        if not body or not kind:
            log.err("invalid body parameter" if not body else "invalid content-type parameter")
            return -1
        ctx.msg.reply_headers.append(f"Content-Type: {kind}\r\n")
        ctx.msg.reply_body = body
        return 1

    # multipart

    @function("set_body_multipart", routes=CHANGING)
    def set_body_multipart(self, ctx: Context) -> int:
        return self._set_multipart(ctx.msg, "", "", "")

    @function("set_body_multipart", STR, routes=CHANGING)
    def set_body_multipart_boundary(self, ctx: Context, boundary: str) -> int:
        return self._set_multipart(ctx.msg, "", "", boundary)

    @function("set_body_multipart", STR, STR, routes=CHANGING)
    @function("set_body_multipart", STR, STR, STR, routes=CHANGING)
    def set_body_multipart_new(self, ctx: Context, body: str, kind: str, boundary: str = "") -> int:
        return self._set_multipart(ctx.msg, body, kind, boundary)

    def _set_multipart(self, msg: Message, body: str, kind: str, boundary: str) -> int:
        """Make the body, or this one, the first part of a multipart body."""
        if not readable(msg):
            return -1
        already = is_multipart(msg)
        if already and not body:
            return 1
        start = msg.body_offset
        lumps = msg.lumps
        lumps.clear(msg.headers_end + 1)
        if not body and start < len(msg.text):
            body = msg.body
            kind = msg.header("content-type") or "text/plain"
        if start < len(msg.text):
            lumps.delete(start, len(msg.text))
        if not body:
            log.warn("no body to be set in the message")
            return -1
        boundary = boundary or DEFAULT_BOUNDARY
        text = part(body, kind or "text/plain", "", boundary, first=True)
        if text is None:
            return -1
        if already:
            self._headers_for(msg, "", len(text))
        else:
            new = f'Content-Type: multipart/mixed;boundary="{boundary}"\r\n'
            self._headers_for(msg, new, len(text), "Mime-Version: 1.0\r\n")
        lumps.insert(start, text)
        msg.multipart = True
        return 1

    @function("append_body_part", STR, STR, routes=CHANGING)
    @function("append_body_part", STR, STR, STR, routes=CHANGING)
    def append_body_part(self, ctx: Context, text: str, kind: str, disposition: str = "") -> int:
        """One more part at the end of a multipart body."""
        msg = ctx.msg
        if not text or not kind:
            log.err("invalid body parameter" if not text else "invalid content-type parameter")
            return -1
        if body_start(msg) < 0:
            return -1
        boundary = boundary_of(msg.header("content-type") or "")
        if not boundary:
            log.err("Cannot get boundary. Is body multipart?")
            return -1
        made = part(text, kind, disposition, boundary, first=False)
        if made is None:
            return -1
        msg.lumps.insert(len(msg.text), made)
        msg.multipart = True
        return 1

    @function("append_body_part_hex", STR, STR, routes=CHANGING)
    @function("append_body_part_hex", STR, STR, STR, routes=CHANGING)
    def append_body_part_hex(self, ctx: Context, text: str, kind: str, disposition: str = "") -> int:
        """The same with the part's bytes in hexadecimal."""
        try:
            data = bytes.fromhex(text).decode("latin-1")
        except ValueError:
            log.err("failed to decode hex string")
            return -1
        return self.append_body_part(ctx, data, kind, disposition)

    @staticmethod
    def _find_part(msg: Message, kind: str) -> tuple[int, int, int, int] | None:
        """Of the part of this type: where its Content-Type line stands and ends, where the next boundary line stands
        and ends."""
        start = body_start(msg)
        if start < 0:
            return None
        boundary = boundary_of(msg.header("content-type") or "")
        if not boundary:
            log.err("Cannot get boundary. Is body multipart?")
            return None
        text = msg.text
        at = find_line(text, "Content-Type: ", start)
        while at >= 0:
            if text[at + 14 : at + 14 + len(kind)].lower() == kind.lower():
                end = at + 14 + len(kind)
                if not text.startswith("\r\n", end):
                    log.err("no CRLF found after content type")
                    return None
                mark = find_line(text, f"--{boundary}", end + 2)
                if mark < 0:
                    log.err("boundary not found after content")
                    return None
                line = text.find("\r\n", mark)
                return at, end + 2, mark, line + 2 if line >= 0 else len(text)
            at = find_line(text, "Content-Type: ", at + 14)
        return None

    @function("remove_body_part", STR, routes=CHANGING)
    def remove_body_part(self, ctx: Context, kind: str) -> int:
        found = self._find_part(ctx.msg, kind)
        if found is None:
            return -1
        ctx.msg.lumps.delete(found[0], found[3])
        ctx.msg.multipart = True
        return 1

    @function("get_body_part", STR, PVAR, routes=NOT_EVENTS)
    def get_body_part(self, ctx: Context, kind: str, target: PVar) -> int:
        """The part without its Content-Type line, up to the next boundary."""
        found = self._find_part(ctx.msg, kind)
        if found is None:
            return -1
        target.set(ctx, ctx.msg.text[found[1] : found[2]])
        return 1

    @function("get_body_part_raw", STR, PVAR, routes=NOT_EVENTS)
    def get_body_part_raw(self, ctx: Context, kind: str, target: PVar) -> int:
        """The part with its Content-Type line and the boundary behind it."""
        found = self._find_part(ctx.msg, kind)
        if found is None:
            return -1
        target.set(ctx, ctx.msg.text[found[0] : found[3]])
        return 1

    @function("filter_body", RAW)
    def filter_body(self, ctx: Context, kind: str) -> int:
        """Of a multipart body leave only the content of the first part of this type."""
        msg = ctx.msg
        start = body_start(msg)
        if start < 0:
            return -1
        if not is_multipart(msg):
            log.warn("body not multipart")
            return -1
        found = self._find_part(msg, kind)
        if found is None:
            return -1
        content = found[1]
        while content < len(msg.text) and msg.text[content] in "\r\n":
            content += 1
        msg.lumps.delete(start, content)
        msg.lumps.delete(found[2] - 2, len(msg.text))
        return 1

    @function("is_audio_on_hold")
    def is_audio_on_hold(self, ctx: Context) -> int:
        """Does the SDP put an audio stream on hold: by address 0.0.0.0, or by sendonly or inactive?"""
        msg = ctx.msg
        if body_start(msg) < 0:
            return -1
        address, hold, audio = "", False, False
        held = 0
        for line in [*msg.body.splitlines(), "m="]:
            if line.startswith("m="):
                # the stream that ends here; before the first one stands what all share
                if audio:
                    held = max(held, 2 if hold else 1 if address == "0.0.0.0" else 0)
                audio = line.startswith("m=audio")
            elif line.startswith("c="):
                address = line.split()[-1]
            elif line in ("a=sendonly", "a=inactive"):
                hold = True
        return held or -1

    # Date

    def _date(self) -> str:
        return time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime(self.core.clock.now()))

    @function("append_time", routes=RouteType.REQUEST | RouteType.FAILURE | RouteType.BRANCH)
    def append_time(self, ctx: Context) -> int:
        """Date for replies that are made here."""
        ctx.msg.reply_headers.append(self._date())
        return 1

    @function("append_time_to_request")
    def append_time_to_request(self, ctx: Context) -> int:
        """Date behind the first header."""
        ctx.msg.lumps.insert(ctx.msg.span(0)[1], self._date())
        return 1
