"""What one process does with one message: the straight way from bytes to routes.

The engine takes text with a source address and hands out text with a destination through the core. Bad SIP from the
network ends here: it is logged, counted and forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kamailio_py.config.host import RouteType
from kamailio_py.config.nodes import RouteKind
from kamailio_py.engine.forward import forward_reply
from kamailio_py.engine.turns import Turns
from kamailio_py.log import get_logger, settings
from kamailio_py.script.context import Context
from kamailio_py.sip.endpoint import ListenSocket
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.header_layout import MANDATORY
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.engine.settings import GlobalValues

logger = get_logger()


def message_defaults(cfg: GlobalValues) -> list[tuple[str, Any]]:
    """What global parameters set on every request, as the functions of the same names do on one."""
    wanted = {
        "force_rport": bool(cfg.force_rport),
        "add_local_rport": bool(cfg.local_rport),
        "set_global_address": cfg.advertised_address,
        "set_global_port": str(cfg.advertised_port or ""),
        "udp_mtu_proto": cfg.udp_mtu_try_proto,
    }
    return [(name, value) for name, value in wanted.items() if value]


class Engine:
    """Receives messages for one process."""

    def __init__(self, core: Core) -> None:
        self.core = core
        program = core.program
        self._request = program.find(RouteKind.REQUEST, "0")
        self._reply = program.find(RouteKind.REPLY, "0")
        self._pre_routing = core.event_route("core:pre-routing")
        self._msg_received = core.event_route("core:msg-received") if core.cfg.received_route_mode else None
        self._parse_error = core.event_route("core:receive-parse-error")
        statistic = core.statistic
        self._received = statistic("core", "rcv_requests")
        self._received_replies = statistic("core", "rcv_replies")
        self._bad = statistic("core", "bad_msg_hdr")
        self._unsupported = statistic("core", "unsupported_methods")
        self._dropped = statistic("core", "drop_requests")
        self._dropped_replies = statistic("core", "drop_replies")
        self._forwarded = statistic("core", "fwd_requests")
        self._errors = statistic("core", "internal_errors")
        self._turns = Turns(core, core.cfg.route_locks_size) if core.cfg.route_locks_size > 0 else None
        self._cfg_changed()
        variables = core.variables
        self._variables = variables
        self._changes, self._version = variables.changes.words, variables.changes.at
        variables.watch("core", self._cfg_changed)
        self._prefix = core.registry.format(core.cfg.log_prefix) if core.cfg.log_prefix else None
        self._next_id = 0
        self._counters = core.shm.i64
        self._identity = core.shm.identity

    def receive(self, text: str, host: str, port: int, socket: ListenSocket, connection: int = 0) -> bool:
        """Process one datagram, or one message of a connection; False where it makes no sense or its route failed."""
        core = self.core
        variables = self._variables
        if core.cfg.groups.selected:
            variables.unselect_all()
        if self._changes[self._version] != variables.version:
            variables.take_over()
        for hook in core.network_in:
            changed = hook(text, host, port, socket)
            if changed is None:
                return True
            text = changed
        try:
            msg = Message(text, host, port, socket)
            if connection:
                msg.connection = connection
            passed = self._request_in(msg) if msg.is_request else self._reply_in(msg)
            if self._prefix is not None:
                settings.prefix = ""
            return passed
        except BadMessage as error:
            core.count(self._bad)
            self._bad_message(text, host, port, socket, error)
        except Exception as error:
            self._failed(error)
        return False

    def _cfg_changed(self) -> None:
        self._defaults = message_defaults(self.core.cfg)
        run = self.core.latency.of_routes
        self._run = run if self._turns is None else self._turns.taken(run)

    def _request_in(self, msg: Message) -> bool:
        core = self.core
        self._counters[self._identity.counters + self._received] += 1
        self._next_id += 1
        msg.id = self._next_id
        if msg.version != "SIP/2.0" and not msg.is_sip:
            return self._not_sip(msg)
        msg.check()
        if self._defaults:
            for name, value in self._defaults:
                setattr(msg, name, value)
        if msg.connection and core.cfg.tcp_accept_aliases:
            self._take_alias(msg)
        ctx = Context(core, msg)
        if self._prefix is not None:
            self._set_prefix(ctx)
        for accept in core.pre_script:
            if not accept(ctx):
                return True
        for entry in (self._msg_received, self._pre_routing):
            if entry is not None:
                core.run(entry, ctx, RouteType.REQUEST)
                if ctx.dropped:
                    core.count(self._dropped)
                    return True
        if self._request is None:
            logger.err("no request route")
            return True
        passed = True
        if self._run(self._request, ctx, RouteType.REQUEST) < 0:
            logger.warn("error while trying script")
            passed = False
        for finish in core.post_script:
            finish(ctx)
        return passed

    def _not_sip(self, msg: Message) -> bool:
        """A request of another protocol is for the module that knows it; without one it is forgotten."""
        for handle in self.core.not_sip:
            passed = handle(msg)
            if passed is not None:
                return passed
        return True

    def _take_alias(self, msg: Message) -> None:
        """Via's `alias`: requests for the port it names may take this connection (RFC 5923)."""
        via = msg.via
        if via.alias is not None:
            self.core.tcp.connections.add_alias(msg.connection, via.port or 5060)

    def _reply_in(self, msg: Message) -> bool:
        core = self.core
        self._counters[self._identity.counters + self._received_replies] += 1
        self._next_id += 1
        msg.id = self._next_id
        layout = msg.layout
        whole = layout.whole if layout is not None else MANDATORY.issubset(msg.names)
        if not whole and "via" not in msg.names:
            raise BadMessage("no via found in reply")
        msg.check_reply()
        if self._prefix is not None:
            self._set_prefix(Context(core, msg))
        if not whole:
            logger.at(core.cfg.sip_parser_log, "required headers not found in reply")
            core.count(self._bad)
            return False
        if self._pre_routing is not None:
            ctx = Context(core, msg)
            core.run(self._pre_routing, ctx, RouteType.REQUEST)
            if ctx.dropped:
                core.count(self._dropped_replies)
                return True
        if self._reply is not None:
            ctx = Context(core, msg)
            result = self._run(self._reply, ctx, RouteType.CORE_ONREPLY)
            if result < 0:
                logger.warn("error while trying onreply script")
            if result <= 0 or ctx.dropped:
                core.count(self._dropped_replies)
                return result >= 0
        for handle in core.reply_handlers:
            if handle(msg) == 0:
                return True
        forward_reply(core, msg)
        return True

    @contextmanager
    def prefixed(self, ctx: Context) -> Iterator[None]:
        """For as long as another message is worked on than the one received: log_prefix is of that one."""
        before = settings.prefix
        if self._prefix is not None:
            self._set_prefix(ctx)
        try:
            yield
        finally:
            settings.prefix = before

    def _set_prefix(self, ctx: Context) -> None:
        """Have log_prefix stand in every line while this message is worked on; with mode 1 evaluated for each."""
        prefix = self._prefix
        assert prefix is not None
        settings.prefix = (lambda: prefix.evaluate(ctx)) if self.core.cfg.log_prefix_mode else prefix.evaluate(ctx)

    def _failed(self, error: Exception) -> None:
        """An error of our own code ends the message; the process only if it holds a lock, which its death frees."""
        shm = self.core.shm
        self.core.count(self._errors)
        step = error.__traceback__
        while step is not None and step.tb_next is not None:
            step = step.tb_next
        where = f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}" if step is not None else "?"
        logger.bug(f"a message could not be processed: {type(error).__name__}: {error} at {where}")
        if shm.processes.slot in shm.held().values():
            raise error

    def _bad_message(self, text: str, host: str, port: int, socket: ListenSocket, error: BadMessage) -> None:
        level = self.core.cfg.sip_parser_log
        if logger.enabled(level) and text.strip("\r\n\0 "):
            first = text[:120].split("\r\n", 1)[0]
            logger.at(level, f"bad message from {host}:{port} on {socket}: {error.reason} [{first!r}]")
        if self._parse_error is not None:
            ctx = self.core.faked_context()
            ctx.msg.src_ip, ctx.msg.src_port, ctx.msg.socket = host, port, socket
            self.core.run(self._parse_error, ctx, RouteType.REQUEST)
