"""The old bare words of the language (`src_ip`, `uri == myself`, `msg:len`, ...): what they mean in a running script.

`snd_...` and `to_...` exist while onsend_route runs: the core then holds what is being sent, and to where.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from kamailio_py.log import get_logger
from kamailio_py.script.context import Context
from kamailio_py.script.operators import ExpressionError
from kamailio_py.sip.endpoint import PROTOCOLS
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.ip import is_ip, network, normalise
from kamailio_py.sip.uri import Uri

log = get_logger()

DEFAULT_PORT = 5060


# texts


def uri(ctx: Context) -> str:
    """The request-URI as it is now; of a reply its status, which stands at the same place."""
    msg = ctx.msg
    return msg.uri if msg.is_request else str(msg.status)


def from_uri(ctx: Context) -> str:
    try:
        return ctx.msg.from_.uri
    except BadMessage:
        return ""


def to_uri(ctx: Context) -> str:
    try:
        return ctx.msg.to.uri
    except BadMessage:
        return ""


def same_text(text: str, other: str) -> bool:
    """`uri == "..."`, `method == "..."`: letters of either case are the same."""
    return len(text) == len(other) and text.lower() == other.lower()


# addresses


def dst_ip(ctx: Context) -> str:
    socket = ctx.msg.socket
    return socket.host if socket is not None else ""


def snd_ip(ctx: Context) -> str:
    snd = ctx.core.snd
    return snd[1].socket.host if snd is not None else ""


def to_ip(ctx: Context) -> str:
    snd = ctx.core.snd
    return snd[1].host if snd is not None else ""


@lru_cache(maxsize=4096)
def in_network(address: str, net: str) -> bool:
    """Is the address in the network, written "address/length" or "address/mask"?"""
    return bool(address) and ip_address(address) in network(net)


def ip_is(ctx: Context, address: str, other: str) -> bool:
    """Is the address the one (or in the network) that a text names? A host name is looked up."""
    if "/" in other:
        try:
            return in_network(address, other)
        except ValueError:
            return False
    if is_ip(other):
        return address == normalise(other)
    if address in map(normalise, ctx.core.places.addresses(other)):
        return True
    return bool(ctx.core.cfg.rev_dns) and ctx.core.places.is_named(other, address)


# numbers


def dst_port(ctx: Context) -> int:
    socket = ctx.msg.socket
    return socket.port if socket is not None else 0


def snd_port(ctx: Context) -> int:
    snd = ctx.core.snd
    return snd[1].socket.port if snd is not None else 0


def to_port(ctx: Context) -> int:
    snd = ctx.core.snd
    return snd[1].port if snd is not None else 0


def proto(ctx: Context) -> int:
    return PROTOCOLS.get(ctx.msg.proto, 0)


def snd_proto(ctx: Context) -> int:
    snd = ctx.core.snd
    return PROTOCOLS.get(snd[1].proto, 0) if snd is not None else 0


def af(ctx: Context) -> int:
    return 10 if ":" in ctx.msg.src_ip else 2


def snd_af(ctx: Context) -> int:
    return 10 if ":" in snd_ip(ctx) else 2


def msg_len(ctx: Context) -> int:
    """Length of the message: of the one being sent in onsend_route, of the received one elsewhere."""
    snd = ctx.core.snd
    return len(ctx.msg.text if snd is None else snd[0])


# myself


def is_own_uri(ctx: Context, text: str, strict: bool = False) -> bool:
    """Does the URI name a socket or alias of this server? What is no URI does not; ExpressionError if `strict`."""
    try:
        parsed = Uri.parse(text)
    except BadUri:
        log.err(f"bad_uri: [{text}]")
        if strict:
            raise ExpressionError from None
        return False
    return ctx.core.is_myself(parsed.host, parsed.port or DEFAULT_PORT)


def uri_is_myself(ctx: Context, strict: bool = False) -> bool:
    """`uri == myself`, as `is_own_uri`."""
    msg = ctx.msg
    try:
        parsed = msg.parsed_uri
    except BadUri:
        log.err("uri evaluation failed")
        if strict:
            raise ExpressionError from None
        return False
    return ctx.core.is_myself(parsed.host, parsed.port or DEFAULT_PORT)


def ip_is_myself(ctx: Context, address: str) -> bool:
    """`src_ip == myself`: an address of any socket, whatever the port."""
    return ctx.core.is_myself(address)
