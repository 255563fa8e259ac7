"""Remembering what texts of headers mean: clients send the same ones again and again.

What a function makes of a short text is kept, the last thousand of them; a long text takes no room.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

Meaning = TypeVar("Meaning")
LONGEST = 256
"""Characters of the longest text that is remembered."""
MOST = 1024


def remembered(work: Callable[[str], Meaning]) -> Callable[[str], Meaning]:
    """The function `work`, remembering; what it returns must never be changed. What it raises is not remembered."""
    known = lru_cache(MOST)(work)

    @wraps(work)
    def recall(text: str) -> Meaning:
        return known(text) if len(text) <= LONGEST else work(text)

    return recall
