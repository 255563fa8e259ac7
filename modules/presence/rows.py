"""Rows of plain data in shared memory, by a key that several may have and an id that is theirs alone.

Under it lie subscriptions (by presentity and event; the id is the dialog) and publications (by presentity and event;
the id is the entity tag). A stripe's lock is held while one key is read or changed; what is called under it may not
lock anything but the arena.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.records import Record, u32, u64

STRIPES = 16


class RowRecord(Record):
    """One row; its key, its id and the marshalled data follow."""

    next = u64("offset of the next row of the bucket, 0 at the end")
    prev = u64("offset of the one before")
    key_size = u32("bytes of the key")
    id_size = u32("bytes of the id")
    data_size = u32("bytes of the data")


class Rows:
    """See the head of the file; there are `1 << power` buckets."""

    def __init__(self, shm: SharedMemory, name: str, power: int) -> None:
        self._buckets = 1 << max(4, min(power, 16))
        self._table = shm.table(f"presence.{name}", self._buckets, STRIPES, RowRecord)
        self._owner = shm.arena.owner("presence", name, RowRecord)
        self._arena = shm.arena
        self._memory = shm.memory

    def of(self, key: str) -> list[Any]:
        """The data of all rows with this key, oldest first."""
        name = key.encode("latin-1", "replace")
        bucket = self._bucket(name)
        if not self._table.head(bucket):
            return []
        lock = self._table.lock_of(bucket)
        lock.acquire()
        found = [data for _, has, _, data in self._walk(bucket) if has == name]
        lock.release()
        return [marshal.loads(data) for data in reversed(found)]

    def put(self, key: str, id: str, data: Any) -> bool:
        """Store a row, in place of one with the same key and id; False when there is no memory."""
        name, own = key.encode("latin-1", "replace"), id.encode("latin-1", "replace")
        made = self._make(name, own, data)
        if not made:
            return False
        bucket = self._bucket(name)
        lock = self._table.lock_of(bucket)
        lock.acquire()
        old = self._found(bucket, name, own)
        self._table.insert(bucket, made)
        self._take_out(bucket, old)
        lock.release()
        return True

    def change(self, key: str, id: str, make: Callable[[Any], Any]) -> Any:
        """Put `make(data)` in the place of a row's data, None takes the row out; what it became, None if nothing."""
        name, own = key.encode("latin-1", "replace"), id.encode("latin-1", "replace")
        bucket = self._bucket(name)
        lock = self._table.lock_of(bucket)
        lock.acquire()
        old = self._found(bucket, name, own)
        became = make(self._data(old[0])) if old else None
        made = self._make(name, own, became) if became is not None else 0
        if made:
            self._table.insert(bucket, made)
        if made or became is None:
            self._take_out(bucket, old)
        lock.release()
        return became

    def remove(self, key: str, id: str) -> Any:
        """Take a row out; its data, None if there was none."""
        taken: list[Any] = []
        self.change(key, id, taken.append)  # append gives None: the row goes
        return taken[0] if taken else None

    def __iter__(self) -> Iterator[Any]:
        """The data of every row, bucket by bucket."""
        for bucket in self._table.filled():
            lock = self._table.lock_of(bucket)
            lock.acquire()
            found = [data for *_, data in self._walk(bucket)]
            lock.release()
            yield from map(marshal.loads, found)

    def _bucket(self, name: bytes) -> int:
        return crc32(name) & (self._buckets - 1)

    def _make(self, name: bytes, own: bytes, data: Any) -> int:
        written = marshal.dumps(data)
        size = RowRecord.SIZE + len(name) + len(own) + len(written)
        made = self._arena.alloc(size, self._owner)
        if made:
            head = RowRecord.STRUCT.pack(0, 0, len(name), len(own), len(written))
            self._memory[made : made + size] = head + name + own + written
        return made

    # the lock is held

    def _walk(self, bucket: int) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        for at in self._table.walk(bucket):
            values = RowRecord.unpack(self._memory, at)
            start = at + RowRecord.SIZE
            own = start + values.key_size
            data = own + values.id_size
            memory = self._memory
            yield at, memory[start:own], memory[own:data], memory[data : data + values.data_size]

    def _found(self, bucket: int, name: bytes, own: bytes) -> list[int]:
        """The row, newest first: a process that died while it replaced one has left both."""
        return [at for at, key, id, _ in self._walk(bucket) if key == name and id == own]

    def _take_out(self, bucket: int, rows: list[int]) -> None:
        for at in rows:
            self._table.remove(bucket, at)
            self._arena.free(at)

    def _data(self, at: int) -> Any:
        values = RowRecord.unpack(self._memory, at)
        start = at + RowRecord.SIZE + values.key_size + values.id_size
        return marshal.loads(self._memory[start : start + values.data_size])
