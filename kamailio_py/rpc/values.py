"""What an RPC command answers with, as plain data that every transport can encode.

| value | binrpc (kamcmd) | JSON |
|---|---|---|
| int | int of 32 bits | number |
| bool | int | true, false |
| float | double with three decimals | number with six decimals |
| str | string | string |
| None | null string | null |
| dict, Struct | struct | object |
| list | struct of values without names | array |
| Members | struct | array of objects with one member each |

Struct and Members are for answers in which a name occurs more than once; both are read by iterating over (name, value).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Struct:
    """A struct whose member names may repeat, in the order in which they were added."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        self.pairs = list(pairs)

    def add(self, name: str, value: Any) -> None:
        self.pairs.append((name, value))

    def items(self) -> Iterable[tuple[str, Any]]:
        return self.pairs

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.pairs == other.pairs

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pairs!r})"

    __hash__ = None  # type: ignore[assignment]


class Members(Struct):
    """An array whose elements have names: Kamailio's "[" with members added to it."""

    __slots__ = ()
