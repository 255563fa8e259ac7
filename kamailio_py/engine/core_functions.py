"""The functions that are keywords of the language: flags, transport options, branches, forward, log, exec.

They are declared as a module's functions are, with two things more: the statement, or the condition, that generated
code may use instead of the call. None of them touches `$rc`. Those that rewrite the request-URI are in
`core_functions_uri`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from kamailio_py import log as output
from kamailio_py.config.arguments import INT, POSITION, RAW, STR, Argument, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.dataclass import dataclass
from kamailio_py.engine.core_functions_uri import UriFunctions
from kamailio_py.engine.forward import forward_to_uri
from kamailio_py.log import Level, get_logger, settings
from kamailio_py.module import Function
from kamailio_py.script.avp import parse_name
from kamailio_py.sip.errors import BadUri
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.script.context import Context
    from kamailio_py.sip.endpoint import ListenSocket

log = get_logger()

E_UNSPEC = -1
PROTOCOLS = ("udp", "tcp", "tls", "sctp", "ws", "wss")


@dataclass(frozen=True, slots=True)
class CoreFunction(Function):
    """`statement` and `test` are templates over the prepared arguments: Python that does the same as the call."""

    statement: str = ""
    test: str = ""


def core_functions(core: Core) -> Iterable[Function]:
    """All functions of the core, bound to `core`."""
    own, uris = CoreFunctions(core), UriFunctions()
    group = Fixup("group", prepare=own.known_group)
    send_socket = Fixup("socket", prepare=own.listening_socket)
    avp = (RAW, RAW)
    calls: tuple[tuple[str, tuple[Argument, ...], Callable[..., int]], ...] = (
        ("forward", (), own.forward),
        ("forward", (STR,), own.forward_to),
        ("forward", (STR, RAW), own.forward_to),
        *((f"forward_{proto}", (STR,), own.forward_over(proto)) for proto in PROTOCOLS[:4]),
        *((f"forward_{proto}", (STR, RAW), own.forward_over(proto)) for proto in PROTOCOLS[:4]),
        ("log", (RAW,), own.log),
        ("log", (INT, RAW), own.log_at),
        ("error", (RAW, RAW), own.error),
        ("exec", (RAW,), own.execute),
        ("setavpflag", avp, own.set_avp_flag),
        ("resetavpflag", avp, own.reset_avp_flag),
        ("isavpflagset", avp, own.is_avp_flag_set),
        ("rewritehost", (RAW, POSITION), uris.host),
        ("rewritehostport", (RAW, POSITION), uris.hostport),
        ("rewritehostporttrans", (RAW, POSITION), uris.hostporttrans),
        ("rewriteuser", (RAW, POSITION), uris.user),
        ("rewriteuserpass", (RAW, POSITION), uris.userpass),
        ("rewriteport", (RAW, POSITION), uris.port),
        ("rewriteuri", (RAW,), uris.uri),
        ("revert_uri", (), uris.revert),
        ("prefix", (RAW, POSITION), uris.prefix),
        ("strip", (INT, POSITION), uris.strip),
        ("strip_tail", (INT, POSITION), uris.strip_tail),
        ("userphone", (POSITION,), uris.userphone),
        ("remove_branch", (), own.remove_branch),
        ("remove_branch", (INT,), own.remove_branch),
        ("clear_branches", (), own.clear_branches),
        ("force_tcp_alias", (), own.force_tcp_alias),
        ("force_tcp_alias", (INT,), own.force_tcp_alias),
        ("force_send_socket", (send_socket,), own.force_send_socket),
        ("cfg_select", (group, INT), own.cfg_select),
        ("cfg_reset", (group,), own.cfg_reset),
    )
    for name, arguments, call in calls:
        yield CoreFunction("<core>", name, arguments, RouteType.ANY, call)
    yield from _flags()
    yield from _switches()
    yield from _settings()


def _flags() -> Iterable[Function]:
    """Message flags: bits of `msg.flags`."""

    def setflag(ctx: Context, flag: int) -> int:
        ctx.msg.flags |= 1 << flag
        return 1

    def resetflag(ctx: Context, flag: int) -> int:
        ctx.msg.flags &= ~(1 << flag)
        return 1

    def isflagset(ctx: Context, flag: int) -> int:
        return 1 if ctx.msg.flags >> flag & 1 else -1

    def declared(name: str, call: Callable[..., int], statement: str = "", test: str = "") -> CoreFunction:
        return CoreFunction("<core>", name, (INT,), RouteType.ANY, call, statement, test)

    yield declared("setflag", setflag, statement="ctx.msg.flags |= 1 << {0}")
    yield declared("resetflag", resetflag, statement="ctx.msg.flags &= ~(1 << {0})")
    yield declared("isflagset", isflagset, test="ctx.msg.flags & 1 << {0}")


def _switches() -> Iterable[Function]:
    """Functions that only turn something on for the message."""
    for name, attribute in (
        ("force_rport", "force_rport"),
        ("add_local_rport", "add_local_rport"),
        ("set_forward_no_connect", "forward_no_connect"),
        ("set_reply_no_connect", "reply_no_connect"),
        ("set_forward_close", "forward_close"),
        ("set_reply_close", "reply_close"),
    ):

        def turn_on(ctx: Context, attribute: str = attribute) -> int:
            setattr(ctx.msg, attribute, True)
            return 1

        yield CoreFunction("<core>", name, (), RouteType.ANY, turn_on, f"ctx.msg.{attribute} = True")


def _settings() -> Iterable[Function]:
    """Functions that keep a text for the message."""
    for name, attribute in (
        ("set_advertised_address", "set_global_address"),
        ("set_advertised_port", "set_global_port"),
        ("udp_mtu_try_proto", "udp_mtu_proto"),
    ):

        def keep(ctx: Context, text: str, attribute: str = attribute) -> int:
            setattr(ctx.msg, attribute, text)
            return 1

        yield CoreFunction("<core>", name, (RAW,), RouteType.ANY, keep, f"ctx.msg.{attribute} = {{0}}")


class CoreFunctions:
    """Those that need the server."""

    def __init__(self, core: Core) -> None:
        self.core = core

    # forward

    def forward(self, ctx: Context, proto: str = "") -> int:
        """To the destination URI if there is one, else to the request-URI."""
        msg = ctx.msg
        return forward_to_uri(self.core, msg, msg.dst_uri or msg.uri, proto) or E_UNSPEC

    def forward_to(self, ctx: Context, host: str, port: str = "", proto: str = "") -> int:
        """To a host; `uri:host` and `uri:port` are those of the request-URI."""
        msg = ctx.msg
        try:
            if host == "uri:host":
                host = msg.parsed_uri.host
            if port == "uri:port":
                port = str(msg.parsed_uri.port or "")
        except BadUri:
            log.err("bad_uri: dropping packet")
            return E_UNSPEC
        if ":" in host and host[0] != "[":
            host = f"[{host}]"
        uri = f"sip:{host}:{port}" if port else f"sip:{host}"
        return forward_to_uri(self.core, msg, uri, proto) or E_UNSPEC

    def forward_over(self, proto: str) -> Callable[..., int]:
        def forward(ctx: Context, host: str, port: str = "") -> int:
            return self.forward_to(ctx, host, port, proto)

        return forward

    # log, error, exec

    def log(self, ctx: Context, text: str) -> int:
        return self.log_at(ctx, Level.DBG + 1, text)

    def log_at(self, ctx: Context, level: int, text: str) -> int:
        if settings.level >= level:
            output.emit(level, f"<script>: {text}")
        return 1

    def error(self, ctx: Context, first: str, second: str) -> int:
        """Never did anything in Kamailio either."""
        log.notice(f'error("{first}", "{second}") not implemented yet')
        return 1

    def known_group(self, name: str) -> str:
        """The name of a group of the config's own variables."""
        if not self.core.variables.names(name) and name not in self.core.cfg.groups:
            raise ValueError(f'configuration group "{name}" not found')
        return name

    def cfg_select(self, ctx: Context, group: str, number: int) -> int:
        """Use an instance's values for the rest of this message."""
        if self.core.variables.select(group, number):
            return 1
        log.err(f"group instance '{group}[{number}]' does not exist")
        return E_UNSPEC

    def cfg_reset(self, ctx: Context, group: str) -> int:
        self.core.variables.unselect(group)
        return 1

    def execute(self, ctx: Context, command: str) -> int:
        """Run a shell command and wait for it; the log has its status as wait(2) gives it."""
        log.notice(f'exec("{command}") not fully implemented, using dumb version...')
        status = os.system(command)
        if status:
            log.notice(f"exec() returned {status}")
        return 1

    # branches and connections

    def remove_branch(self, ctx: Context, index: int = 0) -> int:
        branches = ctx.msg.branches
        if index < len(branches):
            del branches[index]
        return 1

    def clear_branches(self, ctx: Context) -> int:
        ctx.msg.branches.clear()
        return 1

    def force_tcp_alias(self, ctx: Context, port: int = 0) -> int:
        """Let requests for Via's port (or this one) at the sender's address take the connection this one came over."""
        msg = ctx.msg
        if not msg.connection:
            return 1
        if not self.core.tcp.connections.add_alias(msg.connection, port or msg.via.port or 5060):
            log.err("receive_msg: tcp alias failed")
            return E_UNSPEC
        return 1

    def listening_socket(self, text: str) -> ListenSocket:
        """The socket that "proto:host:port" names; ValueError when this server does not listen there."""
        proto, _, rest = text.partition(":")
        if proto.lower() not in PROTOCOLS:
            proto, rest = "", text
        try:
            parsed = Uri.parse(f"sip:{rest}")
        except BadUri:
            raise ValueError(f"bad force_send_socket argument: {text}") from None
        addresses = self.core.addresses
        host = addresses.resolve(parsed.host) or parsed.host
        for name in (parsed.host, host):
            found = addresses.find_socket(name, parsed.port, proto.lower())
            if found is not None:
                return found
        raise ValueError(f"bad force_send_socket argument: {text} (ser doesn't listen on it)")

    def force_send_socket(self, ctx: Context, socket: ListenSocket) -> int:
        ctx.msg.force_socket = socket
        return 1

    # flags of AVPs: kept by name, and gone with the last value

    def set_avp_flag(self, ctx: Context, avp: str, flag: str) -> int:
        name = parse_name(_plain_avp(avp), {})
        if not ctx.avps.get(name):
            return -1
        ctx.note("avpflags", {}).setdefault(name, set()).add(flag)
        return 1

    def reset_avp_flag(self, ctx: Context, avp: str, flag: str) -> int:
        name = parse_name(_plain_avp(avp), {})
        if not ctx.avps.get(name):
            return -1
        ctx.note("avpflags", {}).setdefault(name, set()).discard(flag)
        return 1

    def is_avp_flag_set(self, ctx: Context, avp: str, flag: str) -> int:
        name = parse_name(_plain_avp(avp), {})
        flags = ctx.note("avpflags", {}).get(name, ())
        return 1 if flag in flags and ctx.avps.get(name) else -1


def _plain_avp(text: str) -> str:
    """The name in `$avp(name)`, `$name`, `%name` or a string."""
    if text.startswith("$avp(") and text.endswith(")"):
        return text[5:-1]
    return text.lstrip("$%")
