"""The shared variables `$shv(name)`: one table in shared memory, seen by all processes.

A record is published when it is complete; its value changes under the lock of its bucket's stripe.
"""

from __future__ import annotations

from kamailio_py.log import get_logger
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.records import Record, i64, u64
from kamailio_py.sip.hash import core_hash

log = get_logger("pv")

BUCKETS = 64
STRIPES = 8


class SharedVariable(Record):
    """One `$shv(name)`."""

    next = u64("offset of the next variable of the bucket")
    prev = u64("offset of the previous variable of the bucket")
    name = u64("offset of the block that holds the name")
    text = u64("offset of the block that holds the text, 0 where the value is a number")
    number = i64("the number")


class SharedVariables:
    """All of them, by name."""

    def __init__(self, memory: SharedMemory) -> None:
        self.memory = memory.memory
        self.arena = memory.arena
        self.words = memory.u64
        self.numbers = memory.i64
        self.owner = memory.arena.owner("pv", "shv", SharedVariable)
        self.texts = memory.arena.owner("pv", "shv values")
        self.table = memory.table("pv.shv", BUCKETS, STRIPES, SharedVariable)

    def _find(self, bucket: int, name: bytes) -> int:
        """Offset of the variable, 0 if it does not exist; the caller holds the lock."""
        for offset in self.table.walk(bucket):
            if self.arena.load(self.words[offset + SharedVariable.name >> 3]) == name:
                return offset
        return 0

    def get(self, name: str) -> int | str:
        """The value; 0 if the variable was never set."""
        bucket = core_hash(name, "", BUCKETS)
        lock = self.table.lock_of(bucket)
        lock.acquire()
        try:
            offset = self._find(bucket, name.encode("latin-1"))
            if not offset:
                return 0
            text = self.words[offset + SharedVariable.text >> 3]
            if text:
                return self.arena.load(text).decode("latin-1")
            return self.numbers[offset + SharedVariable.number >> 3]
        finally:
            lock.release()

    def set(self, name: str, value: int | str) -> bool:
        """Set it, making it if it is new; False when there is no more shared memory."""
        text = self.arena.store(value.encode("latin-1"), self.texts) if isinstance(value, str) else 0
        if not text and isinstance(value, str):
            log.err("no more shm mem")
            return False
        bucket = core_hash(name, "", BUCKETS)
        lock = self.table.lock_of(bucket)
        lock.acquire()
        try:
            offset = self._find(bucket, name.encode("latin-1"))
            if not offset:
                offset = self._make(bucket, name)
            if not offset:
                if text:
                    self.arena.free(text)
                return False
            old = self.words[offset + SharedVariable.text >> 3]
            if not text:
                self.numbers[offset + SharedVariable.number >> 3] = value
            self.words[offset + SharedVariable.text >> 3] = text
            if old:
                self.arena.free(old)
            return True
        finally:
            lock.release()

    def _make(self, bucket: int, name: str) -> int:
        name_block = self.arena.store(name.encode("latin-1"), self.texts)
        offset = self.arena.alloc(SharedVariable.SIZE, self.owner) if name_block else 0
        if not offset:
            if name_block:
                self.arena.free(name_block)
            log.err("no more shm mem")
            return 0
        SharedVariable.STRUCT.pack_into(self.memory, offset, 0, 0, name_block, 0, 0)
        self.table.insert(bucket, offset)
        return offset

    def items(self) -> list[tuple[str, int | str]]:
        """All variables, sorted by name."""
        names = []
        for bucket in range(BUCKETS):
            lock = self.table.lock_of(bucket)
            lock.acquire()
            try:
                for offset in self.table.walk(bucket):
                    names.append(self.arena.load(self.words[offset + SharedVariable.name >> 3]).decode("latin-1"))
            finally:
                lock.release()
        return [(name, self.get(name)) for name in sorted(names)]
