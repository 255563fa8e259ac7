"""Chains of records: a head word, and two leading words (next, previous) in each record.

Lives here: walking, checking and mending them, for the table and the wheel. The `next` links, from the head on, are
the truth; linking and unlinking write one `next` or head word last, so that the forward chain is sound at every moment
and `previous` can be made from it. The caller holds the lock of the chain, or reads with Lock.stable().
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kamailio_py.shm.errors import Corrupt
from kamailio_py.shm.words import empty, numbers

_PAGE = 1024
"""Heads are looked through so many at a time, most chains being empty."""


def filled(words: Any, heads: int, first: int, end: int) -> Iterator[int]:
    """Numbers, from `first` to before `end`, of the chains that are not empty; head 0 is word number `heads`.

    At this moment, without a lock.
    """
    for start in range(first, end, _PAGE):
        stop = min(start + _PAGE, end)
        if not empty(words, heads + start, heads + stop):
            heads_here = numbers(words, heads + start, heads + stop)
            yield from (number for number, head in enumerate(heads_here, start) if head)


def walk(words: Any, head: int) -> Iterator[int]:
    """Offsets of the records of the chain whose head is word number `head`; Corrupt if it does not end."""
    size = len(words)
    offset = words[head]
    left = size
    while offset:
        if offset & 7 or offset >> 3 >= size or left <= 0:
            raise Corrupt(f"chain at {head << 3} leads to {offset}")
        left -= 4
        following = words[offset >> 3]
        yield offset
        offset = following


def link(words: Any, head: int, offset: int) -> None:
    """Put the record in front."""
    index = offset >> 3
    first = words[head]
    words[index] = first
    words[index + 1] = 0
    words[head] = offset
    if first:
        words[(first >> 3) + 1] = offset


def link_after(words: Any, offset: int, before: int) -> None:
    """Put the record after `before`, which is in the chain."""
    index, previous = offset >> 3, before >> 3
    following = words[previous]
    words[index] = following
    words[index + 1] = before
    words[previous] = offset
    if following:
        words[(following >> 3) + 1] = offset


def unlink(words: Any, head: int, offset: int) -> None:
    """Take the record out of the chain that starts at `head`."""
    index = offset >> 3
    following = words[index]
    previous = words[index + 1]
    if previous:
        words[previous >> 3] = following
    else:
        words[head] = following
    if following:
        words[(following >> 3) + 1] = previous


def mend(words: Any, head: int) -> int:
    """Set all `previous` words by the forward chain; the number of records in it."""
    count = before = 0
    for offset in walk(words, head):
        words[(offset >> 3) + 1] = before
        before = offset
        count += 1
    return count


def faults(words: Any, head: int) -> list[str]:
    """What is wrong with a chain at rest."""
    before = 0
    found = []
    try:
        for offset in walk(words, head):
            if words[(offset >> 3) + 1] != before:
                found.append(f"record {offset} does not point back to {before}")
            before = offset
    except Corrupt as error:
        found.append(str(error))
    return found
