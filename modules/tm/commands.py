"""RPC commands of tm: looking at transactions, cancelling and answering them, and sending requests."""

from __future__ import annotations

import string
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.module import RpcFault, rpc
from kamailio_py.modules.tm.cell import LOCAL, Cell, Flag, State
from kamailio_py.modules.tm.transaction import REPLIED, Transaction
from kamailio_py.rpc.call import ScanFault
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.message import Message
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm
    from kamailio_py.rpc.call import Call
    from kamailio_py.sip.endpoint import ListenSocket

log = get_logger("tm")

TICKS = 16
SHOWN_FLAGS = 0xFFFF
SUSPENDED_FLAGS = 0x8004
"""What Kamailio shows of a transaction that is suspended."""
NO_CONTEXT = RpcFault(500, "internal error: failed to create context")
NO_DELAY = RpcFault(600, "Reply wait/async mode not supported by this rpc transport")
OWN_HEADERS = frozenset(("from", "to", "call-id", "cseq", "via", "content-length", "max-forwards"))
"""Headers of a request that is sent which are not taken over as they are given."""
OVERDUE = 10_000
"""How many ms after the end of its life a transaction counts as left behind."""
POLL = 0.02
TOKEN = frozenset(string.ascii_letters + string.digits + "-.!%*_+`'~")
CALLBACK = "tm.rpc"
FAKED = {408: "Request Timeout", 487: "Request Terminated", 503: "Service Unavailable"}


class Commands:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm

    def register(self) -> None:
        """Before forking."""
        self.tm.api.callback(CALLBACK, self._ended)

    @rpc("tm.stats", "", "How many transactions and replies there were.")
    def rpc_stats(self, call: Call) -> dict[str, int]:
        counters = self.tm.core.shm.counters
        count = {
            name: counters.total(counters.counter("tm", name))
            for name in (
                "total", "total_local", "waiting", "freed", "delayed_free", "rpl_received", "rpl_generated", "rpl_sent",
                "6xx", "5xx", "4xx", "3xx", "2xx",
            )
        }  # fmt: skip
        return {
            "current": count["total"] - count["freed"], "waiting": count["waiting"], "total": count["total"],
            "total_local": count["total_local"], "rpl_received": count["rpl_received"],
            "rpl_generated": count["rpl_generated"], "rpl_sent": count["rpl_sent"], "6xx": count["6xx"],
            "5xx": count["5xx"], "4xx": count["4xx"], "3xx": count["3xx"], "2xx": count["2xx"],
            "created": count["total"], "freed": count["freed"], "delayed_free": count["delayed_free"],
        }  # fmt: skip

    @rpc("tm.hash_stats", "", "How full the table of transactions is; Kamailio as Debian builds it does not tell.")
    def rpc_hash_stats(self, call: Call) -> None:
        raise RpcFault(500, "Hash statistics not supported (tryrecompiling with -DTM_HASH_STATS)")

    @rpc("tm.list", "", "All transactions.", array=True)
    def rpc_list(self, call: Call) -> Iterator[dict[str, Any]]:
        for t in self._all():
            try:
                yield self._row(t)
            finally:
                self.tm.table.release(t)

    def _all(self) -> Iterator[Transaction]:
        """Every transaction of now, each with a reference."""
        for bucket in self.tm.table.table.filled():
            lock = self.tm.table.table.lock_of(bucket)
            lock.acquire()
            held = [self.tm.table.hold(offset, bucket) for offset in self.tm.table.table.walk(bucket)]
            lock.release()
            yield from held

    def _row(self, t: Transaction) -> dict[str, Any]:
        msg = Message(t.text())
        return {
            "cell": f"0x{t.offset:x}", "tindex": t.index, "tlabel": t.label, "method": t.method,
            "from": _line(msg, "from"), "to": _line(msg, "to"), "callid": _line(msg, "call-id"),
            "cseq": _line(msg, "cseq").rpartition(" ")[0], "uas_request": "no" if t.is_local else "yes",
            "tflags": t.flags & SHOWN_FLAGS | (SUSPENDED_FLAGS if t.state == State.SUSPENDED else 0),
            "outgoings": t.branches, "ref_count": t.refs - 1,
            "lifetime": t.get_word(Cell.lifetime) * TICKS // 1000 & 0x7FFFFFFF,
        }  # fmt: skip

    @rpc("tm.clean", "", "End transactions that are left behind.")
    def rpc_clean(self, call: Call) -> None:
        now = self.tm.core.clock.ms()
        for t in self._all():
            if t.get_word(Cell.lifetime) + OVERDUE < now and not t.flags & Flag.IN_AGONY and not t.turn:
                self.tm.server.release_stored(t)
            self.tm.table.release(t)

    @rpc("tm.cancel", "SS", "Cancel an INVITE.", missing=(400, "Callid and CSeq expected as parameters"))
    def rpc_cancel(self, call: Call, call_id: str, cseq: str) -> str | None:
        t = self.tm.table.find_callid(call_id, cseq)
        if t is None:
            raise RpcFault(400, "Transaction not found")
        try:
            self.tm.api.cancel_branches(t)
            remaining = self.tm.table.pending_branches(t)
        finally:
            self.tm.table.release(t)
        return "branches remaining (waiting for timeout)" if remaining else None

    # answering

    @rpc("tm.reply", "", "Answer the transaction of this name.")
    def rpc_reply(self, call: Call) -> None:
        code, reason = _next(call, "d", "Reply code"), _next(call, "S", "Reason phrase")
        ident, tag = _next(call, "S", "Transaction ID"), _next(call, "S", "To tag")
        index, colon, label = ident.partition(":")
        if not colon or not index.isdecimal() or not label.isdecimal():
            raise RpcFault(400, "Invalid transaction ID")
        t = self.tm.table.find_ident(int(index), int(label))
        if t is None:
            raise RpcFault(481, "No such transaction")
        self._reply(call, t, code, reason, tag)

    @rpc("tm.reply_callid", "", "Answer the transaction of this Call-ID and CSeq number.")
    def rpc_reply_callid(self, call: Call) -> None:
        code, reason = _next(call, "d", "Reply code"), _next(call, "S", "Reason phrase")
        call_id, cseq = _next(call, "S", "Call-ID"), _next(call, "S", "CSeq")
        tag = _next(call, "S", "To tag")
        t = self.tm.table.find_callid(call_id, cseq)
        if t is None:
            raise RpcFault(404, "Transaction not found")
        self._reply(call, t, code, reason, tag)

    def _reply(self, call: Call, t: Transaction, code: int, reason: str, tag: str) -> None:
        """The answer, with further headers and a body if they are given; the reference is given back."""
        try:
            headers = _more(call)
            body = _more(call)
            msg = t.request()
            try:
                text = self.tm.core.build_reply(
                    msg, code, reason, to_tag="" if msg.to.tag else tag, server=self.tm.core.server_header,
                    headers=_lines(headers), body=body,
                )  # fmt: skip
            except BadMessage:
                raise RpcFault(500, "Reply failed") from None
            if not 100 <= code < 700 or self.tm.server.publish(t, code, text, LOCAL) < 0:
                raise RpcFault(500, "Reply failed")
            t.done |= REPLIED
            self.tm.core.count(self.tm.server.generated)
        finally:
            self.tm.table.release(t)

    # requests

    @rpc("tm.t_uac_start", "", "Send a request; its end is not waited for.")
    def rpc_uac_start(self, call: Call) -> None:
        self._request(call, _parameters(call))

    @rpc("tm.t_uac_wait", "", "Send a request and answer later; no transport of Kamailio's can do that.")
    def rpc_uac_wait(self, call: Call) -> None:
        _parameters(call)
        if call.transport == "json":
            raise NO_CONTEXT
        raise NO_DELAY

    @rpc("tm.t_uac_wait_block", "", "Send a request and wait for its end.")
    def rpc_uac_wait_block(self, call: Call) -> dict[str, Any]:
        index, label = self._request(call, _parameters(call))
        until = time.monotonic() + self.tm.max_noninv_lifetime / 1000 + 1
        code, reason = 0, ""
        while not code and time.monotonic() < until:
            t = self.tm.table.find_ident(index, label)
            if t is None:
                break
            block = t.get_word(Cell.reply)
            if block and t.status >= 200:
                code, reason = t.status, self.tm.arena.load(block).decode("latin-1")
            self.tm.table.release(t)
            if not code:
                time.sleep(POLL)
        if not code:
            raise RpcFault(500, "the request did not end in time")
        return {"code": code, "text": reason}

    def _ended(self, t: Transaction, code: int, reply: Message | None, data: Any) -> None:
        """Keep the final reply's reason where a transaction with somebody upstream has its reply."""
        reason = reply.reason if reply is not None else FAKED.get(code, "Unknown")
        block = self.tm.arena.store(reason.encode("latin-1"), self.tm.table.replies)
        if block:
            t.set_word(Cell.reply, block)

    def _request(self, call: Call, given: list[str]) -> tuple[int, int]:
        method, ruri, next_hop, socket_text, headers = given[:5]
        body = given[5] if len(given) > 5 else ""
        _uri(ruri, "request uri")
        next_hop = "" if next_hop in ("", ".") else next_hop
        if next_hop:
            _uri(next_hop, "next-hop uri")
        socket = None if socket_text in ("", ".") else self._socket(socket_text)
        if not method or not set(method) <= TOKEN:
            raise RpcFault(400, f'Invalid request method "{method}"')
        head = f"{method} {ruri} SIP/2.0\r\n{_lines(headers)}\r\n"
        try:
            msg = Message(head)
            from_, to = msg.header("from"), msg.header("to")
            call_id, cseq = msg.header("call-id") or "", msg.header("cseq")
        except BadMessage:
            raise RpcFault(400, "Invalid headers") from None
        if not headers.strip() or ":" not in headers.split("\r\n")[0]:
            raise RpcFault(400, "Invalid headers")
        if body and msg.header("content-type") is None:
            raise RpcFault(400, "Content-Type missing")
        if from_ is None:
            raise RpcFault(400, "From missing")
        if to is None:
            raise RpcFault(400, "To missing")
        number, _, cseq_method = (cseq or f"10 {method}").partition(" ")
        if cseq_method.strip() != method:
            raise RpcFault(400, "CSeq method mismatch")
        rest = "".join(
            f"{line}\r\n"
            for line in _lines(headers).split("\r\n")
            if line and line.partition(":")[0].strip().lower() not in OWN_HEADERS
        )
        ident = self.tm.api.request(
            method, ruri, _bracketed(from_), _bracketed(to), headers=rest, body=body, next_hop=next_hop, socket=socket,
            call_id=call_id, cseq=int(number) if number.isdecimal() else 10, callback=CALLBACK,
        )  # fmt: skip
        if ident is None:
            raise RpcFault(500, "the request could not be sent")
        return ident

    def _socket(self, text: str) -> ListenSocket:
        found = self.tm.core.addresses.listening(text)
        if found is None:
            raise RpcFault(400, f'No local socket for "{text}"')
        return found


def _next(call: Call, letter: str, what: str) -> Any:
    try:
        return call.scan(letter)[0]
    except ScanFault:
        raise RpcFault(400, f"{what} expected") from None


def _more(call: Call) -> str:
    """One more text, "" if there is none."""
    try:
        return (call.scan("*S") or [""])[0]
    except ScanFault:
        return ""


def _parameters(call: Call) -> list[str]:
    """Method, request-URI, next hop, socket, headers and perhaps a body."""
    found: list[str] = []
    try:
        for _ in range(5):
            found += call.scan("S")
        found += call.scan("*.S")
    except ScanFault:
        if len(found) < 5:
            raise RpcFault(400, f"too few parameters ({len(found)}/5)") from None
    return found


def _bracketed(value: str) -> str:
    """The value of a From or To: without brackets all of it is the URI, parameters too, as with Kamailio."""
    return value if "<" in value else f"<{value}>"


def _uri(text: str, what: str) -> None:
    try:
        Uri.parse(text)
    except BadUri:
        raise RpcFault(400, f'Invalid {what} "{text}"') from None


def _lines(headers: str) -> str:
    """Header lines, each with its end."""
    text = headers.replace("\r\n", "\n").replace("\n", "\r\n")
    return text if not text or text.endswith("\r\n") else f"{text}\r\n"


def _line(msg: Message, name: str) -> str:
    """A header with its name and the end of its line, "" if it is not there."""
    index = msg.find(name)
    if index < 0:
        return ""
    start, end = msg.span(index)
    return msg.text[start:end]
