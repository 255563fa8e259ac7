"""A value that all processes see and one of them replaces now and then: tables that are loaded from a database.

Plain data (what marshal can write) lies as one block in the arena; a number beside it says which version that is. A
process keeps what it read until the number changes, so that reading costs one word. The lock is held while a value is
put in the place of the old one and while a process reads a new one.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.records import Record, u64

T = TypeVar("T")


class Shared(Record):
    """Where the value is."""

    version = u64("counts up with each new value; 0: there was none yet")
    block = u64("offset of the value, written by marshal; 0: there is none")


class SharedValue(Generic[T]):
    """See the head of the file. `read(data)` makes of the plain data what this process works with."""

    def __init__(self, shm: SharedMemory, module: str, name: str, read: Callable[[Any], T], empty: T) -> None:
        """Make its structure in shared memory; before forking. `empty` is the value until one is set."""
        self._arena = shm.arena
        self._owner = shm.arena.owner(module, name)
        self._words = shm.u64
        at = shm.reserve(f"{module}.{name}", "records", Shared.SIZE, Shared, count=1)
        self._version, self._block = (at + Shared.version) >> 3, (at + Shared.block) >> 3
        self._lock = shm.lock(f"{module}.{name}.lock")
        self._read = read
        self._seen = 0
        self._value = empty

    def set(self, data: Any) -> bool:
        """Put plain data in the place of the value; False, and nothing is changed, if there is no memory for it."""
        block = self._arena.store(marshal.dumps(data), self._owner)
        if not block:
            return False
        with self._lock:
            old = self._words[self._block]
            self._words[self._block] = block
            self._words[self._version] += 1
        if old:
            self._arena.free(old)
        return True

    def get(self) -> T:
        """The value as it is now."""
        if self._words[self._version] != self._seen:
            with self._lock:
                self._seen = self._words[self._version]
                data = self._arena.load(self._words[self._block])
            self._value = self._read(marshal.loads(data))
        return self._value
