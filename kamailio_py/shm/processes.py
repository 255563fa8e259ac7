"""The process table: one row for every process of the instance, written by that process alone.

Lives here: who is who, what each is doing, which lock it is about to take, which queue item it has in hand. Whoever
wants to know reads the rows without a lock; `generation` is odd while the texts of a row are being changed. The
row of a dead process keeps what it last said until a new process takes the slot.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from kamailio_py.shm.counters import Counters
from kamailio_py.shm.layout import as_text
from kamailio_py.shm.locks import Identity
from kamailio_py.shm.records import Record, i32, i64, raw, text, u32, u64

DOING = 96


class Process(Record):
    """One row; its number is the process's slot."""

    pid = u32("process id, 0 if the slot was never used")
    rank = i32("Kamailio's rank: 1.. receivers, 0 main, -1 timers, -2 workers and RPC, -4 tcp main")
    generation = u32("odd while doing, cfg_line and since are written")
    cfg_line = u32("line of the config that is being executed, 0 if unknown")
    started = i64("monotonic milliseconds when the process took the slot")
    heartbeat = i64("monotonic milliseconds of the last round of the process's loop")
    since = i64("monotonic milliseconds when it began what it is doing")
    intent = u64("offset of the lock it is about to take or to give, 0 if none")
    claim = u64("offset of the queue whose item it has in hand, 0 if none; written last")
    claim_number = u64("running number of that item in its queue")
    claim_item = raw(32, "the item: kind, a, b, c")
    doing = text(DOING, "what it is doing, empty when it waits")
    description = text(128, "as core.psx shows it")


class ProcessTable:
    """The rows. `slot` is this process's own; everything of this instance that works by process follows it."""

    __slots__ = ("_counters", "_identity", "_memory", "_offset", "_words", "count")

    def __init__(
        self, memory: Any, words: Any, offset: int, count: int, identity: Identity, counters: Counters
    ) -> None:
        self._memory = memory
        self._words = words
        self._offset = offset
        self._identity = identity
        self._counters = counters
        self.count = count
        self.slot = 0

    @property
    def slot(self) -> int:
        """This process's slot; 0, the main process, until a child sets its own after the fork."""
        return self._identity.slot

    @slot.setter
    def slot(self, slot: int) -> None:
        if not 0 <= slot < self.count:
            raise ValueError(f"process slot {slot} of {self.count}")
        row = self._offset + slot * Process.SIZE
        identity = self._identity
        identity.slot = slot
        identity.taken = ((slot + 1) << 32) + 1
        identity.intent = (row + Process.intent) >> 3
        identity.claim = row + Process.claim
        identity.counters = self._counters.row(slot)

    def claim_of(self, slot: int) -> int:
        """Offset of a slot's claim, for Queue.give_back()."""
        return self._offset + slot * Process.SIZE + Process.claim

    def enter(self, rank: int, description: str, now_ms: int, pid: int = 0) -> None:
        """Fill this process's row at its start."""
        row = self._offset + self.slot * Process.SIZE
        # The claim of a predecessor stays until somebody gives it back: only the other fields are new.
        at = row + Process.doing
        self._memory[at : at + DOING] = bytes(DOING)
        encoded = description.encode("latin-1", "replace")[:127]
        at = row + Process.description
        self._memory[at : at + 128] = encoded.ljust(128, b"\0")
        words = self._words
        for field in (Process.started, Process.heartbeat, Process.since):
            words[(row + field) >> 3] = now_ms
        words[(row + Process.intent) >> 3] = 0
        words[(row + Process.generation) >> 3] = 0
        words[row >> 3] = ((rank & 0xFFFFFFFF) << 32) | (pid or os.getpid())

    def beat(self, now_ms: int) -> None:
        """The loop of this process went round."""
        self._words[(self._offset + self._identity.slot * Process.SIZE + Process.heartbeat) >> 3] = now_ms

    def begin(self, doing: str, now_ms: int, cfg_line: int = 0) -> None:
        """This process starts on something, "" when it has finished."""
        row = self._offset + self._identity.slot * Process.SIZE
        words = self._words
        generation = (row + Process.generation) >> 3
        odd = (words[generation] & 0xFFFFFFFF) | 1
        words[generation] = odd
        at = row + Process.doing
        self._memory[at : at + DOING] = doing.encode("latin-1", "replace")[:DOING].ljust(DOING, b"\0")
        words[(row + Process.since) >> 3] = now_ms
        words[generation] = ((odd + 1) & 0xFFFFFFFF) | (cfg_line << 32)

    def row(self, slot: int) -> Any:
        """The row of a slot, its texts as str; read again for as long as it was being written."""
        offset = self._offset + slot * Process.SIZE
        for _ in range(20):
            values = Process.unpack(self._memory, offset)
            if not values.generation & 1 and values.generation == Process.unpack(self._memory, offset).generation:
                break
        return values._replace(doing=as_text(values.doing), description=as_text(values.description))

    def rows(self) -> Iterator[tuple[int, Any]]:
        """(slot, row) of the slots that are or were in use."""
        for slot in range(self.count):
            if self._words[(self._offset + slot * Process.SIZE) >> 3] & 0xFFFFFFFF:
                yield slot, self.row(slot)

    def intents(self, *, without: int) -> list[int]:
        """What the other processes are about to take or to give, the master left out: it takes no locks."""
        first = (self._offset + Process.intent) >> 3
        every = self._words[first : first + (self.count * Process.SIZE >> 3) : Process.SIZE >> 3].tolist()
        return [intent for slot, intent in enumerate(every) if intent and slot != without]

    def intent(self, slot: int) -> int:
        return self._words[(self._offset + slot * Process.SIZE + Process.intent) >> 3]

    def leave(self, slot: int) -> None:
        """The process of `slot` is gone and its lock freed: forget its intent."""
        self._words[(self._offset + slot * Process.SIZE + Process.intent) >> 3] = 0
