"""A segment that is looked at: the memory, what time it is for it, and names for what is numbered in it.

Found by the name of an instance, the pid of one of its processes, or a file. `now` is the machine's clock for a
server that runs; for one that is dead and for a copy it is the last sign of life in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kamailio_py.clock import Clock
from kamailio_py.inspector.layouts import Layouts
from kamailio_py.inspector.script import Script
from kamailio_py.shm import instances
from kamailio_py.shm.arena import Block
from kamailio_py.shm.errors import SharedMemoryError
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.table import Table


class NotFound(Exception):
    """What was asked for is not in the segment; the text says what is."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Who a slot of the process table stands for."""

    slot: int
    pid: int
    description: str


class Segment:
    """See the head of the file. `path` is the file below it."""

    def __init__(self, memory: SharedMemory, path: str) -> None:
        self.memory = memory
        self.path = path
        self.header = memory.header
        self.name = path.removeprefix(f"{instances.DIRECTORY}/{instances.PREFIX}")
        own = self.header.instance.split(b"\0", 1)[0].decode("latin-1")
        self.is_copy = self.name != own
        self.live = not self.is_copy and memory.live

    @cached_property
    def layouts(self) -> Layouts:
        return Layouts(self.memory.structures)

    @cached_property
    def script(self) -> Script:
        return Script.of(self.memory)

    # time

    @property
    def now(self) -> int:
        """Monotonic nanoseconds."""
        if self.live:
            return Clock.ns()
        return max((row.heartbeat for _, row in self.memory.processes.rows()), default=0)

    @property
    def now_ms(self) -> int:
        return self.now // 1_000_000

    # names

    def worker(self, slot: int) -> Worker | None:
        """The process of a slot; None for a number that is none."""
        if not 0 <= slot < self.memory.processes.count:
            return None
        row = self.memory.processes.row(slot)
        return Worker(slot, row.pid, row.description)

    def state_of(self, pid: int) -> str:
        """Whether a process of the instance runs: "running", "stopped", "dead"; "" for a copy, which cannot say."""
        if self.is_copy:
            return ""
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                state = file.read().rpartition(b")")[2].split()[0]
        except OSError:
            return "dead"
        return {b"T": "stopped", b"t": "stopped", b"Z": "dead", b"X": "dead"}.get(state, "running")

    # chains and blocks

    @staticmethod
    def chain(table: Table, bucket: int) -> Iterator[int]:
        """Offsets of a bucket's records; LookupError if the chain, which may be changing, comes back to one."""
        seen: set[int] = set()
        for offset in table.walk(bucket):
            if offset in seen:
                raise LookupError(f"bucket {bucket} of {table.name} is a ring")
            seen.add(offset)
            yield offset

    def owner(self, block: Block) -> str:
        return self.memory.arena.owners.name(block.owner) or str(block.owner)

    def block(self, offset: int) -> Block | None:
        """The block in use that starts at `offset`."""
        if offset <= 0 or offset & 7:
            return None
        found = self.memory.arena.find(offset)
        return found if found is not None and found.offset == offset else None

    def load(self, offset: int) -> bytes:
        """What a block holds, b"" if there is none at `offset`."""
        block = self.block(offset)
        return self.memory.memory[offset : offset + block.length] if block is not None else b""

    def blocks(self, owner: str) -> Iterator[Block]:
        """The blocks of an owner, without a lock: some may be gone when they are looked at."""
        number = self.memory.arena.owners.numbers.get(owner)
        return (block for block in self.memory.arena.walk() if block.owner == number)

    def records(self, owner: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """(offset, values) of the records of an owner; what was freed while it was read is left out."""
        layout = self.layouts.by_name.get(owner)
        if layout is None:
            return
        words = self.memory.u64
        for block in self.blocks(owner):
            word = words[(block.offset >> 3) - 1]
            if block.length < layout.size or (word & 0xFFFFFFFF, word >> 32 & 0xFFFF) != (block.length, block.owner):
                continue
            values = layout.unpack(self.memory.memory, block.offset)
            if words[(block.offset >> 3) - 1] == word:
                yield block.offset, values

    def record(self, owner: str, offset: int) -> dict[str, Any] | None:
        """A record in a block of that owner; None if there is none."""
        layout = self.layouts.by_name.get(owner)
        block = self.block(offset)
        if layout is None or block is None or block.length < layout.size or self.owner(block) != owner:
            return None
        return layout.unpack(self.memory.memory, offset)

    def close(self) -> None:
        self.memory.close()


def candidates() -> list[instances.Instance]:
    """Instances that can be looked into; what is torn or foreign has no main process and is left out."""
    return [found for found in instances.instances() if found.master]


def _by_pid(pid: int) -> str:
    for found in sorted(candidates(), key=lambda found: not found.live):
        if found.master == pid:
            return found.name
        try:
            memory = SharedMemory.attach(found.name)
        except SharedMemoryError:
            continue
        try:
            if any(row.pid == pid for _, row in memory.processes.rows()):
                return found.name
        finally:
            memory.close()
    raise SharedMemoryError(f"no instance has a process with pid {pid}")


def _only_one() -> str:
    found = candidates()
    live = [instance for instance in found if instance.live]
    if len(found) == 1 or len(live) == 1:
        return (live or found)[0].name
    if not found:
        raise SharedMemoryError("there is no instance on this machine (kamshm ls)")
    names = ", ".join(instance.name for instance in live or found)
    raise SharedMemoryError(f"which one? --instance one of: {names}")


def find(choice: str | None) -> Segment:
    """The segment that is meant by an instance's name, a pid or a file; without any, the only one there is.

    SharedMemoryError with what is wrong, in words.
    """
    prefix = f"{instances.DIRECTORY}/{instances.PREFIX}"
    if choice is None:
        choice = _only_one()
    elif "/" not in choice and not os.path.exists(prefix + choice):
        if choice.isdecimal():
            choice = _by_pid(int(choice))
        elif not os.path.exists(choice):
            raise SharedMemoryError(f"no instance {choice}, and no such file")
        else:
            choice = os.path.abspath(choice)
    path = choice if "/" in choice else prefix + choice
    return Segment(SharedMemory.open(path), path)


@contextmanager
def attached(choice: str | None) -> Iterator[Segment]:
    """The segment while it is looked at."""
    segment = find(choice)
    try:
        yield segment
    finally:
        segment.close()
