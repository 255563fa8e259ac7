"""What happens when a timer of a transaction fires. Runs in the process that turns the wheel.

A pending timer is a reference to its cell, which its handler inherits: it gives it back, or adds the timer again. A
handler looks again, under the lock, whether what it was set for is still so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py import points
from kamailio_py.engine.blocklist import TIMEOUT
from kamailio_py.log import get_logger
from kamailio_py.modules.tm.cell import INVITE, Branch, BranchFlag, Cancel, Cell, Flag
from kamailio_py.modules.tm.transaction import Transaction
from kamailio_py.modules.tm.turn import Kind
from kamailio_py.shm.trace import What

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm

log = get_logger("tm")

_REFS, _INDEX, _LABEL, _METHOD, _FLAGS, _BRANCHES, _INTERVAL = (
    getattr(Cell, name) >> 2 for name in ("refs", "index", "label", "method", "flags", "branches", "interval")
)
_TIMED_OUT, _DELETED = int(What.TIMED_OUT), int(What.DELETED)
LONGEST_DELAY = 90_000
"""A finished cell that is still referenced after so many ms is freed: whoever held it is dead."""
LATER = 1000


class Timers:
    """Handlers of the wheel's kinds."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm
        self._count = tm.core.shm.counters.add
        self._destroyed = tm.events["destroyed"]
        kind = tm.wheel.kind
        self.wait_kind = kind("tm.wait", self.wait)
        self.reply_kind = kind("tm.reply", self.reply)
        self.fr_kind = kind("tm.fr", self.final_response)
        self.retr_kind = kind("tm.retransmission", self.retransmission)
        self.cancel_kind = kind("tm.cancel.retransmission", self.cancel_retransmission)
        self.cancel_fr_kind = kind("tm.cancel.fr", self.cancel_final_response)

    def _cell(self, offset: int) -> Transaction:
        u32 = self.tm.u32
        return Transaction(self.tm, offset, u32[(offset >> 2) + _INDEX], u32[(offset >> 2) + _LABEL])

    def _of_branch(self, branch: int) -> tuple[Transaction, int]:
        return self._cell(self.tm.u64[(branch + Branch.cell) >> 3]), self.tm.u32[(branch + Branch.number) >> 2]

    # the server side

    def wait(self, node: int) -> None:
        """The transaction absorbed retransmissions for long enough: free it, unless somebody is still at it."""
        tm = self.tm
        t = self._cell(node - Cell.timer)
        u32 = t.u32
        refs = t.word + _REFS
        t.lock.acquire()
        if not u32[t.word + _FLAGS] & Flag.DEAD:
            self._stop_all(t)
            tm.table.remove(t)
            self._count(tm.server.waiting, -1)
        free = u32[refs] <= 1
        if not free:
            free = self._later(t, node)
        t.lock.release()
        if free:
            tm.server.trace(_DELETED, t.index, t.label)
            for listener in self._destroyed:
                listener(t)
            tm.table.free(t)

    def _later(self, t: Transaction, node: int) -> bool:
        """Somebody is still at a dead cell: look again later, but not for ever. The lock is held."""
        now = self.tm.core.clock.ms()
        until = t.get_word(Cell.repeat_until)
        if not t.get(Cell.interval):
            # the first time: both fields have no other use any more
            until = now + LONGEST_DELAY
            t.set_word(Cell.repeat_until, until)
            t.set(Cell.interval, 1)
            self._count(self.tm.table.delayed)
        if now >= until:
            log.warn(f"transaction [{t.index}:{t.label}] is freed although it is referenced")
            return True
        self.tm.wheel.add(node, now + LATER, self.wait_kind)
        return False

    def _stop_all(self, t: Transaction) -> None:
        """Stop every timer of a cell but the wait timer; the lock is held."""
        client = self.tm.client
        for number in range(t.u32[t.word + _BRANCHES]):
            client.stop(t, number)
            cancel = t.u64[(t.branch(number) + Branch.cancel) >> 3]
            if cancel:
                client.stop_node(t, cancel + Cancel.retr)
                client.stop_node(t, cancel + Cancel.fr)
        if t.u32[t.word + _INTERVAL]:
            client.stop_node(t, t.offset + Cell.retr)
            t.u32[t.word + _INTERVAL] = 0

    def reply(self, node: int) -> None:
        """No ACK yet: send the final reply again, after twice the time."""
        tm = self.tm
        t = self._cell(node - Cell.retr)
        now = tm.core.clock.ms()
        t.lock.acquire()
        interval = min(t.get(Cell.interval) * 2, t.get(Cell.retr2))
        if t.flags & Flag.DEAD or not interval:
            t.u32[t.word + _REFS] -= 1
            t.lock.release()
            return
        text = t.reply_text()
        t.set(Cell.interval, interval)
        if now + interval < t.get_word(Cell.repeat_until):
            tm.wheel.add(node, now + interval, self.reply_kind)
        else:
            t.u32[t.word + _REFS] -= 1
        target = t.upstream()
        t.lock.release()
        if target is not None:
            tm.core.send(text, target)

    # the client side

    def retransmission(self, node: int) -> None:
        """No reply yet: send the branch's request again."""
        tm = self.tm
        branch = node - Branch.retr
        t, number = self._of_branch(branch)
        now = tm.core.clock.ms()
        t.lock.acquire()
        status = t.branch_status(number)
        if status >= 200 or (status and t.is_invite) or t.flags & (Flag.DEAD | Flag.IN_AGONY):
            t.u32[t.word + _REFS] -= 1
            t.lock.release()
            return
        text = t.branch_text(number)
        target = t.branch_destination(number)
        interval = min(t.branch_get(number, Branch.interval) * 2, t.get(Cell.retr2))
        t.branch_set(number, Branch.interval, interval)
        tm.wheel.add(node, now + interval, self.retr_kind)
        # the send may be slow and the timer fire meanwhile: a reference of our own
        t.u32[t.word + _REFS] += 1
        t.lock.release()
        if not tm.core.send(text, target):
            tm.turns.take(t, (Kind.FAKE, number, 503, None))
        tm.table.release(t)

    def final_response(self, node: int) -> None:
        """No final reply in time: the branch ends with 408, or 487 if the transaction was cancelled."""
        tm = self.tm
        branch = node - Branch.fr
        t, number = self._of_branch(branch)
        points.point("tm.timeout.fired")
        now = tm.core.clock.ms()
        t.lock.acquire()
        due = t.u64[(branch + Branch.fr_due) >> 3]
        if now < due and not t.flags & (Flag.DEAD | Flag.IN_AGONY):
            # set anew since it fired: by itself, if who did so came too late to take it out
            if tm.wheel.pending(node):
                t.u32[t.word + _REFS] -= 1
            else:
                tm.wheel.add(node, due, self.fr_kind)
            t.lock.release()
            return
        status = t.branch_status(number)
        flags = t.branch_flags(number)
        suspended = flags & (BranchFlag.SUSPENDED | BranchFlag.CONTINUING)
        if (status >= 200 and not suspended) or t.flags & (Flag.DEAD | Flag.IN_AGONY):
            t.u32[t.word + _REFS] -= 1
            t.lock.release()
            return
        code = 487 if t.canceled and t.u32[t.word + _METHOD] == INVITE else 408
        t.branch_set(number, Branch.flags, flags | BranchFlag.TIMED_OUT)
        silent = status == 0 and t.u32[t.word + _METHOD] & tm.blst_methods_add and not suspended
        t.lock.release()
        if silent and tm.core.cfg.use_dst_blocklist:
            tm.core.blocklist.failed(t.branch_destination(number), TIMEOUT, t.request().blst_ignored)
        tm.server.trace(_TIMED_OUT, t.index, t.label, number)
        points.point("tm.timeout.claimed")
        if not tm.turns.take(t, (Kind.FAKE, number, code, None)):
            self._again(t, node)
            return
        tm.table.release(t)

    def _again(self, t: Transaction, node: int) -> None:
        """There was no memory for the event: come back later."""
        t.lock.acquire()
        self.tm.wheel.add(node, self.tm.core.clock.ms() + LATER, self.fr_kind)
        t.lock.release()

    # CANCELs of branches

    def cancel_retransmission(self, node: int) -> None:
        """No reply to the CANCEL yet: send it again."""
        tm = self.tm
        cancel = node - Cancel.retr
        t, number = self._of_branch(tm.u64[(cancel + Cancel.branch) >> 3])
        t.lock.acquire()
        at = (cancel + Cancel.interval) >> 2
        interval = min(t.u32[at] * 2, t.get(Cell.retr2))
        if not interval or t.flags & Flag.DEAD:
            t.u32[t.word + _REFS] -= 1
            t.lock.release()
            return
        t.u32[at] = interval
        start = cancel + Cancel.SIZE
        text = tm.memory[start : start + tm.u32[(cancel + Cancel.text_size) >> 2]].decode("latin-1")
        target = t.branch_destination(number)
        tm.wheel.add(node, tm.core.clock.ms() + interval, self.cancel_kind)
        t.lock.release()
        tm.core.send(text, target)

    def cancel_final_response(self, node: int) -> None:
        """The CANCEL was never answered: give it up."""
        tm = self.tm
        cancel = node - Cancel.fr
        t, _ = self._of_branch(tm.u64[(cancel + Cancel.branch) >> 3])
        t.lock.acquire()
        t.u32[(cancel + Cancel.interval) >> 2] = 0
        tm.client.stop_node(t, cancel + Cancel.retr)
        t.u32[t.word + _REFS] -= 1
        t.lock.release()
