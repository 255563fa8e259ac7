"""Locks between processes: semaphores that say who holds them.

Lives here: `Lock` and the repair of locks whose holder died. A lock is a posix_ipc semaphore, made before forking and
unlinked at once, and a word in shared memory: the low half counts up at every take and every release, so it is odd
while the lock is held, the high half is the holder's process slot plus one. Readers that must not disturb look at
that word before and after: what a lock guards did not change between two equal even values.

Before it takes or gives, a process writes the lock's offset into its row of the process table (its intent), so that
also a process killed between the semaphore and the word is recognised. Not reentrant. The master never takes a lock; it
only frees those of the dead.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from posix_ipc import BusyError, SignalError

from kamailio_py.shm.errors import Corrupt, Orphaned
from kamailio_py.shm.records import Record, u32, u64
from kamailio_py.shm.semaphores import Semaphore, give, take

T = TypeVar("T")

ORPHAN_CHECK = 0.5
"""Seconds between two looks, of who waits for a lock when a signal came, at whether the main process lives."""


class LockWord(Record):
    """The word beside a lock's semaphore."""

    generation = u32("counts up at every take and release: odd while the lock is held")
    holder = u32("slot of the holder's process plus one, 0 if nobody holds it")
    waits = u64("samples of the timer process in which a process waited for it")


class Identity:
    """Which process this one is, as all structures see it; set by ProcessTable.slot."""

    __slots__ = ("claim", "counters", "intent", "parent", "place", "slot", "taken")

    def __init__(self) -> None:
        self.slot = 0
        self.taken = 0
        """What taking a lock adds to its word."""
        self.intent = 0
        """Index of this process's intent among the 64-bit words."""
        self.claim = 0
        """Offset of this process's claim."""
        self.counters = 0
        """Index of this process's row of counters among the 64-bit words."""
        self.place = 0
        """Index of the place in the config that it executes among the 32-bit words."""
        self.parent = 0
        """Pid of the main process, 0 in that itself."""


# of no memory; see constants.over()
words: Any = None
identity = Identity()

Operations = tuple[Callable[[], None], Callable[[], None]]


def operations(offset: int, handle: Any, take_after_signal: Callable[[], None]) -> Operations:
    """acquire() and release() of the lock at `offset`, over the words and the identity of a memory."""
    index = offset >> 3

    def acquire() -> None:
        words[identity.intent] = offset
        try:
            if take(handle):
                take_after_signal()
        except SignalError:
            take_after_signal()
        words[index] += identity.taken

    def release() -> None:
        words[identity.intent] = offset
        words[index] = (words[index] + 1) & 0xFFFFFFFF
        give(handle)
        words[identity.intent] = 0

    return acquire, release


class Lock:
    """One lock; `acquire()` and `release()` are for the hot path, `with lock:` for the others.

    These two are made for each lock: looking its parts up at every call would cost as much as the semaphore does.
    """

    __slots__ = ("_identity", "_index", "_semaphore", "_words", "acquire", "mend", "name", "offset", "release")

    acquire: Callable[[], None]
    release: Callable[[], None]

    def __init__(
        self, name: str, words: Any, offset: int, identity: Identity, operations: Callable[..., Operations] | None
    ) -> None:
        """`operations` are those over these words and this identity; with None it is only looked at."""
        self.name = name
        self.offset = offset
        self.mend: Callable[[], None] | None = None
        """Makes sound what the lock guards, after its holder died."""
        self._words = words
        self._index = offset >> 3
        self._identity = identity
        if operations is not None:
            self._semaphore = Semaphore(1)
            self.acquire, self.release = operations(offset, self._semaphore.handle, self._take_after_signal)

    def attempt(self) -> bool:
        """Take the lock if nobody has it."""
        identity = self._identity
        self._words[identity.intent] = self.offset
        try:
            self._semaphore.take_within(0)
        except BusyError:
            self._words[identity.intent] = 0
            return False
        self._words[self._index] += identity.taken
        return True

    def _take_after_signal(self) -> None:
        """Go on waiting; Orphaned once there is no main process any more that would free the lock of a dead one."""
        while True:
            try:
                return self._semaphore.take_within(ORPHAN_CHECK)
            except SignalError:
                continue
            except BusyError:
                if self._identity.parent and os.getppid() != self._identity.parent:
                    raise Orphaned from None

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def holder(self) -> int:
        """The process slot that holds it, -1 if none does."""
        return (self._words[self._index] >> 32) - 1

    @property
    def waits(self) -> int:
        """Samples in which a process waited for it, see ProcessTable.sample_waits()."""
        return self._words[self._index + 1]

    def note_wait(self) -> None:
        """A process waits for it; for the one that samples."""
        self._words[self._index + 1] += 1

    @property
    def generation(self) -> int:
        return self._words[self._index] & 0xFFFFFFFF

    def stable(self, read: Callable[[], T], tries: int = 50) -> tuple[T | None, bool]:
        """What `read()` gives without the lock, and whether nothing was changed meanwhile.

        After `tries` attempts the last result is returned as it is; None stands for a read that failed because what
        it followed was being changed.
        """
        result: T | None = None
        for attempt in range(tries):
            before = self._words[self._index]
            try:
                result = read()
            except (LookupError, ValueError, OverflowError, Corrupt):
                result = None
            else:
                if not before & 1 and before == self._words[self._index]:
                    return result, True
            if attempt > 2:
                time.sleep(0.0002)
        return result, False

    def close(self) -> None:
        self._semaphore.close()

    def _free(self) -> None:
        """Give back a lock whose holder died, once what it guards is sound again."""
        if self.mend is not None:
            self.mend()
        word = self._words[self._index] & 0xFFFFFFFF
        self._words[self._index] = (word + (word & 1)) & 0xFFFFFFFF
        give(self._semaphore.handle)


def free_dead(locks: Sequence[Lock], slot: int, intents: Callable[[], list[int]], intent: int) -> list[Lock]:
    """Free every lock held by the dead process `slot`, whose last intent was the lock at offset `intent`.

    `intents()` are those of the processes that live. A lock that is taken while its word names no holder was taken, or
    was being given, by whoever has it as intent: by the dead process, unless a living one is at that very place,
    which lasts less than a microsecond unless somebody has stopped it.
    """
    freed = []
    for lock in locks:
        holder = lock.holder
        if holder == slot or (lock.offset == intent and holder < 0 and _is_orphaned(lock, intents)):
            lock._free()
            freed.append(lock)
    return freed


def _is_orphaned(lock: Lock, intents: Callable[[], list[int]]) -> bool:
    generation = lock.generation
    for _ in range(200):
        if lock._semaphore.value or lock.holder >= 0 or lock.generation != generation:
            return False
        if lock.offset not in intents():
            return True
        time.sleep(0.0005)
    return True
