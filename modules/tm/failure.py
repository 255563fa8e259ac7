"""Routes that run when branches fail: event_route[tm:branch-failure:...] for each, failure_route for the best reply.

They run on the request as it was stored, in the process that works on the transaction's replies (it has the turn).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.modules.tm.cell import Branch, Cell
from kamailio_py.shm.trace import What

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("tm")

_ROUTE = int(What.ROUTE)


class Failures:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm

    def branch_failed(self, t: Transaction, number: int, code: int, msg: Message | None) -> None:
        """Run the branch failure route of a branch that got a reply >= 300 (`msg` is None for one made here)."""
        route = t.branch_get(number, Branch.on_branch_failure)
        if route:
            ctx = self._begin(t, number, code, msg)
            self._run(ctx, t, route, RouteType.BRANCH_FAILURE)
            self._end(ctx, t)

    def has_failure_route(self, t: Transaction, number: int) -> bool:
        if t.is_local and not self.tm.enable_uac_fr:
            if t.branch_get(number, Branch.on_failure):
                log.warn("no failure_route for a request of our own without enable_uac_fr")
            return False
        return bool(t.branch_get(number, Branch.on_failure)) or bool(self.tm.events["failure"])

    def failed(self, t: Transaction, number: int, code: int, msg: Message | None) -> None:
        """Run the failure_route of the branch with the best reply; the next one must be set by that route itself."""
        listeners = self.tm.events["failure"]
        route = t.branch_get(number, Branch.on_failure)
        if not route and not listeners:
            return
        ctx = self._begin(t, number, code, msg)
        ctx.route_type = RouteType.FAILURE
        for listener in listeners:
            listener(ctx, t, code, msg)
        if route:
            t.lock.acquire()
            t.set(Cell.on_failure, 0)
            t.lock.release()
            self._run(ctx, t, route, RouteType.FAILURE)
        self._end(ctx, t)

    def _begin(self, t: Transaction, number: int, code: int, msg: Message | None) -> Context:
        """A context on the stored request, for one branch."""
        tm = self.tm
        request = t.request()
        request.branch_flags = t.branch_get(number, Branch.branch_flags)
        ctx = tm.state.context(t, request)
        ctx.branch = number
        t.reply_msg, t.reply_code = msg, code
        t.consumed = (request.new_uri, request.dst_uri)
        return ctx

    def _run(self, ctx: Context, t: Transaction, route: int, kind: RouteType) -> None:
        tm = self.tm
        tm.server.trace(_ROUTE, t.index, t.label, route)
        with tm.core.engine.prefixed(ctx):
            result = tm.core.run(tm.core.program.entries[route], ctx, kind)
        if result < 0:
            log.dbg("negative return code in failure route")

    def _end(self, ctx: Context, t: Transaction) -> None:
        self.tm.state.save_run(ctx, t)
        t.reply_msg, t.reply_code = None, 0
