"""The sl module: replies without a transaction, and the filter for their ACKs.

A reply's To-tag is computed from the request, so the ACK of a negative reply is known by computing it again. Shared
memory holds one word, until when such ACKs are looked for: two seconds after the last reply of any process. It is
written without a lock, the last writer wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import FIRST, INT, VALUE
from kamailio_py.config.host import RouteType
from kamailio_py.config.without_effect import KEMI
from kamailio_py.engine.forward import forward_reply
from kamailio_py.log import get_logger
from kamailio_py.module import Module, Param, Rank, function, pvar, rpc
from kamailio_py.script.context import Context
from kamailio_py.sip.endpoint import Destination
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message
from kamailio_py.sip.redirect import redirect_contacts
from kamailio_py.sip.reply import back_to, reply_destination
from kamailio_py.sip.totag import SL_SEPARATOR, SL_SIGNATURE, TM_SEPARATOR, TM_SIGNATURE, ToTag

if TYPE_CHECKING:
    from kamailio_py.rpc.call import Call
    from kamailio_py.script.pvars import Getter, Inner

log = get_logger("sl")

WAIT = 2000
"""Milliseconds an ACK is expected after a reply."""
OWN_COUNTER = (200, 202, 300, 301, 302, 400, 401, 403, 404, 407, 408, 483, 500)
STATISTICS = (
    "1xx_replies", "200_replies", "202_replies", "2xx_replies", "300_replies", "301_replies", "302_replies",
    "3xx_replies", "400_replies", "401_replies", "403_replies", "404_replies", "407_replies", "408_replies",
    "483_replies", "4xx_replies", "500_replies", "5xx_replies", "6xx_replies", "xxx_replies", "sent_replies",
    "sent_err_replies", "failures", "received_ACKs",
)  # fmt: skip

UNKNOWN_ERROR = "I'm terribly sorry, server error occurred (1/SL)"
NULL = "<null>"
"""What a pseudo-variable without value reads as in a text; as a code, where there is no text, it reads as 0."""
REPLYING = RouteType.REQUEST | RouteType.ONREPLY | RouteType.FAILURE
NO_CONNECT, CLOSE = 1, 4


class Sl(Module):
    """Stateless replies."""

    name = "sl"
    event_routes = ("sl:filtered-ack", "sl:local-response")
    statistics = STATISTICS

    default_code = Param(int, 500)
    default_reason = Param(str, "Internal Server Error")
    bind_tm = Param(int, 1)
    rich_redirect = Param(int, 0)
    event_callback_fl_ack = Param(str, unused=KEMI)
    event_callback_lres_sent = Param(str, unused=KEMI)

    def mod_init(self) -> None:
        core = self.core
        self._statistic = {name: core.statistic("sl", name) for name in STATISTICS}
        self._by_code: dict[int, int] = {}
        self._sent = self._statistic["sent_replies"]
        self._failures = self._statistic["failures"]
        self._clock = core.clock.ms
        self._build_reply = core.build_reply
        self._words = core.shm.u64
        self._counters = core.shm.i64
        self._identity = core.shm.identity
        self._until = core.shm.reserve("sl.wait", "word", 8) >> 3
        first = core.sockets[0] if core.sockets else None
        self._totag = ToTag(SL_SIGNATURE, SL_SEPARATOR, first)
        self._tm_totag = ToTag(TM_SIGNATURE, TM_SEPARATOR, first)
        self._filtered_ack = core.event_route("sl:filtered-ack")
        self._local_response = core.event_route("sl:local-response")
        core.pre_script.append(self.filter_ack)
        if self.bind_tm and core.module("tm") is None:
            log.info("could not bind tm module - only stateless mode available during modules initialization")

    def child_init(self, rank: int) -> None:
        if rank == Rank.INIT and self.bind_tm and self.core.module("tm") is None:
            log.info("could not bind tm module - only stateless mode available during runtime")

    # what other modules use

    def reply(self, ctx: Context, code: int, reason: str, tag: str = "") -> int:
        """Answer the request without state: 1 sent, -1 not, -2 the message is marked not to be answered."""
        msg = ctx.msg
        core = self.core
        if msg.method == "ACK":
            core.count(self._failures)
            return -1
        if msg.no_reply:
            log.info("message marked with no-reply flag")
            return -2
        if 300 <= code < 400:
            contact = redirect_contacts(msg, self.rich_redirect)
            if contact:
                msg.reply_headers.append(contact)
        try:
            if code < 180 or (msg.version != "SIP/2.0" and "to" not in msg.names) or msg.to.tag:
                tag = ""
            elif not tag:
                tag = self._totag.tag(msg)
            text = self._build_reply(msg, code, reason, to_tag=tag, server=core.server_header)
            host, port = reply_destination(msg, bool(core.cfg.reply_to_via))
        except BadMessage as error:
            log.err(f"response building failed: {error.reason}")
            core.count(self._failures)
            return -1
        self._words[self._until] = self._clock() + WAIT
        if msg.connection:
            destination = back_to(msg, host, port)
        else:
            destination = Destination(msg.proto, host, port, msg.socket)  # type: ignore[arg-type]  # received on one
        sent = core.send(text, destination)
        if self._local_response is not None:
            self._run_local_response(text, destination)
        if not sent:
            core.count(self._failures)
            return -1
        counters, own = self._counters, self._identity.counters
        counters[own + (self._by_code.get(code) or self._counter(code))] += 1
        counters[own + self._sent] += 1
        return 1

    def reply_either(self, ctx: Context, code: int, reason: str) -> int:
        """Answer through tm where the run has a transaction, without state otherwise."""
        if ctx.msg.no_reply:
            log.info("message marked with no-reply flag")
            return -2
        if ctx.t is not None and self.bind_tm:
            if self.core.module("tm").api.reply(ctx, code, reason) < 0:
                log.err("failed to reply stateful (tm)")
                return -1
            return 1
        if not ctx.msg.is_request:
            return -1
        return self.reply(ctx, code, reason)

    def totag(self, msg: Message) -> str:
        """The tag a stateless reply to this request has."""
        return self._totag.tag(msg)

    # ACKs

    def filter_ack(self, ctx: Context) -> bool:
        """Before the script: False for the ACK of a reply that was sent here."""
        msg = ctx.msg
        if msg.method != "ACK" or self._words[self._until] <= self._clock():
            return True
        try:
            if msg.to.tag != self._totag.tag(msg):
                return True
        except BadMessage:
            log.err("unable to parse To header")
            return False
        self.core.count(self._statistic["received_ACKs"])
        if self._filtered_ack is not None:
            self.core.run(self._filtered_ack, ctx, RouteType.REQUEST)
        return False

    # script functions

    @function("sl_send_reply", INT, FIRST, routes=RouteType.REQUEST)
    @function("sl_reply", INT, FIRST, routes=RouteType.REQUEST)
    def sl_send_reply(self, ctx: Context, code: int, reason: str) -> int:
        return self.reply(ctx, code or self.default_code, self.default_reason if reason == NULL else reason)

    @function("send_reply", INT, FIRST, routes=REPLYING)
    def send_reply(self, ctx: Context, code: int, reason: str) -> int:
        return self.reply_either(ctx, code or self.default_code, self.default_reason if reason == NULL else reason)

    @function("send_reply_mode", INT, FIRST, INT, routes=REPLYING)
    def send_reply_mode(self, ctx: Context, code: int, reason: str, mode: int) -> int:
        """send_reply() with 1: do not connect for it, 4 (2 in the documentation): close the connection after it."""
        msg = ctx.msg
        if mode & NO_CONNECT:
            msg.reply_no_connect = True
        if mode & CLOSE:
            msg.reply_close = True
        return self.send_reply(ctx, code, reason)

    @function("sl_reply_error", routes=RouteType.REQUEST)
    def sl_reply_error(self, ctx: Context) -> int:
        """Answer with the error of the function called just before, such as t_relay()."""
        if ctx.msg.no_reply:
            log.info("message marked with no-reply flag")
            return -2
        tm = self.core.module("tm")
        code, reason = 500, UNKNOWN_ERROR
        if tm is not None:
            error = tm.api.error_of(ctx)
            if error < -1:
                code, reason = tm.api.error_reply(error, "SL")
        self.reply(ctx, code, reason)
        log.err(f"stateless error reply used: {reason}")
        return 1

    @function("sl_forward_reply", routes=RouteType.ONREPLY)
    @function("sl_forward_reply", VALUE, routes=RouteType.ONREPLY)
    @function("sl_forward_reply", VALUE, VALUE, routes=RouteType.ONREPLY)
    def sl_forward_reply(self, ctx: Context, code: str = "", reason: str = "") -> int:
        """Send the reply on, with another code of the same class and another reason if they are given."""
        msg = ctx.msg
        if msg.is_request:
            log.err("invalid SIP message type")
            return -1
        if code:
            if len(code) != 3:
                log.err(f"invalid reply code value {code}")
                return -1
            if code[0] != str(msg.status)[0]:
                log.err("reply code class cannot be changed")
                return -1
            if not code[1:].isdecimal():
                log.err(f"invalid reply code value {code}!")
                return -1
        changed = msg
        if code or reason:
            changed = Message(_with_status(msg, code, reason), msg.src_ip, msg.src_port, msg.socket)
            shift = len(changed.text) - len(msg.text)
            if msg.has_lumps:
                for offset, length, piece in msg.lumps.edits:
                    changed.lumps.replace(offset + shift, offset + shift + length, piece)
            changed.force_socket = msg.force_socket
        return 1 if forward_reply(self.core, changed) >= 0 else -1

    # RPC

    @rpc("sl.stats", "", "How many replies of each status were sent.")
    def stats(self, call: Call) -> dict[str, int]:
        total = self.core.shm.counters.total
        return {
            name.removesuffix("_replies"): total(self._statistic[name])
            for name in STATISTICS
            if name.endswith("_replies") and name not in ("1xx_replies", "sent_replies", "sent_err_replies")
        }

    # pseudo-variables

    @pvar("ltt", type="str")
    def local_totag(self, inner: Inner) -> Getter:
        """$ltt(s): the tag of stateless replies, $ltt(t): of the transaction's, $ltt(x): of send_reply()'s."""
        key = inner.text
        if key == "s":
            return lambda ctx: self._totag.tag(ctx.msg)
        if key == "t":
            return self._transaction_totag
        if key == "x":
            return lambda ctx: self._transaction_totag(ctx) or self._totag.tag(ctx.msg)
        log.err(f"unknown PV ltt key: {key}")
        raise ValueError(f'pvar "ltt" has an invalid name param [{key}]')

    def _transaction_totag(self, ctx: Context) -> str | None:
        if ctx.t is None or not self.bind_tm:
            return None
        return self._tm_totag.tag(ctx.msg)

    # the rest

    def _run_local_response(self, text: str, destination: Destination) -> None:
        """event_route[sl:local-response] on the reply that was sent."""
        core = self.core
        core.snd = (text, destination)
        core.run(self._local_response, Context(core, Message(text)), RouteType.LOCAL)  # type: ignore[arg-type]
        core.snd = None

    def _counter(self, code: int) -> int:
        """Counter of the replies with this code; remembered."""
        if code in OWN_COUNTER:
            name = f"{code}_replies"
        else:
            name = f"{code // 100}xx_replies" if 100 <= code < 700 else "xxx_replies"
        return self._by_code.setdefault(code, self._statistic[name])


def _with_status(msg: Message, code: str, reason: str) -> str:
    """The reply's text with another code and reason in its first line."""
    line, end, rest = msg.text.partition("\n")
    version, _, _ = line.partition(" ")
    tail = "\r" if line.endswith("\r") else ""
    return f"{version} {code or msg.status} {reason or msg.reason}{tail}{end}{rest}"
