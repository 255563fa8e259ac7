"""Values as databases hold them, and what a query gives.

None           NULL
int, float     INT, BIGINT, BITMAP; DOUBLE
str            STRING, STR: latin-1, one character for each byte, as everywhere in the house
bytes          BLOB
Time           DATETIME: seconds since the epoch, UTC
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from kamailio_py.dataclass import dataclass, field


class Time(int):
    """Seconds since the epoch, for a DATETIME column; what it looks like in the database is the driver's business."""

    __slots__ = ()


Value: TypeAlias = int | float | str | bytes | Time | None
Row: TypeAlias = tuple[Value, ...]
Where: TypeAlias = Mapping[str, Value] | Sequence[tuple[str, str, Value]]
"""All must hold: {column: value} means equal; else (column, operator, value) with = < > <= >= != or & (any bit set)."""

OPERATORS = ("=", "<", ">", "<=", ">=", "!=", "<>", "&")


@dataclass(slots=True)
class Result:
    """Rows of a query, with the names of their columns; iterates over the rows."""

    columns: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def conditions(where: Where) -> list[tuple[str, str, Value]]:
    """Where as a list of (column, operator, value)."""
    if isinstance(where, Mapping):
        return [(column, "=", value) for column, value in where.items()]
    return list(where)


def local_text(when: Time) -> str:
    """A time as SQL servers are told it, in this machine's local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def local_time(text: str) -> Time | None:
    """What a server says of a time, read as this machine's local time unless it has a zone; None for 0000-00-00."""
    try:
        return Time(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        return None
