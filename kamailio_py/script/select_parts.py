"""Parts of selects that many roots share: URIs, addresses, parameters, digest credentials, bodies of headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from kamailio_py.script.context import Context
from kamailio_py.sip.address_lists import ListedAddress, parse_contacts
from kamailio_py.sip.digest import parse_credentials
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.headers import canonical
from kamailio_py.sip.nameaddr import NameAddr, split_values
from kamailio_py.sip.uri import Uri

Path = list[str | int]
Raw = Callable[[Context], "str | Literal[False] | None"]
"""A resolved select: the text, None where it is undefined, False where Kamailio has a string without text."""


def bad(name: str, level: int) -> ValueError:
    return ValueError(f"Unable to resolve select '{name}' at level {level}")


def taken(parts: Mapping[str, Raw], name: str, level: int) -> Raw:
    """The part of that name."""
    part = parts.get(name)
    if part is None:
        raise bad(name, level)
    return part


def header_body(name: str) -> Raw:
    """The value of the first header of that name."""
    name = canonical(name)

    def get(ctx: Context) -> str | None:
        msg = ctx.msg
        i = msg.find(name)
        return msg.raw_value(i) if i >= 0 else None

    return get


# URIs


def _hostport(uri: Uri) -> str | None:
    if not uri.host:
        return None
    return f"{uri.host}:{uri.port_text or 5060}"


_URI_PARTS: dict[str, Callable[[Uri], str | Literal[False] | None]] = {
    "type": lambda uri: uri.scheme,
    "user": lambda uri: uri.user or False,
    "pwd": lambda uri: uri.password or False,
    "host": lambda uri: uri.host,
    "port": lambda uri: uri.port_text or False,
    "hostport": _hostport,
    "params": lambda uri: uri.params or False,
    "transport": lambda uri: uri.param("transport") or "udp",
    "rn": lambda uri: uri.text,
}


def uri_parts(path: Path, text_of: Raw) -> Raw:
    """`text_of`, which gives a URI, or the part of it that the path names."""
    if not path:
        return text_of
    name = str(path[0])
    if name == "params" and len(path) > 1:
        param = str(path[1]).lower()

        def get_param(ctx: Context) -> str | None:
            text = text_of(ctx)
            try:
                return Uri.parse(text).param(param) if text else None
            except BadUri:
                return None

        return get_param
    part = _URI_PARTS.get(name)
    if part is None or len(path) > 1:
        raise bad(name, 2)

    def get(ctx: Context) -> str | Literal[False] | None:
        text = text_of(ctx)
        try:
            return part(Uri.parse(text)) if text else None
        except BadUri:
            return None

    return get


# addresses

Address = Callable[[Context], "NameAddr | ListedAddress | None"]


def _address(address: Address, name_text: bool, tags: bool) -> Callable[[Path], Raw | None]:
    """What resolves `uri`, `name`, `params` and `tag` of an address; None for the bare address.

    `name_text`: a missing display name is an empty text and not one without text.
    """

    def resolve(path: Path) -> Raw | None:
        if not path:
            return None
        name, rest = str(path[0]), path[1:]
        if name == "uri":
            return uri_parts(rest, lambda ctx: found.uri if (found := address(ctx)) is not None else None)
        if name == "params" and len(rest) == 1:
            param = str(rest[0]).lower()
            return lambda ctx: found.param(param) if (found := address(ctx)) is not None else None
        if name == "name" and not rest:
            return lambda ctx: (
                (found.display or ("" if name_text else False)) if (found := address(ctx)) is not None else None
            )
        if name == "tag" and tags and not rest:
            return lambda ctx: (found.param("tag") or False) if (found := address(ctx)) is not None else None
        raise bad(name, 1)

    return resolve


def _from(ctx: Context) -> NameAddr | None:
    try:
        return ctx.msg.from_
    except BadMessage:
        return None


def _to(ctx: Context) -> NameAddr | None:
    try:
        return ctx.msg.to
    except BadMessage:
        return None


def _first_of(header: str) -> Address:
    """The first address in the first header of that name."""

    def address(ctx: Context) -> NameAddr | None:
        value = ctx.msg.header(header)
        if not value:
            return None
        try:
            return NameAddr(split_values(value)[0])
        except BadMessage:
            return None

    return address


def _addressed(header: str, address: Address, name_text: bool = True, tags: bool = False) -> Callable[[Path], Raw]:
    parts = _address(address, name_text, tags)
    whole = header_body(header)

    def resolve(path: Path) -> Raw:
        return parts(path) or whole

    return resolve


def _first_contact(ctx: Context) -> ListedAddress | None:
    msg = ctx.msg
    i = msg.find("contact")
    if i < 0 or msg.raw_value(i)[:1] == "*":
        return None
    try:
        return parse_contacts(msg.raw_value(i))[0]
    except BadMessage:
        return None


def _contact_body(ctx: Context) -> str | None:
    """The value of the first Contact header, if it can be read."""
    msg = ctx.msg
    i = msg.find("contact")
    value = msg.raw_value(i) if i >= 0 else ""
    return value if value[:1] == "*" or _first_contact(ctx) is not None else None


def _contact(path: Path) -> Raw:
    if len(path) == 1 and path[0] in ("expires", "q", "instance", "received"):
        name = "+sip.instance" if path[0] == "instance" else str(path[0])
        return lambda ctx: found.last_param(name) if (found := _first_contact(ctx)) is not None else None
    return _contact_parts(path) or _contact_body


_contact_parts = _address(_first_contact, name_text=True, tags=False)


# digest credentials


def _credentials(header: str) -> Callable[[Path], Raw]:
    """`@authorization[realm].part`; nothing without a realm."""

    def resolve(path: Path) -> Raw:
        if not path:
            raise bad(header, 0)
        realm, rest = str(path[0]), [str(part) for part in path[1:]]

        def value(ctx: Context) -> str | None:
            for text in ctx.msg.headers(header):
                if _digest(text).get("realm") == realm:
                    return text
            return None

        if not rest:
            return value
        name = rest[0]
        if rest[1:] == ["user"]:
            return lambda ctx: None if (text := value(ctx)) is None else _digest(text).get(name, "").partition("@")[0]
        if rest[1:] == ["domain"]:
            return lambda ctx: None if (text := value(ctx)) is None else _digest(text).get(name, "").partition("@")[2]
        return lambda ctx: None if (text := value(ctx)) is None else _digest(text).get(name)

    return resolve


def _digest(text: str) -> Mapping[str, str]:
    """The parameters of a Digest header value, none of another."""
    try:
        return parse_credentials(text) or {}
    except BadMessage:
        return {}


ADDRESSED: dict[str, Callable[[Path], Raw]] = {
    "from": _addressed("from", _from, name_text=False, tags=True),
    "to": _addressed("to", _to, name_text=False, tags=True),
    "contact": _contact,
    "m": _contact,
    "record_route": _addressed("record-route", _first_of("record-route")),
    "refer_to": _addressed("refer-to", _first_of("refer-to")),
    "remote_party_id": _addressed("remote-party-id", _first_of("remote-party-id")),
    "authorization": _credentials("authorization"),
    "proxy_authorization": _credentials("proxy-authorization"),
}
ADDRESSED |= {
    "f": ADDRESSED["from"],
    "t": ADDRESSED["to"],
    "rr": ADDRESSED["record_route"],
    "rpid": ADDRESSED["remote_party_id"],
}
