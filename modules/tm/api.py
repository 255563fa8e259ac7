"""What other modules may do with transactions: `core.module("tm").api`.

    api = self.core.module("tm").api
    t = api.current(ctx)
    ident = api.suspend(ctx)                  # (index, label), or a number as t_suspend() returns it
    code = api.resume(index, label, entry)    # as t_continue()

Functions that take a context work on its message and may make or find its transaction; `Transaction` objects are
handles of this process on a cell in shared memory, see transaction.py for what can be read from them. A handle that
was got by `lookup*` holds a reference and must be given back by `release`; that of `current` belongs to the context.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.modules.tm import selection
from kamailio_py.modules.tm.cell import Branch, Cell
from kamailio_py.modules.tm.errors import E_SEND, reply_for
from kamailio_py.modules.tm.transaction import FORWARDED
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.config.program import Entry
    from kamailio_py.modules.tm import Tm
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.script.context import Context

log = get_logger("tm")

EVENTS = (
    "request-in",  # f(ctx, t)            a request made a transaction
    "request-out",  # f(t, branch, text)   a branch was sent
    "response-in",  # f(t, branch, msg)    a reply came for a branch
    "response-ready",  # f(t, code, msg)   a reply is about to go upstream; msg is None for one made here
    "response-out",  # f(t, code, msg)      it was sent
    "failure",  # f(ctx, t, code, msg)  the best final reply is >= 300 (ctx.branch's); ctx is that of failure_route
    "e2e-ack",  # f(ctx, t)            the ACK of a 2xx passes
    "e2e-cancel",  # f(ctx, t)            a CANCEL for t (the INVITE's transaction) was received
    "completed",  # f(t, code)           a final reply was sent upstream
    "destroyed",  # f(t)                 the cell is about to be freed
)


Callback = Callable[["Transaction", int, "Message | None", Any], Any]
"""(t, code, reply or None, data): hears of the end of a request of our own."""


class Api:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm
        self.callbacks: dict[str, Callback] = {}

    # the transaction of a run

    def current(self, ctx: Context) -> Transaction | None:
        """The transaction this run belongs to, if there is one already; nothing is looked up."""
        return ctx.t

    def find(self, ctx: Context) -> Transaction | None:
        """The transaction of the run, looked up by the message (request, reply, ACK) if that was not done yet."""
        return self.tm.find(ctx)

    def newtran(self, ctx: Context) -> int:
        """t_newtran(): 1 made, 0 the message was a retransmission and is dealt with, negative on errors."""
        return self.tm.server.newtran(ctx)

    def reply(self, ctx: Context, code: int, reason: str) -> int:
        """t_reply(): 1, or -1 when it cannot be sent (no transaction, a final reply was sent before)."""
        return self.tm.server.reply_from_script(ctx, code, reason)

    def reply_to(self, t: Transaction, code: int, reason: str) -> int:
        """Answer any transaction, such as one that was looked up by its name."""
        return self.tm.server.reply_stored(t, code, reason)

    @staticmethod
    def error_of(ctx: Context) -> int:
        """The error of the function called just before; t_relay() gives -1 where nothing could be sent."""
        t = ctx.t
        return E_SEND if ctx.rc == -1 and t is not None and t.error == E_SEND else ctx.rc

    @staticmethod
    def error_reply(error: int, signature: str) -> tuple[int, str]:
        """Status and reason of the reply that fits what a function of tm returned."""
        return reply_for(error, signature)

    def relay(self, ctx: Context) -> int:
        """t_relay() without arguments."""
        return self.tm.forward.relay(ctx)

    def drop(self, ctx: Context, code: int) -> int:
        """Let the transaction of the run end as if it had been answered with `code`, without sending anything."""
        t = ctx.t
        if t is None:
            return -1
        t.lock.acquire()
        t.set(Cell.status, code)
        t.lock.release()
        return self.tm.server.release_from_script(ctx)

    def save_request(self, t: Transaction, msg: Message) -> bool:
        """Keep what was done to a request (that of `t.request()`) for the next run on it."""
        t.set(Cell.message_flags, msg.flags)
        return self.tm.state.save_script(msg, t)

    # transactions by name

    def ident(self, t: Transaction) -> tuple[int, int]:
        """(hash index, hash label)."""
        return t.index, t.label

    def lookup(self, index: int, label: int) -> Transaction | None:
        """A handle with a reference, or None."""
        return self.tm.table.find_ident(index, label)

    def lookup_callid(self, call_id: str, cseq: str) -> Transaction | None:
        """The INVITE transaction of a Call-ID and CSeq number, with a reference."""
        return self.tm.table.find_callid(call_id, cseq)

    def lookup_invite(self, ctx: Context) -> Transaction | None:
        """The INVITE transaction a CANCEL (or its request) belongs to, with a reference."""
        return self.tm.matching.original(ctx.msg)

    def release(self, t: Transaction) -> None:
        """Give back the reference of a lookup."""
        self.tm.table.release(t)

    def context(self, t: Transaction, msg: Message | None = None) -> Context:
        """A context of the transaction, on its request as stored or on `msg`, with its AVPs; not for running routes."""
        return self.tm.state.context(t, msg)

    def picked(self, t: Transaction) -> int:
        """Number of the branch with the best final reply; negative if there is none."""
        return selection.pick(t, self.tm.faked_reply_prio)

    def to_tag(self, request: Message) -> str:
        """The To-tag of replies to a request that are made here."""
        return request.to.tag or self.tm.server.totag.tag(request)

    # what modules remember of a transaction

    @staticmethod
    def notes(t: Transaction) -> dict[str, Any]:
        """Notes by module name. Cheap where there are none."""
        word = (t.offset + Cell.notes) >> 3
        if not t.u64[word]:
            return {}
        t.lock.acquire()
        data = t.tm.arena.load(t.u64[word])
        t.lock.release()
        notes: dict[str, Any] = marshal.loads(data)
        return notes

    def note(self, t: Transaction, module: str, value: Any) -> bool:
        """Remember plain data for a module, until the transaction is freed; False without memory."""
        block = self.tm.arena.store(marshal.dumps(self.notes(t) | {module: value}), self.tm.table.notes)
        if not block:
            log.err("no more share memory")
            return False
        word = (t.offset + Cell.notes) >> 3
        t.lock.acquire()
        old, t.u64[word] = t.u64[word], block
        t.lock.release()
        if old:
            self.tm.arena.free(old)
        return True

    # suspension

    def suspend(self, ctx: Context) -> tuple[int, int] | int:
        """t_suspend(): (index, label) of the transaction, which must exist.

        A number instead: 1 the transaction was cancelled (the request is answered already: nothing will resume it), -3
        a final reply was sent, -1 no transaction or no memory. On a reply it is the reply that is suspended.
        """
        return self.tm.suspension.suspend(ctx)

    def resume(
        self, index: int, label: int, entry: Entry | None, prepare: Callable[[Context], Any] | None = None
    ) -> int:
        """t_continue(): run `entry` on the suspended transaction and answer it if nothing else will.

        1 done (also when it was cancelled or has timed out meanwhile, and nothing was run), -1 not found, -2 not
        suspended. `prepare(ctx)` is called before the route, on the context it will run in.
        """
        return self.tm.suspension.resume(index, label, entry, prepare)

    def cancel_suspend(self, ctx: Context, index: int, label: int) -> int:
        """t_cancel_suspend(): take a suspension back in the run that made it; the script goes on. 1 or negative."""
        result = self.tm.suspension.cancel(index, label)
        if result >= 0 and ctx.t is not None and ctx.t.status < 200:
            ctx.t.done &= ~FORWARDED
        return result

    # cancelling

    def cancel_branches(self, t: Transaction, which: str = "all", branch: int = -1, cause: int = 0) -> int:
        """Cancel pending branches: "all", "others" (than `branch`) or "this"; the number cancelled.

        A `cause` goes into the CANCELs as `Reason: SIP;cause=...`.
        """
        return self.tm.canceling.cancel_branches(t, which, branch, cause)

    # branches

    def branch_flags(self, t: Transaction, branch: int) -> int:
        """The script's branch flags of a branch."""
        return t.branch_get(branch, Branch.branch_flags)

    # what happens to transactions

    def on(self, event: str, fn: Callable[..., Any]) -> None:
        """Have `fn` called at one of EVENTS, in the process where it happens; register before forking."""
        if event not in EVENTS:
            raise ValueError(f"tm has no event {event}")
        self.tm.events[event].append(fn)

    # requests of our own

    def callback(self, name: str, fn: Callback) -> None:
        """Register `fn(t, code, reply or None, data)` under a name for `request`; before forking."""
        self.callbacks[name] = fn

    def request(
        self,
        method: str,
        ruri: str,
        from_: str,
        to: str,
        *,
        headers: str = "",
        body: str = "",
        next_hop: str = "",
        socket: Any = None,
        call_id: str = "",
        cseq: int = 10,
        routes: str = "",
        max_forwards: int = 70,
        callback: str = "",
        data: Any = None,
    ) -> tuple[int, int] | None:
        """Send a request of our own; its (index, label), or None when it could not be sent.

        `from_` and `to` are header values, the From-tag is added when there is none; `routes` and `headers` are
        complete lines; a `max_forwards` below 0 leaves that header out. When the transaction ends `callback` (a
        registered name) is called with the final reply and `data`, which marshal must be able to write, in whichever
        process that happens.
        """
        return self.tm.uac.request(
            method, ruri, from_, to, headers=headers, body=body, next_hop=next_hop, socket=socket, call_id=call_id,
            cseq=cseq, routes=routes, max_forwards=max_forwards, callback=callback, data=data,
        )  # fmt: skip
