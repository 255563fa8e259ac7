"""What of a run survives its process: script state of the message, AVPs, replies that are kept.

Lives here: writing them to shared memory as marshal of plain data, and building a context from them in whichever
process goes on. Nothing is written for a script that changed nothing. AVPs, XAVPs, XAVUs and XAVIs belong to the
transaction: each run on it starts with them, and what it changed is written back, unless another process has changed
them since.
"""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.modules.tm.cell import Cell
from kamailio_py.script.context import Context
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm
    from kamailio_py.modules.tm.transaction import Transaction

log = get_logger("tm")

_FRESH: tuple[Any, ...] = ({}, -1, [], [], [], [])
_VERSION = Cell.version >> 2


class State:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm

    def context(self, t: Transaction, msg: Message | None = None) -> Context:
        """A context to run a route of this transaction in: on its request, or on `msg`."""
        ctx = Context(self.tm.core, msg if msg is not None else t.request())
        ctx.t = t
        self.load_attributes(ctx, t)
        return ctx

    # AVPs and the like

    def load_attributes(self, ctx: Context, t: Transaction) -> None:
        """Give the context the transaction's AVPs."""
        word = (t.offset + Cell.attributes) >> 3
        if not t.u64[word]:
            t.attributes = b""
            t.version = t.u32[t.word + _VERSION]
            return
        t.lock.acquire()
        block = t.u64[word]
        data = self.tm.arena.load(block) if block else b""
        t.version = t.u32[t.word + _VERSION]
        t.lock.release()
        t.attributes = data
        if data:
            ctx.avps, ctx.xavps, ctx.xavus, ctx.xavis = marshal.loads(data)

    def save_attributes(self, ctx: Context, t: Transaction) -> bool:
        """Write the context's AVPs to the transaction if they changed; False without memory."""
        if ctx.avps or ctx.xavps or ctx.xavus or ctx.xavis:
            # without references to equal objects: equal contents give equal bytes
            data = marshal.dumps((ctx.avps, ctx.xavps, ctx.xavus, ctx.xavis), 2)
        else:
            data = b""
        if data == t.attributes:
            return True
        tm = self.tm
        block = 0
        if data:
            block = tm.arena.store(data, tm.table.attributes)
            if not block:
                log.err("no more share memory")
                return False
        t.lock.acquire()
        version = t.word + _VERSION
        if t.u32[version] != t.version:
            # Another process went on with the transaction meanwhile: what it wrote is newer.
            old = block
        else:
            word = (t.offset + Cell.attributes) >> 3
            old = t.u64[word]
            t.u64[word] = block
            t.u32[version] = t.version = (t.version + 1) & 0xFFFFFFFF
            t.attributes = data
        t.lock.release()
        if old:
            tm.arena.free(old)
        return True

    # what the script did to the request

    def save_script(self, msg: Message, t: Transaction) -> bool:
        """Keep lumps, changed URI, branches and flags for the next run on the request; False without memory."""
        tm = self.tm
        word = (t.offset + Cell.script) >> 3
        block = 0
        if msg.is_changed:
            script_flags, msg.script_flags = msg.script_flags, 0
            state = msg.state()
            msg.script_flags = script_flags
            state[0].pop("script_flags", None)
            if state != _FRESH:
                block = tm.arena.store(marshal.dumps(state, 2), tm.table.scripts)
                if not block:
                    log.err("failed to save the message lumps")
                    return False
        if not block and not t.u64[word]:
            return True
        t.lock.acquire()
        old = t.u64[word]
        t.u64[word] = block
        t.lock.release()
        if old:
            tm.arena.free(old)
        return True

    # replies that are kept

    @staticmethod
    def dump_reply(msg: Message) -> bytes:
        """A reply with what onreply_route did to it."""
        socket = msg.socket.index if msg.socket is not None else -1
        script = msg.state() if msg.is_changed else None
        return marshal.dumps((msg.text, msg.src_ip, msg.src_port, socket, script))

    def load_reply(self, data: bytes) -> Message:
        text, src_ip, src_port, socket, script = marshal.loads(data)
        sockets = self.tm.core.sockets
        msg = Message(text, src_ip, src_port, sockets[socket] if socket >= 0 else None)
        if script is not None:
            msg.restore(script, sockets)
        return msg

    def load(self, block: int) -> Any:
        """Plain data stored in a block."""
        return marshal.loads(self.tm.arena.load(block))

    def save_run(self, ctx: Context, t: Transaction) -> None:
        """After a route on the transaction: keep what it did to AVPs and message flags."""
        flags = ctx.msg.flags
        if flags != t.get(Cell.message_flags):
            t.set(Cell.message_flags, flags)
        if ctx.avps or ctx.xavps or ctx.xavus or ctx.xavis or t.attributes:
            self.save_attributes(ctx, t)
