"""Script functions that send requests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import RAW, STR, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import function
from kamailio_py.modules.tm import errors
from kamailio_py.modules.tm.forward import Forward

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.modules.tm.server import Server
    from kamailio_py.modules.tm.uac import Uac
    from kamailio_py.script.context import Context

log = get_logger("tm")

REQUEST = RouteType.REQUEST
RELAYING = RouteType.REQUEST | RouteType.FAILURE
PROTOS = ("udp", "tcp", "tls", "sctp", "ws", "wss")


def _number(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None


def host_port(text: str) -> str:
    """`proto:host:port` or `host:port` or `host` as a URI; ValueError otherwise."""
    proto, colon, rest = text.partition(":")
    if colon and proto.lower() in PROTOS:
        return f"sip:{rest};transport={proto.lower()}"
    if not text or " " in text:
        raise ValueError(f"bad proxy {text!r}")
    return f"sip:{text}"


def relay_to_argument(text: str) -> int | str:
    """The one argument of t_relay_to(): flags, or a next hop as URI."""
    number = _number(text)
    return host_port(text) if number is None else number


RELAY_TO = Fixup("relay-to", prepare=relay_to_argument)
PROXY = Fixup("proxy", prepare=host_port)


class RelayFunctions:
    """t_relay() and its relatives."""

    core: Core
    forward: Forward
    server: Server
    uac: Uac

    def _to(self, ctx: Context, host: str, port: str | int, proto: str = "", *, replicate: bool = False) -> int:
        """Relay to a host and port that stand for the next hop."""
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        uri = f"sip:{host}:{port}" if port not in ("", "0", 0) else f"sip:{host}"
        return self._to_uri(ctx, uri, proto, replicate=replicate)

    def _to_uri(self, ctx: Context, uri: str, proto: str = "", *, replicate: bool = False, flags: int = 0) -> int:
        target = self.core.destination(uri, ctx.msg.force_socket, proto, ctx.msg.socket)
        if target is None:
            log.err(f"cannot resolve {uri}")
            return errors.E_BAD_ADDRESS
        return self.forward.relay(ctx, target, proto, replicate=replicate, flags=flags)

    @function("t_relay", routes=RELAYING)
    def t_relay(self, ctx: Context) -> int:
        """Forward statefully."""
        return self.forward.relay(ctx)

    @function("t_relay", RAW, RAW, routes=RELAYING)
    def t_relay_host(self, ctx: Context, host: str, port: str) -> int:
        return self._to(ctx, host, port)

    @function("t_relay_to_udp", routes=RELAYING)
    def t_relay_to_udp(self, ctx: Context) -> int:
        return self.forward.relay(ctx, proto="udp")

    @function("t_relay_to_tcp", routes=RELAYING)
    def t_relay_to_tcp(self, ctx: Context) -> int:
        return self.forward.relay(ctx, proto="tcp")

    @function("t_relay_to_tls", routes=RELAYING)
    def t_relay_to_tls(self, ctx: Context) -> int:
        return self.forward.relay(ctx, proto="tls")

    @function("t_relay_to_sctp", routes=RELAYING)
    def t_relay_to_sctp(self, ctx: Context) -> int:
        return self.forward.relay(ctx, proto="sctp")

    @function("t_relay_to_udp", RAW, RAW, routes=RELAYING)
    @function("t_forward_nonack_udp", RAW, RAW, routes=REQUEST)
    def t_relay_to_udp_host(self, ctx: Context, host: str, port: str) -> int:
        return self._to(ctx, host, port, "udp")

    @function("t_relay_to_tcp", RAW, RAW, routes=RELAYING)
    @function("t_forward_nonack_tcp", RAW, RAW, routes=REQUEST)
    def t_relay_to_tcp_host(self, ctx: Context, host: str, port: str) -> int:
        return self._to(ctx, host, port, "tcp")

    @function("t_relay_to_tls", RAW, RAW, routes=RELAYING)
    @function("t_forward_nonack_tls", RAW, RAW, routes=REQUEST)
    def t_relay_to_tls_host(self, ctx: Context, host: str, port: str) -> int:
        return self._to(ctx, host, port, "tls")

    @function("t_relay_to_sctp", RAW, RAW, routes=RELAYING)
    @function("t_forward_nonack_sctp", RAW, RAW, routes=REQUEST)
    def t_relay_to_sctp_host(self, ctx: Context, host: str, port: str) -> int:
        return self._to(ctx, host, port, "sctp")

    @function("t_forward_nonack", RAW, RAW, routes=REQUEST)
    def t_forward_nonack(self, ctx: Context, host: str, port: str) -> int:
        return self._to(ctx, host, port)

    @function("t_forward_nonack_uri", routes=REQUEST)
    def t_forward_nonack_uri(self, ctx: Context) -> int:
        return self.forward.relay(ctx)

    @function("t_forward_nonack_to", RAW, RAW, routes=REQUEST)
    @function("t_relay_to_avp", RAW, RAW, routes=RELAYING)
    def t_forward_nonack_to(self, ctx: Context, proto: str, host: str) -> int:
        return self._to_uri(ctx, host_port(host), proto.lower() if proto.lower() in PROTOS else "")

    @function("t_relay_to", routes=RELAYING)
    def t_relay_to(self, ctx: Context) -> int:
        return self.forward.relay(ctx)

    @function("t_relay_to", RELAY_TO, routes=RELAYING)
    def t_relay_to_one(self, ctx: Context, where: int | str) -> int:
        """With a next hop; flags alone are forgotten by 5.6.3, they count behind a next hop only."""
        return self.forward.relay(ctx) if isinstance(where, int) else self._to_uri(ctx, where)

    @function("t_relay_to", PROXY, RAW, routes=RELAYING)
    def t_relay_to_both(self, ctx: Context, where: str, flags: str) -> int:
        """With a next hop and flags: 1 no 100, 2 no error reply."""
        return self._to_uri(ctx, where, flags=_number(flags) or 0)

    # copies whose replies go nowhere

    @function("t_replicate", routes=REQUEST)
    def t_replicate(self, ctx: Context) -> int:
        """Forward to the request-URI, replies are swallowed."""
        return self.forward.relay(ctx, replicate=True)

    @function("t_replicate", STR, routes=REQUEST)
    def t_replicate_uri(self, ctx: Context, uri: str) -> int:
        return self._to_uri(ctx, uri, replicate=True)

    @function("t_replicate", RAW, RAW, routes=REQUEST)
    def t_replicate_host(self, ctx: Context, host: str, port: str) -> int:
        return self._to(ctx, host, port, replicate=True)

    @function("t_replicate_udp", RAW, RAW, routes=REQUEST)
    def t_replicate_udp(self, ctx: Context, host: str, port: str) -> int:
        return self._to(ctx, host, port, "udp", replicate=True)

    @function("t_replicate_tcp", RAW, RAW, routes=REQUEST)
    def t_replicate_tcp(self, ctx: Context, host: str, port: str) -> int:
        return self._to(ctx, host, port, "tcp", replicate=True)

    @function("t_replicate_tls", RAW, RAW, routes=REQUEST)
    def t_replicate_tls(self, ctx: Context, host: str, port: str) -> int:
        return self._to(ctx, host, port, "tls", replicate=True)

    @function("t_replicate_sctp", RAW, RAW, routes=REQUEST)
    def t_replicate_sctp(self, ctx: Context, host: str, port: str) -> int:
        return self._to(ctx, host, port, "sctp", replicate=True)

    @function("t_replicate_to", RAW, RAW, routes=REQUEST)
    def t_replicate_to(self, ctx: Context, proto: str, host: str) -> int:
        return self._to_uri(ctx, host_port(host), proto.lower() if proto.lower() in PROTOS else "", replicate=True)

    # requests of our own

    @function("t_uac_send", STR, STR, STR, STR, STR, STR)
    def t_uac_send(
        self, ctx: Context, method: str, ruri: str, next_hop: str, socket: str, headers: str, body: str
    ) -> int:
        """Send a request made here; `headers` must bring From and To, and Content-Type for a body."""
        if not method or not ruri:
            log.err("invalid method or r-uri parameter")
            return -1
        found = {}
        rest = []
        for line in headers.replace("\r\n", "\n").split("\n"):
            name, _, value = line.partition(":")
            lower = name.strip().lower()
            lower = {"f": "from", "t": "to", "i": "call-id"}.get(lower, lower)
            if lower in ("from", "to", "call-id", "cseq"):
                found[lower] = value.strip()
            elif line.strip():
                rest.append(f"{line}\r\n")
        if "from" not in found or "to" not in found:
            log.err("From and To headers are required")
            return -1
        sender = self.core.addresses.listening(socket) if socket else None
        cseq = found.get("cseq", "10").split(" ")[0]
        sent = self.uac.request(
            method,
            ruri,
            found["from"],
            found["to"],
            headers="".join(rest),
            body=body,
            next_hop=next_hop,
            socket=sender,
            call_id=found.get("call-id", ""),
            cseq=int(cseq) if cseq.isdecimal() else 10,
        )
        return 1 if sent is not None else -1

    @function("t_use_uac_headers")
    def t_use_uac_headers(self, ctx: Context) -> int:
        """Have ACK and CANCEL carry the From and To the request was sent with: here they always do."""
        return 1
