"""Script functions that ask how a transaction stands, and those that choose among its replies."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT, RAW, REGEX_FORMAT
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import function
from kamailio_py.modules.tm.cell import Branch, BranchFlag, Cell

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.modules.tm.server import Server
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.script.context import Context

log = get_logger("tm")

ASKING = RouteType.REQUEST | RouteType.FAILURE | RouteType.TM_ONREPLY | RouteType.BRANCH
EVERYWHERE = ASKING | RouteType.CORE_ONREPLY


class QueryFunctions(ABC):
    """t_check_status(), t_is_canceled(), t_any_*(), t_branch_*(), t_drop_replies()."""

    core: Core
    server: Server

    @abstractmethod
    def find(self, ctx: Context) -> Transaction | None: ...

    def status_of(self, ctx: Context) -> int:
        """The status that stands for the run: of the reply, of the branch that failed, of the last reply sent."""
        msg = ctx.msg
        if not msg.is_request:
            return msg.status
        t = self.find(ctx)
        if t is None:
            return -1
        if ctx.branch >= 0 and ctx.route_type & (RouteType.FAILURE | RouteType.BRANCH_FAILURE):
            return t.reply_code or t.branch_status(ctx.branch)
        return t.status

    @function("t_check_status", REGEX_FORMAT, routes=RouteType.REQUEST | RouteType.FAILURE | RouteType.ONREPLY)
    def t_check_status(self, ctx: Context, pattern: re.Pattern[str]) -> int:
        """Does the status match a regular expression?"""
        status = self.status_of(ctx)
        if status < 0:
            log.err("cannot check status for a reply which has no T-state established")
            return -1
        return 1 if pattern.search(str(status)) else -1

    @function("t_get_status_code", routes=EVERYWHERE)
    def t_get_status_code(self, ctx: Context) -> int:
        """The status itself, negative without a transaction."""
        status = self.status_of(ctx)
        if status < 0:
            log.err("cannot check status for a reply which has no T-state established")
        return status

    @function("t_grep_status", INT, routes=ASKING)
    def t_grep_status(self, ctx: Context, code: int) -> int:
        """Did any branch get this final status from the network?"""
        t = self.find(ctx)
        if t is None:
            log.err("cannot check a message for which no T-state has been established")
            return -1
        for number in range(t.branches):
            if t.branch_status(number) == code and t.branch_flags(number) & BranchFlag.REPLIED:
                return 1
        return -1

    @function("t_is_canceled", routes=ASKING)
    def t_is_canceled(self, ctx: Context) -> int:
        """Has a CANCEL come for it?"""
        t = self.find(ctx)
        if t is None:
            return -1
        return 1 if t.canceled else -1

    @function("t_is_expired", routes=ASKING)
    def t_is_expired(self, ctx: Context) -> int:
        """Is its lifetime over?"""
        t = self.find(ctx)
        if t is None:
            log.err("cannot check a message for which no T-state has been established")
            return -1
        return 1 if self.core.clock.ms() >= t.get_word(Cell.lifetime) else -1

    @function("t_is_retr_async_reply", routes=RouteType.TM_ONREPLY)
    def t_is_retr_async_reply(self, ctx: Context) -> int:
        """Is this reply a retransmission of one that is suspended?"""
        t = ctx.t
        if t is None or ctx.branch < 0:
            return -1
        return 1 if t.branch_flags(ctx.branch) & (BranchFlag.SUSPENDED | BranchFlag.CONTINUING) else -1

    def _any(self, ctx: Context, flag: BranchFlag) -> int:
        t = self.find(ctx)
        if t is None:
            log.err("cannot check a message for which no T-state has been established")
            return -1
        return 1 if any(t.branch_flags(number) & flag for number in range(t.branches)) else -1

    @function("t_any_replied", routes=ASKING)
    def t_any_replied(self, ctx: Context) -> int:
        """Did any branch get a reply from the network?"""
        return self._any(ctx, BranchFlag.REPLIED)

    @function("t_any_timeout", routes=ASKING)
    def t_any_timeout(self, ctx: Context) -> int:
        """Did any branch time out?"""
        return self._any(ctx, BranchFlag.TIMED_OUT)

    def _branch(self, ctx: Context, flag: BranchFlag) -> int:
        t = ctx.t
        if t is None or not 0 <= ctx.branch < t.branches:
            return -1
        return 1 if t.branch_flags(ctx.branch) & flag else -1

    @function("t_branch_replied", routes=RouteType.FAILURE | RouteType.EVENT)
    def t_branch_replied(self, ctx: Context) -> int:
        """Had the branch that failed a reply from the network?"""
        return self._branch(ctx, BranchFlag.REPLIED)

    @function("t_branch_timeout", routes=RouteType.FAILURE | RouteType.EVENT)
    def t_branch_timeout(self, ctx: Context) -> int:
        """Did the branch time out?"""
        return self._branch(ctx, BranchFlag.TIMED_OUT)

    @function("t_drop_replies", routes=RouteType.FAILURE)
    def t_drop_all_replies(self, ctx: Context) -> int:
        return self.t_drop_replies(ctx, "a")

    @function("t_drop_replies", RAW, routes=RouteType.FAILURE)
    def t_drop_replies(self, ctx: Context, mode: str) -> int:
        """Forget replies collected so far: "a" all, "l" those of the last set of branches, "n" none."""
        t = ctx.t
        if t is None:
            return -1
        first = ctx.branch if mode[:1] == "l" else 0
        if mode[:1] == "n":
            return 1
        t.lock.acquire()
        for number in range(first, t.branches):
            if t.branch_status(number) >= 200:
                t.branch_set(number, Branch.flags, t.branch_flags(number) | BranchFlag.DROPPED)
        t.lock.release()
        return 1
