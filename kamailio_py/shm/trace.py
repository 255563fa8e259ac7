"""A ring of events per process: what happened to which transaction, for whoever wants to tell the story of one call.

Each process writes into a ring of its own, without a lock; the oldest events are overwritten. A reader sorts by time
and skips what was overwritten while it read: an event carries its running number, written last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from kamailio_py.shm.locks import Identity
from kamailio_py.shm.records import Record, u32, u64

RING = 128
"""Events kept for each process."""


class What(IntEnum):
    """What can happen; the sentence is for people, {detail} is the event's number."""

    CREATED = 1
    SUSPENDED = 2
    WAITING = 3
    QUEUED = 4
    TAKEN = 5
    RESUMED = 6
    REPLIED = 7
    RELAYED = 8
    CANCELED = 9
    TIMED_OUT = 10
    DELETED = 11


SENTENCES = {
    What.CREATED: "received, transaction {index}:{label} created",
    What.SUSPENDED: "suspended as {index}:{label}",
    What.WAITING: "timer set, due in {detail} ms",
    What.QUEUED: "due, put into the queue",
    What.TAKEN: "taken out of the queue",
    What.RESUMED: "resumed, route {detail} runs",
    What.REPLIED: "answered with {detail}",
    What.RELAYED: "relayed on branch {detail}",
    What.CANCELED: "cancelled",
    What.TIMED_OUT: "branch {detail} timed out",
    What.DELETED: "deleted",
}


class TraceEvent(Record):
    """One event."""

    at = u64("monotonic nanoseconds")
    index = u32("hash index of the transaction")
    label = u32("hash label of the transaction")
    what = u32("number of the event")
    detail = u32("status code, route number, milliseconds, branch: by the event")
    number = u64("running number in this process, from 1; 0 while it is written")


@dataclass(frozen=True, slots=True)
class Event:
    """An event, read."""

    at: int
    slot: int
    what: What
    transaction: tuple[int, int]
    detail: int

    @property
    def sentence(self) -> str:
        index, label = self.transaction
        return SENTENCES[self.what].format(index=index, label=label, detail=self.detail)


class Trace:
    """The rings of all processes."""

    __slots__ = ("_memory", "_offset", "add", "processes")

    add: Callable[..., None]

    def __init__(self, memory: Any, offset: int, processes: int, identity: Identity, ns: Callable[[], int]) -> None:
        self._memory = memory
        self._offset = offset
        self.processes = processes
        self.add = self._adder(identity, ns)

    @staticmethod
    def size(processes: int) -> int:
        return processes * RING * TraceEvent.SIZE

    def _adder(self, identity: Identity, ns: Callable[[], int]) -> Callable[..., None]:
        """Make `add`: a function over the ring's own parts, since it stands in the way of every request."""
        memory, offset, pack, size = self._memory, self._offset, TraceEvent.STRUCT.pack_into, TraceEvent.SIZE
        number = 0

        def add(what: int, index: int, label: int, detail: int = 0) -> None:
            """Note an event of the transaction index:label, now."""
            nonlocal number
            number += 1
            pack(
                memory, offset + (identity.slot * RING + number % RING) * size, ns(), index, label, what, detail, number
            )

        return add

    def events(self) -> list[Event]:
        """Everything the rings still hold, in the order of time."""
        found = []
        for slot in range(self.processes):
            base = self._offset + slot * RING * TraceEvent.SIZE
            for position in range(RING):
                values = TraceEvent.unpack(self._memory, base + position * TraceEvent.SIZE)
                if values.number and values.what in What.__members__.values():
                    found.append(Event(values.at, slot, What(values.what), (values.index, values.label), values.detail))
        found.sort(key=lambda event: event.at)
        return found
