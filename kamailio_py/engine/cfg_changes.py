"""What cfg.set* changed since the start, in shared memory: a short list of records and one version word.

A process that finds another version than the one it knows reads the list again, under its lock. The changes of
cfg.set_delayed* wait in a second list of the same kind until they are committed together. Knows no variable and no
range; the lock is `cfg.changes.locks`, and nothing else is locked under it but the arena.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.records import Record, i32, i64, text, u32, u64

NUMBER, TEXT, REMOVED = 0, 1, 2


class ChangeRecord(Record):
    """One change; its text, if it is one, follows."""

    next = u64("next change of the list")
    prev = u64("previous change of the list")
    number = i64("the value, if it is a number")
    instance = i32("number of the group's instance, -1 for the group itself")
    kind = u32("0: a number, 1: a text, 2: removed, so that the group's own value counts")
    size = u32("characters of a text")
    group = text(64, "group of the variable")
    name = text(64, "its name, empty where an instance as such was added or removed")


class Change(NamedTuple):
    """One change; `value` None removes an instance's value, `name` "" speaks of the instance itself."""

    group: str
    instance: int
    name: str
    value: int | str | None

    @property
    def key(self) -> tuple[str, int, str]:
        return self.group, self.instance, self.name


class ChangeList:
    """One of the two lists, in the order in which changes were made."""

    def __init__(self, shm: SharedMemory, name: str) -> None:
        self._table = shm.table(name, 1, 1, ChangeRecord)
        self.lock = self._table.locks[0]
        self._arena = shm.arena
        self._memory = shm.memory
        self._owner = shm.arena.owner("core", name, ChangeRecord)

    def read(self) -> list[Change]:
        """All changes; the lock is held."""
        return [self._change(offset) for offset in self._table.walk(0)]

    def append(self, changes: Iterable[Change]) -> bool:
        """Put changes at the end, all of them or, without memory, none (False). The lock is held."""
        last = 0
        for offset in self._table.walk(0):
            last = offset
        added: list[int] = []
        for change in changes:
            offset = self._store(change)
            if not offset:
                for one in added:
                    self._remove(one)
                return False
            self._table.insert(0, offset, last)
            added.append(offset)
            last = offset
        return True

    def clear(self) -> None:
        """Remove everything; the lock is held."""
        for offset in self._table.walk(0):
            self._remove(offset)

    def drop_superseded(self) -> None:
        """Remove what a later change of the same variable makes void; the lock is held."""
        offsets = list(self._table.walk(0))
        latest = {self._change(offset).key: offset for offset in offsets}
        for offset in offsets:
            if latest[self._change(offset).key] != offset:
                self._remove(offset)

    def _store(self, change: Change) -> int:
        value = change.value
        data = value.encode("latin-1") if isinstance(value, str) else b""
        offset = self._arena.alloc(ChangeRecord.SIZE + len(data), self._owner)
        if not offset:
            return 0
        kind = REMOVED if value is None else TEXT if isinstance(value, str) else NUMBER
        ChangeRecord.STRUCT.pack_into(
            self._memory, offset, 0, 0, value if isinstance(value, int) else 0, change.instance, kind, len(data),
            change.group.encode("latin-1"), change.name.encode("latin-1"),
        )  # fmt: skip
        self._memory[offset + ChangeRecord.SIZE : offset + ChangeRecord.SIZE + len(data)] = data
        return offset

    def _remove(self, offset: int) -> None:
        self._table.remove(0, offset)
        self._arena.free(offset)

    def _change(self, offset: int) -> Change:
        row = ChangeRecord.unpack(self._memory, offset)
        value: int | str | None = row.number
        if row.kind == REMOVED:
            value = None
        elif row.kind == TEXT:
            start = offset + ChangeRecord.SIZE
            value = self._memory[start : start + row.size].decode("latin-1")
        group, name = (field.rstrip(b"\0").decode("latin-1") for field in (row.group, row.name))
        return Change(group, row.instance, name, value)


class Changes:
    """Both lists and the version; made before forking."""

    def __init__(self, shm: SharedMemory) -> None:
        self.made = ChangeList(shm, "cfg.changes")
        self.delayed = ChangeList(shm, "cfg.delayed")
        self.words = shm.u64
        self.at = shm.reserve("cfg.version", "words", 8) >> 3

    def snapshot(self) -> tuple[int, list[Change]]:
        """The version and the changes that belong to it."""
        lock = self.made.lock
        lock.acquire()
        try:
            return self.words[self.at], self.made.read()
        finally:
            lock.release()

    def make(self, changes: Iterable[Change]) -> bool:
        """Let these changes count from now on, all at once; False, and nothing is changed, without memory."""
        made = self.made
        made.lock.acquire()
        try:
            if not made.append(changes):
                return False
            self.words[self.at] += 1
            made.drop_superseded()
            return True
        finally:
            made.lock.release()

    def delay(self, change: Change) -> bool:
        """Put a change off until it is committed; False without memory."""
        self.delayed.lock.acquire()
        try:
            return self.delayed.append([change])
        finally:
            self.delayed.lock.release()

    def pending(self) -> list[Change]:
        """What was put off, in the order in which it was."""
        self.delayed.lock.acquire()
        try:
            return self.delayed.read()
        finally:
            self.delayed.lock.release()

    def forget_pending(self) -> None:
        self.delayed.lock.acquire()
        try:
            self.delayed.clear()
        finally:
            self.delayed.lock.release()
