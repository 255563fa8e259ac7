"""CANCEL: one that comes for an INVITE, and those that go to the INVITE's branches.

A CANCEL sets the INVITE's state under its lock; from then on nothing is forwarded or suspended any more. What is
pending is cancelled hop by hop; what only waits inside this server (no branch yet, or suspended) is answered with 487
at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py import points
from kamailio_py.log import get_logger
from kamailio_py.modules.tm import errors
from kamailio_py.modules.tm.cell import (
    CANCEL_HEAD,
    CANCEL_REST,
    INVITE,
    Branch,
    BranchFlag,
    Cancel,
    Cell,
    Flag,
    State,
)  # fmt: skip
from kamailio_py.modules.tm.turn import Kind
from kamailio_py.shm.trace import What
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.local import build_cancel, build_hop_of_received

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("tm")

_CANCELED = int(What.CANCELED)

FAKE_REPLY, KEEP_TRYING, SEND_CANCEL = range(3)
"""cancel_b_method: what is done with a branch that has had no reply yet."""
STATELESS, DROP = 1, 2
"""unmatched_cancel."""


class Canceling:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm

    # a CANCEL of somebody

    def relay(self, ctx: Context, only_matching: bool = False) -> int:
        """t_relay() of a CANCEL, or t_relay_cancel(), which leaves one without an INVITE to the script (1)."""
        tm = self.tm
        try:
            invite = tm.matching.original(ctx.msg)
        except BadMessage as error:
            log.err(f"bad CANCEL: {error.reason}")
            return errors.E_BAD_REQ
        if invite is None:
            if only_matching:
                return 1
            if tm.unmatched_cancel == DROP:
                return 1
            if tm.unmatched_cancel == STATELESS:
                return tm.forward.stateless(ctx)
            made = tm.server.newtran(ctx) if ctx.t is None else 1
            if made <= 0:
                return 1 if made == 0 else made
            return tm.forward.branches(ctx, ctx.t)
        try:
            made = tm.server.newtran(ctx) if ctx.t is None else 1
            if made <= 0:
                # a repeated CANCEL was answered again
                return (0 if only_matching else 1) if made == 0 else made
            self._end_to_end(ctx, ctx.t, invite)
        finally:
            tm.table.release(invite)
        return 0 if only_matching else 1

    def _end_to_end(self, ctx: Context, t: Transaction, invite: Transaction) -> None:
        """Cancel the INVITE's branches and answer the CANCEL."""
        tm = self.tm
        for listener in tm.events["e2e-cancel"]:
            listener(ctx, invite)
        msg = ctx.msg
        reasons = ""
        if tm.e2e_cancel_reason and not invite.flags & Flag.NO_E2E_CANCEL_REASON:
            reasons = "".join(msg.raw(i) for i, name in enumerate(msg.names) if name == "reason")
        block = tm.arena.store(reasons.encode("latin-1"), tm.table.cancels) if reasons else 0
        place = (invite.offset + Cell.cancel_reason) >> 3
        invite.lock.acquire()
        invite.set(Cell.state, State.CANCELED)
        old = invite.u64[place]
        if block:
            invite.u64[place] = block
        real = tm.table.real_branches(invite)
        pending = tm.table.pending_branches(invite)
        invite.lock.release()
        if old and block:
            tm.arena.free(old)
        tm.server.trace(_CANCELED, invite.index, invite.label)
        points.point("tm.cancel.marked")
        if not real:
            if invite.status < 200:
                tm.server.reply_stored(invite, 487, "Request canceled")
            tm.server.reply(t, msg, 200, "ok -- no more pending branches")
            return
        for number in pending:
            if invite.is_blind(number):
                tm.turns.take(invite, (Kind.FAKE, number, 487, None))
            else:
                self.cancel_branch(invite, number)
        tm.server.reply(t, msg, 200, "canceling" if pending else "ok -- no more pending branches")

    def answered(self, t: Transaction, number: int, msg: Message) -> None:
        """A reply to the CANCEL of a branch came: it is repeated no more."""
        if msg.status < 200:
            return
        tm = self.tm
        t.lock.acquire()
        cancel = t.u64[(t.branch(number) + Branch.cancel) >> 3]
        if cancel:
            t.u32[(cancel + Cancel.interval) >> 2] = 0
            tm.client.stop_node(t, cancel + Cancel.retr)
            tm.client.stop_node(t, cancel + Cancel.fr)
        t.lock.release()

    # CANCELs of ours

    def cancel_all(self, t: Transaction, numbers: list[int], code: int) -> None:
        """Cancel branches because another one has won with `code` (or the script has)."""
        for number in numbers:
            self.cancel_branch(t, number, reason=self._reason(code))

    def cancel_branches(self, t: Transaction, which: str, branch: int, cause: int = 0) -> int:
        """t_cancel_branches(): "all", "others" or "this"; `cause` becomes a Reason header."""
        pending = [n for n in self.tm.table.pending_branches(t) if not t.is_blind(n)]
        if which == "others":
            pending = [n for n in pending if n != branch]
        elif which == "this":
            pending = [n for n in pending if n == branch]
        reason = f"Reason: SIP;cause={cause}\r\n" if cause else ""
        for number in pending:
            self.cancel_branch(t, number, reason=reason)
        return len(pending)

    def _reason(self, code: int) -> str:
        if not self.tm.local_cancel_reason:
            return ""
        if code == 200:
            return 'Reason: SIP;cause=200;text="Call completed elsewhere"\r\n'
        return f"Reason: SIP;cause={code}\r\n"

    def cancel_branch(
        self, t: Transaction, number: int, *, force: bool = False, reason: str = "", after_final: bool = False
    ) -> bool:
        """Send a CANCEL after a branch, or see to it that one is sent when a provisional reply comes.

        With `force` also without a provisional reply; `after_final`: the branch has just got a final status from here.
        """
        tm = self.tm
        method = SEND_CANCEL if force else tm.cancel_b_method
        t.lock.acquire()
        status = t.branch_status(number)
        if (
            t.get(Cell.method) != INVITE
            or t.is_blind(number)
            or (status >= 200 and not after_final)
            or t.u64[(t.branch(number) + Branch.cancel) >> 3]
        ):
            t.lock.release()
            return False
        t.branch_set(number, Branch.flags, t.branch_flags(number) | BranchFlag.CANCELED)
        if not reason:
            block = t.get_word(Cell.cancel_reason)
            reason = tm.arena.load(block).decode("latin-1") if block else ""
        t.lock.release()
        if status < 100 and method == FAKE_REPLY:
            tm.turns.take(t, (Kind.FAKE, number, 487, None))
            return True
        if status < 100 and method == KEEP_TRYING:
            if reason:
                self._keep_reason(t, reason.partition(";text=")[0].rstrip("\r\n") + "\r\n")
            return True
        return self._send(t, number, reason)

    def _keep_reason(self, t: Transaction, reason: str) -> None:
        """For CANCELs that are sent later."""
        if t.get_word(Cell.cancel_reason):
            return
        block = self.tm.arena.store(reason.encode("latin-1"), self.tm.table.cancels)
        t.lock.acquire()
        if t.get_word(Cell.cancel_reason):
            block, unused = 0, block
        else:
            unused = 0
            t.set_word(Cell.cancel_reason, block)
        t.lock.release()
        if unused:
            self.tm.arena.free(unused)

    def _send(self, t: Transaction, number: int, reason: str) -> bool:
        tm = self.tm
        invite = t.branch_text(number)
        if tm.reparse_invite or t.is_local:
            text = build_cancel(invite, reason, tm.ac_extra_hdrs)
        else:
            text = build_hop_of_received(t.request(), invite, "CANCEL", tm.core.user_agent, reason)
        data = text.encode("latin-1")
        block = tm.arena.alloc(Cancel.SIZE + len(data), tm.table.cancels)
        if not block:
            log.err("attempt to build a CANCEL failed")
            return False
        branch = t.branch(number)
        first = t.get(Cell.retr1)
        CANCEL_HEAD.pack_into(tm.memory, block, t.offset, branch, len(data), first)
        at = block + CANCEL_HEAD.size
        rest = CANCEL_REST + data
        tm.memory[at : at + len(rest)] = rest
        target = t.branch_destination(number)
        now = tm.core.clock.ms()
        word = (branch + Branch.cancel) >> 3
        t.lock.acquire()
        if t.u64[word]:
            t.lock.release()
            tm.arena.free(block)
            return False
        t.u64[word] = block
        refs = 1
        tm.wheel.add(block + Cancel.fr, now + t.get(Cell.fr), tm.timers.cancel_fr_kind)
        if target.proto == "udp":
            tm.wheel.add(block + Cancel.retr, now + first, tm.timers.cancel_kind)
            refs = 2
        t.set(Cell.refs, t.get(Cell.refs) + refs)
        t.lock.release()
        points.point("tm.cancel.before_send")
        tm.core.send(text, target)
        return True
