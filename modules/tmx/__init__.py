"""The tmx module: more functions and pseudo-variables on tm's transactions, statistics of group tmx.

Everything is done through tm's API; of its own it has the words that say which requests are being worked on before
they have a transaction (pretran.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, ROUTE, STR, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.config.nodes import RouteKind
from kamailio_py.log import get_logger
from kamailio_py.module import ModuleError, Param, function
from kamailio_py.modules.tmx.pretran import Pretran
from kamailio_py.modules.tmx.variables import Variables
from kamailio_py.sip.errors import BadMessage

if TYPE_CHECKING:
    from kamailio_py.script.context import Context

log = get_logger("tmx")

UNTRACKED = ("ACK", "CANCEL")


def which_branches(text: str) -> str:
    """What t_cancel_branches() is to cancel; anything else than "this" and "others" is all of them."""
    return text if text in ("this", "others") else "all"


WHICH = Fixup("which", prepare=which_branches)


class Tmx(Variables):
    """Extensions of tm."""

    name = "tmx"
    requires = ("tm",)

    precheck_trans = Param(int, 1)

    def mod_init(self) -> None:
        tm = self.core.module("tm")
        loaded = list(self.core.modules)
        if tm is None or loaded.index("tm") > loaded.index("tmx"):
            raise ModuleError("can't load TM API")
        self.tm = tm.api
        self._pretran: Pretran | None = None
        if self.precheck_trans:
            self._pretran = Pretran(self.core.shm)
        self._precheck_used = False

    # suspending

    @function("t_suspend")
    def suspend(self, ctx: Context) -> int:
        """Suspend the transaction, which is made if need be; the script goes on and should end."""
        if ctx.t is None:
            if self.tm.newtran(ctx) < 0:
                log.err("cannot create the transaction")
                return -1
            if ctx.t is None:
                log.err("cannot lookup the transaction")
                return -1
        ident = self.tm.suspend(ctx)
        if not isinstance(ident, tuple) and ident < 0:
            log.err("failed to suppend the processing")
            return -1
        return 1

    @function("t_continue", INT, INT, ROUTE)
    def resume(self, ctx: Context, index: int, label: int, route: str) -> int:
        """Run route[route] on the suspended transaction index:label."""
        entry = self.core.program.find(RouteKind.REQUEST, route)
        if entry is None:
            log.err(f"empty action lists in route block [{route}]")
            return -1
        if self.tm.resume(index, label, entry) < 0:
            log.warn(f"resuming the processing of transaction [{index}:{label}] failed")
            return -1
        return 1

    # ending

    @function("t_drop")
    @function("t_drop", INT)
    def drop(self, ctx: Context, code: int = 500) -> int:
        """End the transaction and the script without a reply."""
        if ctx.t is None:
            log.err("no transaction")
            return -1
        if self.tm.drop(ctx, code) < 0:
            log.warn("failed to release the transaction")
            return -1
        return 0

    @function("t_cancel_branches", WHICH, routes=RouteType.ONREPLY)
    def cancel_branches(self, ctx: Context, which: str) -> int:
        """Cancel "all" pending branches, "this" one or the "others"."""
        t = ctx.t
        if t is None or not t.is_invite:
            return -1
        final = ctx.msg.status >= 200
        if final and which == "this":
            return -1
        if final and which == "all":
            which = "others"
        return 1 if self.tm.cancel_branches(t, which, max(ctx.branch, 0)) > 0 else -1

    @function("t_cancel_callid", STR, STR, INT)
    @function("t_cancel_callid", STR, STR, INT, INT)
    def cancel_callid(self, ctx: Context, call_id: str, cseq: str, flag: int, code: int = 0) -> int:
        """Cancel all branches of the INVITE with that Call-ID and CSeq, whose message flag `flag` is set before."""
        t = self.tm.lookup_callid(call_id, cseq)
        if t is None:
            return -1
        try:
            if 0 < flag < 32:
                request = t.request()
                request.flags |= 1 << flag
                self.tm.save_request(t, request)
            self.tm.cancel_branches(t, "all", cause=code if 100 <= code <= 699 else 0)
        finally:
            self.tm.release(t)
        return 1

    @function("t_reply_callid", STR, STR, INT, STR)
    def reply_callid(self, ctx: Context, call_id: str, cseq: str, code: int, reason: str) -> int:
        """Answer the INVITE with that Call-ID and CSeq."""
        t = self.tm.lookup_callid(call_id, cseq)
        if t is None:
            return -1
        try:
            return 1 if self.tm.reply_to(t, code, reason) > 0 else -1
        finally:
            self.tm.release(t)

    # flags

    @function("t_flush_flags")
    def flush_flags(self, ctx: Context) -> int:
        """Make the message flags of this moment those of the transaction's request."""
        if ctx.t is None:
            log.err("failed to flush flags - no transaction found")
            return -1
        request = ctx.t.request()
        request.flags = ctx.msg.flags
        self.tm.save_request(ctx.t, request)
        return 1

    @function("t_flush_xflags")
    def flush_xflags(self, ctx: Context) -> int:
        """The same for the extended flags."""
        if ctx.t is None:
            log.err("failed to flush flags - no transaction found")
            return -1
        request = ctx.t.request()
        request.xflags[:] = ctx.msg.xflags
        self.tm.save_request(ctx.t, request)
        return 1

    # kinds of route

    @function("t_is_request_route")
    def is_request_route(self, ctx: Context) -> int:
        return 1 if ctx.route_type == RouteType.REQUEST else -1

    @function("t_is_failure_route")
    def is_failure_route(self, ctx: Context) -> int:
        return 1 if ctx.route_type == RouteType.FAILURE else -1

    @function("t_is_branch_route")
    def is_branch_route(self, ctx: Context) -> int:
        return 1 if ctx.route_type == RouteType.BRANCH else -1

    @function("t_is_reply_route")
    def is_reply_route(self, ctx: Context) -> int:
        return 1 if ctx.route_type & RouteType.ONREPLY else -1

    # the rest

    @function("t_reuse_branch", routes=RouteType.EVENT)
    def reuse_branch(self, ctx: Context) -> int:
        """In event_route[tm:branch-failure:...]: the request looks as the failed branch did."""
        t = self.tm.find(ctx)
        if t is None:
            log.err("no transaction")
            return -1
        if ctx.route_type != RouteType.BRANCH_FAILURE:
            log.err(f"unsupported route_type {int(ctx.route_type)}")
            return -1
        notes = t.branch_notes(ctx.branch)
        msg = ctx.msg
        msg.new_uri = notes.get("uri")
        msg.ruid = notes.get("ruid") or ""
        msg.path = notes.get("path")
        msg.instance = notes.get("instance") or ""
        msg.branch_flags = self.tm.branch_flags(t, ctx.branch)
        return 1

    @function("t_precheck_trans", routes=RouteType.REQUEST)
    def precheck(self, ctx: Context) -> int:
        """Does another process work on this request already? 1 yes, -1 no, -2 that cannot be told."""
        msg = ctx.msg
        if self._pretran is None:
            log.err("pretran hash table not initialized yet")
            return -2
        if ctx.route_type != RouteType.REQUEST:
            log.err("invalid usage - not in request route")
            return -2
        if msg.method in UNTRACKED:
            return -2
        if not self._precheck_used:
            self._precheck_used = True
            self.core.post_script.append(self._left)
        try:
            if not msg.from_.tag:
                log.err("failed to get From header")
                return -2
            return 1 if self._pretran.enter(msg) else -1
        except BadMessage as error:
            log.err(f"failed to parse required headers: {error.reason}")
            return -2

    def _left(self, _: Any) -> None:
        """After the script: nothing is worked on any more."""
        assert self._pretran is not None
        self._pretran.leave()

    def computed_statistics(self) -> dict[str, Callable[[], int]]:
        counters = self.core.shm.counters

        def total(*names: str) -> Callable[[], int]:
            """Sum of counters of tm; a name that begins with a minus is subtracted."""
            terms = [(counters.counter("tm", name.lstrip("-")), -1 if name[0] == "-" else 1) for name in names]
            return lambda: sum(sign * counters.total(counter) for counter, sign in terms)

        return {
            "UAS_transactions": total("total"),
            "UAC_transactions": total("total_local"),
            "2xx_transactions": total("2xx"),
            "3xx_transactions": total("3xx"),
            "4xx_transactions": total("4xx"),
            "5xx_transactions": total("5xx"),
            "6xx_transactions": total("6xx"),
            "inuse_transactions": total("total", "-freed"),
            "active_transactions": total("total", "-freed", "-waiting"),
            "rpl_received": total("rpl_received"),
            "rpl_absorbed": total("rpl_received", "-rpl_sent", "rpl_generated"),
            "rpl_generated": total("rpl_generated"),
            "rpl_relayed": total("rpl_sent", "-rpl_generated"),
            "rpl_sent": total("rpl_sent"),
        }
