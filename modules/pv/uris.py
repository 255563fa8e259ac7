"""The request-URI and the destination URI: `$ru $rU $rd $rp $rP $rz $ou $du $dd $nh(...)` and their like."""

from __future__ import annotations

from collections.abc import Callable

from kamailio_py.log import get_logger
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Getter, numbered
from kamailio_py.script.values import Value
from kamailio_py.sip.endpoint import PROTOCOLS
from kamailio_py.sip.errors import BadUri
from kamailio_py.sip.reply import forward_destination
from kamailio_py.sip.uri import Uri, with_host, with_port, with_user

from .table import Table

log = get_logger("pv")

PVARS = Table()


def port_of(uri: Uri) -> str:
    """The port as written, or the default."""
    return uri.port_text or "5060"


def transport_of(uri: Uri) -> str:
    """The transport parameter as written, or UDP."""
    return uri.param("transport") or "UDP"


def _dst_port(uri: Uri) -> str:
    return uri.port_text or ("5061" if uri.transport == "tls" else "5060")


# the request-URI


def _ruri(ctx: Context) -> Value:
    """The whole of it, null while it cannot be parsed."""
    msg = ctx.msg
    if not msg.is_request:
        return None
    uri = msg.new_uri
    if uri is None:
        if msg.version == "SIP/2.0":
            return msg.ruri
        uri = msg.ruri
    try:
        Uri.parse(uri)
    except BadUri:
        log.err("failed to parse the R-URI")
        return None
    return uri


def _of_ruri(part: Callable[[Uri], str]) -> Getter:
    def get(ctx: Context) -> Value:
        msg = ctx.msg
        if not msg.is_request:
            return None
        try:
            return part(msg.parsed_uri) or None
        except BadUri:
            log.err("failed to parse the R-URI")
            return None

    return get


def _ruri_user(ctx: Context) -> Value:
    msg = ctx.msg
    if not msg.is_request:
        return None
    try:
        return msg.parsed_uri.user or None
    except BadUri:
        log.err("failed to parse the R-URI")
        return None


def _ruri_host(ctx: Context) -> Value:
    msg = ctx.msg
    if not msg.is_request:
        return None
    try:
        return msg.parsed_uri.host or None
    except BadUri:
        log.err("failed to parse the R-URI")
        return None


def _user_length(ctx: Context) -> Value:
    if not ctx.msg.is_request:
        return None
    return len(str(_ruri_user(ctx) or ""))


def _set_ruri(ctx: Context, value: Value) -> bool:
    if not isinstance(value, str) or not value:
        log.err("bad parameters" if value is None else "str value required to set R-URI")
        return False
    ctx.msg.new_uri = value
    return True


def _change_ruri(change: Callable[[str, str], str], text: str, ctx: Context) -> bool:
    msg = ctx.msg
    try:
        msg.new_uri = change(msg.uri, text)
    except BadUri:
        log.err(f"bad uri <{msg.uri}>, dropping packet")
        return False
    return True


def _set_user(ctx: Context, value: Value) -> bool:
    if value is not None and not isinstance(value, str):
        log.err("str value required to set R-URI user")
        return False
    return _change_ruri(with_user, value or "", ctx)


def _set_host(ctx: Context, value: Value) -> bool:
    if not isinstance(value, str):
        log.err("bad parameters" if value is None else "str value required to set R-URI hostname")
        return False
    return _change_ruri(with_host, value, ctx)


def _set_port(ctx: Context, value: Value) -> bool:
    return _change_ruri(with_port, "" if value is None else str(value), ctx)


def _number(get: Getter) -> Callable[[Context], int]:
    def number(ctx: Context) -> int:
        text = get(ctx)
        return int(text) if text else 0

    return number


def _with_number(get: Getter) -> Getter:
    """A port as text that is a number at the same time."""
    return numbered(get, _number(get))


def _transport_number(get: Getter) -> Callable[[Context], int]:
    return lambda ctx: PROTOCOLS.get(str(get(ctx) or "").lower(), 0)


_ruri_port = _of_ruri(port_of)
_ruri_transport = _of_ruri(transport_of)

PVARS.plain("ru ruri", _ruri, "str", _set_ruri)
PVARS.plain("rU ruri.user", _ruri_user, "str", _set_user)
PVARS.plain("rd ruri.domain", _ruri_host, "str", _set_host)
PVARS.plain("rp", _with_number(_ruri_port), "str", _set_port)
PVARS.plain("rP", numbered(_ruri_transport, _transport_number(_ruri_transport)))
PVARS.plain("rz", _of_ruri(lambda uri: uri.scheme))
PVARS.plain("rUl", _user_length, "int")


# the request-URI as it came


def _of_ouri(part: Callable[[Uri], str]) -> Getter:
    def get(ctx: Context) -> Value:
        msg = ctx.msg
        if not msg.is_request:
            return None
        try:
            return part(Uri.parse(msg.ruri)) or None
        except BadUri:
            log.err("failed to parse the R-URI")
            return None

    return get


_ouri_user = _of_ouri(lambda uri: uri.user)
_ouri_port = _of_ouri(port_of)
_ouri_transport = _of_ouri(transport_of)

PVARS.plain("ou ouri", "(ctx.msg.ruri if ctx.msg.is_request else None)")
PVARS.plain("oU", _ouri_user)
PVARS.plain("od", _of_ouri(lambda uri: uri.host))
PVARS.plain("op", _with_number(_ouri_port))
PVARS.plain("oP", numbered(_ouri_transport, _transport_number(_ouri_transport)))
PVARS.plain("oUl", lambda ctx: len(str(_ouri_user(ctx) or "")) if ctx.msg.is_request else None, "int")


# the destination URI


def _of_duri(part: Callable[[Uri], str]) -> Getter:
    def get(ctx: Context) -> Value:
        uri = ctx.msg.dst_uri
        if not uri:
            return None
        try:
            return part(Uri.parse(uri)) or None
        except BadUri:
            log.err("failed to parse dst uri")
            return None

    return get


def _set_duri(ctx: Context, value: Value) -> bool:
    if value is not None and not isinstance(value, str):
        log.err("str value required to set dst uri")
        return False
    ctx.msg.dst_uri = value or None
    return True


_duri_port = _of_duri(_dst_port)
_duri_transport = _of_duri(transport_of)

PVARS.plain("du duri", "ctx.msg.dst_uri", "str", _set_duri)
PVARS.plain("dd", _of_duri(lambda uri: uri.host))
PVARS.plain("dp", _with_number(_duri_port))
PVARS.plain("dP", numbered(_duri_transport, _transport_number(_duri_transport)))


# the next hop: the destination URI of a request or else its R-URI, the second Via of a reply


def _next_uri(ctx: Context) -> Value:
    msg = ctx.msg
    if msg.is_request:
        return msg.dst_uri or msg.uri
    hop = forward_destination(msg)
    if hop is None:
        return None
    host, port, proto = hop
    return f"sip:{host}:{port};transport={proto or 'udp'}"


def _of_next(part: Callable[[Uri], str]) -> Getter:
    def get(ctx: Context) -> Value:
        uri = _next_uri(ctx)
        if not uri:
            return None
        try:
            return part(Uri.parse(str(uri))) or None
        except BadUri:
            log.err(f"failed to parse nh uri [{uri}]")
            return None

    return get


_next_transport = _of_next(transport_of)
_next_port_text = _of_next(port_of)


def _next_port(ctx: Context) -> Value:
    port = _next_port_text(ctx)
    return port if port is None or ctx.msg.is_request else int(port)


def _next_family(ctx: Context) -> Value:
    """4 or 6 where the host is an address, 0 where it is a name."""
    uri = _next_uri(ctx)
    if not uri:
        return None
    try:
        host = Uri.parse(str(uri)).host
    except BadUri:
        log.err(f"failed to parse nh uri [{uri}]")
        return None
    if host[:1] == "[":
        return 6
    return 4 if host.count(".") == 3 and host.replace(".", "").isdigit() else 0


PVARS.keyed(
    "nh",
    {
        "u": _next_uri,
        "U": _of_next(lambda uri: uri.user),
        "d": _of_next(lambda uri: uri.host),
        "p": numbered(_next_port, lambda ctx: int(_next_port(ctx) or 0)),
        "P": numbered(_next_transport, _transport_number(_next_transport)),
        "i": _next_family,
    },
    "unknown PV nh name",
)
