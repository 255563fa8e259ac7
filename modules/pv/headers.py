"""Headers by name: `$hdr(name) $hdrc $hfl $hflc`, and those with a name of their own: `$ci $cs $ct $cT $ua
$expires`."""

from __future__ import annotations

from collections.abc import Callable

from kamailio_py.log import get_logger
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Getter, Inner, inline, numbered, printed
from kamailio_py.script.values import Value, parse_int
from kamailio_py.sip.address_lists import parse_contacts, parse_routes
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.headers import canonical
from kamailio_py.sip.message import Message
from kamailio_py.sip.nameaddr import split_values

from .table import Table

log = get_logger("pv")

PVARS = Table()

_LISTED = ("via", "contact", "route", "record-route", "diversion")
"""Headers of which `$hfl` numbers the values and not the headers."""


def _name(inner: Inner) -> Callable[[Context], str]:
    """The canonical header name at run time."""
    if inner.pvar is None:
        name = canonical(inner.text)
        return lambda ctx: name
    get = inner.pvar.get
    return lambda ctx: canonical(str(get(ctx) or ""))


def _readable(msg: Message) -> bool:
    """Whether Kamailio can read all headers; where it cannot, it finds none of them by name."""
    try:
        msg.require_headers()
    except BadMessage:
        log.err("error parsing headers")
        return False
    return True


def _hdr(inner: Inner) -> Getter:
    name_of = _name(inner)
    if inner.pvar is None and not inner.has_index:
        name = canonical(inner.text)

        def first(ctx: Context) -> Value:
            msg = ctx.msg
            if not msg.is_proven and not _readable(msg):
                return None
            i = msg.find(name)
            return msg.raw_value(i) if i >= 0 else None

        return first
    if inner.all:

        def every(ctx: Context) -> Value:
            msg = ctx.msg
            found = msg.indexes(name_of(ctx)) if _readable(msg) else []
            return ",".join([msg.raw_value(at) for at in found]) if found else None

        return every
    position = inner.position()

    def get(ctx: Context) -> Value:
        index = position(ctx)
        if index is None:
            log.err("invalid index")
            return None
        if not _readable(ctx.msg):
            return None
        found = ctx.msg.indexes(name_of(ctx))
        return ctx.msg.raw_value(found[index]) if -len(found) <= index < len(found) else None

    return get


def _count(inner: Inner) -> Getter:
    name_of = _name(inner)
    return lambda ctx: ctx.msg.names.count(name_of(ctx)) if _readable(ctx.msg) else 0


def _values(msg: Message, name: str) -> list[str]:
    """The single values of the headers of that name, in Kamailio's order."""
    if name == "via":
        try:
            return [via.written(msg.text) for via in msg.vias()]
        except BadMessage:
            return []
    found: list[str] = []
    for at in msg.indexes(name):
        value = msg.raw_value(at)
        if name == "contact":
            found += [contact.text for contact in parse_contacts(value)] if value[:1] != "*" else []
        elif name == "diversion":
            found += split_values(value)
        else:
            found += [route.text for route in parse_routes(value)]
    return found


def _hfl(inner: Inner) -> Getter:
    name_of = _name(inner)
    if inner.pvar is None and canonical(inner.text) not in _LISTED:
        return _hdr(inner)
    if inner.all:
        return _hdr(inner)
    position = inner.position()

    def get(ctx: Context) -> Value:
        index = position(ctx)
        name = name_of(ctx)
        if index is None:
            log.err("invalid index")
            return None
        if name not in _LISTED:
            found = [ctx.msg.raw_value(at) for at in ctx.msg.indexes(name)]
            return found[index] if -len(found) <= index < len(found) else None
        try:
            found = _values(ctx.msg, name)
        except BadMessage:
            return None
        return found[index] if 0 <= index < len(found) else None

    return get


def _hflc(inner: Inner) -> Getter:
    name_of = _name(inner)

    def get(ctx: Context) -> Value:
        name = name_of(ctx)
        if name not in _LISTED:
            return ctx.msg.names.count(name)
        try:
            return len(_values(ctx.msg, name))
        except BadMessage:
            return 0

    return get


PVARS.named("hdr", _hdr, "str", index=True)
PVARS.named("hdrc", _count, "int")
PVARS.named("hfl", _hfl, "str", index=True)
PVARS.named("hflc", _hflc, "int")


def _body(name: str) -> Getter:
    """The value of the first header of that name, null for an empty one."""

    def get(ctx: Context) -> Value:
        msg = ctx.msg
        i = msg.find(name)
        return msg.raw_value(i) or None if i >= 0 else None

    return get


def _cseq(part: int) -> Getter:
    def get(ctx: Context) -> Value:
        try:
            return ctx.msg.cseq[part]
        except BadMessage:
            log.err("cannot parse CSEQ header")
            return None

    return get


_cseq_number = _cseq(0)


def _content_length(ctx: Context) -> Value:
    try:
        return ctx.msg.content_length
    except BadMessage:
        return None


PVARS.plain("ci", inline('ctx.msg.call_id if "call-id" in ctx.msg.names else None'))
PVARS.plain("cs", numbered(_cseq_number, lambda ctx: parse_int(str(_cseq_number(ctx) or "")) or 0))
PVARS.plain("csb", _body("cseq"))
PVARS.plain("ct", _body("contact"))
PVARS.plain("cT", _body("content-type"))
PVARS.plain("ua", _body("user-agent"))
PVARS.plain("cl", printed(_content_length, lambda ctx: str(_body("content-length")(ctx) or "<null>")), "int")


def _expires(pick: Callable[[list[int]], int]) -> Getter:
    """Of the expiry of every contact, that of the Expires header where a contact has none."""

    def get(ctx: Context) -> Value:
        msg = ctx.msg
        header = parse_int(msg.header("expires") or "", hexadecimal=False)
        found = []
        try:
            contacts = msg.contacts
        except BadMessage:
            return None
        if not isinstance(contacts, str):
            for contact in contacts:
                value = parse_int(contact.last_param("expires") or "", hexadecimal=False)
                found.append(value if value is not None else header)
        numbers = [value for value in [*found, header] if value is not None]
        return pick(numbers) if numbers else None

    return get


PVARS.keyed("expires", {"min": _expires(min), "max": _expires(max)}, "unknown PV expires key")
