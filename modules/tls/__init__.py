"""tls: SIP over TLS, with the ssl module of Python's standard library.

The module gives the transport a codec for every connection and says which profile is used; certificates and keys are
read before forking, and by each receiver once more after `tls.reload`. What OpenSSL does for Kamailio in C and Python
does not offer (memory thresholds, engines, the depth of verification) is accepted and has no effect.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import STR
from kamailio_py.config.host import RouteType
from kamailio_py.config.without_effect import KEMI, MEMORY, OPENSSL
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, PVarExport, RpcFault, function, pvar, rpc
from kamailio_py.modules.tls.codec import ClearText, TlsCodec
from kamailio_py.modules.tls.profiles import Profile, Profiles
from kamailio_py.modules.tls.variables import Variables
from kamailio_py.script.context import Context
from kamailio_py.script.xavp import field
from kamailio_py.sip.endpoint import LONGEST_SERVER_NAME

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.rpc.call import Call
    from kamailio_py.script.pvars import Getter, Inner
    from kamailio_py.sip.endpoint import ListenSocket

log = get_logger("tls")

CONNECTION_OUT = "tls:connection-out"
TICKETS = "sessions are resumed by tickets whatever it says, in Kamailio 5.6.3 too"
OPTIONS = (
    "force_run", "method", "verify_certificate", "verify_depth", "require_certificate", "verify_client", "private_key",
    "ca_list", "certificate", "cipher_list", "session_cache", "session_id", "config", "log", "debug",
    "connection_timeout", "disable_compression", "ssl_release_buffers", "ssl_freelist_max", "ssl_max_send_fragment",
    "ssl_read_ahead", "send_close_notify", "low_mem_threshold1", "low_mem_threshold2", "ct_wq_max", "con_ct_wq_max",
    "ct_wq_blk_size",
)  # fmt: skip
_ATTRIBUTES = {
    "method": "tls_method", "force_run": "tls_force_run", "log": "tls_log", "debug": "tls_debug",
    "disable_compression": "tls_disable_compression", "ssl_freelist_max": "ssl_freelist_max_len",
}  # fmt: skip
"""Options whose parameter has another name."""


class Tls(Module):
    """SIP over TLS."""

    name = "tls"
    event_routes = (CONNECTION_OUT,)
    tls_method = Param(str, "TLSv1")
    server_name = Param(str, "")
    verify_certificate = Param(int, 0)
    verify_depth = Param(int, 9, unused=OPENSSL)
    require_certificate = Param(int, 0)
    verify_client = Param(str, "off")
    private_key = Param(str, "")
    ca_list = Param(str, "")
    ca_path = Param(str, "")
    certificate = Param(str, "")
    crl = Param(str, "")
    cipher_list = Param(str, "")
    connection_timeout = Param(int, 600)
    engine = Param(str, "NONE", unused=OPENSSL)
    engine_config = Param(str, "NONE", unused=OPENSSL)
    engine_algorithms = Param(str, "ALL", unused=OPENSSL)
    tls_log = Param(int, 3)
    tls_debug = Param(int, 3)
    session_cache = Param(int, 0, unused=TICKETS)
    session_id = Param(str, "kamailio-tls-5.x.y", unused=TICKETS)
    config = Param(str, "")
    tls_disable_compression = Param(int, 1)
    ssl_release_buffers = Param(int, -1, unused=MEMORY)
    ssl_freelist_max_len = Param(int, -1, unused=MEMORY)
    ssl_max_send_fragment = Param(int, -1, unused=OPENSSL)
    ssl_read_ahead = Param(int, 0, unused=OPENSSL)
    send_close_notify = Param(int, 0)
    con_ct_wq_max = Param(int, 65536)
    ct_wq_max = Param(int, 10485760)
    ct_wq_blk_size = Param(int, 4096, unused=MEMORY)
    tls_force_run = Param(int, 0, unused="passes over checks of the OpenSSL that Kamailio was built with")
    low_mem_threshold1 = Param(int, -1, unused=MEMORY)
    low_mem_threshold2 = Param(int, -1, unused=MEMORY)
    renegotiation = Param(int, 0)
    xavp_cfg = Param(str, "")
    event_callback = Param(str, "", unused=KEMI)
    rand_engine = Param(str, "", unused=OPENSSL)

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        core.tls = self
        self.profiles: Profiles
        self._variables = Variables(self)
        self._server_id = ""

    def mod_init(self) -> None:
        core = self.core
        self._queue = ClearText(self.con_ct_wq_max, self.ct_wq_max)
        if core.cfg.disable_tls and not core.cfg.enable_tls:
            log.warn("tls support is disabled (set enable_tls=1 in the config to enable it)")
        self._version = core.shm.reserve("tls", "word", 8) >> 3
        self._read_version = 0
        self.profiles = self._read()
        self._connection_out = core.event_route(CONNECTION_OUT)
        if self.xavp_cfg:
            core.follow_runs()

    def _read(self) -> Profiles:
        defaults = {
            "method": self.tls_method, "server_name": self.server_name, "verify_certificate": self.verify_certificate,
            "require_certificate": self.require_certificate, "verify_client": self.verify_client,
            "private_key": self.private_key, "ca_list": self.ca_list, "ca_path": self.ca_path, "crl": self.crl,
            "certificate": self.certificate, "cipher_list": self.cipher_list,
        }  # fmt: skip
        if self.config:
            # the parameters are not the file's defaults
            return Profiles({"method": "TLSv1+"}, os.path.abspath(self.config), self._options())
        return Profiles(defaults, options=self._options())

    def _options(self) -> tuple[int, int]:
        """What of OpenSSL's options is set, and what not."""
        wanted = unwanted = 0
        if not self.renegotiation:
            wanted |= ssl.OP_NO_RENEGOTIATION
        if not self.tls_disable_compression:
            unwanted |= ssl.OP_NO_COMPRESSION
        return wanted, unwanted

    def _current(self) -> Profiles:
        """The profiles as they are on disk since the last `tls.reload`, read once by each process."""
        version = self.core.shm.u64[self._version]
        if version != self._read_version:
            self._read_version = version
            try:
                self.profiles = self._read()
            except ModuleError as error:
                log.err(f"{error}: the former TLS configuration stays")
        return self.profiles

    # what the transport uses

    @property
    def lifetime(self) -> int:
        """Seconds a connection lives without traffic."""
        return self.connection_timeout

    def choose(self, host: str, port: int) -> tuple[int, str]:
        """For a connection that is opened now: the number of the profile, and the name the server is asked for.

        Both may be said by the script whose message it is opened for; the name of a profile is not asked for.
        """
        server_id, self._server_id = self._server_id, ""
        name, running = "", self.core.running
        if running is not None and self.xavp_cfg:
            name = field(running.xavps, self.xavp_cfg, "server_name", str) or ""
            server_id = field(running.xavps, self.xavp_cfg, "server_id", str) or server_id
        if len(name) > LONGEST_SERVER_NAME:
            log.err(f"server name is too long: {name}")
            name = ""
        return self._current().client(host, port, server_id, name), name

    def codec(self, listening: ListenSocket, connection: Any) -> TlsCodec:
        """For a new connection, of its record."""
        profiles = self._current()
        log.at(self.tls_debug, "SSL handshake started")
        farewell = bool(self.send_close_notify)
        if not connection.outgoing:
            return TlsCodec(profiles.server(listening).context, False, farewell=farewell, queue=self._queue)
        chosen: Profile = profiles.clients[min(connection.profile, len(profiles.clients) - 1)]
        return TlsCodec(chosen.context, True, connection.server_name, farewell, self._queue)

    def established(self, codec: TlsCodec, listening: ListenSocket, peer: tuple[str, int], number: int) -> bool:
        """The handshake is over: run event_route[tls:connection-out]; False when it wants the connection closed."""
        log.at(self.tls_debug, "SSL handshake done")
        if log.enabled(self.tls_log):
            self._tell(codec, listening, peer)
        if self._connection_out is None or not codec.outgoing:
            return True
        msg = self.core.faked_message()
        msg.socket, msg.connection = listening, number
        msg.src_ip, msg.src_port = peer
        ctx = Context(self.core, msg)
        self.core.run(self._connection_out, ctx, RouteType.REQUEST)
        return not ctx.dropped

    def _tell(self, codec: TlsCodec, listening: ListenSocket, peer: tuple[str, int]) -> None:
        """Log who is connected now, and how."""
        name, bits = codec.cipher
        verb, way, socket, other = (
            ("tls_connect", "to", "sending", "server") if codec.outgoing else ("tls_accept", "from", "local", "client")
        )
        how = f"{codec.version} {name} {bits}"
        log.at(self.tls_log, f"{verb}: new connection {way} {peer[0]}:{peer[1]} using {how}")
        log.at(self.tls_log, f"{verb}: {socket} socket: {listening.host}:{listening.port}")
        if codec.peer is None:
            log.at(self.tls_log, f"{verb}: {other} did not present a certificate")

    # script

    @function("is_peer_verified", routes=RouteType.REQUEST)
    def is_peer_verified(self, ctx: Context) -> int:
        codec = self._variables.codec(ctx)
        if codec is None:
            return -1
        if codec.peer is None:
            log.info("peer did not present a certificate. Thus it could not be verified")
            return -1
        return 1 if codec.verified else -1

    @function("tls_set_connect_server_id", STR)
    def tls_set_connect_server_id(self, ctx: Context, server_id: str) -> int:
        """Have the next connection that this process opens use the client profile with this `server_id`."""
        self._server_id = server_id
        return 1

    def pvars(self) -> Iterable[PVarExport]:
        yield from super().pvars()
        for name, getter in self._variables.all().items():
            yield PVarExport(name, partial(_bound, getter), None, "any", False, False)

    @pvar("tls", type="str", inner=True, index=False)
    def lines(self, inner: Inner) -> Getter:
        """$tls(m_subject_line) and its relatives: names of certificates in one line."""
        return self._variables.line(inner.text)

    # RPC

    @rpc("tls.reload", doc="Read the TLS configuration again.")
    def reload(self, call: Call) -> str:
        if not self.config:
            raise RpcFault(500, "No TLS configuration file configured")
        try:
            self._read()
        except ModuleError as error:
            log.err(str(error))
            raise RpcFault(500, "Error while loading TLS configuration file (consult server log)") from None
        self.core.shm.u64[self._version] += 1
        return "Ok. TLS configuration reloaded."

    @rpc("tls.list", doc="Open TLS connections.", array=True)
    def list_connections(self, call: Call) -> Iterator[dict[str, Any]]:
        connections, now = self.core.tcp.connections, self.core.clock.ms()
        for record in connections.all():
            if connections.proto(record) != "tls":
                continue
            yield {
                "id": record.id, "timeout": max(record.timeout - now, 0) // 1000, "src_ip": record.src_host,
                "src_port": record.src_port, "dst_ip": record.dst_host, "dst_port": record.dst_port,
                "cipher": record.cipher or "unknown", "ct_wq_size": 0, "enc_rd_buf": 0, "flags": 0,
                "state": "established" if record.cipher else "pre-init",
            }  # fmt: skip

    @rpc("tls.info", doc="Counts of TLS connections.")
    def info(self, call: Call) -> dict[str, int]:
        return {
            "max_connections": self.core.cfg.tls_max_connections,
            "opened_connections": self.core.tcp.connections.counts()[1],
            "clear_text_write_queued_bytes": 0,
        }

    @rpc("tls.options", doc="Parameters of TLS.")
    def options(self, call: Call) -> dict[str, Any]:
        values = {name: getattr(self, _ATTRIBUTES.get(name, name)) for name in OPTIONS}
        return {name: None if value == "" else value for name, value in values.items()}


def _bound(getter: Getter, inner: Inner) -> Getter:
    """What a variable without inner name is, wherever it is written."""
    return getter
