"""The timing wheel: timers with millisecond due times, whose cost does not depend on how many are pending.

Lives here: adding, cancelling and firing nodes that are embedded in the records of others. 65536 slots of 5 ms
make one lap of 327 seconds; a timer due later waits in its slot for its lap. Chains of slots are guarded by 16 locks.

Who may do what: any process adds and cancels; one process runs the wheel. A node is fresh (all zero), pending, or
being fired. cancel() says True if it took the node out: it will not fire. False means that it does not pend: it was
never added, or it has been taken out to be fired. So a pending timer counts as a reference to its record, and that
reference passes to whoever took it out: to the caller of a cancel() that said True, otherwise to the handler. A
handler may add its node again. Adding and cancelling one node at the same time is what the lock of its record is for.

Time: a timer never fires early, and at most one grain and one round of the timer process late. A timer due in the
past fires in the next run. After a stall everything due fires once, in order of due times.

The process that runs it sleeps until the next slot with something in it, REST grains at most. Until when stands in the
head, and who adds something that is due before wakes it. Should that process die just then, the timer is late by what
is left of REST.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from kamailio_py import points
from kamailio_py.shm import chain
from kamailio_py.shm.bell import Bell
from kamailio_py.shm.errors import SharedMemoryError
from kamailio_py.shm.locks import Lock
from kamailio_py.shm.names import Names
from kamailio_py.shm.records import Record, u16, u32, u64, words
from kamailio_py.shm.words import numbers

GRAIN = 5
SLOTS = 65536
STRIPES = 16
SPAN = 500
"""What is due within so many milliseconds of each other is put in order without sorting."""
REST = 200
"""Grains that the process which runs the wheel sleeps at most."""


class TimerNode(Record):
    """What a record with a timer embeds: `timer = embedded(TimerNode, ...)`. Zeroed before its first use."""

    next = u64("next node of the slot")
    prev = u64("previous node of the slot, 0 for the first")
    due = u64("monotonic milliseconds when it is due")
    kind = u16("number of its kind, which names the handler")
    state = u16("0 not pending, 1 being added, 2 pending, 3 being fired")
    slot = u32("the slot it is in")


class WheelHead(Record):
    """State of the wheel; the heads of the slots follow it."""

    horizon = u64("tick up to which a run is or was going: nodes are only added behind it")
    done = u64("tick up to which every slot was fired")
    firing = u64("offset of the node that was taken out last and still has to be fired, 0 if none")
    fired = u64("timers fired")
    late = words(16, "timers by how late they were when their run began: number n counts those below 2**n ms")
    late_total = u64("milliseconds that all of them were late")
    longest = u64("milliseconds that the longest run took")
    rest = u64("tick until which the process that runs it sleeps, unless woken")


_MASK = SLOTS - 1
_STATE = 0xFFFF << 16
_ADDING, _PENDING, _FIRING = 1 << 16, 2 << 16, 3 << 16
_KIND = 0xFFFF
_LATEST = 15


class Wheel:
    """See the head of the file."""

    __slots__ = (
        "_again", "_bell", "_done", "_fired", "_firing", "_handlers", "_heads", "_horizon", "_late", "_locks",
        "_memory", "_rest", "_words", "kinds", "offset",
    )  # fmt: skip

    def __init__(self, memory: Any, words: Any, offset: int, locks: Sequence[Lock], kinds: Names) -> None:
        self.offset = offset
        self.kinds = kinds
        self._memory = memory
        self._words = words
        self._locks = list(locks)
        self._heads = (offset + WheelHead.SIZE) >> 3
        self._horizon, self._done, self._firing, self._fired = (
            (offset + field) >> 3 for field in (WheelHead.horizon, WheelHead.done, WheelHead.firing, WheelHead.fired)
        )
        self._late = (offset + WheelHead.late) >> 3
        self._rest = (offset + WheelHead.rest) >> 3
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._again: set[int] = set()
        for stripe, lock in enumerate(self._locks):
            lock.mend = lambda stripe=stripe: self._mend(stripe)

    @staticmethod
    def size() -> int:
        return WheelHead.SIZE + 8 * SLOTS

    def open(self) -> None:
        """Make what wakes the process that runs it; before forking."""
        self._bell = Bell()

    def close(self) -> None:
        self._bell.close()

    def kind(self, name: str, handler: Callable[[int], None], *, again: bool = False) -> int:
        """Register `handler(node offset)`; before forking.

        With `again` a timer whose handler did not return because its process died is fired once more by the next one;
        only for handlers that bear being repeated and do not free the record of the node.
        """
        if name in self.kinds.numbers:
            raise SharedMemoryError(f"timer kind {name} is registered twice")
        number = self.kinds.number(name)
        self._handlers[number] = handler
        if again:
            self._again.add(number)
        return number

    def add(self, node: int, due_ms: int, kind: int) -> None:
        """Let the node, which does not pend, fire at `due_ms`."""
        words = self._words
        tick = (due_ms + (GRAIN - 1)) // GRAIN
        while True:
            horizon = words[self._horizon]
            if tick <= horizon:
                tick = horizon + 1
            slot = tick & _MASK
            lock = self._locks[slot & (STRIPES - 1)]
            lock.acquire()
            if words[self._horizon] < tick:
                break
            lock.release()  # a run has passed the slot meanwhile
        index = node >> 3
        head = self._heads + slot
        tag = slot << 32 | kind
        words[index + 3] = tag | _ADDING
        words[index + 2] = due_ms
        first = words[head]
        words[index] = first
        words[index + 1] = 0
        words[head] = node
        if first:
            words[(first >> 3) + 1] = node
        words[index + 3] = tag | _PENDING
        lock.release()
        if tick < words[self._rest]:
            self._bell.ring()

    def cancel(self, node: int) -> bool:
        """Take the node out; True if it will not fire, False if it was not pending."""
        words = self._words
        index = node >> 3
        while True:
            tag = words[index + 3]
            if tag & _STATE != _PENDING:
                return False
            slot = tag >> 32
            lock = self._locks[slot & (STRIPES - 1)]
            lock.acquire()
            if words[index + 3] == tag:
                break
            lock.release()  # it was fired, and perhaps added again, just now
        words[index + 3] = tag & _KIND
        following = words[index]
        previous = words[index + 1]
        if previous:
            words[previous >> 3] = following
        else:
            words[self._heads + slot] = following
        if following:
            words[(following >> 3) + 1] = previous
        lock.release()
        return True

    def pending(self, node: int) -> bool:
        return self._words[(node >> 3) + 3] & _STATE == _PENDING

    def firing(self, node: int) -> bool:
        """Was it taken out to be fired? It stays so until it is added again."""
        return self._words[(node >> 3) + 3] & _STATE == _FIRING

    def run(self, now_ms: int) -> int:
        """Fire everything that is due; the number fired. Only in the timer process.

        An exception from a handler leaves; what was not fired yet fires in the next run.
        """
        words = self._words
        now = now_ms // GRAIN
        fired = self._resume() if words[self._firing] else 0
        done = words[self._done]
        if now <= done:
            return fired
        words[self._horizon] = now
        for due, node, tag in self._due(done + 1, now):
            lock = self._locks[(tag >> 32) & (STRIPES - 1)]
            lock.acquire()
            index = node >> 3
            if words[index + 3] != tag or words[index + 2] != due:
                lock.release()  # cancelled since it was looked at, or used for something new
                continue
            kind = tag & _KIND
            words[self._firing] = node
            words[index + 3] = kind | _FIRING
            chain.unlink(words, self._heads + (tag >> 32), node)
            lock.release()
            points.point("shm.wheel.fired")
            late = now_ms - due
            words[self._late + min(late.bit_length(), _LATEST)] += 1
            words[self._late + (_LATEST + 1)] += late
            self._fire(node, kind)
            fired += 1
        words[self._done] = now
        words[self._fired] += fired
        return fired

    def next(self) -> int:
        """Monotonic milliseconds when the next run is worth while, if nobody adds something that is due before."""
        words = self._words
        first = words[self._done] + 1
        tick = last = first + REST - 1
        if not words[self._heads + (first & _MASK)]:
            words[self._rest] = last
            # Who adds looks at `rest` after linking; this is as good as a fence between writing it and looking.
            self._locks[0].acquire()
            self._locks[0].release()
        for slot in self._filled(first, last):
            tick = first + ((slot - first) & _MASK)
            break
        words[self._rest] = tick
        return tick * GRAIN

    def wait(self, seconds: float) -> None:
        """Sleep so long, or until somebody has added what is due before."""
        if select.select([self._bell.fd], (), (), max(seconds, 0))[0]:
            self._bell.hush()
        self._words[self._rest] = 0

    def _fire(self, node: int, kind: int) -> None:
        if kind not in self._again:
            self._words[self._firing] = 0
        try:
            self._handlers[kind](node)
        finally:
            self._words[self._firing] = 0

    def _resume(self) -> int:
        """The timer process before this one died at a node: before its handler, or in one that bears repeating."""
        node = self._words[self._firing]
        tag = self._words[(node >> 3) + 3]
        if tag & _STATE != _FIRING:
            self._words[self._firing] = 0
            return 0
        self._fire(node, tag & _KIND)
        return 1

    def _due(self, first: int, last: int) -> list[tuple[int, int, int]]:
        """(due, node, tag) of what is due in the slots of these ticks; they pend still.

        In order of due times, and of those due together who was added first is first.
        """
        words = self._words
        limit = last * GRAIN
        found = []
        low, high = limit, 0
        slots: Any = (tick & _MASK for tick in range(first, last + 1))
        if last - first >= STRIPES:
            # Whoever is adding behind the old horizon has done so once each lock was free for a moment.
            for lock in self._locks:
                lock.acquire()
                lock.release()
            slots = self._filled(first, last)
        for slot in slots:
            lock = self._locks[slot & (STRIPES - 1)]
            lock.acquire()
            node = words[self._heads + slot]
            while node:
                index = node >> 3
                due = words[index + 2]
                if due <= limit:
                    found.append((due, node, words[index + 3]))
                    if due < low:
                        low = due
                    if due > high:
                        high = due
                node = words[index]
            lock.release()
        if high - low > SPAN:
            found.reverse()
            found.sort(key=itemgetter(0))
            return found
        # To sort means to compare tuples, which takes PyPy ten times as long as this.
        by_due: list[list[tuple[int, int, int]]] = [[] for _ in range(low, high + 1)]
        for item in found:
            by_due[item[0] - low].append(item)
        return [item for one in by_due for item in reversed(one)]

    def _filled(self, first: int, last: int) -> Iterator[int]:
        """Slots with nodes in them among those of the ticks."""
        if last - first >= SLOTS:
            ranges = [(0, SLOTS)]
        else:
            low, high = first & _MASK, (last & _MASK) + 1
            ranges = [(low, high)] if low < high else [(low, SLOTS), (0, high)]
        for low, high in ranges:
            yield from chain.filled(self._words, self._heads, low, high)

    def nodes(self) -> Iterator[tuple[int, int, int]]:
        """(offset, due, kind) of all pending nodes, slot by slot, without a lock: for looking on."""
        for slot in self._filled(0, SLOTS):
            found, _ = self._locks[slot & (STRIPES - 1)].stable(partial(self._nodes, slot))
            yield from found or ()

    def _nodes(self, slot: int) -> list[tuple[int, int, int]]:
        words = self._words
        tag = slot << 32 | _PENDING
        walked = chain.walk(words, self._heads + slot)
        return [
            (node, words[(node >> 3) + 2], words[(node >> 3) + 3] & _KIND)
            for node in walked
            if words[(node >> 3) + 3] & ~_KIND == tag
        ]

    @property
    def fired(self) -> int:
        """Timers fired since the start."""
        return self._words[self._fired]

    @property
    def done_ms(self) -> int:
        """Monotonic milliseconds up to which everything was fired."""
        return self._words[self._done] * GRAIN

    @property
    def lateness(self) -> list[int]:
        """Timers fired less than 1, 2, 4, 8, ... ms late, the last number being all the others."""
        return numbers(self._words, self._late, self._late + _LATEST + 1)

    @property
    def late_ms(self) -> int:
        """Milliseconds that all of them together were late."""
        return self._words[self._late + _LATEST + 1]

    @property
    def longest_run(self) -> int:
        """Milliseconds that the longest run took."""
        return self._words[(self.offset + WheelHead.longest) >> 3]

    def note_run(self, took_ms: int) -> None:
        """A run took so long."""
        longest = (self.offset + WheelHead.longest) >> 3
        if took_ms > self._words[longest]:
            self._words[longest] = took_ms

    def _mend(self, stripe: int) -> None:
        """After the death of a holder: finish adding what is linked, unlink what was cancelled or fired."""
        words = self._words
        for slot in self._filled(0, SLOTS):
            if slot & (STRIPES - 1) != stripe:
                continue
            head = self._heads + slot
            chain.mend(words, head)
            for node in list(chain.walk(words, head)):
                tag = words[(node >> 3) + 3]
                if tag & _STATE == _ADDING:
                    words[(node >> 3) + 3] = tag - _ADDING + _PENDING
                elif tag & _STATE != _PENDING:
                    chain.unlink(words, head, node)

    def check(self) -> list[str]:
        """What is wrong with the wheel, nobody working on it meanwhile."""
        found = []
        for slot in self._filled(0, SLOTS):
            broken = chain.faults(self._words, self._heads + slot)
            found += [f"wheel slot {slot}: {fault}" for fault in broken]
            for node in () if broken else chain.walk(self._words, self._heads + slot):
                tag = self._words[(node >> 3) + 3]
                if tag & _STATE != _PENDING or tag >> 32 != slot:
                    found.append(f"wheel slot {slot}: node {node} has state {tag >> 16 & 0xFFFF}, slot {tag >> 32}")
        return found
