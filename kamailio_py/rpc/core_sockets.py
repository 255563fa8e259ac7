"""RPC commands of `core` on addresses and transports: sockets, aliases, TCP, raw UDP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.module import RpcFault, rpc
from kamailio_py.rpc.group import Group
from kamailio_py.rpc.values import Members
from kamailio_py.sip.ip import is_ip

if TYPE_CHECKING:
    from kamailio_py.rpc.call import Call

ALIAS_FORCE_ADD, ALIAS_REPLACE = 1, 2
PROTOCOLS = ("udp", "tcp", "tls", "sctp")
TCP_OPTIONS = {
    "connect_timeout": "tcp_connect_timeout", "send_timeout": "tcp_send_timeout",
    "connection_lifetime": "tcp_connection_lifetime", "max_connections(soft)": "tcp_max_connections",
    "max_tls_connections(soft)": "tls_max_connections", "no_connect": "tcp_no_connect", "fd_cache": "tcp_fd_cache",
    "async": "tcp_buf_write", "connect_wait": "tcp_buf_write", "conn_wq_max": "tcp_conn_wq_max",
    "wq_max": "tcp_wq_max", "defer_accept": "tcp_defer_accept", "delayed_ack": "tcp_delayed_ack",
    "syncnt": "tcp_syncnt", "linger2": "tcp_linger2", "keepalive": "tcp_keepalive", "keepidle": "tcp_keepidle",
    "keepintvl": "tcp_keepintvl", "keepcnt": "tcp_keepcnt", "crlf_ping": "tcp_crlf_ping",
    "accept_aliases": "tcp_accept_aliases",
}  # fmt: skip
"""Names in the answer -> global parameters."""


class Sockets(Group):
    @rpc("core.sockets_list", "", "Addresses the server listens on.")
    def sockets_list(self, call: Call) -> Members:
        listed = Members()
        for proto in PROTOCOLS:
            for listening in self.core.sockets:
                if listening.proto == proto:
                    listed.add("socket", self._socket(listening))
        return listed

    def _socket(self, listening: Any) -> dict[str, Any]:
        described: dict[str, Any] = {"proto": listening.proto, "address": listening.host_text}
        if not self.core.cfg.auto_aliases or not is_ip(listening.host):
            described["ipaddress"] = listening.host_text
        return {**described, "port": str(listening.port), "mcast": "no", "mhomed": "no", "virtual": "no"}

    @rpc("core.aliases_list", "", "Names and addresses that are the server's own.")
    def aliases_list(self, call: Call) -> dict[str, Any]:
        aliases = Members()
        for proto, host, port in reversed(self.core.addresses.aliases):
            aliases.add("alias", {"proto": proto or "*", "address": host, "port": port or "*"})
        return {"myself_callbacks": "yes" if self.core.addresses.local_domains else "no", "aliases": aliases}

    @rpc("core.udp4_raw_info", "", "Sending of UDP over raw sockets, which is not done here.")
    def udp4_raw_info(self, call: Call) -> dict[str, int]:
        cfg = self.core.cfg
        return {"udp4_raw": 0, "udp4_raw_mtu": cfg.udp4_raw_mtu, "udp4_raw_ttl": max(cfg.udp4_raw_ttl, 0) or 64}

    # TCP

    def _needs_tcp(self) -> None:
        if self.core.cfg.disable_tcp:
            raise RpcFault(500, "tcp support disabled")

    @rpc("core.tcp_options", "", "Parameters of TCP.")
    def tcp_options(self, call: Call) -> dict[str, int]:
        self._needs_tcp()
        cfg = self.core.cfg
        options = {name: getattr(cfg, parameter) for name, parameter in TCP_OPTIONS.items()}
        return {**options, "alias_flags": ALIAS_FORCE_ADD, "new_conn_alias_flags": ALIAS_REPLACE}

    @rpc("core.tcp_info", "", "Readers and connections of TCP.")
    def tcp_info(self, call: Call) -> dict[str, int]:
        self._needs_tcp()
        cfg = self.core.cfg
        connections = self.core.tcp.connections
        opened, tls = connections.counts()
        streams = any(listening.proto != "udp" for listening in self.core.sockets)
        readers = (cfg.tcp_children or cfg.children) if streams else 0
        return {
            "readers": readers, "max_connections": cfg.tcp_max_connections,
            "max_tls_connections": cfg.tls_max_connections, "opened_connections": opened,
            "opened_tls_connections": tls, "write_queued_bytes": sum(record.queued for record in connections.all()),
        }  # fmt: skip

    @rpc("core.tcp_list", "", "Open TCP connections.", array=True)
    def tcp_list(self, call: Call) -> Iterator[dict[str, Any]]:
        self._needs_tcp()
        connections, now = self.core.tcp.connections, self.core.clock.ms()
        for record in connections.all():
            yield {
                "id": record.id, "type": connections.proto(record).upper(), "state": connections.state(record),
                "timeout": max(record.timeout - now, 0) // 1000, "lifetime": record.lifetime // 1000, "ref_count": 1,
                "src_ip": record.src_host, "src_port": record.src_port, "dst_ip": record.dst_host,
                "dst_port": record.dst_port,
            }  # fmt: skip
