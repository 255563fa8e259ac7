"""Script functions that set what the transaction will do: its routes, timeouts and flags.

Before there is a transaction they write to the run's notes (armed.py), afterwards to the cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT, RAW
from kamailio_py.config.host import RouteType
from kamailio_py.config.nodes import RouteKind
from kamailio_py.log import get_logger
from kamailio_py.module import function
from kamailio_py.modules.tm.armed import Armed
from kamailio_py.modules.tm.cell import Branch, Cell, Flag

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.modules.tm.client import Client
    from kamailio_py.script.context import Context

log = get_logger("tm")

ARMING = RouteType.REQUEST | RouteType.FAILURE | RouteType.TM_ONREPLY | RouteType.BRANCH
BRANCH_FAILURE_PREFIX = "tm:branch-failure:"
NO_ROUTE = ("", "0")


class ArmedFunctions:
    """t_on_*(), t_set_*(), t_reset_*()."""

    core: Core
    client: Client
    fr_timer: int
    fr_inv_timer: int
    retr_timer1: int
    retr_timer2: int
    max_inv_lifetime: int
    max_noninv_lifetime: int
    restart_fr_on_each_reply: int

    # routes

    def _arm(self, ctx: Context, field: str, kind: RouteKind, name: str) -> int:
        number = 0
        if name not in NO_ROUTE:
            full = f"{BRANCH_FAILURE_PREFIX}{name}" if kind is RouteKind.EVENT else name
            entry = self.core.program.find(kind, full)
            if entry is None:
                log.err(f"no {kind} named {full}")
                return -1
            number = entry.number
        t = ctx.t
        if t is None:
            setattr(Armed.of(ctx), field, number)
            return 1
        t.lock.acquire()
        t.set(getattr(Cell, field), number)
        # of the branch whose reply or failure is worked on, too
        if ctx.route_type == RouteType.TM_ONREPLY and field in Branch.OFFSETS and 0 <= ctx.branch < t.branches:
            t.branch_set(ctx.branch, getattr(Branch, field), number)
        t.lock.release()
        return 1

    @function("t_on_failure", RAW, routes=ARMING)
    def t_on_failure(self, ctx: Context, name: str) -> int:
        """The failure_route for when all branches have failed."""
        return self._arm(ctx, "on_failure", RouteKind.FAILURE, name)

    @function("t_on_reply", RAW, routes=ARMING)
    def t_on_reply(self, ctx: Context, name: str) -> int:
        """The onreply_route for replies."""
        return self._arm(ctx, "on_reply", RouteKind.REPLY, name)

    @function("t_on_branch", RAW, routes=RouteType.REQUEST | RouteType.FAILURE)
    def t_on_branch(self, ctx: Context, name: str) -> int:
        """The branch_route for each branch before it is sent."""
        return self._arm(ctx, "on_branch", RouteKind.BRANCH, name)

    @function("t_on_branch_failure", RAW, routes=ARMING)
    def t_on_branch_failure(self, ctx: Context, name: str) -> int:
        """event_route[tm:branch-failure:name] for each branch that fails."""
        return self._arm(ctx, "on_branch_failure", RouteKind.EVENT, name)

    @function("t_is_set", RAW)
    def t_is_set(self, ctx: Context, what: str) -> int:
        """Is a "failure_route", "branch_route", "onreply_route" (or "branch_failure_route") set?"""
        field = {
            "failure_route": "on_failure", "branch_route": "on_branch", "onreply_route": "on_reply",
            "branch_failure_route": "on_branch_failure",
        }.get(what)  # fmt: skip
        if field is None:
            log.err(f"unknown target {what}")
            return -1
        if ctx.t is not None:
            return 1 if ctx.t.get(getattr(Cell, field)) else -1
        return 1 if ctx.tm is not None and getattr(ctx.tm, field) else -1

    # timeouts

    @function("t_set_fr", INT, routes=ARMING)
    def t_set_fr_inv(self, ctx: Context, fr_inv: int) -> int:
        """Final response timeout of an INVITE after a provisional reply."""
        return self.t_set_fr(ctx, fr_inv, 0)

    @function("t_set_fr", INT, INT, routes=ARMING)
    def t_set_fr(self, ctx: Context, fr_inv: int, fr: int) -> int:
        """Both final response timeouts; 0 leaves one as it is. Timers that run already are set anew."""
        if fr_inv < 0 or fr < 0:
            log.err("invalid timer values")
            return -1
        t = ctx.t
        if t is None:
            armed = Armed.of(ctx)
            armed.fr_inv = fr_inv or armed.fr_inv
            armed.fr = fr or armed.fr
            return 1
        t.lock.acquire()
        if fr_inv:
            t.set(Cell.fr_inv, fr_inv)
        if fr:
            t.set(Cell.fr, fr)
        for number in range(t.branches):
            status = t.branch_status(number)
            if status < 200 and not t.is_blind(number):
                timeout = fr_inv if t.is_invite and status else fr
                if timeout:
                    self.client.restart_fr(t, number, timeout)
        t.lock.release()
        return 1

    @function("t_reset_fr", routes=ARMING)
    def t_reset_fr(self, ctx: Context) -> int:
        """The default final response timeouts again."""
        return self._set(ctx, fr=self.fr_timer, fr_inv=self.fr_inv_timer)

    @function("t_set_retr", INT, INT, routes=ARMING)
    def t_set_retr(self, ctx: Context, first: int, longest: int) -> int:
        """First and longest retransmission interval; 0 leaves one as it is."""
        if first < 0 or longest < 0:
            log.err("invalid retransmission interval")
            return -1
        return self._set(ctx, retr1=first, retr2=longest)

    @function("t_reset_retr", routes=ARMING)
    def t_reset_retr(self, ctx: Context) -> int:
        return self._set(ctx, retr1=self.retr_timer1, retr2=self.retr_timer2)

    def _set(self, ctx: Context, **values: int) -> int:
        """Write the values that are not 0."""
        t = ctx.t
        if t is None:
            armed = Armed.of(ctx)
            for field, value in values.items():
                if value:
                    setattr(armed, field, value)
            return 1
        t.lock.acquire()
        for field, value in values.items():
            if value:
                t.set(getattr(Cell, field), value)
        t.lock.release()
        return 1

    @function("t_set_max_lifetime", INT, INT, routes=ARMING)
    def t_set_max_lifetime(self, ctx: Context, noninvite: int, invite: int) -> int:
        """How long the transaction may live, by kind of request; 0 is no limit."""
        if noninvite < 0 or invite < 0:
            log.err("invalid lifetime")
            return -1
        t = ctx.t
        if t is None:
            armed = Armed.of(ctx)
            armed.noninv_lifetime = noninvite or armed.noninv_lifetime
            armed.inv_lifetime = invite or armed.inv_lifetime
            return 1
        life = invite if t.is_invite else noninvite
        if life:
            t.lock.acquire()
            t.set_word(Cell.lifetime, t.get_word(Cell.created) + life)
            t.lock.release()
        return 1

    @function("t_reset_max_lifetime", routes=ARMING)
    def t_reset_max_lifetime(self, ctx: Context) -> int:
        return self.t_set_max_lifetime(ctx, self.max_noninv_lifetime, self.max_inv_lifetime)

    # flags

    def set_cell_flag(self, ctx: Context, flag: Flag, on: int) -> int:
        """Set or take away a flag of the transaction, of the coming one if there is none."""
        t = ctx.t
        if t is not None:
            t.set_flag(flag, on)
            return 1
        armed = Armed.of(ctx)
        armed.flags_on &= ~flag
        armed.flags_off &= ~flag
        if on:
            armed.flags_on |= flag
        else:
            armed.flags_off |= flag
        return 1

    @function("t_set_auto_inv_100", INT, routes=RouteType.REQUEST)
    def t_set_auto_inv_100(self, ctx: Context, state: int) -> int:
        """Send the 100 for an INVITE?"""
        return self.set_cell_flag(ctx, Flag.AUTO_INV_100, state)

    @function("t_set_disable_6xx", INT, routes=ARMING)
    def t_set_disable_6xx(self, ctx: Context, state: int) -> int:
        """Do not let a 6xx end the other branches."""
        return self.set_cell_flag(ctx, Flag.DISABLE_6XX, state)

    @function("t_set_disable_failover", INT, routes=ARMING)
    def t_set_disable_failover(self, ctx: Context, state: int) -> int:
        return self.set_cell_flag(ctx, Flag.DISABLE_FAILOVER, state)

    @function("t_set_disable_internal_reply", INT, routes=ARMING)
    def t_set_disable_internal_reply(self, ctx: Context, state: int) -> int:
        """Send no error reply of our own when the next t_relay() fails."""
        return self.set_cell_flag(ctx, Flag.DISABLE_INTERNAL_REPLY, state)
