"""Script functions of the server side: making, answering and ending transactions, looking them up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT, VALUE
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import function
from kamailio_py.modules.tm import errors
from kamailio_py.modules.tm.cell import Flag
from kamailio_py.modules.tm.transaction import RETRANSMISSION
from kamailio_py.sip.errors import BadMessage

if TYPE_CHECKING:
    from kamailio_py.modules.tm.cancel import Canceling
    from kamailio_py.modules.tm.matching import Matching
    from kamailio_py.modules.tm.server import Server
    from kamailio_py.modules.tm.state import State
    from kamailio_py.modules.tm.table import CellTable
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.script.context import Context

log = get_logger("tm")

REQUEST = RouteType.REQUEST
REPLYING = RouteType.REQUEST | RouteType.FAILURE | RouteType.ONREPLY
ARMING = RouteType.REQUEST | RouteType.FAILURE | RouteType.TM_ONREPLY | RouteType.BRANCH


class ServerFunctions(ABC):
    """t_newtran(), t_reply(), t_release(), t_check_trans() and their relatives."""

    server: Server
    matching: Matching
    table: CellTable
    canceling: Canceling
    state: State
    default_code: int
    default_reason: str

    def find(self, ctx: Context) -> Transaction | None:
        """The transaction of a request's run, looked up if that was not done yet."""
        if ctx.t is None and ctx.msg.is_request:
            try:
                t, e2e = self.matching.request(ctx.msg)
            except BadMessage as error:
                log.err(f"bad request: {error.reason}")
                return None
            if t is not None and e2e:
                self.table.release(t)
                return None
            if t is not None:
                t.done |= RETRANSMISSION
                ctx.t = t
        return ctx.t

    @function("t_newtran", routes=REQUEST)
    def t_newtran(self, ctx: Context) -> int:
        """Make a transaction; a retransmission is dealt with and ends the script."""
        if ctx.t is not None:
            log.dbg("transaction already in process")
            return errors.E_SCRIPT
        return self.server.newtran(ctx)

    @function("t_reply", INT, VALUE, routes=REPLYING)
    @function("t_send_reply", INT, VALUE, routes=REPLYING)
    def t_reply(self, ctx: Context, code: int, reason: str) -> int:
        """Answer statefully."""
        code = code if code > 0 else self.default_code
        reason = reason or self.default_reason
        if ctx.t is None and not ctx.msg.is_request:
            return self._reply_from_core_route(ctx, code, reason)
        self.find(ctx)
        return self.server.reply_from_script(ctx, code, reason)

    def _reply_from_core_route(self, ctx: Context, code: int, reason: str) -> int:
        found = self._of_reply(ctx)
        if found is None:
            log.err("cannot send a t_reply to a message for which no T-state has been established")
            return -1
        try:
            return self.server.reply_stored(found, code, reason)
        finally:
            self.table.release(found)

    def _of_reply(self, ctx: Context) -> Transaction | None:
        """The transaction of a reply in the core's onreply_route, with a reference."""
        try:
            found = self.matching.reply(ctx.msg)
        except BadMessage:
            return None
        return found[0] if found is not None else None

    @function("t_release", routes=REQUEST)
    def t_release(self, ctx: Context) -> int:
        """Nothing will be done with the transaction: let it go."""
        if self.find(ctx) is None:
            return 1
        return self.server.release_from_script(ctx)

    @function("t_retransmit_reply", routes=REQUEST)
    def t_retransmit_reply(self, ctx: Context) -> int:
        """Send the last reply again."""
        t = self.find(ctx)
        if t is None:
            return -1
        return self.server.retransmit(t)

    @function("t_lookup_request", routes=REQUEST)
    def t_lookup_request(self, ctx: Context) -> int:
        """Is the request a retransmission, or an ACK, of a transaction?"""
        return 1 if self.find(ctx) is not None else -1

    @function("t_lookup_cancel", routes=REQUEST)
    def t_lookup_cancel(self, ctx: Context) -> int:
        """Is there an INVITE for this CANCEL?"""
        return self.t_lookup_cancel_flags(ctx, 0)

    @function("t_lookup_cancel", INT, routes=REQUEST)
    def t_lookup_cancel_flags(self, ctx: Context, flags: int) -> int:
        """With 1, message flags of the INVITE are put into the CANCEL."""
        if ctx.msg.method != "CANCEL":
            log.warn("script error - t_lookup_cancel() called for non-CANCEL request")
            return -1
        try:
            invite = self.matching.original(ctx.msg)
        except BadMessage:
            return -1
        if invite is None:
            return -1
        if flags & 1:
            ctx.msg.flags = invite.request().flags
        self.table.release(invite)
        return 1

    @function("t_check_trans", routes=RouteType.REQUEST | RouteType.ONREPLY | RouteType.BRANCH)
    def t_check_trans(self, ctx: Context) -> int:
        """Is there a transaction? Retransmissions and local ACKs are dealt with and end the script."""
        msg = ctx.msg
        if not msg.is_request:
            if ctx.t is not None:
                return 1
            found = self._of_reply(ctx)
            if found is None:
                return -1
            self.table.release(found)
            return 1
        if msg.method == "CANCEL":
            return self.t_lookup_cancel_flags(ctx, 0)
        if ctx.t is not None:
            # the request that made it counts as its own retransmission
            if msg.method == "ACK":
                self.server.acknowledged(ctx.t)
            else:
                self.server.retransmit(ctx.t)
            return 0
        try:
            t, e2e = self.matching.request(msg)
        except BadMessage as error:
            log.err(f"bad request: {error.reason}")
            return -1
        if t is None:
            return -1
        if e2e:
            for listener in self.server.tm.events["e2e-ack"]:
                listener(ctx, t)
            self.table.release(t)
            return 1
        t.done |= RETRANSMISSION
        ctx.t = t
        if msg.method == "ACK":
            self.server.acknowledged(t)
        else:
            self.server.retransmit(t)
        return 0

    @function("t_relay_cancel", routes=REQUEST)
    def t_relay_cancel(self, ctx: Context) -> int:
        """Forward a CANCEL whose INVITE is known and end the script; 1 if it is not."""
        if ctx.msg.method != "CANCEL":
            return 1
        return self.canceling.relay(ctx, only_matching=True)

    @function("t_save_lumps", routes=REQUEST)
    def t_save_lumps(self, ctx: Context) -> int:
        """Keep the edits made so far for failure routes."""
        t = ctx.t
        if t is None:
            log.err("transaction has not been created yet")
            return -1
        return 1 if self.state.save_script(ctx.msg, t) else -1

    @function("t_clean")
    def t_clean(self, ctx: Context) -> int:
        """Free finished transactions whose time is over: here the wait timer always does."""
        return 1

    @function("t_disable_e2e_cancel_reason", INT, routes=ARMING)
    @function("t_set_no_e2e_cancel_reason", INT, routes=ARMING)
    def t_set_no_e2e_cancel_reason(self, ctx: Context, state: int) -> int:
        """Copy no Reason headers from CANCELs to the branches."""
        return self.set_cell_flag(ctx, Flag.NO_E2E_CANCEL_REASON, state)

    @abstractmethod
    def set_cell_flag(self, ctx: Context, flag: Flag, on: int) -> int: ...
