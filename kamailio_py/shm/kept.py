"""Texts that are kept for some time by name: under the DNS cache and the list of blocked destinations.

One lock guards a whole table; it is held for one look-up or one change. A text that is over is not found any more and
goes when somebody comes across it, or with `collect()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from zlib import crc32

from kamailio_py.clock import Clock
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.records import Record, i64, u32, u64

BUCKETS = 1024
PERMANENT = 2
"""Flag of a text that is never over, as in Kamailio's DNS cache."""


class KeptRecord(Record):
    """One text; its key and the text itself follow."""

    next = u64("offset of the next record of the bucket, 0 at the end")
    prev = u64("offset of the one before")
    expires = i64("monotonic milliseconds when it is over")
    used = i64("monotonic milliseconds when it was last asked for")
    flags = u32("bits of whoever keeps it; 2: it is never over")
    key_size = u32("bytes of the key")
    data_size = u32("bytes of the text")


class Kept(NamedTuple):
    """One text as it was found."""

    key: str
    data: str
    flags: int
    expires: int
    used: int
    size: int


class KeptTable:
    """See the head of the file; `limit` is the most bytes that the texts of the table may take."""

    def __init__(self, shm: SharedMemory, clock: Clock, name: str, limit: int) -> None:
        self.limit = limit
        self._table = shm.table(name, BUCKETS, 1, KeptRecord)
        self._lock = self._table.locks[0]
        self._owner = shm.arena.owner("core", name, KeptRecord)
        self._arena = shm.arena
        self._memory = shm.memory
        self._words = shm.i64
        self._now = clock.ms
        self._used = shm.reserve(f"{name}.used", "word", 8) >> 3
        self._mend_table = self._lock.mend
        self._lock.mend = self._mend

    def get(self, key: str) -> Kept | None:
        """The text of this key, unless it is over."""
        name = key.encode("latin-1", "replace")
        bucket = crc32(name) % BUCKETS
        if not self._table.head(bucket):
            return None
        now = self._now()
        self._lock.acquire()
        try:
            at = self._find(bucket, name)
            if not at or self._over(at, now):
                return None
            found = self._read(at)
            self._words[(at + KeptRecord.used) >> 3] = now
            return found
        finally:
            self._lock.release()

    def put(self, key: str, data: str, flags: int, expires: int) -> bool:
        """Keep a text, in place of what was kept by this key; False when there is no room."""
        name, content = key.encode("latin-1", "replace"), data.encode("latin-1", "replace")
        bucket, now = crc32(name) % BUCKETS, self._now()
        size = KeptRecord.SIZE + len(name) + len(content)
        if self.used + size > self.limit:
            self.collect()
            if self.used + size > self.limit:
                return False
        made = self._arena.alloc(size, self._owner)
        if not made:
            return False
        KeptRecord.STRUCT.pack_into(self._memory, made, 0, 0, expires, now, flags, len(name), len(content))
        start = made + KeptRecord.SIZE
        self._memory[start : start + len(name)] = name
        self._memory[start + len(name) : start + len(name) + len(content)] = content
        self._lock.acquire()
        old = self._find(bucket, name)
        self._table.insert(bucket, made)
        self._words[self._used] += size
        if old:
            self._take_out(bucket, old)
        self._lock.release()
        if old:
            self._arena.free(old)
        return True

    def remove(self, key: str) -> bool:
        """Forget the text of this key; whether there was one."""
        name = key.encode("latin-1", "replace")
        bucket = crc32(name) % BUCKETS
        self._lock.acquire()
        at = self._find(bucket, name)
        if at:
            self._take_out(bucket, at)
        self._lock.release()
        if at:
            self._arena.free(at)
        return bool(at)

    def clear(self, which: Callable[[Kept], bool] = lambda kept: True) -> None:
        """Forget all texts for which `which` holds."""
        gone = []
        self._lock.acquire()
        for bucket in self._table.filled():
            for at in self._table.walk(bucket):
                if which(self._read(at)):
                    self._take_out(bucket, at)
                    gone.append(at)
        self._lock.release()
        for at in gone:
            self._arena.free(at)

    def shrink(self, target: int, living: bool = False) -> None:
        """Forget what was not asked for the longest, until no more than `target` bytes are used: only what is over,
        unless `living` ones may go, too."""
        now = self._now()
        self._lock.acquire()
        every = sorted(
            (self._values(at).used, bucket, at) for bucket in self._table.filled() for at in self._table.walk(bucket)
        )
        gone = []
        for _, bucket, at in every:
            if self.used <= target:
                break
            values = self._values(at)
            if not values.flags & PERMANENT and (living or values.expires <= now):
                self._take_out(bucket, at)
                gone.append(at)
        self._lock.release()
        for at in gone:
            self._arena.free(at)

    def collect(self) -> None:
        """Forget what is over."""
        now = self._now()
        self.clear(lambda kept: kept.expires <= now and not kept.flags & PERMANENT)

    def __iter__(self) -> Iterator[Kept]:
        """What is kept and not over, at this moment."""
        now = self._now()
        self._lock.acquire()
        found = [
            self._read(at)
            for bucket in self._table.filled()
            for at in self._table.walk(bucket)
            if not self._over(at, now)
        ]
        self._lock.release()
        return iter(found)

    @property
    def used(self) -> int:
        """Bytes that the texts take now, their keys and records included."""
        return self._words[self._used]

    # the lock is held

    def _find(self, bucket: int, name: bytes) -> int:
        for at in self._table.walk(bucket):
            start = at + KeptRecord.SIZE
            if self._memory[start : start + len(name)] == name and self._values(at).key_size == len(name):
                return at
        return 0

    def _take_out(self, bucket: int, at: int) -> None:
        self._table.remove(bucket, at)
        values = self._values(at)
        self._words[self._used] -= KeptRecord.SIZE + values.key_size + values.data_size

    def _mend(self) -> None:
        """After the death of a process that held the lock: the table, and what is used counted anew."""
        assert self._mend_table is not None
        self._mend_table()
        every = [self._values(at) for bucket in self._table.filled() for at in self._table.walk(bucket)]
        self._words[self._used] = sum(KeptRecord.SIZE + each.key_size + each.data_size for each in every)

    def _values(self, at: int) -> Any:
        return KeptRecord.unpack(self._memory, at)

    def _over(self, at: int, now: int) -> bool:
        values = self._values(at)
        return values.expires <= now and not values.flags & PERMANENT

    def _read(self, at: int) -> Kept:
        values = self._values(at)
        start = at + KeptRecord.SIZE
        middle, end = start + values.key_size, start + values.key_size + values.data_size
        return Kept(
            self._memory[start:middle].decode("latin-1"), self._memory[middle:end].decode("latin-1"),
            values.flags, values.expires, values.used, end - at,
        )  # fmt: skip
