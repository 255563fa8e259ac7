"""The path module: Path headers (RFC 3327), with which an edge proxy says how to reach those behind it.

Which socket a request leaves from is known when it is sent, so a Path is a lump whose address is filled in then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import STR
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import Module, Param, function
from kamailio_py.sip.endpoint import PROTOCOL_NAMES, PROTOCOLS
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.escapes import unescaped
from kamailio_py.sip.lumps import ALWAYS, RECEIVE, RECEIVE_NAME, SEND, SEND_NAME
from kamailio_py.sip.uri import param_of

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("path")

TRANSPORT = {"tcp": "tcp", "tls": "tls", "sctp": "sctp", "ws": "ws", "wss": "ws"}
ROUTES = RouteType.REQUEST


class Path(Module):
    """Path headers."""

    name = "path"

    use_received = Param(int, 0)
    received_format = Param(int, 0)
    received_name = Param(str, "received")
    enable_r2 = Param(int, 0)
    sockname_mode = Param(int, 0)

    def mod_init(self) -> None:
        if not self.use_received:
            return
        rr = self.core.module("rr")
        if rr is None:
            log.info("rr module required for 'use_received'")
        else:
            rr.on_route(self._routed)

    # adding

    @function("add_path", routes=ROUTES)
    @function("add_path", STR, routes=ROUTES)
    @function("add_path", STR, STR, routes=ROUTES)
    def add_path(self, ctx: Context, user: str = "", params: str = "") -> int:
        return self._add(ctx.msg, user, "", params)

    @function("add_path_received", routes=ROUTES)
    @function("add_path_received", STR, routes=ROUTES)
    @function("add_path_received", STR, STR, routes=ROUTES)
    def add_path_received(self, ctx: Context, user: str = "", params: str = "") -> int:
        """With the address the request came from."""
        return self._add(ctx.msg, user, f";{self.received_name}={self._source(ctx.msg)}", params)

    def _source(self, msg: Message) -> str:
        host = f"[{msg.src_ip}]" if ":" in msg.src_ip else msg.src_ip
        if self.received_format:
            return f"{host}~{msg.src_port}~{PROTOCOLS[msg.proto]}"
        transport = f"%3Btransport%3D{TRANSPORT[msg.proto]}" if msg.proto in TRANSPORT else ""
        return f"sip:{host}:{msg.src_port}{transport}"

    def _add(self, msg: Message, user: str, received: str, params: str) -> int:
        try:
            msg.require_headers()
        except BadMessage:
            log.err("failed to parse message for Path header")
            return -1
        i = msg.find("path")
        at = msg.span(i)[0] if i >= 0 else msg.headers_end
        start = f"Path: <sip:{user}@" if user else "Path: <sip:"
        end = f";lr{received}" + (f";{params}" if params else "")
        if self.enable_r2:
            end += ";r2=on"
        sockets = ((SEND, SEND_NAME), (RECEIVE, RECEIVE_NAME)) if self.enable_r2 else ((SEND, SEND_NAME),)
        for address, name in sockets:
            where = (address, name) if self.sockname_mode else (address,)
            msg.lumps.insert(at, (ALWAYS, start, *where, f"{end}>\r\n"))
        return 1

    # routing back

    def _routed(self, ctx: Context, params: str) -> None:
        """Our Route says where the client really is: the request goes there."""
        received = param_of(params, self.received_name)
        if not received:
            return
        try:
            ctx.msg.dst_uri = assembled(received) if self.received_format else unescaped(received)
        except ValueError as error:
            log.err(f"no address in the {self.received_name} parameter '{received}': {error}")


def assembled(received: str) -> str:
    """The URI that `ip~port~protocol` stands for; of the protocol only the first digit counts."""
    host, port, number = received.split("~", 2)
    proto = PROTOCOL_NAMES.get(int(number[:1])) if number[:1].isdecimal() else None
    if proto is None:
        raise ValueError("unknown protocol")
    return f"sip:{host}:{port}" + (f";transport={TRANSPORT[proto]}" if proto in TRANSPORT else "")
