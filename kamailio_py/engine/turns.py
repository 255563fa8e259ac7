"""Messages of one call are worked on one after the other, whichever processes received them (route_locks_size).

A lock in shared memory, chosen by the Call-ID, is held while the request route or the reply route runs: the one lock
that is held while a script may wait for something. It is the first that such a run takes, so no other is held then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from kamailio_py.config.host import RouteType
    from kamailio_py.config.program import Entry
    from kamailio_py.engine.core import Core
    from kamailio_py.script.context import Context

Run = Callable[["Entry", "Context", "RouteType"], int]


class Turns:
    """See the head of the file; made before forking, with so many locks."""

    def __init__(self, core: Core, count: int) -> None:
        self._locks = core.shm.locks("core.route_locks", count)

    def taken(self, run: Run) -> Run:
        """`run`, when it is the message's turn."""

        def in_turn(entry: Entry, ctx: Context, route_type: RouteType) -> int:
            call_id = ctx.msg.header("call-id") or ""
            lock = self._locks[crc32(call_id.encode("latin-1", "replace")) % len(self._locks)]
            lock.acquire()
            try:
                return run(entry, ctx, route_type)
            finally:
                lock.release()

        return in_turn
