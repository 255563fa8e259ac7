"""Replies of branches: matching, local ACKs, onreply_route, and what becomes of them upstream.

`received` is the server's reply handler. What follows runs in the turn of the transaction (turn.py), one event after
the other: a reply, a reply made here for a branch that failed, a suspended reply that goes on. The lock is held only to
look and write, never while a route runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py import points
from kamailio_py.config.host import RouteType
from kamailio_py.engine.blocklist import UNAVAILABLE
from kamailio_py.log import get_logger
from kamailio_py.modules.tm import selection
from kamailio_py.modules.tm.cell import INVITE, METHODS, OTHER, Branch, BranchFlag, Cell, Flag, State
from kamailio_py.modules.tm.turn import Event, Kind
from kamailio_py.shm.trace import What
from kamailio_py.sip.endpoint import Destination
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message
from kamailio_py.sip.reply import build_reply_forward

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm
    from kamailio_py.modules.tm.transaction import Transaction

log = get_logger("tm")

REASONS = {408: "Request Timeout", 487: "Request Terminated", 500: "Server Internal Error", 503: "Service Unavailable"}
_ANSWERED, _ROUTE = int(What.ANSWERED), int(What.ROUTE)
_HELD = BranchFlag.SUSPENDED | BranchFlag.CONTINUING


class Replies:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm
        statistic = tm.core.statistic
        self.received_counter = statistic("tm", "rpl_received")

    # from the network

    def received(self, msg: Message) -> int:
        """Handler of the server for replies: 0 it belonged to a transaction, 1 it is to be forwarded statelessly."""
        tm = self.tm
        try:
            found = tm.matching.reply(msg)
        except BadMessage as error:
            log.err(f"bad reply: {error.reason}")
            return 1
        if found is None:
            return tm.stateless_reply(msg)
        t, number = found
        tm.core.count(self.received_counter)
        if METHODS.get(msg.method, OTHER) != t.get(Cell.method):
            tm.canceling.answered(t, number, msg)
        else:
            tm.turns.take(t, (Kind.REPLY, number, msg.status, msg))
        tm.table.release(t)
        return 0

    # one event at a time

    def work(self, t: Transaction, event: Event) -> None:
        """What the turn does with an event."""
        kind, number, code, msg = event
        if kind == Kind.REPLY:
            assert msg is not None
            self._reply(t, number, code, msg)
        elif kind == Kind.FAKE:
            self._fake(t, number, code)
        elif kind == Kind.RELAY:
            self._resumed(t, number)
        else:
            self._ended(t, code)

    def _reply(self, t: Transaction, number: int, code: int, msg: Message) -> None:
        tm = self.tm
        invite = t.get(Cell.method) == INVITE
        tm.server.trace(_ANSWERED, t.index, t.label, code << 8 | number)
        t.lock.acquire()
        flags = t.branch_flags(number) | BranchFlag.REPLIED
        last = t.branch_status(number)
        t.branch_set(number, Branch.flags, flags)
        if not flags & _HELD:
            if code >= 200:
                tm.client.stop(t, number)
            elif last < 200:
                self._provisional(t, number, code, last, invite)
        t.lock.release()
        if invite and code >= 300:
            tm.acks.send_hop(t, number, msg)
        for listener in tm.events["response-in"]:
            listener(t, number, msg)
        if flags & _HELD:
            return  # the branch's reply is suspended: this is a retransmission of it, or will be sent again
        passed = self._onreply(t, number, code, msg)
        if invite and code < 200 and t.branch_flags(number) & BranchFlag.CANCELED:
            t.lock.acquire()
            if t.branch_status(number) < code:
                t.branch_set(number, Branch.status, code)
            t.lock.release()
            if tm.canceling.cancel_branch(t, number, force=True):
                return
        if not passed:
            return
        if code == 503 and last < 200:
            self._unavailable(t, number, msg)
        points.point("tm.reply.decide")
        self._decide(t, number, code, msg)

    def _unavailable(self, t: Transaction, number: int, msg: Message) -> None:
        """The next hop is overloaded or down: leave it alone for a while (blst_503), try its next address."""
        tm = self.tm
        if tm.blst_503 and tm.core.blocklist.enabled and msg.socket is not None:
            seconds = tm.blst_503_def_timeout
            if msg.retry_after is not None:
                seconds = min(max(msg.retry_after, tm.blst_503_min_timeout), tm.blst_503_max_timeout)
            if seconds:
                sender = Destination(msg.socket.proto, msg.src_ip, msg.src_port, msg.socket)
                ignored = msg.blst_ignored | t.request().blst_ignored
                tm.core.blocklist.failed(sender, UNAVAILABLE, ignored, seconds)
        tm.failover.again(t, number)

    def _provisional(self, t: Transaction, number: int, code: int, last: int, invite: bool) -> None:
        """Timers after a provisional reply; the lock is held."""
        tm = self.tm
        branch = t.branch(number)
        if invite:
            tm.client.stop_node(t, branch + Branch.retr)
            if tm.restart_fr_on_each_reply or (last < code and (code >= 180 or not last)):
                tm.client.restart_fr(t, number, t.get(Cell.fr_inv))
        else:
            t.branch_set(number, Branch.interval, t.get(Cell.retr2))

    def _onreply(self, t: Transaction, number: int, code: int, msg: Message) -> bool:
        """Run onreply_route; False if it dropped the reply or suspended it."""
        tm = self.tm
        route = t.branch_get(number, Branch.on_reply)
        if not route:
            return True
        msg.flags = t.get(Cell.message_flags)
        flags = msg.branch_flags = t.branch_get(number, Branch.branch_flags)
        ctx = tm.state.context(t, msg)
        ctx.branch = number
        tm.server.trace(_ROUTE, t.index, t.label, route)
        if tm.core.run(tm.core.program.entries[route], ctx, RouteType.TM_ONREPLY) < 0:
            log.dbg("negative return code in onreply_route")
        if msg.branch_flags != flags:
            t.branch_set(number, Branch.branch_flags, msg.branch_flags)
        tm.state.save_run(ctx, t)
        if t.branch_flags(number) & _HELD:
            return False
        return not (ctx.dropped and code < 200)

    def _decide(self, t: Transaction, number: int, code: int, msg: Message | None) -> None:
        """A reply has passed its route: relay, keep or forget it. `msg` is None for one made here."""
        tm = self.tm
        invite = t.is_invite
        success = 200 <= code < 300
        t.lock.acquire()
        last = t.branch_status(number)
        flags = t.branch_flags(number)
        final = t.status >= 200
        if final or (last >= 200 and not (invite and success and last < 300)):
            if final and invite and success:
                t.branch_set(number, Branch.status, code)
                t.lock.release()
                self._pass_on(t, number, code, msg)
                return
            t.lock.release()
            return  # a retransmission, or too late
        t.branch_set(number, Branch.status, code)
        if msg is None:
            t.branch_set(number, Branch.flags, flags | BranchFlag.FAKED)
        cancel: list[int] = []
        if code >= 600 and not t.flags & (Flag.DISABLE_6XX | Flag.SIX_SEEN):
            t.set(Cell.flags, t.flags | Flag.SIX_SEEN)
            cancel = [n for n in range(t.branches) if t.branch_status(n) < 200 and not t.is_blind(n)]
        t.lock.release()
        if code < 200:
            if code > 100 or tm.relay_100:
                self._relay(t, number, code, msg)
            return
        if success:
            self._relay(t, number, code, msg)
            return
        if cancel and invite:
            tm.canceling.cancel_all(t, cancel, code)
        tm.failures.branch_failed(t, number, code, msg)
        self._complete(t, number, code, msg)

    def _complete(self, t: Transaction, number: int, code: int, msg: Message | None) -> None:
        """A branch failed: once all have, run failure_route and relay the best reply, unless there are new branches."""
        tm = self.tm
        current = number
        stored = False
        while True:
            winner = selection.pick(t, tm.faked_reply_prio, current)
            if winner == selection.PENDING:
                if not stored:
                    self._store(t, number, msg)
                return
            if winner == selection.NOBODY:
                if not selection.open_branches(t):
                    tm.server.reply_stored(t, tm.default_code, tm.default_reason)
                return
            reply = msg if winner == number else self._kept(t, winner)
            status = t.branch_status(winner)
            if not tm.failures.has_failure_route(t, winner):
                break
            if not stored:
                stored = True
                self._store(t, number, msg)
            count = t.branches
            tm.failures.failed(t, winner, status, reply)
            points.point("tm.failure.done")
            if t.status >= 200:
                return  # the route has answered
            if t.state in (State.SUSPENDED, State.CONTINUING):
                return  # the route was suspended: the end is with whoever resumes it
            if t.branches == count:
                # nothing new; the route may have dropped replies
                again = selection.pick(t, tm.faked_reply_prio, current)
                if again not in (winner, selection.NOBODY, selection.PENDING):
                    winner = again
                    reply = msg if winner == number else self._kept(t, winner)
                    status = t.branch_status(winner)
                break
            current = selection.NOBODY
            if tm.failure_reply_mode == 3:
                self.drop_replies(t, count)
            if selection.open_branches(t):
                return
        if not stored and winner != number and status in (401, 407):
            self._store(t, number, msg)  # its challenge may be wanted, too
        self._relay(t, winner, status, reply)

    @staticmethod
    def _kept(t: Transaction, number: int) -> Message | None:
        """The reply kept for a branch; None for one whose status was made here."""
        return None if t.branch_flags(number) & BranchFlag.FAKED else t.branch_reply(number)

    def drop_replies(self, t: Transaction, before: int) -> None:
        """Take the replies of the branches below `before` out of the choice."""
        t.lock.acquire()
        for number in range(before):
            t.branch_set(number, Branch.flags, t.branch_flags(number) | BranchFlag.DROPPED)
        t.lock.release()

    def _store(self, t: Transaction, number: int, msg: Message | None) -> None:
        """Keep a final reply for a later choice and for failure_route."""
        if msg is None:
            return
        tm = self.tm
        block = tm.arena.store(tm.state.dump_reply(msg), tm.table.replies)
        if not block:
            log.err("no more share memory")
        word = (t.branch(number) + Branch.reply) >> 3
        t.lock.acquire()
        old = t.u64[word]
        t.u64[word] = block
        if not block:
            # without its text it can only be answered with one made here
            t.branch_set(number, Branch.flags, t.branch_flags(number) | BranchFlag.FAKED)
        t.lock.release()
        if old:
            tm.arena.free(old)

    # going upstream

    def _relay(self, t: Transaction, number: int, code: int, msg: Message | None) -> None:
        """Send the reply of a branch upstream; to the module that made the request if there is no upstream."""
        tm = self.tm
        if t.is_local:
            tm.uac.completed(t, number, code, msg)
            return
        if code >= 300 and not t.branch_flags(number) & BranchFlag.FAKED:
            if code in (401, 407) and tm.aggregate_challenges and self._challenge(t, number, code, msg):
                return
            if code == 503 and tm.remap_503_500:
                self._made_here(t, number, 500, REASONS[503])
                return
        if msg is None:
            self._made_here(t, number, code, REASONS.get(code, "Unknown"))
            return
        try:
            target = t.target or t.upstream()
            text = build_reply_forward(msg, target.proto if target is not None else "udp")
        except BadMessage as error:
            log.err(f"could not build the reply: {error.reason}")
            return
        if tm.server.publish(t, code, text, number + 1, msg) < 0 and t.is_invite and 200 <= code < 300:
            self._pass_on(t, number, code, msg)

    def _made_here(self, t: Transaction, number: int, code: int, reason: str, headers: str = "") -> None:
        """Answer for a branch with a reply of our own."""
        if t.status >= 200:
            return
        self.tm.server.reply(t, t.request(), code, reason, headers=headers, relayed=number + 1)

    def _challenge(self, t: Transaction, number: int, code: int, msg: Message | None) -> bool:
        """Several branches ask for credentials: one reply with the challenges of all."""
        asking = selection.challenges(t)
        if len(asking) < 2:
            return False
        lines, reason = [], ""
        for branch in asking:
            reply = msg if branch == number and msg is not None else t.branch_reply(branch)
            if reply is None:
                continue
            if branch == number:
                reason = reply.reason
            lines += [
                reply.raw(i) for i, name in enumerate(reply.names) if name in ("www-authenticate", "proxy-authenticate")
            ]
        self._made_here(t, number, code, reason, "".join(lines))
        return True

    def _pass_on(self, t: Transaction, number: int, code: int, msg: Message | None) -> None:
        """A 2xx of an INVITE after the final reply: it goes upstream as well, the dialog is the endpoints' business.

        With reply_relay_mode 0 it becomes the transaction's reply, too.
        """
        if msg is None:
            return
        tm = self.tm
        if t.is_local:
            tm.acks.again(t, number)
            return
        target = t.upstream()
        if target is None:
            return
        text = build_reply_forward(msg, target.proto)
        if tm.reply_relay_mode:
            tm.server.send_past(text, code, target)
        else:
            tm.server.replace(t, code, text, number + 1, target)

    # replies made here, replies that were held

    def _fake(self, t: Transaction, number: int, code: int) -> None:
        """A branch ends without a reply."""
        tm = self.tm
        t.lock.acquire()
        status = t.branch_status(number)
        flags = t.branch_flags(number)
        held = flags & _HELD
        if (status >= 200 and not held) or flags & BranchFlag.CONTINUING:
            t.lock.release()
            return
        if held:
            # nobody resumed its reply in time: it counts for nothing
            t.branch_set(number, Branch.status, 0)
            t.branch_set(number, Branch.flags, flags & ~_HELD)
        tm.client.stop(t, number)
        blind = flags & BranchFlag.BLIND
        if blind and t.get(Cell.suspended) == number + 1:
            # nobody resumed it in time, and nobody can any more
            t.set(Cell.suspended, 0)
            if t.get(Cell.state) == State.SUSPENDED:
                t.set(Cell.state, State.ACTIVE)
        t.lock.release()
        if (
            code == 408
            and not tm.noisy_ctimer
            and t.is_invite
            and t.branches == 1
            and not flags & BranchFlag.REPLIED
            and not blind
            and not tm.failures.has_failure_route(t, number)
            and not t.canceled
        ):
            t.lock.acquire()
            t.branch_set(number, Branch.status, code)
            tm.server.put_on_wait(t)
            t.lock.release()
            return
        if code == 408 and not status and not blind and not held:
            tm.failover.again(t, number)
        points.point("tm.fake.decide")
        self._decide(t, number, code, None)
        if t.is_invite and 100 <= status < 200 and not blind and not held:
            tm.canceling.cancel_branch(t, number, force=True, after_final=True)

    def _resumed(self, t: Transaction, number: int) -> None:
        """The route that resumed a suspended reply has ended: the reply goes where it was going."""
        msg = t.branch_reply(number)
        t.lock.acquire()
        flags = t.branch_flags(number)
        if not flags & BranchFlag.CONTINUING or msg is None:
            t.lock.release()
            return
        t.branch_set(number, Branch.flags, flags & ~_HELD)
        t.lock.release()
        self._decide(t, number, msg.status, msg)

    def _ended(self, t: Transaction, error: int) -> None:
        """A resumed route has come to its end: answer the transaction if nothing is left that could."""
        tm = self.tm
        t.lock.acquire()
        over = t.status < 200 and t.state not in (State.SUSPENDED, State.CONTINUING) and not selection.open_branches(t)
        t.lock.release()
        if over and tm.server.kill(t, t.request(), error) < 0 and t.status < 200:
            log.err("reply generation failed")
            tm.server.release_stored(t)
