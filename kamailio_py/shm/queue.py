"""Queues between processes: a ring of small items and a counting semaphore.

Lives here: putting, taking, and giving back what a dead process had in hand. An item is a kind and three integers;
anything larger lies in the arena and the item holds its offset. One lock per queue guards head and tail; nobody waits
for room: full is an answer. An item taken is written into the taker's row of the process table first and stays there
until done(), so that no death loses it: it is put back, at the end. The ring has more places than the queue accepts
items, one for each process, so that this always succeeds.
"""

from __future__ import annotations

import struct
from itertools import islice
from typing import Any

import posix_ipc

from kamailio_py import points
from kamailio_py.clock import Clock
from kamailio_py.shm.locks import Identity, Lock
from kamailio_py.shm.processes import Process
from kamailio_py.shm.records import Record, u64
from kamailio_py.shm.semaphores import Semaphore, give, take


class QueueHead(Record):
    """State of a queue; the items follow it."""

    head = u64("number of the next item to be taken, counted from the start")
    tail = u64("number of the next item to be put")
    capacity = u64("items it accepts")
    ring = u64("places in the ring")
    high_water = u64("most items that ever waited")
    rejected = u64("times it was full")
    given_back = u64("items given back because their taker died")
    returning = u64("offset of the claim that is being given back, 0 if none")
    returning_as = u64("number that its item gets")


class Item(Record):
    """One place of the ring."""

    kind = u64("what the item is, a number its users have agreed on")
    a = u64("first value")
    b = u64("second value")
    c = u64("third value")
    at = u64("monotonic nanoseconds when it was put")


ITEM = Item.SIZE
_HEAD, _TAIL, _CAPACITY, _RING = (f >> 3 for f in (QueueHead.head, QueueHead.tail, QueueHead.capacity, QueueHead.ring))
_HIGH, _REJECTED, _BACK = (f >> 3 for f in (QueueHead.high_water, QueueHead.rejected, QueueHead.given_back))
_RETURNING, _RETURNING_AS = QueueHead.returning >> 3, QueueHead.returning_as >> 3
_pack = struct.Struct("<5q").pack
_unpack = struct.Struct("<4q8x").unpack
_ns = Clock.ns
_CLAIM_NUMBER = Process.claim_number - Process.claim
_CLAIM_ITEM = Process.claim_item - Process.claim


class Queue:
    """See the head of the file."""

    __slots__ = (
        "_capacity", "_first", "_handle", "_identity", "_items", "_lock", "_memory", "_ring", "_semaphore", "_words",
        "name", "offset",
    )  # fmt: skip

    def __init__(self, name: str, memory: Any, words: Any, offset: int, lock: Lock, identity: Identity) -> None:
        self.name = name
        self.offset = offset
        self._memory = memory
        self._words = words
        self._lock = lock
        self._identity = identity
        self._first = offset >> 3
        self._items = offset + QueueHead.SIZE
        self._capacity = words[self._first + _CAPACITY]
        self._ring = words[self._first + _RING]

    @staticmethod
    def size(capacity: int, processes: int) -> int:
        return QueueHead.SIZE + ITEM * (capacity + processes)

    @staticmethod
    def lay_out(words: Any, offset: int, capacity: int, processes: int) -> None:
        first = offset >> 3
        words[first + _CAPACITY] = capacity
        words[first + _RING] = capacity + processes

    def open(self) -> None:
        """Make the semaphore that takers wait on; before forking."""
        self._lock.mend = self._mend
        self._semaphore = Semaphore(0)
        self._handle = self._semaphore.handle

    def close(self) -> None:
        self._semaphore.close()

    def put(self, kind: int, a: int = 0, b: int = 0, c: int = 0) -> bool:
        """Append an item, of numbers of up to 63 bits; False if the queue is full."""
        item = _pack(kind, a, b, c, _ns())
        words = self._words
        first = self._first
        lock = self._lock
        lock.acquire()
        tail = words[first + _TAIL]
        depth = tail - words[first + _HEAD]
        if depth >= self._capacity:
            words[first + _REJECTED] += 1
            lock.release()
            return False
        at = self._items + tail % self._ring * ITEM
        self._memory[at : at + ITEM] = item
        words[first + _TAIL] = tail + 1
        if depth >= words[first + _HIGH]:
            words[first + _HIGH] = depth + 1
        lock.release()
        give(self._handle)
        return True

    def get(self, timeout: float | None = None) -> tuple[int, int, int, int] | None:
        """The next item, which this process has in hand until done().

        None when there was none within `timeout` seconds, when a signal came, or after wake(); so a caller asks
        again unless it has something else to do. Never called with an item in hand.
        """
        try:
            if timeout is not None:
                self._semaphore.take_within(timeout)
            elif take(self._handle):
                return None
        except (posix_ipc.BusyError, posix_ipc.SignalError):
            return None
        words = self._words
        memory = self._memory
        first = self._first
        lock = self._lock
        lock.acquire()
        head = words[first + _HEAD]
        if head == words[first + _TAIL]:
            lock.release()
            return None
        at = self._items + head % self._ring * ITEM
        item = memory[at : at + ITEM]
        claim = self._identity.claim
        memory[claim + _CLAIM_ITEM : claim + (_CLAIM_ITEM + ITEM)] = item
        words[(claim + _CLAIM_NUMBER) >> 3] = head
        words[claim >> 3] = self.offset
        words[first + _HEAD] = head + 1
        lock.release()
        points.point("shm.queue.taken")
        return _unpack(item)

    def done(self) -> None:
        """The item in hand needs nobody any more."""
        self._words[self._identity.claim >> 3] = 0

    def wake(self) -> None:
        """Let one waiting process look up from its get(), with nothing in hand. Takes no lock."""
        give(self._handle)

    def give_back(self, claim: int) -> bool:
        """Put what a dead process had in hand back, at the end; `claim` is the offset of its claim.

        Done by a living process, its successor for one: it takes the queue's lock. False if there was nothing.
        """
        words = self._words
        first = self._first
        if words[claim >> 3] != self.offset:
            return False
        with self._lock:
            if words[(claim + _CLAIM_NUMBER) >> 3] >= words[first + _HEAD]:
                # It died before the item was out of the ring, where it still is.
                words[claim >> 3] = 0
                return False
            tail = words[first + _TAIL]
            at = self._items + tail % self._ring * ITEM
            self._memory[at : at + ITEM] = self._memory[claim + _CLAIM_ITEM : claim + _CLAIM_ITEM + ITEM]
            # Should this process die as well, _mend() sees by these whether the item is in the ring.
            words[first + _RETURNING_AS] = tail
            words[first + _RETURNING] = claim
            words[first + _TAIL] = tail + 1
            words[claim >> 3] = 0
            words[first + _RETURNING] = 0
            words[first + _BACK] += 1
        give(self._handle)
        return True

    def _mend(self) -> None:
        """After the death of a holder: a claim whose item got back into the ring is void."""
        words = self._words
        first = self._first
        claim = words[first + _RETURNING]
        if claim:
            if words[first + _TAIL] > words[first + _RETURNING_AS]:
                words[claim >> 3] = 0
            words[first + _RETURNING] = 0
        self.post_missing()

    def post_missing(self) -> None:
        """After a death between the ring and the semaphore: wake as many takers as items wait. Takes no lock."""
        for _ in range(self.depth - self._semaphore.value):
            give(self._handle)

    @property
    def depth(self) -> int:
        """Items that wait."""
        return self._words[self._first + _TAIL] - self._words[self._first + _HEAD]

    @property
    def capacity(self) -> int:
        return self._capacity

    @property
    def high_water(self) -> int:
        return self._words[self._first + _HIGH]

    @property
    def rejected(self) -> int:
        return self._words[self._first + _REJECTED]

    @property
    def given_back(self) -> int:
        return self._words[self._first + _BACK]

    @property
    def taken(self) -> int:
        """Items that were taken, also those that were given back later."""
        return self._words[self._first + _HEAD]

    def raw(self, limit: int) -> list[bytes]:
        """The first items that wait as bytes; for lock.stable()."""
        head, tail = self._words[self._first + _HEAD], self._words[self._first + _TAIL]
        places = (self._items + number % self._ring * ITEM for number in range(head, min(tail, head + self._ring)))
        return [self._memory[at : at + ITEM] for at in islice(places, limit)]

    def waiting(self) -> list[tuple[int, int, int, int]]:
        """The items that wait, in order; use `lock.stable` or a queue at rest."""
        return [_unpack(item) for item in self.raw(self._ring)]

    @property
    def lock(self) -> Lock:
        return self._lock

    def check(self) -> list[str]:
        """What is wrong with the queue at rest."""
        if 0 <= self.depth <= self._ring and self.high_water <= self._capacity:
            return []
        return [f"queue {self.name}: {self.depth} items wait in a ring of {self._ring}"]
