"""A short list of names in shared memory, so that numbers written elsewhere can be read: kinds of timers, owners.

Names are added before forking by one process; a name exists once its record's text is written. No lock.
"""

from __future__ import annotations

from typing import Any

from kamailio_py.shm.errors import SharedMemoryError
from kamailio_py.shm.layout import as_text
from kamailio_py.shm.records import Record, text


class Name(Record):
    """One name; its number is its place."""

    name = text(64, "the name")


class Names:
    """A list of at most `count` names; number 0 stays free for "none"."""

    __slots__ = ("_memory", "_offset", "count", "numbers", "title")

    def __init__(self, title: str, memory: Any, offset: int, count: int) -> None:
        self.title = title
        self.count = count
        self._memory = memory
        self._offset = offset
        self.numbers: dict[str, int] = {}
        for number in range(1, count):
            name = as_text(Name.unpack(memory, offset + number * Name.SIZE).name)
            if not name:
                break
            self.numbers[name] = number

    @staticmethod
    def size(count: int) -> int:
        return count * Name.SIZE

    def number(self, name: str) -> int:
        """The number of a name, added at first use."""
        known = self.numbers.get(name)
        if known is not None:
            return known
        number = len(self.numbers) + 1
        encoded = name.encode("latin-1")
        if number >= self.count or len(encoded) > Name.SIZE:
            raise SharedMemoryError(f"no room for {name} among the {self.title}")
        Name.STRUCT.pack_into(self._memory, self._offset + number * Name.SIZE, encoded)
        self.numbers[name] = number
        return number

    def name(self, number: int) -> str:
        """The name of a number, "" if there is none."""
        if not 0 < number < self.count:
            return ""
        return as_text(Name.unpack(self._memory, self._offset + number * Name.SIZE).name)
