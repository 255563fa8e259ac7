"""Sockets as corex names them: `proto:host:port` texts, $lsock(...), and the `sock` transformation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from kamailio_py.log import get_logger
from kamailio_py.script.transformations.base import Factory, members, on_text
from kamailio_py.sip.endpoint import HostPort

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.sip.endpoint import ListenSocket

log = get_logger("corex")


def parse_address(text: str) -> HostPort | None:
    """The parts of an address; None, with an error line, if it is none."""
    try:
        return HostPort.parse(text)
    except ValueError as error:
        log.err(str(error))
        return None


def advertised(socket: ListenSocket) -> str:
    """`proto:host:port` as the socket advertises itself, "" if it does not."""
    if not socket.advertise_host:
        return ""
    return f"{socket.proto}:{socket.advertise_host}:{socket.sent_by_port}"


class LsockExpression(NamedTuple):
    """`match/value/field`: the socket that matches, and what is asked of it."""

    match: str
    value: str
    field: str


def parse_lsock(text: str) -> LsockExpression | None:
    """What stands in $lsock(...), its pseudo-variables replaced; None, with an error line, if it is none."""
    parts = text.split("/")
    fields = len(parts) == 3 and len(parts[2]) > 1
    if not fields or parts[0] not in ("l", "n", "a", "i") or parts[2][0] not in "lnai":
        log.err(f"invalid expression format: {text}")
        return None
    return LsockExpression(parts[0], parts[1], parts[2][0])


_FIELDS: dict[str, Callable[[ListenSocket], str | int]] = {
    "l": str,
    "n": lambda socket: socket.name,
    "a": advertised,
    "i": lambda socket: socket.index,
}


def lsock(core: Core, text: str) -> str | int | None:
    """The value of $lsock(text)."""
    expression = parse_lsock(text)
    if expression is None:
        log.err(f"failed to parse lsock expression [{text}]")
        return ""
    value = expression.value
    for socket in core.sockets:
        if expression.match == "i":
            index = int(value) if value.lstrip("-").isdecimal() else 0
            index += len(core.sockets) if index < 0 else 0
            matches = socket.index == index
        else:
            matches = _FIELDS[expression.match](socket) == value
        if matches:
            return _FIELDS[expression.field](socket)
    return None


def _part(work: Callable[[HostPort], str]) -> Factory:
    def part(text: str) -> str:
        found = parse_address(text)
        return "" if found is None else work(found)

    return on_text(part)


def _to_uri(address: HostPort) -> str:
    port = f":{address.port}" if address.port else ""
    transport = f";transport={address.proto}" if address.proto else ""
    return f"sip:{address.host}{port}{transport}"


SOCK = members(
    {
        "host": _part(lambda address: address.host),
        "port": _part(lambda address: str(address.port) if address.port else ""),
        "proto": _part(lambda address: address.proto),
        "touri": _part(_to_uri),
    }
)
"""The transformation {sock.host}, {sock.port}, {sock.proto}, {sock.touri} of a socket address."""
