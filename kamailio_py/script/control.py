"""How a script ends: exceptions that leave all nested routes at once, as Kamailio's EXIT and DROP do.

They derive from BaseException so that no `except Exception` on the way swallows the end of a script.
"""

from __future__ import annotations


class ScriptExit(BaseException):
    """`exit`, `return 0` in a route, or a function that returned 0. `value` is the result of the run."""

    __slots__ = ("value",)

    def __init__(self, value: int = 1) -> None:
        self.value = value


class ScriptDrop(ScriptExit):
    """`drop`: exit, and the message (or reply, or branch) goes no further."""

    __slots__ = ()
