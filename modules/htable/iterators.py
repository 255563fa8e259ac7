"""Iterators over tables, by name, at most four per process. An iterator keeps the slot it is in locked."""

from __future__ import annotations

from kamailio_py.log import get_logger
from kamailio_py.modules.htable.table import HashTable, Value

log = get_logger("htable")

MOST = 4


class ItemIterator:
    """One iterator: the slot it is in, and the item it is at, if any."""

    __slots__ = ("_hash", "_slot", "item", "table")

    def __init__(self) -> None:
        self.table: HashTable | None = None
        self.item = 0
        self._slot = 0
        self._hash = 0

    def start(self, table: HashTable | None) -> None:
        """Stand before the first item."""
        self.end()
        self.table = table

    def end(self) -> None:
        if self.table is not None and self.item:
            self.table.leave(self._slot)
        self.item = self._slot = 0

    def next(self) -> bool:
        """Go to the next item; False, and back to the start, when there is none."""
        table = self.table
        if table is None:
            return False
        if self.item:
            following = table.following(self._slot, self.item, self._hash)
            if following:
                self._at(following)
                return True
            table.leave(self._slot)
            self.item = 0
            self._slot += 1
        while self._slot < table.slots:
            if table.first_of(self._slot):
                table.enter(self._slot)
                first = table.first_of(self._slot)
                if first:
                    self._at(first)
                    return True
                table.leave(self._slot)
            self._slot += 1
        self._slot = 0
        return False

    def _at(self, item: int) -> None:
        assert self.table is not None
        self.item = item
        self._hash = self.table.hash_of(item)

    @property
    def key(self) -> str | None:
        return self.table.name_of(self.item) if self.table is not None and self.item else None

    @property
    def value(self) -> Value | None:
        return self.table.value(self.item) if self.table is not None and self.item else None

    def remove(self) -> None:
        """Remove the item and go to the next one."""
        table, slot, item = self.table, self._slot, self.item
        assert table is not None
        table.enter(slot)
        self.next()
        table.drop(slot, item)
        table.leave(slot)

    def set(self, value: Value) -> bool:
        """Give the item another value; False when there is no memory."""
        assert self.table is not None
        made = self.table.replace(self._slot, self.item, value)
        self.item = made or self.item
        return made != 0

    def expire_in(self, seconds: int) -> None:
        assert self.table is not None
        self.table.expire_in(self.item, seconds)


class Iterators:
    """The iterators of this process."""

    def __init__(self) -> None:
        self._named: dict[str, ItemIterator] = {}

    def start(self, name: str, table: HashTable | None, table_name: str) -> bool:
        found = self._named.get(name)
        if found is None:
            if len(self._named) >= MOST:
                log.err(f"no iterator available - max number is {MOST}")
                return False
            found = self._named[name] = ItemIterator()
        found.start(table)
        if table is None:
            log.err(f"cannot get hash table [{table_name}]")
        return table is not None

    def get(self, name: str) -> ItemIterator | None:
        """The iterator of that name; None, with an error line, if it was not started."""
        found = self._named.get(name)
        if found is None:
            log.err(f"iterator not initialized [{name}]")
        return found

    def used(self, name: str) -> ItemIterator | None:
        """The iterator of that name, at an item; None, with an error line, if there is no such thing."""
        found = self.get(name)
        if found is not None and not found.item:
            log.err(f"iterator not used [{name}]")
            return None
        return found

    def find(self, name: str) -> ItemIterator | None:
        return self._named.get(name)

    def end(self, name: str) -> bool:
        found = self._named.pop(name, None)
        if found is None:
            log.err(f"iterator not found [{name}]")
            return False
        found.end()
        return True
