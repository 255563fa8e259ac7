"""Remembering what texts of headers mean: clients send the same ones again and again.

What a function makes of a short text is kept, a thousand of them; when there are more, all are forgotten and begun
anew. A long text takes no room.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

Meaning = TypeVar("Meaning")
LONGEST = 512
"""Characters of the longest text that is remembered."""
MOST = 1024


def remembered(work: Callable[[str], Meaning], most: int = MOST) -> Callable[[str], Meaning]:
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

    return recall
