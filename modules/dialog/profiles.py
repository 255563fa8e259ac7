"""Profiles: how many dialogs are in each, with which value.

The profiles a dialog is in stand with the dialog; what lies here are their counts, one record for each profile and
value in shared memory, so that a size is one look-up. The lock is that of the record's bucket, taken after a dialog's
own was given back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.shm.records import Record, u32, u64
from kamailio_py.sip.hash import core_hash

if TYPE_CHECKING:
    from kamailio_py.shm.memory import SharedMemory

log = get_logger("dialog")

BUCKETS = 1024


class Count(Record):
    """How many dialogs are in a profile with one value; both names follow, with a NUL between them."""

    next = u64("next record of the bucket")
    prev = u64("previous record of the bucket")
    count = u32("dialogs")
    size = u32("bytes of the names")


def parse_names(text: str | None) -> list[str]:
    """Names of a parameter, separated by semicolons."""
    return [name.strip() for name in (text or "").split(";") if name.strip()]


class Profiles:
    """See the head of the file. `with_value` says of each profile whether it has values."""

    def __init__(self, shm: SharedMemory, with_value: str | None, no_value: str | None) -> None:
        self.with_value = dict.fromkeys(parse_names(no_value), False) | dict.fromkeys(parse_names(with_value), True)
        self._memory, self._u32 = shm.memory, shm.u32
        self._arena = shm.arena
        self._table = shm.table("dialog.profiles", BUCKETS, 16, Count)
        self._owner = shm.arena.owner("dialog", "profile", Count)

    def add(self, profile: str, value: str, n: int) -> None:
        """`n` more dialogs are in a profile; the profile as a whole is counted with them."""
        if self.with_value.get(profile):
            self._add(f"{profile}\0{value}", n)
        self._add(profile, n)

    def _add(self, key: str, n: int) -> None:
        data = key.encode("latin-1")
        bucket = core_hash(key, "", BUCKETS)
        with self._table.lock_of(bucket):
            offset = self._find(bucket, data)
            if offset:
                word = (offset + Count.count) >> 2
                self._u32[word] = max(self._u32[word] + n, 0)
                if not self._u32[word]:
                    self._table.remove(bucket, offset)
                    self._arena.free(offset)
                return
            if n <= 0:
                return
            offset = self._arena.alloc(Count.SIZE + len(data), self._owner)
            if not offset:
                log.err("no more shm mem")
                return
            self._memory[offset : offset + Count.SIZE] = Count.STRUCT.pack(0, 0, n, len(data))
            self._memory[offset + Count.SIZE : offset + Count.SIZE + len(data)] = data
            self._table.insert(bucket, offset)

    def size(self, profile: str, value: str | None) -> int:
        """How many dialogs are in a profile, with this value or (None) with any."""
        key = profile if value is None or not self.with_value.get(profile) else f"{profile}\0{value}"
        data = key.encode("latin-1")
        bucket = core_hash(key, "", BUCKETS)
        with self._table.lock_of(bucket):
            offset = self._find(bucket, data)
            return self._u32[(offset + Count.count) >> 2] if offset else 0

    def _find(self, bucket: int, data: bytes) -> int:
        for offset in self._table.walk(bucket):
            start = offset + Count.SIZE
            if self._memory[start : start + self._u32[(offset + Count.size) >> 2]] == data:
                return offset
        return 0
