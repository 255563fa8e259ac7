"""RPC commands `dst_blocklist.*`: destinations to which nothing is sent for a while."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kamailio_py.engine.blocklist import IPV6, PROTOCOLS, Blocked
from kamailio_py.module import RpcFault, rpc
from kamailio_py.rpc.group import Group
from kamailio_py.sip.ip import is_ip

if TYPE_CHECKING:
    from kamailio_py.rpc.call import Call


class DstBlocklist(Group):
    def _needs_list(self) -> None:
        if not self.core.blocklist.enabled:
            raise RpcFault(500, "dst blocklist support disabled")

    def _entries(self) -> Iterator[tuple[Blocked, int]]:
        """Entries with the seconds they have left."""
        self._needs_list()
        now = self.core.clock.ms()
        for entry in self.core.blocklist:
            yield entry, max(-(-(entry.expires - now) // 1000), 0)

    @rpc("dst_blocklist.mem_info", "", "Bytes in use, and how many may be.")
    def mem_info(self, call: Call) -> Iterator[int]:
        self._needs_list()
        yield self.core.blocklist.used
        yield self.core.blocklist.limit

    @rpc("dst_blocklist.debug", "", "For each entry: protocol, address, port, seconds left, flags.")
    def debug(self, call: Call) -> Iterator[str | int]:
        for entry, left in self._entries():
            yield from (entry.proto, entry.host, entry.port, left, entry.flags)

    @rpc("dst_blocklist.view", "", "The entries, as text.")
    def view(self, call: Call) -> Iterator[str]:
        for entry, left in self._entries():
            yield "{\n" + f"    protocol: {entry.proto}"
            yield f"    ip: {entry.host}"
            yield f"    port: {entry.port}"
            yield f"    expires in (s): {left}"
            yield f"    flags: {entry.flags}\n" + "}"

    @rpc("dst_blocklist.delete_all", "", "Forgets all entries.")
    def delete_all(self, call: Call) -> None:
        self._needs_list()
        self.core.blocklist.clear()

    @rpc("dst_blocklist.add", "", "Lists address, port, protocol (0 any, 1 udp, 2 tcp, 3 tls, 4 sctp), flags.")
    def add(self, call: Call) -> None:
        self._needs_list()
        host, port, proto, flags = call.scan("Sddd")
        flags &= 0xFF
        if not 0 <= proto < len(PROTOCOLS):
            raise RpcFault(400, "Unknown protocol")
        # Kamailio takes the flag for the version of the address, and an IPv4 address with it for none.
        if not is_ip(host.strip("[]")) or (flags & IPV6 and ":" not in host):
            raise RpcFault(400, "Malformed ip address")
        if not self.core.blocklist.add(PROTOCOLS[proto], host.strip("[]"), port & 0xFFFF, flags):
            raise RpcFault(400, "Failed to add the entry to the blocklist")
