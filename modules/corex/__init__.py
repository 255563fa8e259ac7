"""The corex module: functions of the core with parameters that vary, sockets, files, raw network data.

event_route[corex:reply-out] is known but never runs, as with Kamailio 5.6.3, which finds "required parameters are not
available" for every reply.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT, PVAR, STR
from kamailio_py.config.host import RouteType
from kamailio_py.config.nodes import RouteKind
from kamailio_py.config.without_effect import KEMI
from kamailio_py.dns.records import NEGATIVE, DnsRecord
from kamailio_py.dns.records import parse_address as parse_dns_address
from kamailio_py.engine.core import FAKED_REQUEST
from kamailio_py.engine.forward import forward_reply
from kamailio_py.log import get_logger
from kamailio_py.module import ModuleError, Param, Rank, function, pvar
from kamailio_py.modules.corex.commands import Commands
from kamailio_py.modules.corex.network import Interceptor
from kamailio_py.modules.corex.sockets import SOCK, lsock, parse_address
from kamailio_py.sip.branch import Branch

if TYPE_CHECKING:
    from kamailio_py.config.program import Entry
    from kamailio_py.engine.core import Core
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner, PVar
    from kamailio_py.sip.endpoint import ListenSocket

log = get_logger("corex")
core_log = get_logger()

SENDING = RouteType.REQUEST | RouteType.FAILURE
XFLAGS = 64
MESSAGE_FLAGS = ("USE_UAC_FROM", "USE_UAC_TO", "UAC_AUTH")
MAIN_NAMES = {
    RouteKind.REQUEST: "DEFAULT_ROUTE", RouteKind.REPLY: "DEFAULT_ONREPLY", RouteKind.FAILURE: "DEFAULT_FAILURE",
    RouteKind.BRANCH: "DEFAULT_BRANCH", RouteKind.ONSEND: "DEFAULT_ONSEND", RouteKind.EVENT: "",
}  # fmt: skip


def parse_q(text: str) -> int:
    """A quality in thousandths; ValueError if it is none between 0 and 1."""
    text = text.strip()
    whole, point, rest = text.partition(".")
    if (point and not rest) or not (whole + rest).isdecimal():
        raise ValueError(f"no quality between 0 and 1: {text}")
    q = int(whole or 0) * 1000 + int((rest + "000")[:3])
    if q > 1000:
        raise ValueError(f"no quality between 0 and 1: {text}")
    return q


class Corex(Commands):
    """Functions of the core with parameters that vary."""

    name = "corex"
    event_routes = ("network:msg", "corex:reply-out")
    transformations = {"sock": SOCK}

    alias_subdomains = Param(str, setter="add_subdomains")
    dns_cache = Param(str, setter="add_dns_record")
    nio_intercept = Param(int, 0)
    nio_min_msg_len = Param(int, 0)
    nio_msg_avp = Param(str)
    evcb_reply_out = Param(str, unused=KEMI)

    _interceptor: Interceptor | None = None

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._dns_records: list[tuple[str, str, str, list[int]]] = []

    # parameters

    def add_subdomains(self, text: str) -> None:
        """`proto:domain:port`: the domain and all below it are this server."""
        found = parse_address(text)
        if found is None:
            raise ValueError(f"invalid alias_subdomains [{text}]")
        self.core.addresses.subdomains.append((found.proto, found.host.lower(), found.port))

    def add_dns_record(self, text: str) -> None:
        """`type=A;name=host;addr=1.2.3.4;...`"""
        fields = dict(part.partition("=")[::2] for part in text.split(";") if part)
        if fields.get("type") not in ("A", "AAAA", "SRV") or not fields.get("name"):
            log.err(f"invalid dns_cache record [{text}]")
            raise ValueError(f"invalid dns_cache record [{text}]")
        numbers = []
        for name in ("ttl", "flags", "priority", "weight", "port"):
            try:
                numbers.append(int(fields.get(name) or 0))
            except ValueError:
                raise ValueError(f"invalid {name}: {fields[name]}") from None
        self._dns_records.append((fields["type"], fields["name"], fields.get("addr", ""), numbers))

    def _put_dns_records(self) -> None:
        for kind, name, target, (ttl, flags, priority, weight, port) in self._dns_records:
            address = target if kind == "SRV" else parse_dns_address(kind, target)
            record = DnsRecord(address, 0, priority, weight, port) if address is not None else None
            if (record is None and not flags & NEGATIVE) or not self.core.dns.enabled:
                raise ModuleError(f"failed to add dns cache record [{name}]")
            self.core.dns.put(kind, name, record, ttl, flags)

    def mod_init(self) -> None:
        self._put_dns_records()
        entry = self.core.event_route("network:msg") if self.nio_intercept else None
        if entry is None:
            return
        target = None
        if self.nio_msg_avp:
            try:
                target = self.core.registry.pvar(self.nio_msg_avp, True)
            except ValueError:
                raise ModuleError(f"malformed or non AVP {self.nio_msg_avp} AVP definition") from None
        self._interceptor = Interceptor(self.core, entry, self.nio_min_msg_len, target)
        self.core.network_in.append(self._interceptor.received)

    def child_init(self, rank: int) -> None:
        if rank == Rank.INIT and self._interceptor is not None:
            self._interceptor.intercept_sender()

    # pseudo-variables

    @pvar("lsock", inner=True, index=False)
    def lsock(self, inner: Inner) -> Getter:
        """$lsock(match/value/field): something of the listening socket that matches."""
        text = inner.registry.format(inner.text).evaluate
        return lambda ctx: lsock(self.core, text(ctx))

    @pvar("cfg", inner=True, index=False)
    def cfg(self, inner: Inner) -> Getter:
        """$cfg(line), $cfg(file), $cfg(name), $cfg(route): where the script is."""
        reads: dict[str, Callable[[], str | int | None]] = {
            "line": lambda: _place()[1],
            "file": lambda: _place()[0],
            "name": lambda: _place()[0],
            "route": self._route,
        }
        if inner.text not in reads:
            log.err(f"unknown PV af key: {inner.text}")
            raise ValueError(f"Can't get from cache: unknown PV af key: {inner.text}")
        read = reads[inner.text]
        return lambda ctx: read()

    _routes: dict[CodeType, Entry] | None = None

    def _route(self) -> str | None:
        """Name of the route that is running."""
        if self._routes is None:
            entries = self.core.program.entries
            self._routes = {entry.call.__code__: entry for entry in entries if hasattr(entry.call, "__code__")}
        for frame in _frames():
            entry = self._routes.get(frame.f_code)
            if entry is not None:
                while entry.continues is not None:
                    entry = entry.continues
                return MAIN_NAMES[entry.kind] if entry.name == "0" else entry.name
        return None

    # branches and flags

    @function("append_branch", routes=SENDING)
    @function("append_branch", STR, routes=SENDING)
    @function("append_branch", STR, STR, routes=SENDING)
    def append_branch(self, ctx: Context, uri: str = "", q: str = "") -> int:
        """One more destination; without a URI it is the request-URI, whose attributes go over to it."""
        msg = ctx.msg
        quality = None
        if q:
            try:
                quality = parse_q(q)
            except ValueError:
                log.err("cannot parse the Q parameter")
                return -1
        if len(msg.branches) >= self.core.cfg.max_branches - 1:
            core_log.err("max nr of branches exceeded")
            return -1
        msg.branches.append(Branch(uri or msg.uri, msg.dst_uri, msg.path, quality, msg.branch_flags, msg.force_socket))
        if not uri:
            msg.dst_uri = msg.path = msg.force_socket = msg.q = None
            msg.branch_flags = 0
        return 1

    @function("setxflag", INT)
    def setxflag(self, ctx: Context, flag: int) -> int:
        if not 0 <= flag < XFLAGS:
            return -1
        ctx.msg.xflags[flag // 32] |= 1 << flag % 32
        return 1

    @function("resetxflag", INT)
    def resetxflag(self, ctx: Context, flag: int) -> int:
        if not 0 <= flag < XFLAGS:
            return -1
        ctx.msg.xflags[flag // 32] &= ~(1 << flag % 32)
        return 1

    @function("isxflagset", INT)
    def isxflagset(self, ctx: Context, flag: int) -> int:
        return 1 if 0 <= flag < XFLAGS and ctx.msg.xflags[flag // 32] >> flag % 32 & 1 else -1

    @function("msg_iflag_set", STR)
    def msg_iflag_set(self, ctx: Context, name: str) -> int:
        """Set an internal flag of the message; a name that is none is let pass."""
        ctx.note("corex", set()).add(name)
        return 1

    @function("msg_iflag_reset", STR)
    def msg_iflag_reset(self, ctx: Context, name: str) -> int:
        ctx.note("corex", set()).discard(name)
        return 1

    @function("msg_iflag_is_set", STR)
    def msg_iflag_is_set(self, ctx: Context, name: str) -> int:
        if name not in MESSAGE_FLAGS:
            log.err(f"unsupported flag name [{name}]")
            return -1
        return 1 if name in ctx.note("corex", set()) else -2

    # sending

    @function("send_udp", routes=SENDING)
    @function("send_udp", STR, routes=SENDING)
    def send_udp(self, ctx: Context, address: str = "") -> int:
        """Send the message as it was received, by default to where it would go."""
        return self._send_message(ctx, address, "udp")

    @function("send_tcp", routes=SENDING)
    @function("send_tcp", STR, routes=SENDING)
    def send_tcp(self, ctx: Context, address: str = "") -> int:
        return self._send_message(ctx, address, "tcp")

    def _send_message(self, ctx: Context, address: str, proto: str) -> int:
        msg = ctx.msg
        uri = f"sip:{address}" if address else msg.dst_uri or msg.uri
        target = self.core.destination(uri, msg.force_socket, proto, msg.socket)
        if target is None:
            log.err(f"failed to resolve [{address or uri}]")
            return -1
        return 1 if self.core.send(msg.text, target) else -1

    @function("send_data", STR, STR)
    def send_data(self, ctx: Context, uri: str, data: str) -> int:
        """Send any text to where a SIP URI leads."""
        return self._send_data(uri, None, data)

    @function("sendx", STR, STR, STR)
    def sendx(self, ctx: Context, uri: str, socket: str, data: str) -> int:
        """The same from a socket of one's choice."""
        chosen = self.core.addresses.listening(socket) if socket else None
        if socket and chosen is None:
            log.warn(f"local socket not found: {socket}")
        return self._send_data(uri, chosen, data)

    def _send_data(self, uri: str, socket: ListenSocket | None, data: str) -> int:
        target = self.core.destination(uri, socket)
        if target is None:
            log.err(f"bad dst sip uri <{uri}>")
            return -1
        return 1 if not data or self.core.send(data, target) else -1

    @function("forward_reply", routes=RouteType.CORE_ONREPLY)
    def forward_reply(self, ctx: Context) -> int:
        """Let the reply go on its way at once."""
        if all(handle(ctx.msg) for handle in self.core.reply_handlers):
            forward_reply(self.core, ctx.msg)
        return 1

    # sockets and addresses

    @function("set_send_socket", STR)
    def set_send_socket(self, ctx: Context, address: str) -> int:
        if not address:
            log.err("cannot get socket address value")
            return -1
        found = self._warned(self.core.addresses.listening(address), address, 0)
        ctx.msg.force_socket = found or ctx.msg.force_socket
        return 1

    @function("set_send_socket_name", STR)
    def set_send_socket_name(self, ctx: Context, name: str) -> int:
        found = self._warned(self.core.addresses.socket_named(name), name, 0)
        ctx.msg.force_socket = found or ctx.msg.force_socket
        return 1

    @function("set_recv_socket", STR)
    def set_recv_socket(self, ctx: Context, address: str) -> int:
        found = self._warned(self.core.addresses.listening(address), address, 1)
        ctx.msg.socket = found or ctx.msg.socket
        return 1

    @function("set_recv_socket_name", STR)
    def set_recv_socket_name(self, ctx: Context, name: str) -> int:
        found = self._warned(self.core.addresses.socket_named(name), name, 1)
        ctx.msg.socket = found or ctx.msg.socket
        return 1

    @staticmethod
    def _warned(socket: ListenSocket | None, text: str, mode: int) -> ListenSocket | None:
        if socket is None:
            log.warn(f"no socket found to match [{text}] ({mode})")
        return socket

    @function("is_socket_name", STR)
    def is_socket_name(self, ctx: Context, name: str) -> int:
        return 1 if self.core.addresses.socket_named(name) is not None else -1

    @function("set_source_address", STR)
    def set_source_address(self, ctx: Context, text: str) -> int:
        """Let the message have come from another address."""
        if not text:
            log.err("cannot get source address value")
            return -1
        found = parse_address(text)
        if found is None:
            log.err(f"failed to parse the address [{text}]")
            return -1
        host = self.core.addresses.resolve(found.host)
        if host is None:
            log.err(f"failed to resolve address [{text}]")
            return -1
        ctx.msg.src_ip, ctx.msg.src_port = host, found.port
        return 1

    # parameters of our Via

    @function("via_add_srvid", INT)
    def via_add_srvid(self, ctx: Context, flag: int) -> int:
        """Put the server id into our Via, if there is one."""
        ctx.msg.add_srvid = flag > 0
        return self._set_via_params(ctx)

    @function("via_add_xavp_params", INT)
    def via_add_xavp_params(self, ctx: Context, flag: int) -> int:
        """Put the fields of the XAVP that `xavp_via_params` names into our Via, as they are now."""
        notes = ctx.note("corex", set())
        notes.discard("via_params")
        if flag > 0:
            notes.add("via_params")
        return self._set_via_params(ctx)

    @function("via_use_xavp_fields", INT)
    def via_use_xavp_fields(self, ctx: Context, flag: int) -> int:
        """Without effect in 5.6.3, which takes `xavp_via_fields` for another name of `xavp_via_params`."""
        return 1

    def _set_via_params(self, ctx: Context) -> int:
        cfg = self.core.cfg
        text = f";srvid={cfg.server_id}" if ctx.msg.add_srvid and cfg.server_id else ""
        if "via_params" in ctx.note("corex", set()):
            values = ctx.xavps.get(cfg.xavp_via_fields or cfg.xavp_via_params, ())
            fields = values[0] if values and isinstance(values[0], dict) else {}
            text += "".join(f";{name}={fields[name][0]}" for name in reversed(fields))
        ctx.msg.via_params = text
        return 1

    # the rest

    @function("is_incoming")
    def is_incoming(self, ctx: Context) -> int:
        """In event_route[network:msg]: does the text come from the network?"""
        return 1 if self._interceptor is not None and self._interceptor.incoming else -1

    @function("is_faked_msg")
    def is_faked_msg(self, ctx: Context) -> int:
        return 1 if ctx.msg.text == FAKED_REQUEST else -1

    @function("file_read", STR, PVAR)
    def file_read(self, ctx: Context, path: str, target: PVar) -> int:
        """Read a file into a pseudo-variable."""
        if not path:
            log.err("cannot get file path")
            return -1
        try:
            text = Path(path).read_bytes().decode("latin-1")
        except OSError:
            log.err(f"cannot open file: {path}")
            return -1
        return 1 if target.set(ctx, text) else -1

    @function("file_write", STR, STR)
    def file_write(self, ctx: Context, path: str, text: str) -> int:
        """Write a file anew."""
        if not path or not text:
            log.err("cannot get file path" if not path else "cannot get the content")
            return -1
        try:
            Path(path).write_bytes(text.encode("latin-1"))
        except OSError:
            log.err(f"cannot open file: {path}")
            return -1
        return 1


def _frames() -> list[FrameType]:
    """Frames of the config's routes, innermost first."""
    found = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if not frame.f_code.co_filename.endswith(".py"):
            found.append(frame)
        frame = frame.f_back
    return found


def _place() -> tuple[str | None, int | None]:
    """Path and line of the statement that is running."""
    frames = _frames()
    return (frames[0].f_code.co_filename, frames[0].f_lineno) if frames else (None, None)
