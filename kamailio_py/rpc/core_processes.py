"""RPC commands `core.ps`, `psx`, `psa`, `kill`, `shmmem`: processes and their memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.module import RpcFault, rpc
from kamailio_py.rpc.call import ScanFault
from kamailio_py.rpc.group import Group

if TYPE_CHECKING:
    from kamailio_py.rpc.call import Call

SHIFTS = {"b": 0, "k": 10, "m": 20, "g": 30}
RUNNING = 1


class Processes(Group):
    @rpc("core.ps", "", "Pid and description of every process, one after the other.", array=True)
    def ps(self, call: Call) -> Iterator[int | str]:
        for _, row in self.core.shm.processes.rows():
            yield row.pid
            yield row.description

    @rpc("core.psx", "", "Index, pid and description of every process.", array=True)
    def psx(self, call: Call) -> Iterator[dict[str, Any]]:
        for slot, row in self.core.shm.processes.rows():
            yield {"IDX": slot, "PID": row.pid, "DSC": row.description}

    @rpc("core.psa", "", "Index, pid, status, rank and description of every process.", array=True)
    def psa(self, call: Call) -> Iterator[dict[str, Any]]:
        for slot, row in self.core.shm.processes.rows():
            yield {
                "index": slot, "pid": row.pid, "status": RUNNING, "rank": row.rank, "description": row.description,
            }  # fmt: skip

    @rpc("core.kill", "", "Sends a signal to all processes of the server, SIGTERM if none is given.")
    def kill(self, call: Call) -> None:
        try:
            number = call.scan("d")[0]
        except ScanFault:
            number = signal.SIGTERM
        main, *others = [row.pid for _, row in self.core.shm.processes.rows()]
        if number in (signal.SIGTERM, signal.SIGINT):
            others = []  # the main process ends them all, in order
        others.sort(key=os.getpid().__eq__)
        try:
            for pid in [main, *others]:
                os.kill(pid, number)
        except (OSError, ValueError, OverflowError):
            return  # as Kamailio, which does not look

    @rpc("core.shmmem", "", "Use of shared memory in bytes, or in units of b, k, m, g.")
    def shmmem(self, call: Call) -> dict[str, int]:
        try:
            unit = call.scan("*s") or ["b"]
        except ScanFault:
            unit = ["b"]  # as Kamailio: what is no string counts for nothing
        shift = SHIFTS.get(unit[0][:1].lower())
        if shift is None:
            raise RpcFault(500, "bad param, (use b|k|m|g)")
        shm = self.core.shm
        arena = shm.arena
        around = shm.size - arena.total
        sizes = {
            "total": shm.size, "free": arena.total - arena.used, "used": arena.used,
            "real_used": arena.taken + around, "max_used": max(arena.peak, arena.taken) + around,
        }  # fmt: skip
        answer = {name: size >> shift for name, size in sizes.items()}
        return {**answer, "fragments": sum(free for _, _, free in arena.classes())}
