"""Remembering what texts of headers mean: clients send the same ones again and again.

What a function makes of a short text is kept, a thousand of them; when there are more, all are forgotten and begun
anew. A long text takes no room.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache, partial, wraps
from typing import Protocol, TypeVar

Meaning = TypeVar("Meaning")
Told = TypeVar("Told", covariant=True)
LONGEST = 512
"""Characters of the longest text that is remembered."""
MOST = 1024


class Recall(Protocol[Told]):
    """A function that remembers."""

    def __call__(self, text: str, /) -> Told: ...

    def cache_clear(self) -> None:
        """Forget everything."""


def remembered(work: Callable[[str], Meaning], most: int = MOST) -> Recall[Meaning]:
    """The function `work`, remembering; what it returns must never be changed. What it raises is not remembered."""
    known: dict[str, Meaning] = {}

    @wraps(work)
    def recall(text: str) -> Meaning:
        try:
            return known[text]
        except KeyError:
            pass
        meaning = work(text)
        if len(text) <= LONGEST:
            if len(known) >= most:
                known.clear()
            known[text] = meaning
        return meaning

    recall.cache_clear = known.clear  # type: ignore[attr-defined]
    return recall  # type: ignore[return-value]


def memo(most: int) -> Callable[[Callable[[str], Meaning]], Recall[Meaning]]:
    """functools.lru_cache for functions of one text, which on PyPy is Python code that takes a lock each time."""
    if sys.implementation.name == "pypy":
        return partial(remembered, most=most)
    return lru_cache(most)
