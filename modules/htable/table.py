"""One htable in shared memory: items by name, in slots ordered by their hash.

Lives here: finding, setting, counting up, expiring and walking items. Knows no pseudo-variable and no script. Each
operation takes the lock of the item's slot; a process may enter a slot again that it has locked already, as
sht_lock() and iterators keep slots locked between calls.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from kamailio_py.clock import Clock
from kamailio_py.log import get_logger
from kamailio_py.modules.htable.spec import TableSpec
from kamailio_py.script.values import wrap32
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.records import Record, i64, u32, u64
from kamailio_py.sip.hash import case_hash
from kamailio_py.sip.remembered import memo

log = get_logger("htable")

STRIPES = 64
STRING = 2
"""Flag of an item whose value is text."""


class Item(Record):
    """One item; its value, if text, and its name follow."""

    next = u64("next item of the slot, by hash")
    prev = u64("previous item of the slot")
    hash = u32("hash of the name, without regard to case")
    name_size = u32("characters of the name")
    name = u32("where the name is, from the start of the item")
    room = u32("room for a text value")
    expire = u64("seconds since the epoch after which the item is gone, 0 for never")
    number = i64("the value, if it is a number")
    flags = u32("2: the value is text")
    value_size = u32("characters of a text value, which follow")


_HASH, _EXPIRE, _NUMBER = Item.hash >> 3, Item.expire >> 3, Item.number >> 3
_FLAGS, _NAME = Item.flags >> 3, Item.name >> 3
_text = struct.Struct("<II").pack
_hash = memo(8192)(case_hash)

Value = int | str


class HashTable:
    """See the head of the file."""

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.slots = 1 << spec.size
        self.autoexpire = spec.autoexpire

    def create(self, shm: SharedMemory, clock: Clock) -> None:
        """Make its structure in shared memory; before forking."""
        stripes = min(self.slots, STRIPES)
        self._table = shm.table(f"htable.{self.name}", self.slots, stripes, Item)
        self._owner = shm.arena.owner("htable", self.name, Item)
        self._arena = shm.arena
        self._memory = shm.memory
        self._words = shm.u64
        self._numbers = shm.i64
        self._now = clock.now
        self._mask = self.slots - 1
        self._locks = self._table.locks
        self._depth = [0] * stripes

    # locks

    def slot_of(self, name: str) -> int:
        return _hash(name) & self._mask

    def enter(self, slot: int) -> None:
        """Lock a slot, once more if this process has it locked."""
        stripe = slot & self._table.mask
        if not self._depth[stripe]:
            self._locks[stripe].acquire()
        self._depth[stripe] += 1

    def leave(self, slot: int) -> None:
        """Undo one enter(); nothing happens if the slot is not locked by this process."""
        stripe = slot & self._table.mask
        depth = self._depth[stripe]
        if depth:
            self._depth[stripe] = depth - 1
            if depth == 1:
                self._locks[stripe].release()

    # one item

    def get(self, name: str) -> Value | None:
        """The value of an item; of one that is not there the initial value, or None."""
        slot = _hash(name) & self._mask
        self.enter(slot)
        try:
            item, _ = self._find(slot, name)
            if not item or self._is_over(item):
                return self.spec.initval
            return self.value(item)
        finally:
            self.leave(slot)

    def set(self, name: str, value: Value, expires: int = 0) -> bool:
        """Set an item, with a life of its own if `expires` is positive; False when there is no memory."""
        slot = _hash(name) & self._mask
        self.enter(slot)
        try:
            item, after = self._find(slot, name)
            if not item:
                return self._insert(slot, after, name, value, self._until(expires)) != 0
            item = self.replace(slot, item, value)
            if item and self.autoexpire and (expires > 0 or self.spec.updateexpire or self._is_over(item)):
                self._words[(item >> 3) + _EXPIRE] = self._until(expires)
            return item != 0
        finally:
            self.leave(slot)

    def add(self, name: str, n: int) -> int | None:
        """Add to a number; None if there is no number to add to and no initial value."""
        slot = _hash(name) & self._mask
        self.enter(slot)
        try:
            item, after = self._find(slot, name)
            over = item and self._is_over(item)
            if not item or over:
                if self.spec.initval is None:
                    return None
                value = wrap32(self.spec.initval + n)
                if not item:
                    return value if self._insert(slot, after, name, value, self._until()) else None
                item = self.replace(slot, item, value)
            elif self._words[(item >> 3) + _FLAGS] & STRING:
                return None
            else:
                value = wrap32(self._numbers[(item >> 3) + _NUMBER] + n)
                self._numbers[(item >> 3) + _NUMBER] = value
            if self.autoexpire and (self.spec.updateexpire or over):
                self._words[(item >> 3) + _EXPIRE] = self._until()
            return value
        finally:
            self.leave(slot)

    def expires_in(self, name: str) -> int:
        """Seconds until an item is gone, as Kamailio computes them: negative for one that stays; 0 if there is none."""
        if not self.autoexpire:
            return 0
        slot = self.slot_of(name)
        self.enter(slot)
        try:
            item, _ = self._find(slot, name)
            return self._words[(item >> 3) + _EXPIRE] - int(self._now()) if item else 0
        finally:
            self.leave(slot)

    def set_expires(self, name: str, seconds: int) -> None:
        """Let an item live so many seconds from now on; for ever if that is not positive."""
        slot = self.slot_of(name)
        self.enter(slot)
        try:
            item, _ = self._find(slot, name)
            if item:
                self.expire_in(item, seconds)
        finally:
            self.leave(slot)

    def described(self, name: str) -> tuple[Value, int] | None:
        """Value of an item that is there, and when it is over (0 never), None if there is none."""
        slot = self.slot_of(name)
        self.enter(slot)
        try:
            item, _ = self._find(slot, name)
            if not item or self._is_over(item):
                return None
            return self.value(item), self.expire_of(item)
        finally:
            self.leave(slot)

    def remove(self, name: str) -> bool:
        """Remove an item; whether it was there."""
        slot = self.slot_of(name)
        self.enter(slot)
        try:
            item, _ = self._find(slot, name)
            if item:
                self.drop(slot, item)
            return item != 0
        finally:
            self.leave(slot)

    # all items

    def select(self, matches: Callable[[int], bool]) -> int:
        """How many items there are of which `matches(item)` is true."""
        return sum(1 for _, item in self.items() if matches(item))

    def remove_if(self, matches: Callable[[int], bool]) -> int:
        """Remove the items of which `matches(item)` is true; how many these were."""
        removed = 0
        for slot, item in self.items():
            if matches(item):
                self.drop(slot, item)
                removed += 1
        return removed

    def snapshot(self, alone: bool = False) -> list[tuple[str, Value, int]]:
        """(name, value, when it is over or 0) of all items that are not over.

        `alone`: no other process is there any more, so that locks, which one may have died with, do not matter.
        """
        everything = ((slot, item) for slot in self._table.filled() for item in self._table.walk(slot))
        return [
            (self.name_of(item), self.value(item), self.expire_of(item))
            for _, item in (everything if alone else self.items())
            if not self._is_over(item)
        ]

    def items(self) -> Iterator[tuple[int, int]]:
        """(slot, item) of all items in order; the slot is locked meanwhile, the item may be dropped."""
        for slot in self._table.filled():
            self.enter(slot)
            try:
                for item in self._table.walk(slot):
                    yield slot, item
            finally:
                self.leave(slot)

    def sweep(self, expired: Callable[[int], None] | None, first: int = 0, step: int = 1) -> None:
        """Remove what is over, in every `step`-th slot; `expired(item)` is called first."""
        for slot in self._table.filled():
            if slot % step != first:
                continue
            self.enter(slot)
            try:
                for item in [item for item in self._table.walk(slot) if self._is_over(item)]:
                    # what `expired` does may have removed or renewed items
                    if expired is not None and self._is_in(slot, item):
                        expired(item)
                    if self._is_in(slot, item) and self._is_over(item):
                        self.drop(slot, item)
            finally:
                self.leave(slot)

    def __len__(self) -> int:
        return len(self._table)

    # items by their offset; the slot is locked

    def name_of(self, item: int) -> str:
        at = item + (self._words[(item >> 3) + _NAME] & 0xFFFFFFFF)
        return self._memory[at : at + (self._words[(item >> 3) + _HASH] >> 32)].decode("latin-1")

    def hash_of(self, item: int) -> int:
        return self._words[(item >> 3) + _HASH] & 0xFFFFFFFF

    def value(self, item: int) -> Value:
        flags = self._words[(item >> 3) + _FLAGS]
        if flags & STRING:
            return self._memory[item + Item.SIZE : item + Item.SIZE + (flags >> 32)].decode("latin-1")
        return self._numbers[(item >> 3) + _NUMBER]

    def replace(self, slot: int, item: int, value: Value) -> int:
        """Give an item another value; where the item is now, 0 when there was no memory and it is as before."""
        if isinstance(value, int):
            self._numbers[(item >> 3) + _NUMBER] = value
            self._words[(item >> 3) + _FLAGS] = 0
            return item
        text = value.encode("latin-1")
        if len(text) <= self._words[(item >> 3) + _NAME] >> 32:
            # flags, length and text at once
            self._memory[item + Item.flags : item + Item.SIZE + len(text)] = _text(STRING, len(text)) + text
            return item
        made = self._insert(slot, item, self.name_of(item), value, self._words[(item >> 3) + _EXPIRE])
        if made:
            self.drop(slot, item)
        return made

    def expire_in(self, item: int, seconds: int) -> None:
        if self.autoexpire:
            self._words[(item >> 3) + _EXPIRE] = int(self._now()) + seconds if seconds > 0 else 0

    def expire_of(self, item: int) -> int:
        return self._words[(item >> 3) + _EXPIRE]

    def drop(self, slot: int, item: int) -> None:
        self._table.remove(slot, item)
        self._arena.free(item)

    def following(self, slot: int, item: int, hash: int) -> int:
        """The item behind `item`; should that have been removed, the first with a hash not below. 0 at the end."""
        later = found = 0
        for other in self._table.walk(slot):
            if found:
                return other
            found = other == item
            if not later and self.hash_of(other) >= hash:
                later = other
        return 0 if found else later

    def _is_in(self, slot: int, item: int) -> bool:
        return item in self._table.walk(slot)

    def first_of(self, slot: int) -> int:
        return self._table.head(slot)

    def _find(self, slot: int, name: str) -> tuple[int, int]:
        """The item, or 0, and the item after which it is or would be."""
        words = self._words
        hash = _hash(name)
        wanted = hash | len(name) << 32
        after = 0
        item = self._table.head(slot)
        while item:
            index = item >> 3
            word = words[index + _HASH]
            if word == wanted:
                at = item + (words[index + _NAME] & 0xFFFFFFFF)
                if self._memory[at : at + len(name)] == name.encode("latin-1"):
                    return item, after
            if word & 0xFFFFFFFF > hash:
                break
            after = item
            item = words[index]
        return 0, after

    def _insert(self, slot: int, after: int, name: str, value: Value, expire: int) -> int:
        text = b"" if isinstance(value, int) else value.encode("latin-1")
        size = Item.SIZE + len(text) + len(name)
        room = len(text) + self._arena.room(size) - size if text else 0
        item = self._arena.alloc(Item.SIZE + room + len(name), self._owner)
        if not item:
            log.err("no more shm memory")
            return 0
        number, flags = (value, 0) if isinstance(value, int) else (0, STRING)
        header = Item.STRUCT.pack(
            0, 0, _hash(name), len(name), Item.SIZE + room, room, expire, number, flags, len(text)
        )
        self._memory[item : item + Item.SIZE + len(text)] = header + text
        at = item + Item.SIZE + room
        self._memory[at : at + len(name)] = name.encode("latin-1")
        self._table.insert(slot, item, after)
        return item

    def _until(self, expires: int = 0) -> int:
        """When an item that is set now will be over."""
        if not self.autoexpire:
            return 0
        return int(self._now()) + (expires if expires > 0 else self.autoexpire)

    def _is_over(self, item: int) -> bool:
        if not self.autoexpire:
            return False
        expire = self._words[(item >> 3) + _EXPIRE]
        return expire != 0 and expire < int(self._now())
