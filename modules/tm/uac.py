"""Requests of this server's own: t_uac_send(), and what modules send through the API.

Such a transaction has no upstream: its final reply goes to the callback that was named when it was made, in whichever
process the reply arrives. What the callback needs is stored with the cell as plain data.
"""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING, Any
from zlib import crc32

from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.modules.tm.armed import Armed
from kamailio_py.modules.tm.cell import Cell, Flag
from kamailio_py.modules.tm.transaction import Transaction
from kamailio_py.script.context import Context
from kamailio_py.sip.branch import Branch as Place
from kamailio_py.sip.endpoint import Destination, ListenSocket
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.hash import branch_param, transaction_index
from kamailio_py.sip.local import build_request
from kamailio_py.sip.message import Message
from kamailio_py.sip.nameaddr import NameAddr
from kamailio_py.sip.request import via_line

if TYPE_CHECKING:
    from kamailio_py.dns.places import Walk
    from kamailio_py.modules.tm import Tm

log = get_logger("tm")


class Uac:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm
        self.local = tm.core.statistic("tm", "total_local")
        self._requests = 0
        self._tag = f"{tm.core.random.getrandbits(128):032x}"
        self._prefix = f"{tm.core.random.getrandbits(64):016x}"

    def call_id(self) -> str:
        """A new Call-ID."""
        self._requests += 1
        sockets = self.tm.core.sockets
        host = sockets[0].host if sockets else "localhost"
        return f"{self._prefix}-{self.tm.slot}-{self._requests}@{host}"

    def tag(self, call_id: str) -> str:
        """A From-tag: the part of this server and that of the call."""
        return f"{self._tag}-{crc32(call_id.encode('latin-1')):08x}"

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
        socket: ListenSocket | None = None,
        call_id: str = "",
        cseq: int = 10,
        routes: str = "",
        max_forwards: int = 70,
        callback: str = "",
        data: Any = None,
    ) -> tuple[int, int] | None:
        """See Api.request."""
        tm = self.tm
        target, walk = tm.core.addresses.first(next_hop or ruri, socket)
        if target is None:
            log.err(f"no way to send {method} to {next_hop or ruri}")
            return None
        call_id = call_id or self.call_id()
        try:
            if not NameAddr(from_).tag:
                from_ += f";tag={self.tag(call_id)}"
        except BadMessage as error:
            log.err(f"bad From: {error.reason}")
            return None
        index = transaction_index(call_id, str(cseq))
        value = f"{tm.core.random.getrandbits(32):x}".ljust(32, "0")
        text = build_request(
            method,
            ruri,
            via=via_line(target.socket, branch_param(index, value, 0)),
            from_=from_,
            to=to,
            call_id=call_id,
            cseq=str(cseq),
            user_agent=tm.core.user_agent,
            max_forwards=max_forwards,
            routes=routes,
            headers=headers,
            body=body,
        )
        text, armed = self._local_request(text, target)
        if not text:
            return None
        return self._send(text, index, value, target, walk, callback, data, armed)

    def _local_request(self, text: str, target: Destination) -> tuple[str, Armed | None]:
        """Run event_route[tm:local-request] on it; "" if that dropped it. With it what the route set for later."""
        core = self.tm.core
        entry = core.event_route("tm:local-request")
        if entry is None:
            return text, None
        msg = Message(text, target.socket.host, target.socket.port, target.socket)
        core.snd = (text, target)
        ctx = Context(core, msg)
        core.run(entry, ctx, RouteType.LOCAL)
        core.snd = None
        if ctx.dropped:
            return "", None
        return msg.apply_changes() if msg.has_lumps or msg.new_uri is not None else text, ctx.tm

    def _send(
        self,
        text: str,
        index: int,
        value: str,
        target: Destination,
        walk: Walk | None,
        callback: str,
        data: Any,
        armed: Armed | None,
    ) -> tuple[int, int] | None:
        tm = self.tm
        on_branch_failure = 0
        if armed is None:
            msg = Message(text, "", 0, target.socket)
        else:  # its routes run on the request as if it came from here
            msg = Message(text, target.socket.host, target.socket.port, target.socket)
            # as by Kamailio only for branches that failure_route adds
            on_branch_failure, armed.on_branch_failure = armed.on_branch_failure, 0
        block = tm.arena.store(marshal.dumps((callback, data)), tm.table.datas) if callback else 0
        if callback and not block:
            log.err("no more share memory")
            return None
        lock = tm.table.locks[index & tm.table.mask]
        lock.acquire()
        t = tm.table.insert(msg, index, tm.table.key(msg), "", 0, armed)
        if t is None:
            lock.release()
            if block:
                tm.arena.free(block)
            log.err("out of mem:")
            return None
        t.set(Cell.flags, t.flags | Flag.LOCAL)
        t.set_word(Cell.data, block)
        lock.release()
        at = t.offset + Cell.md5
        tm.memory[at : at + 32] = value.encode("latin-1")
        counters = tm.core.shm.counters
        counters.add(self.local)
        counters.add(tm.server.uas)
        ident = t.index, t.label
        number = tm.client.publish(t, 0, text, target, Place(msg.ruri), msg, walk=walk)
        if on_branch_failure:
            t.set(Cell.on_branch_failure, on_branch_failure)
        sent = number >= 0 and tm.client.send(t, number, msg)
        if not sent:
            tm.server.release_stored(t)
        tm.table.release(t)
        return ident if sent else None

    def completed(self, t: Transaction, number: int, code: int, msg: Message | None) -> None:
        """A reply for a request of our own (None: made here): on a final one end the transaction and tell who asked."""
        tm = self.tm
        if code < 200:
            if tm.pass_provisional_replies:
                self.tell(t, code, msg)
            return
        t.lock.acquire()
        again = t.status >= 200
        if not again:
            t.set(Cell.status, code)
            t.set(Cell.relayed, number + 1)
            tm.client.finish(t)
            tm.server.put_on_wait(t)
        t.lock.release()
        if t.is_invite and msg is not None and code < 300 and not t.flags & Flag.NO_ACK:
            tm.acks.send_end_to_end(t, number, msg)
        if again:
            return
        tm.core.count(tm.server.completed[min(code // 100, 6) - 2])
        tm.core.count(tm.server.sent)  # as Kamailio, although there is nobody to send it to
        for listener in tm.events["completed"]:
            listener(t, code)
        self.tell(t, code, msg)

    def tell(self, t: Transaction, code: int, msg: Message | None) -> None:
        """Call who made the request."""
        block = t.get_word(Cell.data)
        if block:
            name, data = self.tm.state.load(block)
            callback = self.tm.api.callbacks.get(name)
            if callback is not None:
                callback(t, code, msg, data)
