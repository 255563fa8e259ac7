"""Counters: each process counts in a row of its own, whoever asks sums the rows. No lock anywhere.

Counters are registered by group and name before forking. Row 0 belongs to nobody: resetting a counter notes its
total there, so that no process's row is written by another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kamailio_py.shm.errors import SharedMemoryError
from kamailio_py.shm.layout import as_text
from kamailio_py.shm.locks import Identity
from kamailio_py.shm.records import Record, text
from kamailio_py.shm.words import numbers

MAX_COUNTERS = 1024


class CounterName(Record):
    """Group and name of one counter."""

    group = text(32, "statistics group, as Kamailio's")
    name = text(64, "name of the statistic")


class Counters:
    """See the head of the file."""

    __slots__ = ("_identity", "_memory", "_names", "_rows", "_values", "ids", "rows")

    def __init__(self, memory: Any, values: Any, offset: int, processes: int, identity: Identity) -> None:
        self._memory = memory
        self._values = values
        self._names = offset
        self._rows = (offset + MAX_COUNTERS * CounterName.SIZE) >> 3
        self._identity = identity
        self.rows = processes + 1
        self.ids: dict[tuple[str, str], int] = {}
        for number in range(MAX_COUNTERS):
            name = CounterName.unpack(memory, offset + number * CounterName.SIZE)
            if not name.name[0]:
                break
            self.ids[as_text(name.group), as_text(name.name)] = number

    @staticmethod
    def size(processes: int) -> int:
        return MAX_COUNTERS * (CounterName.SIZE + 8 * (processes + 1))

    def row(self, slot: int) -> int:
        """Index of a process's row among the 64-bit words."""
        return self._rows + (slot + 1) * MAX_COUNTERS

    def counter(self, group: str, name: str) -> int:
        """The id of a counter, registered at first use; before forking."""
        known = self.ids.get((group, name))
        if known is not None:
            return known
        number = len(self.ids)
        if number >= MAX_COUNTERS:
            raise SharedMemoryError("too many counters")
        CounterName.STRUCT.pack_into(
            self._memory, self._names + number * CounterName.SIZE, group.encode("latin-1"), name.encode("latin-1")
        )
        self.ids[group, name] = number
        return number

    def add(self, counter: int, n: int = 1) -> None:
        self._values[self._identity.counters + counter] += n

    def total(self, counter: int) -> int:
        return sum(self._column(counter)) - 2 * self._values[self._rows + counter]

    def reset(self, counter: int) -> None:
        """Let its total start from zero."""
        self._values[self._rows + counter] += self.total(counter)

    def by_process(self, counter: int) -> list[int]:
        """What each slot counted, resets not regarded."""
        return self._column(counter)[1:]

    def names(self) -> Iterator[tuple[str, str, int]]:
        """(group, name, id) of all counters."""
        for (group, name), number in self.ids.items():
            yield group, name, number

    def _column(self, counter: int) -> list[int]:
        first = self._rows + counter
        return numbers(self._values, first, first + (self.rows - 1) * MAX_COUNTERS + 1, MAX_COUNTERS)
