"""Nonces in flight: which of those given out may still be used, by number.

Shared memory holds a counter of numbers per pool, a byte per nonce with the highest nc seen, and a bit per one-time
nonce that is set once it was used. A number that is further back than the arrays are long is forgotten: its nonce is
too old. Each pool has a lock, which guards its part of the arrays. At the start everything is marked used, so that
nothing from before is accepted.
"""

from __future__ import annotations

import random
from enum import Enum

from kamailio_py.module import ModuleError
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.records import Record, u32

DEFAULT_SIZE = 1 << 20
_WRAP = 0xFFFFFFFF


class Pool(Record):
    """One pool of nonce numbers."""

    current = u32("number of the nonce given out last")


class Verdict(Enum):
    """What becomes of a nonce that comes back."""

    OK = "ok"
    STALE = "stale"
    REUSED = "reused"


def power_of_two(order: int, size: int) -> int:
    """The size that Kamailio's pair of parameters asks for: 2^order, else `size` rounded down to a power of two."""
    if not order:
        order = (size or DEFAULT_SIZE).bit_length() - 1
    return 1 << order


class InFlight:
    """See the head of the file. `counts` and `once` are the numbers of nonces with nc and of one-time nonces, or 0."""

    def __init__(self, shm: SharedMemory, rng: random.Random, pools: int, counts: int, once: int) -> None:
        smallest = min(counts or once, once // 8 if once else counts)
        if pools > smallest:
            raise ModuleError(f"nid_pool_no ({pools}) too high for the configured number of nonces in flight")
        self._shm = shm
        self.pools = pools
        self._locks = shm.locks("auth.nonces.locks", pools)
        self._current = shm.reserve("auth.nonces", "records", pools * Pool.SIZE, Pool, count=pools)
        for pool in range(pools):
            shm.u32[self._place(pool)] = rng.getrandbits(31)
        self._count_part = counts // pools
        self._once_part = once // pools
        self._counts = self._used(counts, "auth.nonce_counts")
        self._once = self._used(-(-once // 8), "auth.one_time_nonces")

    def _used(self, size: int, name: str) -> int:
        """An array of bytes that says that everything was used."""
        if not size:
            return 0
        at = self._shm.reserve(name, "bytes", size)
        self._shm.memory[at : at + size] = b"\xff" * size
        return at

    def _place(self, pool: int) -> int:
        return (self._current + pool * Pool.SIZE + Pool.current) >> 2

    def new(self, pool: int) -> int:
        """The number of a new nonce."""
        with self._locks[pool]:
            number = self._shm.u32[self._place(pool)] = (self._shm.u32[self._place(pool)] + 1) & _WRAP
            counts = self._shm.u8
            if self._count_part:
                counts[self._count_at(number, pool)] = 0
            if self._once_part:
                at, bit = self._once_at(number, pool)
                counts[at] &= ~bit & 0xFF
        return number

    def check_count(self, number: int, pool: int, nc: int) -> Verdict:
        """Is this nc higher than those seen with the nonce? It is the highest from now on."""
        if pool >= self.pools or self._forgotten(number, pool, self._count_part) or nc > 0xFF:
            return Verdict.STALE
        at = self._count_at(number, pool)
        with self._locks[pool]:
            if self._shm.u8[at] >= nc:
                return Verdict.STALE
            self._shm.u8[at] = nc
        return Verdict.OK

    def check_once(self, number: int, pool: int) -> Verdict:
        """Is the nonce used for the first time?"""
        if pool >= self.pools or self._forgotten(number, pool, self._once_part):
            return Verdict.REUSED
        at, bit = self._once_at(number, pool)
        with self._locks[pool]:
            if self._shm.u8[at] & bit:
                return Verdict.REUSED
            self._shm.u8[at] |= bit
        return Verdict.OK

    def _forgotten(self, number: int, pool: int, part: int) -> bool:
        return ((self._shm.u32[self._place(pool)] - number) & _WRAP) >= part

    def _count_at(self, number: int, pool: int) -> int:
        return self._counts + pool * self._count_part + (number & (self._count_part - 1))

    def _once_at(self, number: int, pool: int) -> tuple[int, int]:
        """Where the byte of a one-time nonce is, and the bit in it."""
        position = pool * self._once_part + (number & (self._once_part - 1))
        return self._once + (position >> 3), 1 << (position & 7)
