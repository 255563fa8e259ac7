"""The process table: one row for every process of the instance, written by that process alone.

Lives here: who is who, what each is doing, which lock it is about to take, which queue item it has in hand. Whoever
wants to know reads the rows without a lock: `since` is 0 while a process has nothing to do and while `doing` is being
written, and never twice the same. The row of a dead process keeps what it last said until a new process takes the slot.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kamailio_py.shm.counters import Counters
from kamailio_py.shm.layout import as_text
from kamailio_py.shm.locks import Identity
from kamailio_py.shm.records import Record, i32, i64, raw, text, u32, u64
from kamailio_py.shm.words import numbers

DOING = 96
LINE_BITS = 20
"""A place in the config is file number << LINE_BITS | line; the files are named in the directory's "program"."""


class Process(Record):
    """One row; its number is the process's slot."""

    pid = u32("process id, 0 if the slot was never used")
    rank = i32("Kamailio's rank: 1.. receivers, 0 main, -1 timers, -2 workers and RPC, -4 tcp main")
    place = u32("file and line of the config that it executed last, 0 if none: file number << 20 | line")
    started = i64("monotonic milliseconds when the process took the slot")
    intent = u64("offset of the lock it is about to take or to give, 0 if none")
    claim = u64("offset of the queue whose item it has in hand, 0 if none; written last")
    claim_number = u64("running number of that item in its queue")
    claim_item = raw(40, "the item, see queue.item")
    doing = text(DOING, "what it does, or did last: the message's first line, the timer, the command")
    heartbeat = i64("monotonic nanoseconds when it last began something, or last looked for something to do")
    since = i64("monotonic nanoseconds when it began what it does, 0 if it waits")
    description = text(128, "as core.psx shows it")


_BEGIN = struct.Struct(f"<{DOING}s2q").pack_into
_BUSY = struct.Struct("<2q").pack_into
_LIVING = struct.Struct("<Ii").pack


class ProcessTable:
    """The rows. `slot` is this process's own; everything of this instance that works by process follows it.

    `begin(text)` says what this process starts on now, `resume()` the same of the queue item that it has claimed, and
    `finish()` that it waits again. They stand in the way of every message, so they are functions over the row itself.
    """

    __slots__ = (
        "_counters", "_identity", "_memory", "_move", "_offset", "_words", "begin", "count", "finish", "resume",
        "used",
    )  # fmt: skip

    begin: Callable[[bytes], None]
    resume: Callable[[], None]
    finish: Callable[[], None]

    def __init__(
        self,
        memory: Any,
        words: Any,
        offset: int,
        count: int,
        identity: Identity,
        counters: Counters,
        ns: Callable[[], int],
    ) -> None:
        self._memory = memory
        self._words = words
        self._offset = offset
        self._identity = identity
        self._counters = counters
        self.count = count
        self.used = count
        """Slots that may have a process: those behind are not looked at where it matters."""
        self.begin, self.resume, self.finish, self._move = self._operations(ns)
        self.slot = 0

    def _operations(
        self, ns: Callable[[], int]
    ) -> tuple[Callable[[bytes], None], Callable[[], None], Callable[[], None], Callable[[int], None]]:
        memory, words = self._memory, self._words
        at = beat = since = 0

        def begin(text: bytes) -> None:
            now = ns()
            _BEGIN(memory, at, text, now, now)  # what is too long is cut; `since` is written last

        def resume() -> None:
            now = ns()
            _BUSY(memory, beat, now, now)

        def finish() -> None:
            words[since] = 0

        def move(row: int) -> None:
            nonlocal at, beat, since
            at, beat, since = row + Process.doing, row + Process.heartbeat, (row + Process.since) >> 3

        return begin, resume, finish, move

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
        identity.parent = os.getppid() if slot else 0
        identity.taken = ((slot + 1) << 32) + 1
        identity.intent = (row + Process.intent) >> 3
        identity.claim = row + Process.claim
        identity.counters = self._counters.row(slot)
        identity.place = (row + Process.place) >> 2
        self._move(row)

    def claim_of(self, slot: int) -> int:
        """Offset of a slot's claim, for Queue.give_back()."""
        return self._offset + slot * Process.SIZE + Process.claim

    def enter(self, rank: int, description: str, now_ms: int, pid: int = 0) -> None:
        """Fill this process's row at its start."""
        row = self._offset + self.slot * Process.SIZE
        words = self._words
        words[(row + Process.since) >> 3] = 0
        # The claim of a predecessor stays until somebody gives it back: only the other fields are new.
        at = row + Process.doing
        self._memory[at : at + DOING] = bytes(DOING)
        encoded = description.encode("latin-1", "replace")[:127]
        at = row + Process.description
        self._memory[at : at + 128] = encoded.ljust(128, b"\0")
        words[(row + Process.started) >> 3] = now_ms
        words[(row + Process.heartbeat) >> 3] = now_ms * 1_000_000
        words[(row + Process.intent) >> 3] = 0
        words[(row + Process.place) >> 3] = 0
        self._memory[row : row + 8] = _LIVING(pid or os.getpid(), rank)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Say what this process does meanwhile, unless it is at something else already, of which it is a part."""
        row = self._offset + self._identity.slot * Process.SIZE
        if self._words[(row + Process.since) >> 3]:
            yield
            return
        self.begin(what.encode("latin-1", "replace"))
        try:
            yield
        finally:
            self.finish()

    def beat(self, now_ms: int) -> None:
        """This process looked for something to do and found nothing."""
        self._words[(self._offset + self._identity.slot * Process.SIZE + Process.heartbeat) >> 3] = now_ms * 1_000_000

    def row(self, slot: int) -> Any:
        """The row of a slot, its texts as str; read again for as long as it was being written."""
        offset = self._offset + slot * Process.SIZE
        for _ in range(20):
            values = Process.unpack(self._memory, offset)
            again = Process.unpack(self._memory, offset)
            if (values.pid, values.since, values.claim, values.claim_number) == (
                again.pid, again.since, again.claim, again.claim_number,
            ):  # fmt: skip
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
        every = numbers(self._words, first, first + (self.used * Process.SIZE >> 3), Process.SIZE >> 3)
        return [intent for slot, intent in enumerate(every) if intent and slot != without]

    def intent(self, slot: int) -> int:
        return self._words[(self._offset + slot * Process.SIZE + Process.intent) >> 3]

    def leave(self, slot: int) -> None:
        """The process of `slot` is gone and its lock freed: forget its intent."""
        self._words[(self._offset + slot * Process.SIZE + Process.intent) >> 3] = 0
