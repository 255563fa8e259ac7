"""The arena's memory in slabs of 64 KiB, and the map that says what each is for.

Lives here: taking and giving runs of slabs, for size classes, for blocks too large for any class, and for the
structures of the directory. The map has one byte per slab. Its lock is the last one that is taken. Nothing is touched
before it is used; slabs that were given back are zero again and their memory is the machine's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kamailio_py.shm.locks import Lock
from kamailio_py.shm.records import Record, u64

SLAB = 65536
LARGE, CONTINUED, RESERVED = 255, 254, 253
"""What the map says, beside class + 1 and 0 for a free slab."""
FREE, USED = 2, 1
"""States of a block, in the top byte of the word before it; 0 is one that was never used."""
LENGTH = 0xFFFFFFFF
"""The part of a block's word that is its length."""


class SlabHead(Record):
    """What is counted in slabs; the map follows it."""

    large = u64("slabs in use by large blocks")
    large_peak = u64("most slabs ever in use by large blocks")
    large_exhausted = u64("large allocations that failed")
    reserved = u64("slabs that belong to structures of the directory")


_PEAK, _EXHAUSTED, _RESERVED = (f >> 3 for f in (SlabHead.large_peak, SlabHead.large_exhausted, SlabHead.reserved))


def slabs_for(length: int) -> int:
    """How many slabs a large block of this length takes."""
    return (length + 8 + SLAB - 1) // SLAB


class SlabMap:
    """See the head of the file. A slab's number is its place in the map; `start(number)` its first byte."""

    __slots__ = ("_head", "_map", "_memory", "_words", "_zero", "count", "first", "lock")

    def __init__(
        self, memory: Any, words: Any, offset: int, first: int, count: int, lock: Lock, zero: Callable[[int, int], None]
    ) -> None:
        self._memory = memory
        self._words = words
        self._head = offset >> 3
        self._map = offset + SlabHead.SIZE
        self.first = first
        self.count = count
        self.lock = lock
        self._zero = zero
        lock.mend = self._mend

    @staticmethod
    def size(count: int) -> int:
        return SlabHead.SIZE + count

    def start(self, number: int) -> int:
        return self.first + number * SLAB

    def kinds(self) -> bytes:
        """The map as it is now."""
        return self._memory[self._map : self._map + self.count]

    def numbers(self, kind: int) -> list[int]:
        """The slabs of one kind."""
        return [number for number, found in enumerate(self.kinds()) if found == kind]

    def _find(self, count: int) -> int:
        """The first of `count` free slabs in a row, -1 if there are none."""
        return self.kinds().find(bytes(count))

    def _mark(self, number: int, kind: int) -> None:
        at = self._map + number
        self._memory[at : at + 1] = bytes((kind,))

    def take(self, kind: int) -> int:
        """A slab for a class; -1 if none is free."""
        with self.lock:
            number = self._find(1)
            if number >= 0:
                self._mark(number, kind)
        return number

    def give(self, number: int) -> None:
        """A class needs its slab no more; that class's lock is held."""
        self._wipe(number, 1)
        with self.lock:
            self._mark(number, 0)

    def take_large(self, length: int, owner: int) -> int:
        """A large block; its offset, or 0."""
        count = slabs_for(length)
        words, head = self._words, self._head
        with self.lock:
            number = self._find(count) if length <= LENGTH else -1
            if number < 0:
                return 0
            at, start = self._map + number, self.start(number)
            words[start >> 3] = USED << 56 | LARGE << 48 | owner << 32 | length
            self._memory[at + 1 : at + count] = bytes((CONTINUED,)) * (count - 1)
            self._mark(number, LARGE)
            used = words[head] + count
            words[head] = used
            words[head + _PEAK] = max(used, words[head + _PEAK])
        return start + 8

    def give_large(self, offset: int, length: int) -> None:
        count = slabs_for(length)
        number = (offset - self.first) // SLAB
        with self.lock:
            self._words[(offset >> 3) - 1] = 0
            self._wipe(number, count)
            self._memory[self._map + number : self._map + number + count] = bytes(count)
            self._words[self._head] -= count

    def note_exhausted(self) -> None:
        with self.lock:
            self._words[self._head + _EXHAUSTED] += 1

    def reserve(self, size: int) -> int:
        """Zeroed room for a structure, for good; before forking. Its offset, or 0."""
        count = -(-size // SLAB)
        number = self._find(count)
        if number < 0:
            return 0
        self._memory[self._map + number : self._map + number + count] = bytes((RESERVED,)) * count
        self._words[self._head + _RESERVED] += count
        return self.start(number)

    def _wipe(self, number: int, count: int) -> None:
        """Zero slabs and let the machine have their memory."""
        self._zero(self.start(number), count * SLAB)

    def _mend(self) -> None:
        """After the death of a holder: a large block exists if its first slab says so, as long as its word says."""
        kinds = self.kinds()
        number = used = 0
        while number < self.count:
            count = 1
            word = self._words[self.start(number) >> 3] if kinds[number] in (LARGE, 0) else 0
            if kinds[number] == LARGE and word >> 56 == USED:
                count = slabs_for(word & LENGTH)
                used += count
            elif kinds[number] in (LARGE, CONTINUED) or word:
                # It was being made or given back.
                self._wipe(number, 1)
                self._mark(number, 0)
            number += count
        self._words[self._head] = used

    @property
    def used(self) -> int:
        """Slabs in use by large blocks and by structures."""
        return self._words[self._head] + self._words[self._head + _RESERVED]

    @property
    def peak(self) -> int:
        return self._words[self._head + _PEAK] + self._words[self._head + _RESERVED]

    @property
    def exhausted(self) -> int:
        return self._words[self._head + _EXHAUSTED]

    def large(self) -> list[tuple[int, int]]:
        """(offset, word) of the large blocks."""
        starts = [self.start(number) for number in self.numbers(LARGE)]
        return [(start + 8, self._words[start >> 3]) for start in starts]

    def check(self) -> list[str]:
        """What is wrong with the map at rest."""
        kinds = self.kinds()
        expected = sum(slabs_for(word & LENGTH) for _, word in self.large())
        marked = kinds.count(LARGE) + kinds.count(CONTINUED)
        counted = self._words[self._head]
        if expected == marked == counted:
            return []
        return [f"arena: large blocks take {expected} slabs, the map says {marked}, {counted} are counted"]
