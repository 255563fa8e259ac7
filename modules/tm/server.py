"""The server side of a transaction: making it from a request, answering it, absorbing retransmissions, its end.

Every reply goes through `publish`: it is stored for retransmissions, the status is changed and the timers are set under
one lock, and only then it is sent; so a request is finally answered by exactly one process, whoever else tries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py import points
from kamailio_py.config.host import RouteType
from kamailio_py.log import Level, get_logger
from kamailio_py.modules.tm import errors
from kamailio_py.modules.tm.cell import INVITE, LOCAL, Cell, Flag, State
from kamailio_py.modules.tm.stored import StoredRequest, answer
from kamailio_py.modules.tm.transaction import (
    ERROR_DELAYED,
    RELEASED,
    REPLIED,
    RETRANSMISSION,
    Transaction,
)  # fmt: skip
from kamailio_py.script.context import Context
from kamailio_py.shm.trace import What, call_id_hash
from kamailio_py.sip.endpoint import Destination
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.hash import transaction_index
from kamailio_py.sip.message import Message
from kamailio_py.sip.redirect import redirect_contacts
from kamailio_py.sip.reply import back_to, reply_destination
from kamailio_py.sip.totag import TM_SEPARATOR, TM_SIGNATURE, ToTag
from kamailio_py.sip.uri import BadUri

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm

log = get_logger("tm")

_STATUS, _FLAGS, _STATE, _RELAYED, _REFS, _BRANCHES = (
    getattr(Cell, name) >> 2 for name in ("status", "flags", "state", "relayed", "refs", "branches")
)
_METHOD, _ROOM_SIZE, _REPLY_SIZE, _SKELETON_SIZE = (
    getattr(Cell, name) >> 2 for name in ("method", "room_size", "reply_size", "skeleton_size")
)
_TIMER = Cell.timer
_CREATED, _REPLIED = int(What.CREATED), int(What.REPLIED)


def is_whole(msg: Message) -> bool:
    """Whether all headers can be read, to the empty line that ends them; a transaction is not made of less."""
    try:
        msg.require_headers()
    except BadMessage:
        log.err("parse_headers failed")
        return False
    if msg.headers_end == msg.body_offset:
        log.err("EoH not parsed")
        return False
    return True


class Server:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm
        core = tm.core
        sockets = core.sockets
        self.totag = ToTag(TM_SIGNATURE, TM_SEPARATOR, sockets[0] if sockets else None)
        self.trace = core.shm.trace.add
        statistic = core.statistic
        self.uas = statistic("tm", "total")
        self.generated = statistic("tm", "rpl_generated")
        self.sent = statistic("tm", "rpl_sent")
        self.waiting = statistic("tm", "waiting")
        self.completed = [statistic("tm", f"{n}xx") for n in range(2, 7)]
        self._store = core.shm.arena.store
        self._request_in = tm.events["request-in"]
        self._response_ready = tm.events["response-ready"]
        self._response_out = tm.events["response-out"]
        self._completed = tm.events["completed"]
        self._reply_out = core.reply_out
        self._to_via = bool(core.cfg.reply_to_via)
        self._core = core
        self._wheel_add = tm.wheel.add
        self._i64 = core.shm.i64
        self._identity = core.shm.identity
        self._local_response = core.event_route("tm:local-response")

    # making

    def newtran(self, ctx: Context) -> int:
        """1 a transaction was made (or an ACK needs none), 0 the request was a retransmission, negative: an error."""
        if ctx.t is not None:
            return errors.E_SCRIPT
        tm = self.tm
        msg = ctx.msg
        table = tm.table
        if not msg.is_proven and not is_whole(msg):
            return errors.E_BAD_REQ
        try:
            index = transaction_index(msg.call_id, msg.cseq[0])
            key = table.key(msg)
            msg.to  # noqa: B018  what every reply needs must be readable
            if msg.new_uri is not None:
                msg.parsed_uri  # noqa: B018
            host, port = reply_destination(msg, self._to_via)
        except BadUri:
            log.err("uri invalid")
            return errors.E_BAD_REQ
        except BadMessage as error:
            log.err(f"too few headers: {error.reason}")
            return errors.E_BAD_REQ
        method = msg.method
        lock = table.locks[index & table.mask]
        lock.acquire()
        canceled = False
        if table.table.head(index):
            try:
                offset, e2e, canceled = tm.matching.find(msg, index, key)
            except BaseException:
                lock.release()
                raise
            if offset:
                t = table.hold(offset, index)
                lock.release()
                return self._known(ctx, t, e2e)
        if method == "ACK":
            lock.release()
            return 1
        made = table.insert(msg, index, key, host, port, ctx.tm)
        if made is None:
            lock.release()
            log.err("out of mem:")
            return errors.E_OUT_OF_MEM
        if canceled and method == "INVITE":
            made.u32[made.word + _STATE] = State.CANCELED
        lock.release()
        ctx.t = made
        ctx.tm = None
        made.answers_to = (host, port, msg.socket)
        if msg.connection:
            made.set(Cell.connection, msg.connection)
            made.target = back_to(msg, host, port)
            made.set(Cell.reply_flags, made.target.flags)
        if msg.new_uri is not None or msg.dst_uri is not None or msg.path is not None:
            made.made_with = (msg.new_uri, msg.dst_uri, msg.path)
        self._i64[self._identity.counters + self.uas] += 1
        self.trace(_CREATED, index, made.label, call_id_hash(msg.call_id))
        points.point("tm.newtran.inserted")
        for listener in self._request_in:
            listener(ctx, made)
        return 1

    def _known(self, ctx: Context, t: Transaction, e2e: bool) -> int:
        """The request belongs to a transaction that exists."""
        if e2e:
            for listener in self.tm.events["e2e-ack"]:
                listener(ctx, t)
            self.tm.table.release(t)
            return 1
        ctx.t = t
        t.done |= RETRANSMISSION
        if ctx.msg.method == "ACK":
            self.acknowledged(t)
        else:
            self.retransmit(t)
        return 0

    def acknowledged(self, t: Transaction) -> None:
        """The ACK for a final reply of an INVITE came: stop repeating it."""
        t.lock.acquire()
        t.set(Cell.interval, 0)
        if self.tm.wheel.cancel(t.offset + Cell.retr):
            t.u32[t.word + _REFS] -= 1
        self.put_on_wait(t)
        t.lock.release()

    def retransmit(self, t: Transaction) -> int:
        """Send the last reply again, if there is one; 1 or -1."""
        text = t.last_reply()
        target = t.upstream()
        if not text or target is None:
            return -1
        return 1 if self.tm.core.send(text, target) else -1

    # answering

    def reply_from_script(self, ctx: Context, code: int, reason: str) -> int:
        """t_reply() of a route: in an onreply_route the request of the transaction is answered."""
        t = ctx.t
        if t is None:
            log.err("cannot send a t_reply to a message for which no T-state has been established")
            return -1
        if ctx.msg.is_request:
            return self.reply(t, ctx.msg, code, reason)
        return self.reply_stored(t, code, reason)

    def reply_stored(self, t: Transaction, code: int, reason: str) -> int:
        """Answer a transaction by its stored request."""
        return self.reply(t, t.request(), code, reason)

    def reply(
        self, t: Transaction, msg: Message, code: int, reason: str, headers: str = "", relayed: int = LOCAL
    ) -> int:
        """Make and send a reply to `msg`, the request of `t`; 1, or negative and nothing was sent."""
        tm = self.tm
        if isinstance(msg, StoredRequest) and msg.untouched and code >= 180 and not headers:
            size = t.u32[t.word + _SKELETON_SIZE]
            if size:
                # should a final reply be written over it meanwhile, this one is refused
                room = t.u64[(t.offset + Cell.room) >> 3]
                common = tm.memory[room : room + size].decode("latin-1")
                if self.publish(t, code, answer(code, reason, common, tm.core.server_header), relayed) < 0:
                    return -1
                t.done |= REPLIED
                self._i64[self._identity.counters + self.generated] += 1
                return 1
        if 300 <= code < 400 and relayed == LOCAL:
            headers += redirect_contacts(msg, tm.rich_redirect)
        if t.target is not None and (msg.reply_no_connect or msg.reply_close):
            t.target = back_to(msg, t.target.host, t.target.port)
        try:
            tag = self.totag.tag(msg) if code >= 180 and not msg.to.tag else ""
            text = tm.core.build_reply(msg, code, reason, to_tag=tag, server=tm.core.server_header, headers=headers)
        except BadMessage as error:
            log.err(f"failed to build the reply: {error.reason}")
            return -1
        if self.publish(t, code, text, relayed) < 0:
            return -1
        t.done |= REPLIED
        self._i64[self._identity.counters + self.generated] += 1
        if t.is_local:  # the failure_route of a request of our own answered: there is only who made it to tell
            if code >= 200:
                tm.uac.tell(t, code, None)
            log.err("no resolved dst to send reply to")
        return 1

    def publish(self, t: Transaction, code: int, text: str, relayed: int, msg: Message | None = None) -> int:
        """Store a reply, set status and timers, and send it; negative if a final reply was there before.

        `relayed` is the number of the branch it comes from plus one, or LOCAL.
        """
        tm = self.tm
        data = text.encode("latin-1")
        size = len(data)
        u32, u64, word = t.u32, t.u64, t.word
        block = room = u64[(t.offset + Cell.room) >> 3]
        if code < 200 or size > u32[word + _ROOM_SIZE]:
            block = self._store(data, tm.table.replies)
            if not block:
                log.err("cannot allocate shmem buffer")
                return -1
        place = (t.offset + Cell.reply) >> 3
        pending: list[int] = []
        t.lock.acquire()
        before = u32[word + _STATUS]
        if before >= 200:
            t.lock.release()
            if block != room:
                tm.arena.free(block)
            log.dbg(f"can't generate {code} reply when a final {before} was sent out")
            return -1
        old = u64[place]
        if block == room:
            tm.memory[room : room + size] = data
        u64[place] = block
        u32[word + _REPLY_SIZE] = size
        u32[word + _STATUS] = code
        u32[word + _RELAYED] = relayed
        if code >= 200:
            if relayed == LOCAL:
                u32[word + _FLAGS] |= Flag.ADMIN_REPLY
            if u32[word + _BRANCHES]:
                pending = tm.client.finish(t)
            if u32[word + _METHOD] == INVITE:
                self._repeat(t, code, relayed)
            self.put_on_wait(t)
        t.lock.release()
        points.point("tm.reply.published")
        if old:
            tm.arena.free(old)
        for listener in self._response_ready:
            listener(t, code, msg)
        target = t.target or t.upstream()
        if target is not None and self._reply_out and not self._may_go(t, msg, text, target):
            target = None
        i64, counters = self._i64, self._identity.counters
        if target is not None and self._core.sender(data, target):
            i64[counters + self.sent] += 1
        self.trace(_REPLIED, t.index, t.label, code)
        if code >= 200:
            i64[counters + self.completed[code // 100 - 2 if code < 700 else 4]] += 1
            for listener in self._completed:
                listener(t, code)
        for listener in self._response_out:
            listener(t, code, msg)
        if relayed == LOCAL and self._local_response is not None:
            self._run_local_response(text, target)
        if pending:
            tm.canceling.cancel_all(t, pending, code)
        return 1

    def replace(self, t: Transaction, code: int, text: str, relayed: int, target: Destination) -> None:
        """Store and send a 2xx of an INVITE in place of the final reply that went before it; timers stay as they are.

        What repeats the reply, a timer or the INVITE coming again, repeats the new one.
        """
        data = text.encode("latin-1")
        block = self._store(data, self.tm.table.replies)
        if not block:
            log.err("cannot allocate shmem buffer")
            return
        u32, word, place = t.u32, t.word, (t.offset + Cell.reply) >> 3
        t.lock.acquire()
        old = t.u64[place]
        t.u64[place] = block
        u32[word + _REPLY_SIZE] = len(data)
        u32[word + _STATUS] = code
        u32[word + _RELAYED] = relayed
        room = t.u64[(t.offset + Cell.room) >> 3]
        t.lock.release()
        if old and old != room:
            self.tm.arena.free(old)
        self.send_past(text, code, target)

    def send_past(self, text: str, code: int, target: Destination) -> None:
        """Send a 2xx of an INVITE that comes after the final reply."""
        if self._core.send(text, target):
            self._core.count(self.sent)
            self._core.count(self.completed[code // 100 - 2])

    def _may_go(self, t: Transaction, msg: Message | None, text: str, target: Destination) -> bool:
        """Ask those that look at every reply going out."""
        return all(allow(msg or t.request(), text, target) for allow in self._reply_out)

    def _run_local_response(self, text: str, target: Destination | None) -> None:
        """event_route[tm:local-response] on the reply that was sent."""
        core = self.tm.core
        core.snd = (text, target) if target is not None else None
        core.run(self._local_response, Context(core, Message(text)), RouteType.LOCAL)
        core.snd = None

    def _repeat(self, t: Transaction, code: int, relayed: int) -> None:
        """Repeat the final reply to an INVITE until the ACK comes; the lock is held."""
        if t.is_local or (code < 300 and relayed != LOCAL):
            return
        socket = t.socket()
        # a 2xx is repeated over any transport: the next hops may use UDP
        if code < 300 or socket is None or socket.proto == "udp":
            now = self._core.clock.ms()
            first = t.get(Cell.retr1)
            t.set(Cell.interval, first)
            t.set_word(Cell.repeat_until, now + t.get(Cell.fr))
            t.u32[t.word + _REFS] += 1
            self._wheel_add(t.offset + Cell.retr, now + first, self.tm.timers.reply_kind)

    def put_on_wait(self, t: Transaction) -> None:
        """Let the transaction live for wt_timer more, to absorb retransmissions. The lock is held."""
        u32, word = t.u32, t.word
        if u32[word + _FLAGS] & Flag.IN_AGONY:
            return
        tm = self.tm
        u32[word + _FLAGS] |= Flag.IN_AGONY
        u32[word + _REFS] += 1
        self._wheel_add(t.offset + _TIMER, self._core.clock.ms() + tm.wt_timer, tm.timers.wait_kind)
        self._i64[self._identity.counters + self.waiting] += 1

    # the end of a script

    def finish(self, ctx: Context) -> None:
        """After the request route: send the delayed error reply, complain of what was forgotten, let the cell go."""
        t = ctx.t
        if t is None:
            return
        ctx.t = None
        done = t.done
        if not done & RETRANSMISSION:
            if done == ERROR_DELAYED:
                if self.kill(t, ctx.msg, t.error) < 0:
                    log.warn("generation of a delayed stateful reply failed")
                    self.release_stored(t)
            elif not done or (ctx.msg.method == "ACK" and not done & RELEASED):
                log.warn("script writer didn't release transaction")
                self.release_stored(t)
            if ctx.avps or ctx.xavps or ctx.xavus or ctx.xavis or t.attributes:
                self.tm.state.save_attributes(ctx, t)
        self.tm.table.release(t)

    def kill(self, t: Transaction, msg: Message, error: int) -> int:
        """Answer with the reply that fits an error of ours."""
        code, reason = errors.reply_for(error)
        if log.enabled(Level.DBG):
            log.dbg(f"error reply {code} {reason}")
        return self.reply(t, msg, code, reason)

    def release_from_script(self, ctx: Context) -> int:
        """t_release(): 1, or -1 without a transaction."""
        t = ctx.t
        if t is None:
            return -1
        t.done |= RELEASED
        self.release_stored(t)
        self.finish(ctx)
        return 1

    def release_stored(self, t: Transaction) -> None:
        """Put a transaction that nothing is to answer any more on wait."""
        t.lock.acquire()
        self.tm.client.finish(t)
        self.put_on_wait(t)
        t.lock.release()
