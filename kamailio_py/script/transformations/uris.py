"""The transformations of URIs and addresses: `uri`, `nameaddr`, `tobody` and `urialias`."""

from __future__ import annotations

import re
from collections.abc import Callable

from kamailio_py.script.context import Context
from kamailio_py.script.transformations.base import Apply, Cursor, Factory, log, members, on_text, typed
from kamailio_py.script.transformations.params import parse_params
from kamailio_py.script.values import Value
from kamailio_py.sip.address_lists import QUOTED
from kamailio_py.sip.endpoint import PROTOCOL_NAMES, PROTOCOLS
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.nameaddr import NameAddr
from kamailio_py.sip.uri import Uri


def _uri(part: Callable[[Uri], str]) -> Factory:
    """A member that gives a part of the URI; null when there is no URI."""

    def work(text: str) -> str | None:
        try:
            return part(Uri.parse(text))
        except BadUri:
            log.err(f"invalid uri [{text}]")
            return None

    return on_text(work)


def _port(cursor: Cursor) -> Apply:
    def apply(ctx: Context, value: Value) -> Value:
        text = printed(ctx, value)
        return None if text is None else int(text or 0)

    def printed(ctx: Context, value: Value) -> Value:
        if value is None:
            return None
        try:
            return Uri.parse(str(value)).port_text
        except BadUri:
            log.err(f"invalid uri [{value}]")
            return None

    return typed(apply, "int", printed)


def _param(cursor: Cursor) -> Apply:
    cursor.expect_comma()
    name_of = cursor.string()

    def apply(ctx: Context, value: Value) -> Value:
        name = name_of(ctx)
        if value is None or name is None:
            return None
        try:
            uri = Uri.parse(str(value))
        except BadUri:
            log.err(f"invalid uri [{value}]")
            return None
        if not uri.params or uri.scheme == "tel":
            return ""
        params = parse_params(uri.params)
        if params is None:
            return None
        name = name.lower()
        for key, found in reversed(params):
            if key.lower() == name:
                return found
        return ""

    return typed(apply, "str")


def _known(name: str) -> Callable[[Uri], str]:
    """The value of one of the parameters that Kamailio's URI parser knows."""

    def read(uri: Uri) -> str:
        return uri.param(name) or ""

    return read


def _addressed(uri: Uri, user: bool, rest: bool) -> str:
    text = f"{uri.scheme}:"
    if user and uri.user:
        text += f"{uri.user}@" if uri.host else uri.user
    text += uri.host
    if rest:
        if uri.port_text:
            text += f":{uri.port_text}"
        transport = uri.param("transport")
        if transport:
            text += f";transport={transport}"
    return text


def _tosocket(uri: Uri) -> str:
    """`proto:host:port`; nothing without a transport."""
    transport = uri.transport
    if transport not in PROTOCOLS or not uri.host:
        log.warn("unknown transport protocol")
        return ""
    return f"{transport}:{uri.host}:{uri.port_text or 5060}"


URIS = members(
    {
        "user": _uri(lambda uri: uri.user),
        "host": _uri(lambda uri: uri.host),
        "domain": _uri(lambda uri: uri.host),
        "passwd": _uri(lambda uri: uri.password),
        "port": _port,
        "saor": _uri(lambda uri: _addressed(uri, True, False)),
        "suri": _uri(lambda uri: _addressed(uri, True, True)),
        "duri": _uri(lambda uri: _addressed(uri, False, True)),
        "params": _uri(lambda uri: "" if uri.scheme == "tel" else uri.params),
        "headers": _uri(lambda uri: uri.headers),
        "param": _param,
        "transport": _uri(_known("transport")),
        "ttl": _uri(_known("ttl")),
        "uparam": _uri(_known("user")),
        "maddr": _uri(_known("maddr")),
        "method": _uri(_known("method")),
        "lr": _uri(_known("lr")),
        "r2": _uri(_known("r2")),
        "scheme": _uri(lambda uri: uri.scheme),
        "tosocket": _uri(_tosocket),
    }
)


_name = re.compile(rf'(?:[^"<]++|{QUOTED})*<').match
_bracketed = re.compile(rf'(?:[^">]++|{QUOTED})*>').match


def _split(text: str) -> tuple[str, str, int]:
    """(name, uri, length of both) of an address; without a bracket outside of quotes the text is all URI, and without a
    closing one what follows the bracket."""
    if not text:
        return "", "", -1
    name = _name(text)
    if name is None:
        return "", text, len(text)
    start = name.end()
    closing = _bracketed(text, start)
    if closing is None:
        return "", text[start:], 0
    return text[: start - 1], text[start : closing.end() - 1], closing.end()


def _nameaddr(part: int) -> Factory:
    def work(text: str) -> Value:
        split = _split(text)
        return None if split[2] < 0 else split[part]

    return on_text(work, "int" if part == 2 else "str")


NAMEADDRS = members({"uri": _nameaddr(1), "len": _nameaddr(2), "name": _nameaddr(0)})


def _tobody(part: Callable[[NameAddr], str]) -> Factory:
    def work(text: str) -> str | None:
        try:
            address = NameAddr(text)
            Uri.parse(address.uri)
            return part(address)
        except (BadMessage, BadUri):
            return None

    return on_text(work)


TOBODIES = members(
    {
        "uri": _tobody(lambda address: address.uri),
        "tag": _tobody(lambda address: address.tag),
        "user": _tobody(lambda address: address.parsed_uri.user),
        "host": _tobody(lambda address: address.parsed_uri.host),
        "params": _tobody(lambda address: address.params),
        "display": _tobody(lambda address: address.display),
    }
)


def _alias_encode(text: str) -> str | None:
    """`host~port~transport` of a URI, as the alias parameter has it."""
    try:
        uri = Uri.parse(text)
    except BadUri:
        log.warn(f"error converting uri to alias [{text}]")
        return None
    protocol = PROTOCOLS.get(uri.transport or "udp", 0)
    return f"{uri.host}~{uri.port_text or 5060}~{protocol}"


def _alias_decode(text: str) -> str | None:
    """The URI that an alias parameter stands for."""
    host, first, rest = text.partition("~")
    port, second, protocol = rest.partition("~")
    if not first or not second or not protocol.isdigit():
        log.warn(f"error converting alias to uri [{text}]")
        return None
    transport = PROTOCOL_NAMES.get(int(protocol), "")
    return f"sip:{host}:{port}" + (f";transport={transport}" if transport not in ("", "udp") else "")


URIALIASES = members({"encode": on_text(_alias_encode), "decode": on_text(_alias_decode)})
