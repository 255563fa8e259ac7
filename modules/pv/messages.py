"""The message itself: `$rm $rs $rr $mt $mb $rb $ml $msg(...) $via0(...) $rpl(...) $msgbuf(...)` and their like."""

from __future__ import annotations

from collections.abc import Callable

from kamailio_py.log import get_logger
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Getter, Inner, Setter, inline, numbered
from kamailio_py.script.values import Value
from kamailio_py.sip.endpoint import PROTOCOLS
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message
from kamailio_py.sip.methods import number_of
from kamailio_py.sip.reply import forward_destination
from kamailio_py.sip.via import Via

from .table import Table

log = get_logger("pv")

PVARS = Table()


def _method_id(ctx: Context) -> int:
    return number_of(ctx.msg.method)


_method = inline("(ctx.msg.method_text or ctx.msg.method or None)")
"""As written in a request, of a reply the method in its CSeq."""


# the first line

PVARS.plain("rm", numbered(_method, _method_id))
PVARS.plain("rmid", _method_id, "int")
PVARS.plain("rs", "(None if ctx.msg.is_request else ctx.msg.status)", "int")
PVARS.plain("rsi", "ctx.msg.status", "int")
PVARS.plain("rr", "(None if ctx.msg.is_request else ctx.msg.reason)")
PVARS.plain("rv", "ctx.msg.version")
PVARS.plain("mt", "(1 if ctx.msg.is_request else 2)", "int")
PVARS.plain("mts", "('rq' if ctx.msg.is_request else 'rp')")
PVARS.plain("mi", "ctx.msg.id", "int")


# the whole and the body


def _updated(ctx: Context) -> Value:
    """The message with all edits made."""
    return changed_text(ctx.msg)


def changed_text(msg: Message) -> str:
    """The text of `msg` with its edits and the changed request-URI in place."""
    text = msg.lumps.apply(msg.text) if msg.has_lumps else msg.text
    if msg.is_request and msg.new_uri is not None:
        at = text.find(msg.ruri, msg.first_line_start)
        text = f"{text[:at]}{msg.new_uri}{text[at + len(msg.ruri) :]}"
    return text


def _first_line(msg: Message) -> str:
    start = msg.first_line_start
    return msg.text[start : msg.text.find("\n", start)].rstrip("\r")


def _headers_start(msg: Message) -> int:
    return msg.span(0)[0] if msg.names else msg.headers_end


def _headers(msg: Message) -> str:
    """The headers, without the line end of the last and the blanks before it."""
    return msg.text[_headers_start(msg) : msg.headers_end].rstrip(" \t\r\n")


def _first_part(msg: Message) -> str:
    """First line and headers, without the line end of the last and the blanks before it."""
    return msg.text[: msg.headers_end].rstrip(" \t\r\n")


def _last_part(msg: Message) -> str:
    """All after the first line."""
    return msg.text[_headers_start(msg) :]


PVARS.plain("mb", "ctx.msg.text")
PVARS.plain("mbu", _updated)
PVARS.plain("ml", "len(ctx.msg.text)", "int")
PVARS.plain("rb", "(ctx.msg.body if ctx.msg.body_offset > ctx.msg.headers_end else None)")
PVARS.plain("bs", "len(ctx.msg.body)", "int")

PVARS.keyed(
    "msg",
    {
        "len": lambda ctx: len(ctx.msg.text),
        "buf": lambda ctx: ctx.msg.text,
        "body": lambda ctx: ctx.msg.body,
        "body_len": lambda ctx: len(ctx.msg.body),
        "hdrs": lambda ctx: _headers(ctx.msg),
        "hdrs_len": lambda ctx: len(_headers(ctx.msg)),
        "hdrc": lambda ctx: len(ctx.msg.names),
        "fline": lambda ctx: _first_line(ctx.msg),
        "fpart": lambda ctx: _first_part(ctx.msg),
        "lpart": lambda ctx: _last_part(ctx.msg),
    },
    "unknown PV msg key",
)


# single bytes of the text, in place


def _position(inner: Inner) -> Callable[[Context], int | None]:
    text = inner.text
    if inner.pvar is not None:
        get = inner.pvar.get

        def read(ctx: Context) -> int | None:
            value = get(ctx)
            return value if isinstance(value, int) else None

        return read
    if not text.isdigit():
        raise ValueError(f"bad index value: [{text}]")
    number = int(text)
    return lambda ctx: number


def _msgbuf(inner: Inner) -> Getter:
    position_of = _position(inner)

    def get(ctx: Context) -> Value:
        position = position_of(ctx)
        if position is None or not 0 <= position < len(ctx.msg.text):
            log.err("index out of range")
            return None
        return ctx.msg.text[position]

    return get


def _set_msgbuf(inner: Inner) -> Setter:
    position_of = _position(inner)

    def set(ctx: Context, value: Value) -> bool:
        msg = ctx.msg
        position = position_of(ctx)
        if position is None or not 0 <= position < len(msg.text):
            log.err("index out of range")
            return False
        if not isinstance(value, str) or not value:
            log.err("bad parameters")
            return False
        overwritten(msg, position, value[0])
        return True

    return set


def overwritten(msg: Message, position: int, char: str) -> None:
    """Put `char` into the received text itself: in the first line, in a header or in the body."""
    text = msg.text
    for index in range(len(msg.names)):
        start, end = msg.span(index)
        if start <= position < end:
            msg.overwrite(index, position, char)
            return
    msg.text = f"{text[:position]}{char}{text[position + 1 :]}"
    if position < text.find("\n", msg.first_line_start):
        first = Message(msg.text, msg.src_ip, msg.src_port, msg.socket)
        for name in ("is_request", "method_text", "ruri", "version", "status", "reason"):
            setattr(msg, name, getattr(first, name))
        if first.is_request:
            msg.method = first.method


PVARS.named("msgbuf", _msgbuf, "str", set=_set_msgbuf)


# Vias


def _top(msg: Message) -> Via | None:
    return msg.via


def _second(msg: Message) -> Via | None:
    return msg.via2


def _last(msg: Message) -> Via | None:
    return msg.vias()[-1]


def _of_via(find: Callable[[Message], Via | None], part: Callable[[Via], Value]) -> Getter:
    def get(ctx: Context) -> Value:
        try:
            via = find(ctx.msg)
        except BadMessage:
            return None
        return None if via is None else part(via)

    return get


_VIA_PARTS: dict[str, Callable[[Via], Value]] = {
    "host": lambda via: via.host,
    "port": lambda via: via.port or 5060,
    "proto": lambda via: via.transport,
    "protoid": lambda via: PROTOCOLS.get(via.transport.lower(), 0),
    "branch": lambda via: via.branch or None,
    "rport": lambda via: via.rport or None,
    "received": lambda via: via.received or None,
}
for _pvar, _find in (("via0", _top), ("via1", _second), ("viaZ", _last)):
    PVARS.keyed(_pvar, {name: _of_via(_find, part) for name, part in _VIA_PARTS.items()}, "unknown PV rpl key")


# replies


def _hop(part: Callable[[str, int, str], Value]) -> Getter:
    """Of where a reply goes next."""

    def get(ctx: Context) -> Value:
        if ctx.msg.is_request:
            return None
        try:
            hop = forward_destination(ctx.msg)
        except BadMessage:
            return None
        return None if hop is None else part(*hop)

    return get


def _vias(ctx: Context) -> Value:
    if ctx.msg.is_request:
        return None
    try:
        return len(ctx.msg.vias())
    except BadMessage:
        return 0


def _record_routes(ctx: Context) -> Value:
    if ctx.msg.is_request:
        return None
    return sum(value.count("<") for value in ctx.msg.headers("record-route"))


PVARS.keyed(
    "rpl",
    {
        "duri": _hop(lambda host, port, proto: f"sip:{host}:{port};transport={proto or 'udp'}"),
        "dhost": _hop(lambda host, port, proto: host),
        "dport": _hop(lambda host, port, proto: port),
        "dproto": _hop(lambda host, port, proto: proto or "udp"),
        "dprotoid": _hop(lambda host, port, proto: PROTOCOLS.get(proto, 0)),
        "cntvia": _vias,
        "cntrr": _record_routes,
    },
    "unknown PV rpl key",
)
