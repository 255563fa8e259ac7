"""tcpops: what a script may do with TCP connections, and the event routes at their end.

Works on the server's table of connections. The options of a socket can only be set in the tcp receiver that has the
connection, so keepalives of other processes' connections are refused.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, PVAR, STR
from kamailio_py.config.host import RouteType
from kamailio_py.config.without_effect import KEMI
from kamailio_py.log import get_logger
from kamailio_py.module import Module, Param, function, pvar
from kamailio_py.script.context import Context
from kamailio_py.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    from kamailio_py.script.pvars import Getter, Inner, PVar
    from kamailio_py.script.values import Value

log = get_logger("tcpops")

WITH_MESSAGE = RouteType.REQUEST | RouteType.ONREPLY
MANUAL = 2
"""closed_event: only for connections that a script has chosen."""
CLOSED_EVENT = 1
"""Flag of such a connection in the table."""
EVENTS = {"closed": "tcp:closed", "error": "tcp:closed", "reset": "tcp:reset", "timeout": "tcp:timeout"}
_STATES = {1: 3, 2: 1, 3: -2}
"""State in the table -> what tcp_conid_state() says."""


class Tcpops(Module):
    """Operations on TCP connections."""

    name = "tcpops"
    event_routes = ("tcp:closed", "tcp:reset", "tcp:timeout")
    closed_event = Param(int, 1)
    event_callback = Param(str, "", unused=KEMI)

    def mod_init(self) -> None:
        core = self.core
        self._routes = {how: core.event_route(name) for how, name in EVENTS.items()}
        if self.closed_event and any(self._routes.values()):
            core.connection_ended.append(self._ended)

    @property
    def _connections(self) -> Any:
        return self.core.tcp.connections if self.core.tcp is not None else None

    def _record(self, number: int) -> Any:
        connections = self._connections
        return connections.record(number) if connections is not None and number > 0 else None

    def _ended(self, record: Any, how: str) -> None:
        """Run the event route of a connection's end."""
        entry = self._routes.get(how)  # the end of an idle connection is no event
        if entry is None or (self.closed_event == MANUAL and not record.flags & CLOSED_EVENT):
            return
        msg = self.core.faked_message()
        msg.src_ip, msg.src_port = record.src_host, record.src_port
        msg.socket = self.core.sockets[record.socket]
        self.core.run(entry, Context(self.core, msg), RouteType.REQUEST)

    # what is there

    @function("tcp_conid_state", INT)
    def conid_state(self, ctx: Context, number: int) -> int:
        record = self._record(number)
        return -1 if record is None else _STATES.get(record.state, -4)

    @function("tcp_conid_alive", INT)
    def conid_alive(self, ctx: Context, number: int) -> int:
        return 1 if self.conid_state(ctx, number) > 0 else -1

    @function("tcp_get_conid", STR, PVAR)
    def get_conid(self, ctx: Context, hostport: str, target: PVar) -> int:
        """The id of a connection that leads to host:port goes into the variable, 0 where there is none."""
        connections = self._connections
        try:
            parsed = Uri.parse(f"sip:{hostport}")
        except BadUri:
            log.err(f"cannot parse the address [{hostport}]")
            return -1
        host = self.core.addresses.resolve(parsed.host)
        number = 0
        if host is not None and connections is not None and not parsed.params:
            number = connections.id_to("tcp", host, parsed.port or 5060)
        target.set(ctx, number)
        return 1 if number else -1

    # changes

    @function("tcp_close_connection")
    def close_own(self, ctx: Context) -> int:
        return self.close(ctx, ctx.msg.connection)

    @function("tcp_close_connection", INT)
    def close(self, ctx: Context, number: int) -> int:
        return 1 if self._record(number) is not None and self.core.tcp.close_connection(number) else -1

    @function("tcp_set_connection_lifetime", INT, routes=WITH_MESSAGE)
    def set_own_lifetime(self, ctx: Context, seconds: int) -> int:
        if not ctx.msg.connection:
            log.err("the current message does not come from a TCP connection")
            return -1
        return self.set_lifetime(ctx, ctx.msg.connection, seconds)

    @function("tcp_set_connection_lifetime", INT, INT)
    def set_lifetime(self, ctx: Context, number: int, seconds: int) -> int:
        """Let a connection live so long without traffic from now on; 0, which ends the script, without such a one."""
        if self._record(number) is None:
            log.err(f"invalid connection id {number}, (must be a TCP conid)")
            return 0
        self._connections.set_lifetime(number, seconds * 1000, self.core.clock.ms())
        return 1

    @function("tcp_enable_closed_event", routes=WITH_MESSAGE)
    def enable_own_closed_event(self, ctx: Context) -> int:
        if not ctx.msg.connection:
            log.err("the current message does not come from a TCP connection")
            return -1
        return self.enable_closed_event(ctx, ctx.msg.connection)

    @function("tcp_enable_closed_event", INT)
    def enable_closed_event(self, ctx: Context, number: int) -> int:
        """With closed_event 2: the end of this connection is an event."""
        if self._record(number) is None:
            log.err(f"invalid connection id {number}, (must be a TCP conid)")
            return 0
        if self.closed_event != MANUAL:
            log.warn('tcp_enable_closed_event() can only be used if the "closed_event" modparam is set to 2')
            return -1
        self._connections.set_flags(number, CLOSED_EVENT)
        return 1

    # the connection that a request is sent over

    @function("tcp_set_otcpid", INT)
    def set_otcpid(self, ctx: Context, number: int) -> int:
        ctx.msg.otcpid = number
        return 1

    @function("tcp_set_otcpid_flag", INT)
    def set_otcpid_flag(self, ctx: Context, on: int) -> int:
        """Whether it counts, also when the destination is changed later."""
        ctx.msg.use_otcpid = bool(on)
        return 1

    # keepalive

    @function("tcp_keepalive_enable", INT, INT, INT, routes=WITH_MESSAGE)
    def enable_own_keepalive(self, ctx: Context, idle: int, count: int, interval: int) -> int:
        return self.enable_keepalive(ctx, self._own(ctx), idle, count, interval)

    @function("tcp_keepalive_enable", INT, INT, INT, INT)
    def enable_keepalive(self, ctx: Context, number: int, idle: int, count: int, interval: int) -> int:
        level = socket.IPPROTO_TCP
        return self._set_options(
            number,
            (level, socket.TCP_KEEPIDLE, idle), (level, socket.TCP_KEEPCNT, count),
            (level, socket.TCP_KEEPINTVL, interval), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        )  # fmt: skip

    @function("tcp_keepalive_disable", routes=WITH_MESSAGE)
    def disable_own_keepalive(self, ctx: Context) -> int:
        return self.disable_keepalive(ctx, self._own(ctx))

    @function("tcp_keepalive_disable", INT)
    def disable_keepalive(self, ctx: Context, number: int) -> int:
        return self._set_options(number, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0))

    @staticmethod
    def _own(ctx: Context) -> int:
        if not ctx.msg.connection:
            log.err("the current message does not come from a TCP connection")
        return ctx.msg.connection

    def _set_options(self, number: int, *options: tuple[int, int, int]) -> int:
        if not number:
            return -1
        if self._record(number) is None:
            log.err(f"invalid connection id {number}, (must be a TCP connid)")
            return -1
        receiver = self.core.tcp.receiver
        if receiver is None or not receiver.set_options(number, options):
            log.err(f"connection {number} belongs to another process")
            return -1
        return 1

    # $tcp

    @pvar("tcp", inner=True, index=False)
    def variable(self, inner: Inner) -> Getter:
        """$tcp(conid); $tcp(c_si) and $tcp(c_sp) are empty, there being no PROXY protocol here."""
        values: dict[str, Value] = {"c_si": "", "c_sp": 0}
        name = inner.text
        if name == "conid":
            return lambda ctx: ctx.msg.connection or None
        if name not in values:
            raise ValueError(f"unknown name of $tcp: {name}")
        return lambda ctx: values[name] if ctx.msg.connection else None
