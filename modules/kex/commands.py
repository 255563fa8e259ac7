"""RPC commands of kex: statistics, and memory by module and by process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.engine.statistics import Statistic
from kamailio_py.module import Module, RpcFault, rpc
from kamailio_py.rpc.call import ScanFault

if TYPE_CHECKING:
    from kamailio_py.rpc.call import Call

WHICH = (400, "Please provide which stats to retrieve")
NAME = (400, "Please provide stats name")
UNSIGNED = (1 << 64) - 1
"""Kamailio prints statistics as unsigned numbers of 64 bits, also one that fell below zero."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class Commands(Module):
    """What is added to the module's class."""

    # statistics

    def _selected(self, call: Call, missing: tuple[int, str]) -> Iterator[Statistic]:
        """What the arguments stand for: `all`, `group:` or names. RpcFault without any."""
        try:
            names = call.scan("s")
        except ScanFault:
            raise RpcFault(*missing) from None
        names += call.rest("*s")
        for name in names:
            yield from self.core.statistics.selected(name)

    @rpc("stats.get_statistics", "", "Statistics as lines of text.", array=True)
    def get_statistics(self, call: Call) -> Iterator[str]:
        for one in self._selected(call, WHICH):
            yield f"{one.group}:{one.name} = {one.read() & UNSIGNED}"

    @rpc("stats.fetch", "", "Statistics as a struct of texts.")
    def fetch(self, call: Call) -> dict[str, str]:
        return {f"{one.group}.{one.name}": str(one.read() & UNSIGNED) for one in self._selected(call, WHICH)}

    @rpc("stats.fetchn", "", "Statistics as a struct of numbers.")
    def fetchn(self, call: Call) -> dict[str, int]:
        return {f"{one.group}.{one.name}": one.read() for one in self._selected(call, WHICH)}

    @rpc("stats.reset_statistics", "", "Let statistics start from zero.")
    def reset_statistics(self, call: Call) -> None:
        for one in self._selected(call, NAME):
            self.core.statistics.reset(one)

    @rpc("stats.clear_statistics", "", "Let statistics start from zero, and tell what they were.")
    def clear_statistics(self, call: Call) -> Iterator[str]:
        for one in self._selected(call, NAME):
            before = one.read()
            self.core.statistics.reset(one)
            now = one.read()
            changed = f" ({before})" if one.resettable and now != before else ""
            yield f"{one.group}:{one.name} = {now}{changed}"

    # memory by module: private memory is Python's own and not counted by module

    @rpc("mod.stats", "", "Memory of a module, or of all.", array=True)
    @rpc("mod.mem_stats", "", "Memory of a module, or of all.", array=True)
    def mem_stats(self, call: Call) -> Iterator[Any]:
        return self._memory(call, lambda size, blocks: size)

    @rpc("mod.mem_statsx", "", "Memory of a module, or of all, with the number of blocks.", array=True)
    def mem_statsx(self, call: Call) -> Iterator[Any]:
        return self._memory(call, lambda size, blocks: f"{size} ({blocks})")

    def _memory(self, call: Call, show: Callable[[int, int], Any]) -> Iterator[Any]:
        try:
            [module] = call.scan("s")
        except ScanFault:
            raise RpcFault(500, 'Module name or "all" needed') from None
        try:
            [kind] = call.scan("s")
        except ScanFault:
            raise RpcFault(500, '"pkg" or "shm" or "all" needed') from None
        owners = self.core.shm.arena.by_owner()
        names = ["core", *self.core.modules] if module == "all" else [module]
        for name in names:
            yield f"Module: {name}"
            if kind in ("pkg", "all"):
                yield {"Total": 0}
            if kind in ("shm", "all"):
                found = {
                    owner.partition(":")[2]: numbers
                    for owner, numbers in owners.items()
                    if owner.partition(":")[0] == name
                }
                struct: dict[str, Any] = {purpose: show(size, blocks) for purpose, (blocks, size) in found.items()}
                yield struct | {"Total": sum(size for _, size in found.values())}
            yield ""

    # memory by process

    @rpc("pkg.info", "", "Name and size of private memory: that of this process.")
    def pkg_info(self, call: Call) -> dict[str, Any]:
        return {"name": "python", "size": _private(os.getpid())[0]}

    @rpc("pkg.stats", "", "Private memory of processes.", array=True)
    def pkg_stats(self, call: Call) -> Iterator[dict[str, Any]]:
        """`used` is what a process does not share with others: pages of the interpreter's own."""
        rows = list(self.core.shm.processes.rows())
        kind, wanted = self._filter(call)
        if kind == "pid":
            rows = [(index, row) for index, row in rows if row.pid == wanted]
            if not rows:
                raise RpcFault(500, "No such pid")
        elif kind == "rank":
            rows = [(index, row) for index, row in rows if row.rank == wanted]
        elif kind == "index":
            rows = [(index, row) for index, row in rows if index == wanted]
        for index, row in rows:
            total, used = _private(row.pid)
            yield {
                "entry": index, "pid": row.pid, "rank": row.rank, "used": used, "free": total - used,
                "real_used": used, "total_size": total, "total_frags": 0, "desc": row.description,
            }  # fmt: skip

    @staticmethod
    def _filter(call: Call) -> tuple[str, int]:
        try:
            found = call.scan("*S")
        except ScanFault:
            raise RpcFault(500, "Invalid filter type") from None
        if not found:
            return "", 0
        kind = found[0].lower()
        if kind not in ("pid", "rank", "index"):
            raise RpcFault(500, "Invalid filter type")
        try:
            [wanted] = call.scan("d")
        except ScanFault:
            raise RpcFault(500, "One more parameter expected") from None
        return kind, wanted


def _private(pid: int) -> tuple[int, int]:
    """Resident bytes of a process, and those of them that are its own; zeros for one that is gone."""
    try:
        with open(f"/proc/{pid}/statm") as statm:
            _, resident, shared, *_ = (int(word) * PAGE for word in statm.read().split())
    except OSError:
        return 0, 0
    return resident, resident - shared
