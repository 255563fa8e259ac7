"""Suspending and resuming: what a cfg author calls t_suspend() and t_continue().

The states of a request are one field of the cell, changed under its lock:

    ACTIVE --suspend--> SUSPENDED --resume--> CONTINUING --route ends--> ACTIVE
                            ^                     |
                            +------ suspend ------+        and from each of them --CANCEL--> CANCELED

so exactly one of several resumes, a CANCEL and the timer gets a suspended transaction. A blind branch, whose timer
stands for the final response timer, guards the suspension; its number stays used, branches added later count from
behind it.
Everything the route needs is written before the state says SUSPENDED.

A reply is suspended by branch: BranchFlag.SUSPENDED, CONTINUING. The other branches are not touched by that, and the
branch's final response timer guards it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py import points
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.modules.tm import errors
from kamailio_py.modules.tm.cell import Branch, BranchFlag, Cell, Flag, State
from kamailio_py.modules.tm.stored import skeleton_of
from kamailio_py.modules.tm.transaction import FORWARDED
from kamailio_py.modules.tm.turn import Kind
from kamailio_py.shm.trace import What
from kamailio_py.sip.reply import build_reply

if TYPE_CHECKING:
    from kamailio_py.config.program import Entry
    from kamailio_py.modules.tm import Tm
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("tm")

_FLAGS, _STATE, _SUSPENDED, _RESUMES, _REFS, _AT, _BY, _STATUS, _SKELETON_SIZE = (
    getattr(Cell, name) >> 2
    for name in (
        "flags", "state", "suspended", "resumes", "refs", "suspended_at", "suspended_by", "status", "skeleton_size",
    )
)  # fmt: skip
_OVER = Flag.DEAD | Flag.IN_AGONY
_CLAIMABLE = (State.SUSPENDED, State.CANCELED)
_SUSPEND, _RESUME = int(What.SUSPENDED), int(What.RESUMED)
OTHER_THAN_SUSPENDED = 1
"""What t_suspend() and t_continue() return for a cancelled transaction: nothing is to be done."""


class Suspension:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm
        self._u32 = tm.core.shm.u32
        self._identity = tm.core.shm.identity

    # suspending

    def suspend(self, ctx: Context) -> tuple[int, int] | int:
        """See Api.suspend."""
        t = ctx.t
        if t is None:
            log.err("transaction has not been created yet")
            return -1
        if t.canceled:
            self._answer_canceled(t)
            return OTHER_THAN_SUSPENDED
        if t.status >= 200:
            log.dbg(f"trasaction sent out a final response already - {t.status}")
            return -3
        result = self._suspend_request(ctx, t) if ctx.msg.is_request else self._suspend_reply(ctx, t)
        if result:
            return result
        self.tm.server.trace(_SUSPEND, t.index, t.label, self._u32[self._identity.place])
        points.point("tm.suspend.published")
        return t.index, t.label

    def _suspend_request(self, ctx: Context, t: Transaction) -> int:
        """0, or what suspend() returns instead of the transaction's name."""
        tm = self.tm
        msg = ctx.msg
        if t.is_invite and t.flags & Flag.AUTO_INV_100 and t.status < 100:
            tm.server.reply(t, msg, 100, tm.auto_inv_100_reason)
        # branches and branch flags end with the run, as they do for Kamailio
        branches, flags = msg.added_branches, msg.branch_flags
        if branches is not None or flags:
            msg.added_branches, msg.branch_flags = None, 0
        saved = tm.state.save_script(msg, t) and tm.state.save_attributes(ctx, t)
        if branches is not None or flags:
            msg.added_branches, msg.branch_flags = branches, flags
        if not saved:
            return -1
        if msg.flags != t.get(Cell.message_flags):
            t.set(Cell.message_flags, msg.flags)
        skeleton = "" if t.u32[t.word + _SKELETON_SIZE] else self._skeleton(msg)
        t.u32[t.word + _AT] = self._u32[self._identity.place]
        t.u32[t.word + _BY] = self._identity.slot + 1
        points.point("tm.suspend.saved")
        # From here on another process may resume it: nothing of the cell is this run's any more.
        t.done |= FORWARDED
        number = tm.client.add_blind(t, State.SUSPENDED, skeleton.encode("latin-1"))
        if number >= 0:
            return 0
        t.done &= ~FORWARDED
        if number == errors.E_CANCELED:
            self._answer_canceled(t)
            return OTHER_THAN_SUSPENDED
        if number == errors.E_SCRIPT:
            return -3
        log.err("failed to add the blind UAC")
        return -1

    def _skeleton(self, msg: Message) -> str:
        """What whoever resumes answers from; without it replies are made from the request."""
        if self.tm.core.build_reply is not build_reply:
            return ""
        return skeleton_of(msg, "" if msg.to.tag else self.tm.server.totag.tag(msg))

    def _answer_canceled(self, t: Transaction) -> None:
        """Nothing will resume a cancelled request: answer it, unless the CANCEL's process was faster."""
        if t.status < 200 and not self.tm.table.real_branches(t):
            self.tm.server.reply_stored(t, 487, "Request canceled")

    def _suspend_reply(self, ctx: Context, t: Transaction) -> int:
        tm = self.tm
        number = ctx.branch
        if number < 0 or number >= t.branches:
            log.err("failed find UAC branch")
            return -1
        if not tm.state.save_attributes(ctx, t):
            return -1
        block = tm.arena.store(tm.state.dump_reply(ctx.msg), tm.table.replies)
        if not block:
            log.err("failed to alloc' clone memory")
            return -1
        points.point("tm.suspend.saved")
        word = (t.branch(number) + Branch.reply) >> 3
        t.lock.acquire()
        old = t.u64[word]
        t.u64[word] = block
        flags = t.branch_flags(number) & ~(BranchFlag.SUSPENDED | BranchFlag.CONTINUING)
        t.branch_set(number, Branch.flags, flags | BranchFlag.SUSPENDED)
        self._guard(t, number)
        t.lock.release()
        if old:
            tm.arena.free(old)
        return 0

    def _guard(self, t: Transaction, number: int) -> None:
        """A suspended reply waits no longer than fr_timer; the lock is held."""
        tm = self.tm
        node = t.branch(number) + Branch.fr
        due = tm.core.clock.ms() + t.get(Cell.fr)
        t.u64[(t.branch(number) + Branch.fr_due) >> 3] = due
        if not tm.wheel.cancel(node):
            t.set(Cell.refs, t.get(Cell.refs) + 1)
        tm.wheel.add(node, due, tm.timers.fr_kind)

    def cancel(self, index: int, label: int) -> int:
        """t_cancel_suspend(): the script that suspended goes on after all."""
        tm = self.tm
        t = tm.table.seek(index, label)
        if t is None:
            log.err("active transaction not found")
            return -1
        result = self._claim(t, State.ACTIVE)
        t.lock.release()
        if result < 0:
            log.err("transaction is not suspended")
        tm.table.release(t)
        return 1 if result >= 0 else result

    # resuming

    def _claim(self, t: Transaction, state: int) -> int:
        """Take a suspended request: 0 it is ours, 1 nothing is to be done any more, -1 it is gone, -2 not suspended.

        The lock is held.
        """
        u32, word = t.u32, t.word
        if u32[word + _FLAGS] & _OVER:
            return -1
        waiting = u32[word + _SUSPENDED]
        before = u32[word + _STATE]
        if not waiting or before not in _CLAIMABLE:
            return -2
        branch = t.branch(waiting - 1)
        status = (branch + Branch.status) >> 2
        if before == State.CANCELED or u32[status] >= 200:
            return OTHER_THAN_SUSPENDED
        if self.tm.wheel.cancel(branch + Branch.fr):
            u32[word + _REFS] -= 1
        # never picked, and not pending any more
        u32[status] = 500
        u32[word + _SUSPENDED] = 0
        u32[word + _STATE] = state
        t.resumed = u32[word + _RESUMES] = u32[word + _RESUMES] + 1
        return 0

    def resume(
        self, index: int, label: int, entry: Entry | None, prepare: Callable[[Context], Any] | None = None
    ) -> int:
        """See Api.resume."""
        tm = self.tm
        points.point("tm.resume.begun")
        t = tm.table.seek(index, label)
        if t is None:
            log.warn("active transaction not found")
            return -1
        result = self._claim(t, State.CONTINUING)
        number = self._claim_reply(t) if result == -2 else -1
        t.lock.release()
        released = False
        try:
            if result == 0:
                tm.server.trace(_RESUME, index, label, entry.number if entry is not None else 0)
                points.point("tm.resume.claimed")
                released = self._continue(t, entry, prepare)
                return 1
            if number >= 0:
                points.point("tm.resume.claimed")
                self._continue_reply(t, number, entry, prepare)
                return 1
            if result == -1:
                log.warn("active transaction not found")
            elif result == -2:
                log.warn(f"transaction is not suspended [{index}:{label}]")
            return result
        finally:
            if not released:
                tm.table.release(t)

    def _continue(self, t: Transaction, entry: Entry | None, prepare: Callable[[Context], Any] | None) -> bool:
        """Run the route on the request and answer it if nobody else will; whether the reference was given back."""
        tm = self.tm
        msg = t.request()
        ctx = tm.state.context(t, msg)
        if prepare is not None:
            prepare(ctx)
        if entry is not None and tm.core.run(entry, ctx, RouteType.FAILURE) < 0:
            log.dbg("negative return code in resumed route")
        tm.state.save_run(ctx, t)
        points.point("tm.resume.done")
        t.lock.acquire()
        # suspended again and resumed elsewhere before this run came to its end: it is that run's now
        u32, word = t.u32, t.word
        mine = u32[word + _RESUMES] == t.resumed
        if mine and u32[word + _STATE] == State.CONTINUING:
            u32[word + _STATE] = State.ACTIVE
        over = not mine or u32[word + _STATUS] >= 200
        if over:
            u32[word + _REFS] -= 1
        t.lock.release()
        if not over:
            # in its turn, since the failure_route that was suspended may not have come to its end yet
            error = t.error or (errors.E_CANCELED if t.canceled else errors.E_UNSPEC)
            tm.turns.take(t, (Kind.END, 0, error, None))
        return over

    def _claim_reply(self, t: Transaction) -> int:
        """Take a suspended reply: its branch, or -1. The lock is held."""
        for number in range(t.branches):
            flags = t.branch_flags(number)
            if flags & BranchFlag.SUSPENDED:
                t.branch_set(number, Branch.flags, flags & ~BranchFlag.SUSPENDED | BranchFlag.CONTINUING)
                return number
        return -1

    def _continue_reply(
        self, t: Transaction, number: int, entry: Entry | None, prepare: Callable[[Context], Any] | None
    ) -> None:
        """Run the route on the reply and send it on, unless it was suspended once more."""
        tm = self.tm
        msg = t.branch_reply(number)
        if msg is None:
            return
        msg.flags = t.get(Cell.message_flags)
        ctx = tm.state.context(t, msg)
        ctx.branch = number
        if prepare is not None:
            prepare(ctx)
        if entry is not None and tm.core.run(entry, ctx, RouteType.TM_ONREPLY) < 0:
            log.dbg("negative return code in resumed route")
        tm.state.save_run(ctx, t)
        points.point("tm.resume.done")
        if t.branch_flags(number) & BranchFlag.SUSPENDED:
            return
        t.lock.acquire()
        if msg.status >= 200:
            tm.client.stop_node(t, t.branch(number) + Branch.fr)
        else:
            tm.client.restart_fr(t, number, t.get(Cell.fr_inv if t.is_invite else Cell.fr))
        t.lock.release()
        # what the route did to the reply goes with it
        block = tm.arena.store(tm.state.dump_reply(msg), tm.table.replies)
        if block:
            word = (t.branch(number) + Branch.reply) >> 3
            t.lock.acquire()
            old, t.u64[word] = t.u64[word], block
            t.lock.release()
            if old:
                tm.arena.free(old)
        tm.turns.take(t, (Kind.RELAY, number, 0, None))
