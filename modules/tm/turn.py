"""One at a time: replies, timeouts and resumed replies of one transaction are worked on in the order they come.

Their scripts (onreply_route, failure_route) may take long and may touch other transactions, so no lock is held while
they run. Instead the first process to come takes the turn of the cell; what comes meanwhile, in whichever process, is
put into the cell's mail and is worked on by the one that has the turn, before it gives the turn back. Nobody waits.
A turn whose process has died is taken over by the next one that comes.

An event is (kind, branch, code, payload); in the mail it is a block of [next block, marshal of the event].
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from kamailio_py import points
from kamailio_py.log import get_logger
from kamailio_py.modules.tm.cell import Cell
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm
    from kamailio_py.modules.tm.transaction import Transaction

log = get_logger("tm")


class Kind(IntEnum):
    """What happened to a branch."""

    REPLY = 1  # a reply came: payload is its Message
    FAKE = 2  # it failed without a reply: a timeout, a send failure, a cancelled branch that never answered
    RELAY = 3  # a suspended reply goes on
    END = 4  # a resumed route came to its end: `code` is the error to answer with if nothing else will answer


Event = tuple[int, int, int, Message | None]
_TURN = Cell.turn >> 2
_MAIL = Cell.mail


class Turns:
    """Hands events of a transaction to `work(t, event)`."""

    def __init__(self, tm: Tm, work: Callable[[Transaction, Event], None]) -> None:
        self.tm = tm
        self.work = work

    def take(self, t: Transaction, event: Event) -> bool:
        """Work on the event now, or leave it to the process that has the turn; False if no memory was left for it."""
        me = self.tm.slot + 1
        u32 = t.u32
        turn = t.word + _TURN
        lock = t.lock
        lock.acquire()
        holder = u32[turn]
        if holder and (holder == me or self._alive(holder - 1)):
            posted = self._post(t, event)
            lock.release()
            points.point("tm.turn.posted")
            return posted
        u32[turn] = me
        lock.release()
        points.point("tm.turn.taken")
        next_event: Event | None = event
        while next_event is not None:
            try:
                self.work(t, next_event)
            except Exception as error:
                log.crit(f"error while working on {Kind(next_event[0]).name} of {t!r}: {type(error).__name__}: {error}")
            next_event = self._next(t)
        return True

    def _next(self, t: Transaction) -> Event | None:
        """The next event of the mail; without one the turn is given back."""
        u64 = t.u64
        word = (t.offset + _MAIL) >> 3
        t.lock.acquire()
        block = u64[word]
        if not block:
            t.u32[t.word + _TURN] = 0
            t.lock.release()
            return None
        u64[word] = u64[block >> 3]
        data = self.tm.arena.load(block)
        t.lock.release()
        self.tm.arena.free(block)
        kind, branch, code, reply = marshal.loads(data[8:])
        return kind, branch, code, self.tm.state.load_reply(reply) if reply else None

    def _post(self, t: Transaction, event: Event) -> bool:
        """Append to the mail; the lock is held."""
        kind, branch, code, msg = event
        data: Any = marshal.dumps((int(kind), branch, code, self.tm.state.dump_reply(msg) if msg is not None else b""))
        block = self.tm.arena.store(bytes(8) + data, self.tm.table.mails)
        if not block:
            log.err("no more share memory")
            return False
        u64 = t.u64
        word = (t.offset + _MAIL) >> 3
        while u64[word]:
            word = u64[word] >> 3
        u64[word] = block
        return True

    def _alive(self, slot: int) -> bool:
        """Does the process of this slot run? It is only asked when two meet at one transaction."""
        if slot == self.tm.slot:
            return True
        pid = self.tm.core.shm.processes.row(slot).pid
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return pid != 0
