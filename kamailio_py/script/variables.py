"""The script variables `$var(name)`: one dict for the whole process, as Kamailio has them, across messages and routes.

A variable that was never set is the int 0. Generated code reads and writes `VARS` itself for plain `$var(name)`.
No lock: nothing here is shared between processes.
"""

from __future__ import annotations


class Variables(dict[str, "int | str | None"]):
    """Name -> value; reading a name that was never set gives 0 without storing it."""

    __slots__ = ()

    def __missing__(self, name: str) -> int:
        return 0


VARS = Variables()
