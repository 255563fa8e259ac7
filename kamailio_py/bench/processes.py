"""What the processes of a server have used so far, read from /proc: CPU time, shared and private memory, waiting.

A server is a process and all its descendants. Knows nothing of servers or traffic. Needs Linux.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cpu:
    """CPU seconds: all of it, and which part of it in the kernel (that in steps of a tick, 10 ms)."""

    total: float
    system: float

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(self.total - other.total, self.system - other.system)


@dataclass(frozen=True)
class Memory:
    """Bytes in RAM: what processes share among them, and what each has for itself (all, the most, the median)."""

    processes: int
    shared: int
    private: int
    largest_private: int
    median_private: int


def tree(root: int) -> list[int]:
    """The process and its descendants."""
    found = [root]
    for pid in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                children = Path(f"/proc/{pid}/task/{task}/children").read_text()
                found += [int(word) for word in children.split()]
    return found


def cpu(root: int) -> Cpu:
    """What the server has used: its living processes, and those that ended and were waited for.

    The living ones to the nanosecond from schedstat of each thread; the ended ones, and threads that ended, from stat,
    where their parents keep them.
    """
    total = system = 0.0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            own_user, own_system, ended_user, ended_system = (int(word) * _TICK for word in stat[11:15])
            exact = 0
            for task in os.listdir(f"/proc/{pid}/task"):
                exact += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
            total += max(exact / 1e9, own_user + own_system) + ended_user + ended_system
            system += own_system + ended_system
    return Cpu(total, system)


def memory(root: int) -> Memory:
    """What the server holds now.

    Shared is the sum of each process's proportional part of shared mappings, so that a page counts once whoever maps
    it; private is what would be freed if that process alone ended: not shared memory that only it has touched so far,
    which the kernel counts as private.
    """
    shared = 0
    private: list[int] = []
    for pid in tree(root):
        with contextlib.suppress(OSError):
            own, is_own = 0, False
            for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
                name, _, rest = line.partition(" ")
                if name[-1] != ":":  # the head of a mapping: its addresses, then its permissions
                    is_own = rest[3] == "p"
                elif not is_own:
                    shared += int(rest.split()[0]) * 1024 if name == "Pss:" else 0
                elif name in ("Private_Clean:", "Private_Dirty:"):
                    own += int(rest.split()[0]) * 1024
            private.append(own)
    return Memory(len(private), shared, sum(private), max(private, default=0), int(median(private or [0])))


def waited(root: int) -> float:
    """Seconds that the process and its living descendants could have run and had no core to run on."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[1])
    return total / 1e9


def drops(inodes: set[int]) -> int:
    """Datagrams the kernel threw away because the sockets with these inodes were full."""
    dropped = 0
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        words = line.split()
        if int(words[9]) in inodes:
            dropped += int(words[-1])
    return dropped
