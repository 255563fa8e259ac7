"""The one hash table: buckets of chained records, and a lock for every stripe of buckets.

Lives here: finding the bucket's lock and chain, inserting, removing, walking. What the records are, how keys are
hashed and compared and when a record is freed is the business of the module that owns the table. A record begins
with two words (next, previous) that belong to the table; the caller holds `lock_of(bucket)` for everything except
reading with `lock_of(bucket).stable(...)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from kamailio_py.shm import chain
from kamailio_py.shm.locks import Lock
from kamailio_py.shm.words import numbers


class Table:
    """See the head of the file. `locks[bucket & mask]` is the lock of a bucket, for loops that need it bound."""

    __slots__ = ("_counts", "_heads", "_words", "buckets", "locks", "mask", "name")

    def __init__(self, name: str, words: Any, offset: int, buckets: int, stripes: int, locks: Sequence[Lock]) -> None:
        self.name = name
        self.buckets = buckets
        self.locks = list(locks)
        self.mask = stripes - 1
        self._words = words
        self._counts = offset >> 3
        self._heads = self._counts + stripes
        for stripe, lock in enumerate(self.locks):
            lock.mend = partial(self._mend, stripe)

    @staticmethod
    def size(buckets: int, stripes: int) -> int:
        return 8 * (buckets + stripes)

    def lock_of(self, bucket: int) -> Lock:
        return self.locks[bucket & self.mask]

    def head(self, bucket: int) -> int:
        """Offset of the first record, 0 if the bucket is empty."""
        return self._words[self._heads + bucket]

    def insert(self, bucket: int, offset: int, after: int = 0) -> None:
        """Put a complete record into the bucket, in front or after a record that is in it."""
        words = self._words
        words[self._counts + (bucket & self.mask)] += 1
        index = offset >> 3
        if after:
            chain.link_after(words, offset, after)
            return
        head = self._heads + bucket
        first = words[head]
        words[index] = first
        words[index + 1] = 0
        words[head] = offset
        if first:
            words[(first >> 3) + 1] = offset

    def remove(self, bucket: int, offset: int) -> None:
        """Take a record of the bucket out of it."""
        words = self._words
        index = offset >> 3
        following = words[index]
        previous = words[index + 1]
        if previous:
            words[previous >> 3] = following
        else:
            words[self._heads + bucket] = following
        if following:
            words[(following >> 3) + 1] = previous
        words[self._counts + (bucket & self.mask)] -= 1

    def walk(self, bucket: int) -> Iterator[int]:
        """Offsets of the bucket's records; the one just given may be removed and freed."""
        return chain.walk(self._words, self._heads + bucket)

    def filled(self) -> Iterator[int]:
        """Buckets with records in them, at this moment, without a lock."""
        return chain.filled(self._words, self._heads, 0, self.buckets)

    def __len__(self) -> int:
        """Records in the table, summed without a lock."""
        return sum(numbers(self._words, self._counts, self._heads))

    def _mend(self, stripe: int) -> None:
        """After the death of a holder: the chains and the count of one stripe."""
        first = self._heads + stripe
        heads = numbers(self._words, first, self._heads + self.buckets, self.mask + 1)
        count = 0
        for number, head in enumerate(heads):
            if head:
                count += chain.mend(self._words, first + number * (self.mask + 1))
        self._words[self._counts + stripe] = count

    def check(self) -> list[str]:
        """What is wrong with the table, nobody working on it meanwhile."""
        found = []
        counts = [0] * (self.mask + 1)
        for bucket in self.filled():
            broken = chain.faults(self._words, self._heads + bucket)
            found += [f"table {self.name} bucket {bucket}: {fault}" for fault in broken]
            if not broken:
                counts[bucket & self.mask] += sum(1 for _ in self.walk(bucket))
        kept = numbers(self._words, self._counts, self._heads)
        if not found and kept != counts:
            found.append(f"table {self.name}: {sum(counts)} records in the chains, {sum(kept)} counted")
        return found
