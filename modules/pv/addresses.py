"""From and To, and the other headers that hold addresses: `$fu $fU $fn $tu $rt $re $di $ai $pu` and their like.

Assignments to parts of From and To become edits of the text; reading gives what was received.
"""

from __future__ import annotations

from collections.abc import Callable

from kamailio_py.log import get_logger
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Getter, Inner, Setter
from kamailio_py.script.values import Value
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.message import Message
from kamailio_py.sip.nameaddr import NameAddr, parse_list

from .table import Table

log = get_logger("pv")

PVARS = Table()

Address = Callable[[Message], "NameAddr | None"]


def _from(msg: Message) -> NameAddr | None:
    try:
        return msg.from_
    except BadMessage:
        log.err("cannot parse FROM header")
        return None


def _to(msg: Message) -> NameAddr | None:
    try:
        return msg.to
    except BadMessage:
        log.err("cannot parse TO header")
        return None


def _part(address: Address, part: Callable[[NameAddr], str]) -> Getter:
    def get(ctx: Context) -> Value:
        found = address(ctx.msg)
        if found is None:
            return None
        try:
            return part(found) or None
        except BadUri:
            log.err("cannot parse the URI of the header")
            return None

    return get


def user(address: NameAddr) -> str:
    return address.parsed_uri.user


def host(address: NameAddr) -> str:
    return address.parsed_uri.host


def _length(get: Getter) -> Getter:
    return lambda ctx: len(str(get(ctx) or ""))


# assignments


class Places:
    """Where the parts of an address stand in the message."""

    __slots__ = ("bracket", "end", "start", "uri_end", "uri_start")

    def __init__(self, msg: Message, header: int, address: NameAddr) -> None:
        self.start, self.end = msg.value_span(header)
        at = self.start
        text = msg.text
        if address.display:
            at = text.find(address.display, at) + len(address.display)
        bracket = text.find("<", at, self.end)
        self.bracket = bracket if bracket >= 0 and text[at:bracket].strip() == "" else -1
        self.uri_start = text.find(address.uri, at if self.bracket < 0 else self.bracket)
        self.uri_end = self.uri_start + len(address.uri)


def _setter(header: str, address: Address, change: Callable[[Message, Places, NameAddr, str | None], bool]) -> Setter:
    def set(ctx: Context, value: Value) -> bool:
        msg = ctx.msg
        found = address(msg)
        if found is None:
            return False
        if value is not None and not isinstance(value, str):
            log.err("str value required to set the address")
            return False
        return change(msg, Places(msg, msg.find(header), found), found, value)

    return set


def _set_uri(msg: Message, places: Places, address: NameAddr, value: str | None) -> bool:
    if value is None:
        log.warn("To header URI cannot be deleted")
        return True
    msg.lumps.replace(places.uri_start, places.uri_end, value)
    return True


def _set_user(msg: Message, places: Places, address: NameAddr, value: str | None) -> bool:
    try:
        uri = address.parsed_uri
    except BadUri:
        return False
    start = places.uri_start + len(uri.scheme) + 1
    if value is None:
        if uri.user:
            end = msg.text.find("@", start, places.uri_end) + 1
            msg.lumps.delete(start, end)
    elif uri.user:
        msg.lumps.replace(start, start + len(uri.user), value)
    else:
        msg.lumps.insert(start, f"{value}@")
    return True


def _set_host(msg: Message, places: Places, address: NameAddr, value: str | None) -> bool:
    if value is None:
        log.warn("To header domain cannot be deleted")
        return True
    try:
        uri = address.parsed_uri
    except BadUri:
        return False
    start = places.uri_start + len(uri.scheme) + 1
    if uri.user:
        start = msg.text.find("@", start, places.uri_end) + 1
    msg.lumps.replace(start, start + len(uri.host), value)
    return True


def _set_name(msg: Message, places: Places, address: NameAddr, value: str | None) -> bool:
    before_uri = places.bracket if places.bracket >= 0 else places.uri_start
    if value is None:
        if address.display:
            msg.lumps.delete(places.start, before_uri)
    elif address.display:
        msg.lumps.replace(places.start, places.start + len(address.display), value)
    else:
        msg.lumps.insert(before_uri, f"{value} ")
    return True


for _letter, _name, _address in (("f", "from", _from), ("t", "to", _to)):
    PVARS.plain(f"{_letter}u {_name}", _part(_address, lambda a: a.uri), "str", _setter(_name, _address, _set_uri))
    PVARS.plain(f"{_letter}U {_name}.user", _part(_address, user), "str", _setter(_name, _address, _set_user))
    PVARS.plain(f"{_letter}d {_name}.domain", _part(_address, host), "str", _setter(_name, _address, _set_host))
    PVARS.plain(f"{_letter}n", _part(_address, lambda a: a.display), "str", _setter(_name, _address, _set_name))
    PVARS.plain(f"{_letter}t", _part(_address, lambda a: a.tag))
    PVARS.plain(f"{_letter}Ul", _length(_part(_address, user)), "int")

# $tUl is writable by its table entry in Kamailio, as the To user
PVARS.exports[-1] = type(PVARS.exports[-1])(
    "tUl", PVARS.exports[-1].bind, lambda inner: _setter("to", _to, _set_user), "int", inner=False, index=False
)


# other headers with one address


def _single(header: str) -> Address:
    def address(msg: Message) -> NameAddr | None:
        value = msg.header(header)
        if value is None:
            return None
        try:
            return parse_list(value)[0]
        except BadMessage:
            log.dbg(f"no usable {header} header")
            return None

    return address


def _param(name: str) -> Callable[[NameAddr], str]:
    return lambda address: address.param(name) or ""


_diversion = _single("diversion")
PVARS.plain("rt", _part(_single("refer-to"), lambda a: a.uri))
PVARS.plain("re", _part(_single("remote-party-id"), lambda a: a.uri))
PVARS.plain("di", _part(_diversion, lambda a: a.uri))
PVARS.plain("dir", _part(_diversion, _param("reason")))
PVARS.plain("dip", _part(_diversion, _param("privacy")))
PVARS.plain("dic", _part(_diversion, _param("counter")))


# P-Asserted-Identity and P-Preferred-Identity, by index


def _identity(header: str, part: Callable[[NameAddr], str]) -> Callable[[Inner], Getter]:
    def bind(inner: Inner) -> Getter:
        position = inner.position()
        everything = inner.all

        def get(ctx: Context) -> Value:
            if everything:
                return None
            index = position(ctx)
            values = ctx.msg.headers(header)
            if index is None or not values:
                return None
            try:
                found = [address for value in values for address in parse_list(value)]
                index = max(index, 0)
                return part(found[index]) or None if index < len(found) else None
            except (BadMessage, BadUri):
                log.dbg(f"no {header} header or it cannot be parsed")
                return None

        return get

    return bind


PVARS.indexed("ai", _identity("p-asserted-identity", lambda a: a.uri))
PVARS.indexed("pu", _identity("p-preferred-identity", lambda a: a.uri))
PVARS.indexed("pU", _identity("p-preferred-identity", user))
PVARS.indexed("pd", _identity("p-preferred-identity", host))
PVARS.indexed("pn", _identity("p-preferred-identity", lambda a: a.display))
