"""The arena: shared memory for blocks of any size, each of which says who owns it.

Lives here: allocating, freeing, storing bytes, and walking all blocks. A slab belongs to a size class and holds
blocks of one stride, or to a large block (slabs.py). One word before each block is the truth about it: state, class,
owner, length. Free lists are made from it and can be made again, which is what happens when a process dies in here. A
lock per class, taken before that of the slabs.

Offsets returned are those of the usable bytes, divisible by eight; 0 says that the arena is exhausted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from kamailio_py.shm.locks import Lock
from kamailio_py.shm.names import Names
from kamailio_py.shm.records import Record, u64
from kamailio_py.shm.slabs import CONTINUED, FREE, LARGE, LENGTH, SLAB, USED, SlabMap, slabs_for
from kamailio_py.shm.words import numbers

STRIDES = (*range(32, 129, 16), *(step << n for n in range(8) for step in (160, 192, 224, 256)))
"""Bytes from one block to the next, by class; eight of them are the block's word."""
CLASSES = len(STRIDES)
LARGEST = STRIDES[-1] - 8

_USED = USED << 56
_FREE = FREE << 56
CLASS_OF = b"\0" * (STRIDES[0] >> 3) + b"".join(
    bytes([number]) * ((stride - before) >> 3) for number, (before, stride) in enumerate(pairwise(STRIDES), 1)
)
"""Class by size in units of eight bytes, rounded up."""


class SizeClass(Record):
    """State of one class of blocks."""

    free = u64("offset of the first free block, whose first word leads to the next")
    fresh = u64("offset of the next block of the newest slab that was never used")
    end = u64("end of that slab")
    used = u64("blocks in use")
    peak = u64("most blocks ever in use")
    exhausted = u64("allocations that failed")


class ArenaHead(Record):
    """State of the arena besides its classes, which follow it, and its slabs, which follow them."""

    fruitless = u64("bytes in use when looking for empty slabs last found none, plus one")


class Block(NamedTuple):
    """One block in use, as walk() gives it."""

    offset: int
    length: int
    stride: int
    owner: int


_FRESH, _END, _COUNT = (field >> 3 for field in (SizeClass.fresh, SizeClass.end, SizeClass.used))
_PEAK, _EXHAUSTED = SizeClass.peak >> 3, SizeClass.exhausted >> 3


class Arena:
    """See the head of the file."""

    __slots__ = ("_fruitless", "_memory", "_rows", "_slabs", "_words", "describe", "owners")

    def __init__(
        self, memory: Any, words: Any, offset: int, first: int, slabs: int, locks: Sequence[Lock], owners: Names,
        describe: Callable[[str, type[Record]], None], zero: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        self._memory = memory
        self._words = words
        self._fruitless = (offset + ArenaHead.fruitless) >> 3
        classes = (offset + ArenaHead.SIZE) >> 3
        self._slabs = SlabMap(memory, words, self.map_of(offset), first, slabs, locks[CLASSES], zero)
        self.owners = owners
        self.describe = describe
        self._rows = [
            (lock, classes + number * (SizeClass.SIZE >> 3), stride, _USED | number << 48)
            for number, (lock, stride) in enumerate(zip(locks[:CLASSES], STRIDES, strict=True))
        ]
        for number, (lock, *_) in enumerate(self._rows):
            lock.mend = partial(self._mend, number)

    @staticmethod
    def map_of(offset: int) -> int:
        """Where the map of slabs lies in an arena whose state is at `offset`."""
        return offset + ArenaHead.SIZE + CLASSES * SizeClass.SIZE

    @staticmethod
    def size(slabs: int) -> int:
        return ArenaHead.SIZE + CLASSES * SizeClass.SIZE + SlabMap.size(slabs)

    def owner(self, module: str, purpose: str, record: type[Record] | None = None) -> int:
        """The number of an owner, for alloc(); registered before forking. `record` says what its blocks hold."""
        name = f"{module}:{purpose}"
        if record and name not in self.owners.numbers:
            self.describe(name, record)
        return self.owners.number(name)

    # the hot path

    def alloc(self, size: int, owner: int) -> int:
        """A block of `size` bytes with any content; 0 if there is no room."""
        if size > LARGEST:
            return self._alloc_large(size, owner)
        number = CLASS_OF[(size + 7) >> 3]
        lock, row, stride, state = self._rows[number]
        words = self._words
        lock.acquire()
        block = words[row]
        if block:
            index = block >> 3
            words[row] = words[index]
            words[row + _COUNT] += 1
        else:
            block = words[row + _FRESH]
            if block == words[row + _END]:
                lock.release()
                return self._alloc_slab(number, size, owner)
            index = block >> 3
            words[row + _FRESH] = block + stride
            used = words[row + _COUNT] + 1
            words[row + _COUNT] = used
            if used > words[row + _PEAK]:
                words[row + _PEAK] = used
        words[index - 1] = state | owner << 32 | size
        lock.release()
        return block

    def free(self, offset: int) -> None:
        """Give the block back."""
        words = self._words
        index = offset >> 3
        word = words[index - 1]
        if word >> 56 != USED:
            raise AssertionError(f"block {offset} is freed, but is not in use")
        number = word >> 48 & 0xFF
        if number == LARGE:
            self._slabs.give_large(offset, word & LENGTH)
            return
        lock, row, _, _ = self._rows[number]
        lock.acquire()
        words[index - 1] = _FREE | number << 48
        words[index] = words[row]
        words[row] = offset
        words[row + _COUNT] -= 1
        lock.release()

    def store(self, data: bytes, owner: int) -> int:
        """A block that holds `data`; 0 if there is no room."""
        size = len(data)
        offset = self.alloc(size, owner)
        if offset:
            self._memory[offset : offset + size] = data
        return offset

    def load(self, offset: int) -> bytes:
        """What was stored."""
        return self._memory[offset : offset + (self._words[(offset >> 3) - 1] & LENGTH)]

    def size_of(self, offset: int) -> int:
        """The size the block was asked for with."""
        return self._words[(offset >> 3) - 1] & LENGTH

    @staticmethod
    def room(size: int) -> int:
        """How many bytes the block that alloc(size) gives can hold."""
        return STRIDES[CLASS_OF[(size + 7) >> 3]] - 8 if size <= LARGEST else slabs_for(size) * SLAB - 8

    def owner_of(self, offset: int) -> int:
        return self._words[(offset >> 3) - 1] >> 32 & 0xFFFF

    # when a class has nothing left

    def _alloc_slab(self, number: int, size: int, owner: int) -> int:
        lock, row, stride, _ = self._rows[number]
        words = self._words
        for attempt in range(2):
            lock.acquire()
            if words[row] or words[row + _FRESH] != words[row + _END]:
                lock.release()
                return self.alloc(size, owner)
            slab = self._slabs.take(number + 1)
            if slab >= 0:
                start = self._slabs.start(slab) + 8
                words[row + _END] = start + SLAB // stride * stride
                words[row + _FRESH] = start
                lock.release()
                return self.alloc(size, owner)
            lock.release()
            if attempt or not self._reclaim():
                break
        with lock:
            words[row + _EXHAUSTED] += 1
        return 0

    def _alloc_large(self, size: int, owner: int) -> int:
        offset = self._slabs.take_large(size, owner)
        if not offset and self._reclaim():
            offset = self._slabs.take_large(size, owner)
        if not offset:
            self._slabs.note_exhausted()
        return offset

    def _reclaim(self) -> bool:
        """Take slabs in which no block is used from their classes; whether there were any.

        Looking costs time in proportion to the arena, so it is not done again before enough was freed.
        """
        used = self.used
        fruitless = self._words[self._fruitless]
        if fruitless and used + 1 > fruitless - self.total // 64:
            return False
        found = 0
        for number in range(CLASSES):
            with self._rows[number][0]:
                empty = [slab for slab in self._slabs.numbers(number + 1) if USED not in self._states(slab, number)]
                for slab in empty:
                    self._slabs.give(slab)
                if empty:
                    found += len(empty)
                    self._mend(number)
        self._words[self._fruitless] = 0 if found else used + 1
        return found > 0

    def reserve(self, size: int) -> int:
        """Zeroed room for a structure of the directory, for good; before forking. 0 if there is none."""
        return self._slabs.reserve(size)

    # mending

    def _block_words(self, slab: int, stride: int) -> list[int]:
        """The words of a slab's blocks, in order."""
        first = self._slabs.start(slab) >> 3
        return numbers(self._words, first, first + SLAB // stride * (stride >> 3), stride >> 3)

    def _states(self, slab: int, number: int) -> list[int]:
        return [word >> 56 for word in self._block_words(slab, STRIDES[number])]

    def _mend(self, number: int) -> None:
        """Make the free list and the count of a class again from the words of its blocks."""
        _, row, stride, _ = self._rows[number]
        words = self._words
        free = used = 0
        for slab in reversed(self._slabs.numbers(number + 1)):
            states = self._states(slab, number)
            offset = self._slabs.start(slab) + 8 + len(states) * stride
            for state in reversed(states):
                offset -= stride
                if state == USED:
                    used += 1
                    continue
                words[(offset >> 3) - 1] = _FREE | number << 48
                words[offset >> 3] = free
                free = offset
        words[row + _FRESH] = words[row + _END] = 0
        words[row] = free
        words[row + _COUNT] = used

    # looking on

    @property
    def total(self) -> int:
        """Bytes of the whole arena."""
        return self._slabs.count * SLAB

    @property
    def used(self) -> int:
        """Bytes in blocks that are in use and in reserved structures, at this moment."""
        return self._sum(_COUNT) + self._slabs.used * SLAB

    @property
    def peak(self) -> int:
        """The sum of what each class used at most, an upper bound of what was in use at once."""
        return self._sum(_PEAK) + self._slabs.peak * SLAB

    @property
    def taken(self) -> int:
        """Bytes of the slabs that are in use for anything."""
        return (self._slabs.count - self._slabs.kinds().count(0)) * SLAB

    @property
    def exhausted(self) -> int:
        """Allocations that failed."""
        return self._slabs.exhausted + sum(self._words[row + _EXHAUSTED] for _, row, _, _ in self._rows)

    def _sum(self, field: int) -> int:
        return sum(self._words[row + field] * stride for _, row, stride, _ in self._rows)

    def classes(self) -> list[tuple[int, int, int]]:
        """(stride, blocks in use, blocks free or never used in its slabs) of each class."""
        kinds = self._slabs.kinds()
        found = []
        for number, (_, row, stride, _) in enumerate(self._rows):
            used = self._words[row + _COUNT]
            found.append((stride, used, kinds.count(number + 1) * (SLAB // stride) - used))
        return found

    def walk(self) -> Iterator[Block]:
        """All blocks in use, without a lock."""
        for offset, word in self._slabs.large():
            yield Block(offset, word & LENGTH, slabs_for(word & LENGTH) * SLAB, word >> 32 & 0xFFFF)
        for slab, kind in enumerate(self._slabs.kinds()):
            if 0 < kind <= CLASSES:
                stride = STRIDES[kind - 1]
                for place, word in enumerate(self._block_words(slab, stride)):
                    if word >> 56 == USED:
                        at = self._slabs.start(slab) + 8 + place * stride
                        yield Block(at, word & LENGTH, stride, word >> 32 & 0xFFFF)

    def find(self, offset: int) -> Block | None:
        """The block in use that the byte at `offset` belongs to, None if there is none; without a lock."""
        slab = (offset - self._slabs.first) // SLAB
        kinds = self._slabs.kinds()
        if not 0 <= slab < len(kinds):
            return None
        while kinds[slab] == CONTINUED and slab:
            slab -= 1
        start = self._slabs.start(slab)
        if kinds[slab] == LARGE:
            at, stride = start + 8, 0
        elif 0 < kinds[slab] <= CLASSES:
            stride = STRIDES[kinds[slab] - 1]
            at = start + 8 + (offset - start) // stride * stride
        else:
            return None
        word = self._words[(at >> 3) - 1]
        length = word & LENGTH
        if word >> 56 != USED or not at <= offset < at + max(length, 1):
            return None
        return Block(at, length, stride or slabs_for(length) * SLAB, word >> 32 & 0xFFFF)

    def by_owner(self) -> dict[str, tuple[int, int]]:
        """Owner -> (blocks, bytes they take)."""
        sums: dict[int, tuple[int, int]] = {}
        for block in self.walk():
            blocks, size = sums.get(block.owner, (0, 0))
            sums[block.owner] = blocks + 1, size + block.stride
        return {self.owners.name(owner) or str(owner): both for owner, both in sorted(sums.items())}

    def check(self) -> list[str]:
        """What is wrong with the arena, nobody working on it meanwhile."""
        found = []
        for number, (_, row, stride, _) in enumerate(self._rows):
            name = f"arena class {stride}"
            slabs = self._slabs.numbers(number + 1)
            states = [(s, place, state) for s in slabs for place, state in enumerate(self._states(s, number))]
            where = {self._slabs.start(s) + 8 + place * stride: state for s, place, state in states}
            used = sum(1 for state in where.values() if state == USED)
            if used != self._words[row + _COUNT]:
                found.append(f"{name}: {used} blocks in use, {self._words[row + _COUNT]} counted")
            fresh, end = self._words[row + _FRESH], self._words[row + _END]
            listed = set(range(fresh, end, stride))
            if any(where.get(offset) != 0 for offset in listed):
                found.append(f"{name}: a block behind {fresh} is not fresh")
            offset = self._words[row]
            while offset:
                if where.get(offset) != FREE or offset in listed:
                    found.append(f"{name}: {offset} is in the free list, with state {where.get(offset)}")
                    break
                listed.add(offset)
                offset = self._words[offset >> 3]
            lost = len(where) - used - len(listed)
            if lost:
                found.append(f"{name}: {lost} blocks are neither used nor free")
        return found + self._slabs.check()
