"""Where the message came from and goes to: `$si $sp $Ri $Rp $fs $proto $snd(...) $rcv(...)` and their like."""

from __future__ import annotations

from collections.abc import Callable

from kamailio_py.log import get_logger
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Getter, numbered
from kamailio_py.script.values import Value
from kamailio_py.sip.endpoint import PROTOCOLS, Destination, ListenSocket

from .table import Table

log = get_logger("pv")

PVARS = Table()

INET, INET6 = 2, 10


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _with_transport(host: str, port: int, proto: str) -> str:
    return f"sip:{_bracketed(host)}:{port};transport={proto}"


def _uri(host: str, port: int, proto: str) -> str:
    """A URI whose transport goes without saying for UDP."""
    uri = f"sip:{_bracketed(host)}:{port}"
    return uri if proto == "udp" else f"{uri};transport={proto}"


# the sender

PVARS.plain("si src_ip", "ctx.msg.src_ip")
PVARS.plain("siz", lambda ctx: _bracketed(ctx.msg.src_ip))
PVARS.plain("sp", "ctx.msg.src_port", "int")
PVARS.plain("su", lambda ctx: _uri(ctx.msg.src_ip, ctx.msg.src_port, ctx.msg.proto))
PVARS.plain("sut", lambda ctx: _with_transport(ctx.msg.src_ip, ctx.msg.src_port, ctx.msg.proto))
PVARS.plain("sas", lambda ctx: f"{ctx.msg.proto}:{_bracketed(ctx.msg.src_ip)}:{ctx.msg.src_port}")
PVARS.plain("pr proto", numbered(lambda ctx: ctx.msg.proto, lambda ctx: PROTOCOLS.get(ctx.msg.proto, 0)))
PVARS.plain("prid", lambda ctx: PROTOCOLS.get(ctx.msg.proto, 0), "int")
PVARS.plain("conid", lambda ctx: ctx.msg.connection or None, "int")
PVARS.keyed(
    "af",
    {
        "id": lambda ctx: INET6 if ":" in ctx.msg.src_ip else INET,
        "name": lambda ctx: "IPv6" if ":" in ctx.msg.src_ip else "IPv4",
    },
    "unknown PV af key",
)
_CONSTANTS = {
    "IPv4": INET, "INET": INET, "IPv6": INET6, "INET6": INET6,
    "UDP": 1, "TCP": 2, "TLS": 3, "SCTP": 4, "WS": 5, "WSS": 6,
}  # fmt: skip


def _constant(number: int) -> Getter:
    return lambda ctx: number


PVARS.keyed("K", {name: _constant(number) for name, number in _CONSTANTS.items()}, "unknown PV af key")


# the socket it came in on


def _of_socket(part: Callable[[ListenSocket], Value]) -> Getter:
    def get(ctx: Context) -> Value:
        socket = ctx.msg.socket
        return None if socket is None else part(socket)

    return get


def _advertised(socket: ListenSocket) -> tuple[str, int]:
    return socket.advertise_host or socket.host, socket.sent_by_port


PVARS.plain("Ri", _of_socket(lambda socket: socket.host))
PVARS.plain("Rp", _of_socket(lambda socket: socket.port), "int")
PVARS.plain("Ru", _of_socket(lambda socket: _uri(socket.host, socket.port, socket.proto)))
PVARS.plain("Rut", _of_socket(lambda socket: _with_transport(socket.host, socket.port, socket.proto)))
PVARS.plain("Ras", _of_socket(str))
PVARS.plain("Rn", _of_socket(lambda socket: socket.name or None))
PVARS.plain("RAi", _of_socket(lambda socket: _advertised(socket)[0]))
PVARS.plain("RAp", _of_socket(lambda socket: _advertised(socket)[1]), "int")
PVARS.plain("RAu", _of_socket(lambda socket: _uri(*_advertised(socket), socket.proto)))
PVARS.plain("RAut", _of_socket(lambda socket: _with_transport(*_advertised(socket), socket.proto)))


# the socket to send from


def _set_socket(ctx: Context, value: Value) -> bool:
    if value is None:
        ctx.msg.force_socket = None
        return True
    if not isinstance(value, str) or not value:
        log.err("str value required to set the force send sock")
        return False
    socket = ctx.core.addresses.listening(value)
    if socket is None:
        log.warn(f"no socket found to match [{value}]")
    else:
        ctx.msg.force_socket = socket
    return True


def _set_socket_name(ctx: Context, value: Value) -> bool:
    if value is None:
        ctx.msg.force_socket = None
        return True
    if not isinstance(value, str) or not value:
        log.err("str value required to set the force send sock")
        return False
    for socket in ctx.core.sockets:
        if socket.name == value:
            ctx.msg.force_socket = socket
            return True
    log.warn(f"no socket found to match name [{value}]")
    return True


def _of_forced(part: Callable[[ListenSocket], Value]) -> Getter:
    def get(ctx: Context) -> Value:
        socket = ctx.msg.force_socket
        return None if socket is None else part(socket)

    return get


PVARS.plain("fs", _of_forced(str), "str", _set_socket)
PVARS.plain("fsn", _of_forced(lambda socket: socket.name or None), "str", _set_socket_name)
PVARS.plain("fsp", lambda ctx: ctx.msg.force_socket.port if ctx.msg.force_socket is not None else 0, "int")


# what is being sent, in onsend_route


def _of_sent(part: Callable[[str, Destination], Value]) -> Getter:
    def get(ctx: Context) -> Value:
        sent = ctx.core.snd
        return None if sent is None else part(*sent)

    return get


def _parts(host: Callable[[Destination], str], port: Callable[[Destination], int]) -> dict[str, Getter]:
    return {
        "ip": _of_sent(lambda text, to: host(to)),
        "port": _of_sent(lambda text, to: port(to)),
        "proto": _of_sent(lambda text, to: PROTOCOLS.get(to.proto, 0)),
        "sproto": _of_sent(lambda text, to: to.proto),
        "buf": _of_sent(lambda text, to: text),
        "len": _of_sent(lambda text, to: len(text)),
        "af": _of_sent(lambda text, to: INET6 if ":" in to.host else INET),
    }


_TO = _parts(lambda to: to.host, lambda to: to.port)
_FROM = _parts(lambda to: to.socket.host, lambda to: to.socket.port)
PVARS.keyed("snd", _TO, "unknown PV snd name")
PVARS.keyed("sndto", _TO, "unknown PV snd name")
PVARS.keyed("sndfrom", _FROM, "unknown PV snd name")


# what was received, where a module shows it to an event route before there is a message

_RECEIVED = ("af", "buf", "len", "proto", "rcvip", "rcvport", "sproto", "srcip", "srcport")


def _not_received(ctx: Context, value: Value) -> bool:
    log.err("received info not set")
    return False


PVARS.keyed(
    "rcv",
    dict.fromkeys(_RECEIVED, lambda ctx: None),
    "unknown PV rcv name",
    dict.fromkeys(_RECEIVED, _not_received),
)
