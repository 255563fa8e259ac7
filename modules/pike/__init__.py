"""The pike module: addresses that send too many requests are blocked for as long as they do.

Requests are counted in a tree in shared memory (tree.py); the timer process goes on to the next time unit and removes
what is over.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import STR
from kamailio_py.config.host import RouteType
from kamailio_py.log import Level, emit, get_logger, settings
from kamailio_py.module import Module, Param, RpcFault, function, rpc
from kamailio_py.modules.pike.tree import Mark, Tree
from kamailio_py.sip.ip import is_ipv4, normalise

if TYPE_CHECKING:
    from kamailio_py.script.context import Context

log = get_logger("pike")

CHECKING = RouteType.REQUEST | RouteType.ONREPLY
BLOCKED = "blocked_ips"


class Pike(Module):
    """Floods are kept out."""

    name = "pike"
    statistics = (BLOCKED,)

    sampling_time_unit = Param(int, 2)
    reqs_density_per_unit = Param(int, 30)
    remove_latency = Param(int, 120)
    pike_log_level = Param(int, Level.WARN)

    def mod_init(self) -> None:
        self._tree = Tree(self.core.shm, self._seconds, self.reqs_density_per_unit, self.remove_latency)
        self._blocked = self.core.statistic(self.name, BLOCKED)
        self.core.register_timer(self._tree.clean, 1)
        self.core.register_timer(self.next_unit, self.sampling_time_unit)

    def _seconds(self) -> int:
        return self.core.clock.ms() // 1000

    def next_unit(self) -> None:
        for ip in self._tree.next_unit():
            self._log(f"PIKE - UNBLOCKing ip {_text(ip)}")

    def _log(self, text: str) -> None:
        if settings.level >= self.pike_log_level:
            emit(self.pike_log_level, f"pike: {text}")

    @function("pike_check_req", routes=CHECKING)
    def pike_check_req(self, ctx: Context) -> int:
        return self._check(ctx.msg.src_ip)

    @function("pike_check_ip", STR, routes=CHECKING)
    def pike_check_ip(self, ctx: Context, address: str) -> int:
        """As pike_check_req() for another address; IPv4 alone, as in Kamailio."""
        if not is_ipv4(address):
            log.err(f"invalid ip address: {address}")
            return -1
        return self._check(normalise(address))

    def _check(self, address: str) -> int:
        """1, or -1 if the address is blocked, -2 if it is from now on."""
        mark = self._tree.mark(ip_address(address).packed)
        if mark is Mark.NEWLY_BLOCKED:
            self._log(f"PIKE - BLOCKing ip {address}")
            self.core.count(self._blocked)
        return mark.value

    @rpc("pike.top", "*s", "List all nodes with the hits of their addresses: ALL, HOT (default) or WARM")
    @rpc("pike.list", "*s", "List all nodes with the hits of their addresses: ALL, HOT (default) or WARM")
    def rpc_top(self, call: Any, options: str = "HOT") -> dict[str, Any]:
        if not any(option in options for option in ("ALL", "HOT", "WARM")):
            raise RpcFault(500, "Bad argument. Select: ALL, HOT or WARM")
        everything = "ALL" in options
        rows = [
            {
                "ip_addr": _text(address.ip),
                "leaf_hits_prev": address.leaf_hits_prev,
                "leaf_hits_curr": address.leaf_hits_curr,
                "expires": address.expires,
                "status": "HOT" if address.hot else "WARM" if address.warm else "",
            }
            for address in reversed(self._tree.addresses())
            if everything or (address.hot and "HOT" in options)
        ]
        return {"max_hits": self._tree.density, "list": rows, "number_of_rows": len(rows)}


def _text(ip: bytes) -> str:
    return str(ip_address(ip))
