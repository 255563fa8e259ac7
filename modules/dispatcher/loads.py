"""Which call went to which destination, for the algorithm that counts calls.

A record for each Call-ID in shared memory, under the lock of its bucket; the destination's count is changed under the
lock of the sets, which is taken after that one was given back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.modules.dispatcher.sets import DestinationState
from kamailio_py.shm.records import Record, u32, u64
from kamailio_py.sip.hash import core_hash

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.modules.dispatcher.sets import Destination, Sets

log = get_logger("dispatcher")


class CallLoad(Record):
    """One call; its Call-ID and the destination's duid follow, with a NUL between them."""

    next = u64("next record of the bucket")
    prev = u64("previous record of the bucket")
    expires = u64("seconds since the epoch when the call is given up")
    set = u32("the destination's set")
    size = u32("bytes of the texts")


class Loads:
    """See the head of the file."""

    def __init__(self, core: Core, sets: Sets, power: int, first: int, answered: int) -> None:
        shm = core.shm
        self._core, self._sets = core, sets
        self._memory, self._u64, self._u32 = shm.memory, shm.u64, shm.u32
        self._arena = shm.arena
        self._buckets = 1 << power
        self._table = shm.table("dispatcher.calls", self._buckets, min(self._buckets, 16), CallLoad)
        self._owner = shm.arena.owner("dispatcher", "call", CallLoad)
        self._first, self._answered = first, answered

    def _find(self, bucket: int, call_id: str) -> int:
        """The record of a call, 0 if there is none; the lock is held."""
        key = f"{call_id}\0".encode("latin-1")
        for offset in self._table.walk(bucket):
            start = offset + CallLoad.SIZE
            if self._memory[start : start + len(key)] == key:
                return offset
        return 0

    def put(self, call_id: str, number: int, one: Destination) -> None:
        """A call goes to a destination, whichever it went to before."""
        self.drop(call_id)
        data = f"{call_id}\0{one.duid}".encode("latin-1")
        offset = self._arena.alloc(CallLoad.SIZE + len(data), self._owner)
        if not offset:
            log.err("no more shm memory")
            return
        expires = int(self._core.clock.now()) + self._first
        head = CallLoad.STRUCT.pack(0, 0, expires, number, len(data))
        self._memory[offset : offset + len(head) + len(data)] = head + data
        bucket = core_hash(call_id, "", self._buckets)
        with self._table.lock_of(bucket):
            self._table.insert(bucket, offset)
        self._count(number, one.duid, 1)

    def answered(self, call_id: str) -> bool:
        """A call was answered: it may last longer."""
        bucket = core_hash(call_id, "", self._buckets)
        with self._table.lock_of(bucket):
            offset = self._find(bucket, call_id)
            if offset:
                self._u64[(offset + CallLoad.expires) >> 3] = int(self._core.clock.now()) + self._answered
        return offset != 0

    def drop(self, call_id: str) -> bool:
        """A call is over; False if it is not known."""
        bucket = core_hash(call_id, "", self._buckets)
        with self._table.lock_of(bucket):
            offset = self._find(bucket, call_id)
            if offset:
                self._table.remove(bucket, offset)
        if offset:
            self._free(offset)
        return offset != 0

    def expire(self) -> None:
        """Give up the calls whose end nobody told."""
        now = int(self._core.clock.now())
        for bucket in list(self._table.filled()):
            with self._table.lock_of(bucket):
                over = [o for o in self._table.walk(bucket) if self._u64[(o + CallLoad.expires) >> 3] < now]
                for offset in over:
                    self._table.remove(bucket, offset)
            for offset in over:
                self._free(offset)

    def _free(self, offset: int) -> None:
        values = CallLoad.unpack(self._memory, offset)
        start = offset + CallLoad.SIZE
        duid = self._memory[start : start + values.size].decode("latin-1").partition("\0")[2]
        self._arena.free(offset)
        self._count(values.set, duid, -1)

    def _count(self, number: int, duid: str, n: int) -> None:
        with self._sets as sets:
            dests = sets.get(number)
            for one in dests.destinations if dests is not None else ():
                if one.duid == duid:
                    self._sets.set(one, DestinationState.load, max(self._sets.get(one, DestinationState.load) + n, 0))
                    break
