"""RPC commands of corex: addresses, the log level, shared memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.engine.cfg_variables import ChangeRefused
from kamailio_py.log import get_logger
from kamailio_py.module import Module, RpcFault, rpc
from kamailio_py.rpc.call import ScanFault

if TYPE_CHECKING:
    from kamailio_py.rpc.call import Call
    from kamailio_py.sip.endpoint import ListenSocket

log = get_logger("corex")

MANAGER = "arena"
NO_SELECTOR = (400, "Selector and value not provided")


class Commands(Module):
    """What is added to the module's class."""

    @rpc("corex.list_sockets", "", "Addresses the server listens on.", array=True)
    def rpc_list_sockets(self, call: Call) -> Iterator[dict[str, Any]]:
        for listening in self.core.sockets:
            yield {
                "PROTO": listening.proto, "NAME": listening.host_text, "ADDRLIST": {"ADDR": listening.host_text},
                "PORT": str(listening.port), "MCAST": "no", "MHOMED": "no", "VIRTUAL": "no",
                "SOCKNAME": listening.name or "-", "ADVERTISE": self._advertised(listening),
            }  # fmt: skip

    @staticmethod
    def _advertised(listening: ListenSocket) -> str:
        if not listening.advertise_host:
            return "-"
        return f"{listening.proto}:{listening.advertise_host}:{listening.advertise_port or listening.port}"

    @rpc("corex.list_aliases", "", "Names and addresses that are the server's own.", array=True)
    def rpc_list_aliases(self, call: Call) -> Iterator[dict[str, Any]]:
        for proto, host, port in reversed(self.core.addresses.aliases):
            yield {"PROTO": proto or "*", "ADDR": host, "PORT": port}

    @rpc("corex.debug", "", "The log level; with a number, another one for all processes.")
    def rpc_debug(self, call: Call) -> dict[str, int]:
        old = self.core.cfg.debug
        try:
            given = call.scan("*d")
        except ScanFault:
            given = []
        if not given:
            return {"debug": old}
        try:
            self.core.variables.set_now("core", -1, "debug", given[0])
        except ChangeRefused:
            raise RpcFault(500, "Failed to set the debug level") from None
        return {"old": old, "new": given[0]}

    # memory

    @rpc("corex.shm_summary", "", "Log the use of shared memory by owner.")
    @rpc("corex.shm_status", "", "Log the use of shared memory by owner.")
    def rpc_shm_status(self, call: Call) -> None:
        arena = self.core.shm.arena
        log.alert(f"shared memory: total {arena.total}, used {arena.used}, largest use {arena.peak}")
        for owner, (blocks, size) in arena.by_owner().items():
            log.alert(f"shared memory of {owner}: {blocks} blocks, {size} bytes")

    @rpc("corex.pkg_summary", "Sd", "Private memory of a process, which is Python's own.", missing=NO_SELECTOR)
    def rpc_pkg_summary(self, call: Call, selector: str, value: int) -> None:
        if selector.lower() == "idx":
            if not 0 <= value < sum(1 for _ in self.core.shm.processes.rows()):
                raise RpcFault(500, "Index value out of range")
        elif selector.lower() != "pid":
            raise RpcFault(500, "Unsupported selector type")

    @rpc("shm.info", "", "Name and size of shared memory.")
    def rpc_shm_info(self, call: Call) -> dict[str, Any]:
        return {"name": MANAGER, "size": self.core.shm.size}

    @rpc("shm.stats", "", "Use of shared memory.")
    def rpc_shm_stats(self, call: Call) -> dict[str, int]:
        shm, arena = self.core.shm, self.core.shm.arena
        around = shm.size - arena.total
        return {
            "total": shm.size, "free": arena.total - arena.used, "used": arena.used, "real_used": arena.taken + around,
            "max_used": max(arena.peak, arena.taken) + around,
            "fragments": sum(free for _, _, free in arena.classes()),
        }  # fmt: skip

    @rpc("shm.report", "", "Use of shared memory, with its largest and smallest blocks.")
    def rpc_shm_report(self, call: Call) -> dict[str, Any]:
        """A free fragment is an unused block of a class; the place of a block is the owner that has it."""
        stats = self.rpc_shm_stats(call)
        arena = self.core.shm.arena
        free = [size for size, _, count in arena.classes() if count]
        free.append(arena.total - arena.taken)
        used = [(block.length, block.owner) for block in arena.walk()]
        frags = stats["fragments"]
        report: dict[str, Any] = {
            "total_size": stats["total"], "free_size_s": stats["free"], "used_size_s": stats["used"],
            "real_used_s": stats["real_used"], "max_used_s": stats["max_used"], "free_frags": frags,
            "used_frags": len(used), "total_frags": frags + len(used),
        }  # fmt: skip
        for name, size, number in (
            ("max_free_frag", max(free), -1), ("max_used_frag", *max(used, default=(0, -1))),
            ("min_free_frag", min(free), -1), ("min_used_frag", *min(used, default=(0, -1))),
        ):  # fmt: skip
            owner = arena.owners.name(number) if number >= 0 else ""
            module, _, purpose = owner.partition(":")
            report |= {
                f"{name}_size": size, f"{name}_file": owner, f"{name}_func": purpose, f"{name}_mname": module,
                f"{name}_line": 0,
            }  # fmt: skip
        return report
