"""Pseudo-variables on transactions: $T(...), $T_branch(...), $T_reply_code and the like, $T_req(pv) and its relatives.

Which branch counts depends on the kind of route: the one whose reply is worked on in onreply_route, the one that won
in failure_route, the one being made in branch_route. A route that goes on after a suspension runs as a failure_route
without a winner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import Module, pvar
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import inline, printed

if TYPE_CHECKING:
    from kamailio_py.script.pvars import Getter, Inner
    from kamailio_py.script.values import Value
    from kamailio_py.sip.message import Message

log = get_logger("tmx")

REQUEST, FAILURE, BRANCH, TM_ONREPLY, CORE_ONREPLY, BRANCH_FAILURE = (
    RouteType.REQUEST, RouteType.FAILURE, RouteType.BRANCH, RouteType.TM_ONREPLY, RouteType.CORE_ONREPLY,
    RouteType.BRANCH_FAILURE,
)  # fmt: skip
FAILED = FAILURE | BRANCH_FAILURE
FAKED = {408: "Request Timeout", 487: "Request Terminated", 503: "Service Unavailable"}
"""Reasons of replies that tm makes up for a branch."""


def or_nothing(getter: Getter) -> Getter:
    """A getter whose null is printed as nothing at all."""

    def text(ctx: Context) -> str:
        value = getter(ctx)
        return "" if value is None else str(value)

    return printed(getter, text)


class Variables(Module):
    """The pseudo-variables of tmx."""

    tm: Any
    """tm's API."""
    _cached: tuple[int, int, str, Message] | None = None

    # $T

    @pvar("T")
    def transaction(self, inner: Inner) -> Getter:
        """$T(id_index), $T(id_label), $T(reply_code), $T(reply_type), $T(branch_index); $T(id_..._n) make one."""
        name = inner.text
        if name == "reply_code":
            return self._reply_code
        if name == "branch_index":
            return self._branch_index
        if name == "reply_type":
            return self._reply_type
        if name in ("id_index", "id_label"):
            return inline(f"ctx.t.{name.removeprefix('id_')} if ctx.t is not None else None")
        if name in ("id_index_n", "id_label_n"):
            attribute = name[3:-2]
            return lambda ctx: getattr(ctx.t, attribute) if self._make(ctx) else None
        if name in ("flags", "uri", "ruid"):
            # Names of $T_branch that Kamailio takes here, and answers with the label.
            return lambda ctx: ctx.t.label if ctx.t is not None else None
        return self._unknown("T", name)

    @pvar("T_branch")
    def branch(self, inner: Inner) -> Getter:
        """$T_branch(flags) and $T_branch(ruid) of the failed branch, $T_branch(uri) of the one that was answered."""
        name = inner.text
        if name == "flags":
            return self._branch_flags
        if name == "uri":
            return self._branch_uri
        if name == "ruid":
            return lambda ctx: self._branch_ruid(ctx) if ctx.t is not None else None
        if name in ("id_index", "id_label", "id_index_n", "id_label_n", "reply_code", "reply_type", "branch_index"):
            return lambda ctx: None
        return self._unknown("T_branch", name)

    @staticmethod
    def _unknown(variable: str, name: str) -> Getter:
        log.err(f"unknown PV name {name}")
        raise ValueError(f'pvar "{variable}" has an invalid name param [{name}]')

    def _make(self, ctx: Context) -> bool:
        if ctx.t is None and self.tm.newtran(ctx) < 0:
            log.err("cannot create the transaction")
        return ctx.t is not None

    # which branch

    @pvar("T_branch_idx", type="int")
    def branch_idx(self, inner: Inner) -> Getter:
        """$T_branch_idx: index of the branch, or the one a new branch would get."""
        return self._branch_index

    @staticmethod
    def _branch_index(ctx: Context) -> int | None:
        msg = ctx.msg
        if not msg.is_request or ctx.route_type & (BRANCH | BRANCH_FAILURE):
            return ctx.branch
        added = len(msg.added_branches or ())
        if ctx.route_type == REQUEST:
            return added
        if ctx.route_type == FAILURE:
            return ctx.t.branches + added if ctx.t is not None else None
        return -1

    @staticmethod
    def _winner(ctx: Context) -> int:
        """The branch a failure route is about, -1 and a line in the log if there is none."""
        if ctx.branch < 0:
            log.crit(f"no picked branch ({ctx.branch}) for a final response in MODE_ONFAILURE")
        return ctx.branch

    def _branch_flags(self, ctx: Context) -> int | None:
        if ctx.t is None:
            return None
        if not ctx.route_type & FAILED:
            log.err(f"unsupported route_type {int(ctx.route_type)}")
            return None
        winner = self._winner(ctx)
        return self.tm.branch_flags(ctx.t, winner) if winner >= 0 else None

    def _branch_uri(self, ctx: Context) -> str | None:
        t = ctx.t
        if t is None:
            return None
        if ctx.route_type != TM_ONREPLY:
            log.err(f"$T_branch(uri) - unsupported route_type {int(ctx.route_type)}")
            return None
        return t.branch_notes(ctx.branch).get("uri") if 0 <= ctx.branch < t.branches else None

    def _branch_ruid(self, ctx: Context) -> str | None:
        if ctx.route_type == BRANCH:
            return ctx.msg.ruid
        return self._reply_ruid(ctx)

    # replies

    @pvar("T_reply_ruid", type="str")
    def reply_ruid(self, inner: Inner) -> Getter:
        return self._reply_ruid

    def _reply_ruid(self, ctx: Context) -> str:
        t = self.tm.find(ctx)
        if t is None:
            return ""
        if ctx.route_type & FAILED:
            branch = self._winner(ctx)
        elif ctx.route_type == TM_ONREPLY:
            branch = ctx.branch
        else:
            log.err(f"unsupported route_type {int(ctx.route_type)}")
            return ""
        return (t.branch_notes(branch).get("ruid") or "") if 0 <= branch < t.branches else ""

    @pvar("T_reply_code", type="int")
    def reply_code(self, inner: Inner) -> Getter:
        """$T_reply_code: status of the current reply, of the winning one, or of the last one sent."""
        return self._reply_code

    def _reply_code(self, ctx: Context) -> int:
        kind = ctx.route_type
        if kind & RouteType.ONREPLY:
            return ctx.msg.status
        t = self.tm.find(ctx)
        if t is None:
            return 0
        if kind & (REQUEST | BRANCH):
            return t.status
        if kind & FAILED:
            winner = self._winner(ctx)
            return t.branch_status(winner) if winner >= 0 else 0
        log.info(f"unsupported route_type {int(kind)} - code set to 0")
        return 0

    @pvar("T_reply_reason", type="str")
    def reply_reason(self, inner: Inner) -> Getter:
        """$T_reply_reason: reason of the current reply, or of the winning one."""

        def get(ctx: Context) -> str | None:
            t = self.tm.find(ctx)
            if t is None:
                return ""
            if ctx.route_type & RouteType.ONREPLY:
                return ctx.msg.reason
            if ctx.route_type != FAILURE:
                log.err(f"unsupported route_type {int(ctx.route_type)}")
                return None
            winner = self._winner(ctx)
            if winner < 0:
                return None
            reply = t.branch_reply(winner)
            return reply.reason if reply is not None else FAKED.get(t.branch_status(winner), "")

        return or_nothing(get)

    @pvar("T_reply_last", type="int")
    def reply_last(self, inner: Inner) -> Getter:
        """$T_reply_last: in onreply_route, the status received before on this branch."""

        def get(ctx: Context) -> int | None:
            if ctx.route_type != TM_ONREPLY:
                log.err(f"unsupported route_type {int(ctx.route_type)}")
                return None
            t = self.tm.find(ctx)
            if t is None or ctx.branch < 0:
                log.err("could not get transaction")
                return None
            return t.branch_status(ctx.branch)

        return or_nothing(get)

    def _reply_type(self, ctx: Context) -> int | None:
        """1 in a failure_route whose winning reply was made here, else 0."""
        t = ctx.t
        if t is None:
            return None
        if ctx.route_type == FAILURE and ctx.branch >= 0:
            return int(t.branch_reply(ctx.branch) is None)
        return 0

    # other messages

    @pvar("T_req")
    def of_request(self, inner: Inner) -> Getter:
        """$T_req(pv): the pseudo-variable of the request, when a reply is worked on."""
        pv = inner.registry.parse(inner.text)

        def get(ctx: Context) -> Value:
            if ctx.msg.is_request:
                return None
            t = self.tm.find(ctx)
            return pv.get(self._beside(ctx, self._keep(t, "req", t.request))) if t is not None else None

        return get

    @pvar("T_rpl")
    def of_reply(self, inner: Inner) -> Getter:
        """$T_rpl(pv): the pseudo-variable of the winning reply, when the request is worked on."""
        pv = inner.registry.parse(inner.text)

        def get(ctx: Context) -> Value:
            if not ctx.msg.is_request or ctx.branch < 0 or not ctx.route_type & FAILED:
                return None
            t = self.tm.find(ctx)
            reply = t.branch_reply(ctx.branch) if t is not None else None
            return pv.get(self._beside(ctx, reply)) if reply is not None else None

        return get

    @pvar("T_inv")
    def of_invite(self, inner: Inner) -> Getter:
        """$T_inv(pv): the pseudo-variable of the INVITE, when its CANCEL is worked on."""
        pv = inner.registry.parse(inner.text)

        def get(ctx: Context) -> Value:
            if ctx.msg.method != "CANCEL" or not ctx.msg.is_request:
                return None
            t = self.tm.lookup_invite(ctx)
            if t is None:
                return None
            try:
                return pv.get(self._beside(ctx, self._keep(t, "inv", t.request)))
            finally:
                self.tm.release(t)

        return get

    def _keep(self, t: Any, what: str, make: Any) -> Message:
        """The message that `make` gives, or what it gave last for this transaction."""
        kept = self._cached
        if kept is None or kept[:3] != (t.index, t.label, what):
            kept = self._cached = (t.index, t.label, what, make())
        return kept[3]

    def _beside(self, ctx: Context, msg: Message) -> Context:
        """A context to read another message in, with the AVPs of this one."""
        other = Context(self.core, msg, ctx.route_type)
        other.t, other.branch = ctx.t, ctx.branch
        other.avps, other.xavps, other.xavus, other.xavis = ctx.avps, ctx.xavps, ctx.xavus, ctx.xavis
        return other
