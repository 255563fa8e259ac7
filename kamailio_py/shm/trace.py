"""A ring of events per process: what happened to which transaction, for whoever wants to tell the story of one call.

Each process writes into a ring of its own, without a lock; the oldest events are overwritten. A reader sorts by time
and skips what was overwritten while it read: an event carries its running number, written last.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any
from zlib import crc32

from kamailio_py.clock import Clock
from kamailio_py.constants import over
from kamailio_py.dataclass import dataclass
from kamailio_py.shm.locks import Identity
from kamailio_py.shm.records import Record, u32, u64

SMALLEST, LARGEST = 64, 4096
"""Events kept for each process, by the size of the segment."""


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
    ROUTE = 12
    ANSWERED = 13


SENTENCES = {
    What.CREATED: "received, transaction {index}:{label} created",
    What.SUSPENDED: "suspended as {index}:{label} at {place}",
    What.WAITING: "timer set, due in {detail} ms",
    What.QUEUED: "put into the queue",
    What.TAKEN: "taken out of the queue",
    What.RESUMED: "resumed, {route} runs",
    What.REPLIED: "answered with {detail}",
    What.RELAYED: "sent on branch {detail}",
    What.CANCELED: "cancelled",
    What.TIMED_OUT: "timer of branch {detail} fired",
    What.DELETED: "deleted",
    What.ROUTE: "{route} entered",
    What.ANSWERED: "branch {branch} answered {status}",
}


_KNOWN = {int(what): what for what in What}


class TraceEvent(Record):
    """One event."""

    at = u64("monotonic nanoseconds")
    index = u32("hash index of the transaction")
    label = u32("hash label of the transaction")
    what = u32("number of the event")
    detail = u32("crc32 of the Call-ID, place in the config, number of a route, status, ms, branch: by the event")
    number = u64("running number in this process, from 1; another one while it is read means it was overwritten")


@dataclass(frozen=True, slots=True)
class Event:
    """An event, read."""

    at: int
    slot: int
    what: What
    transaction: tuple[int, int]
    detail: int

    def sentence(self, route: Callable[[int], str] = str, place: Callable[[int], str] = str) -> str:
        """What happened, for people; `route` and `place` give the names of routes and places in the config."""
        index, label = self.transaction
        status, branch = self.detail >> 8, self.detail & 0xFF
        return SENTENCES[self.what].format(
            index=index, label=label, detail=self.detail, route=route(self.detail), place=place(self.detail),
            status=status, branch=branch,
        )  # fmt: skip


def call_id_hash(call_id: str) -> int:
    """What CREATED notes of the Call-ID, by which the events of a transaction are found when it is gone."""
    return crc32(call_id.encode("latin-1", "replace"))


# of no memory; see constants.over()
memory: Any = None
offset = ring = mask = 0
identity = Identity()
ns: Callable[[], int] = Clock.ns


def _adder() -> Callable[..., None]:
    """Trace.add, over what a memory has in their place."""
    pack, size, number = TraceEvent.STRUCT.pack_into, TraceEvent.SIZE, 0

    def add(what: int, index: int, label: int, detail: int = 0) -> None:
        """Note an event of the transaction index:label, now."""
        nonlocal number
        number += 1
        at = offset + (identity.slot * ring + (number & mask)) * size
        pack(memory, at, ns(), index, label, what, detail, number)

    return add


class Trace:
    """The rings of all processes."""

    __slots__ = ("_memory", "_offset", "add", "processes", "ring")

    add: Callable[..., None]

    def __init__(
        self, memory: Any, offset: int, processes: int, ring: int, identity: Identity, ns: Callable[[], int]
    ) -> None:
        self._memory = memory
        self._offset = offset
        self.processes = processes
        self.ring = ring
        make: Callable[[], Callable[..., None]] = over(
            _adder, memory=memory, offset=offset, ring=ring, mask=ring - 1, identity=identity, ns=ns
        )
        self.add = make()

    @staticmethod
    def size(processes: int, ring: int) -> int:
        return processes * ring * TraceEvent.SIZE

    @staticmethod
    def ring_for(segment: int, processes: int) -> int:
        """How many events each process keeps: a power of two for which at most a sixteenth of the segment is used.

        A ring that is not used takes no memory of the machine.
        """
        ring = LARGEST
        while ring > SMALLEST and Trace.size(processes, ring) > segment // 16:
            ring //= 2
        return ring

    def events(self, wanted: Callable[[int, int], bool] | None = None) -> list[Event]:
        """Everything the rings still hold, or of the transactions that are `wanted`, in the order of time."""
        found = []
        size = self.ring * TraceEvent.SIZE
        for slot in range(self.processes):
            base = self._offset + slot * size
            if not any(self._memory[base + TraceEvent.SIZE : base + 2 * TraceEvent.SIZE]):
                continue  # number 1 of a ring is its first event
            # what differs between two looks was being written
            both = [TraceEvent.STRUCT.iter_unpack(self._memory[base : base + size]) for _ in range(2)]
            for event, again in zip(*both, strict=True):
                at, index, label, what, detail, number = event
                if number and event == again and what in _KNOWN and (wanted is None or wanted(index, label)):
                    found.append(Event(at, slot, _KNOWN[what], (index, label), detail))
        found.sort(key=lambda event: event.at)
        return found
