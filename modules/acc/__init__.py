"""The acc module: what became of requests, written to the log and into a database.

A transaction is followed from the moment it is made if one of the flags is set by then; tm's events say how it ends.
What is written where is in records.py, extra attributes in extra.py, records of whole calls in cdr.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import STR, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.config.without_effect import MEMORY
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, function
from kamailio_py.modules.acc.cdr import CallRecords
from kamailio_py.modules.acc.records import ACKED, ANSWERED, MISSED, REQUEST, Event, Records
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message
from kamailio_py.sip.reasons import reason_text

if TYPE_CHECKING:
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.script.context import Context

log = get_logger("acc")


def table_of(text: str) -> str:
    """The table of acc_db_request()."""
    if not text:
        raise ValueError("empty table name")
    return text


TABLE = Fixup("table", prepare=table_of)


def comment_of(text: str) -> tuple[int, str]:
    """Code and reason of a comment such as "404 Not found"; the code is 0 where it begins with none."""
    if text[:3].isdigit() and len(text) >= 3:
        return int(text[:3]), text[3:].lstrip()
    return 0, text


class Acc(Module):
    """Accounting."""

    name = "acc"
    requires = ("tm",)

    early_media = Param(int, 0)
    failed_transaction_flag = Param(int, -1)
    failed_filter = Param(str)
    report_ack = Param(int, 0)
    report_cancels = Param(int, 0)
    multi_leg_info = Param(str)
    detect_direction = Param(int, 0)
    acc_prepare_flag = Param(int, -1)
    acc_prepare_always = Param(int, 0)
    reason_from_hf = Param(int, 0)
    acc_extra_nullable = Param(int, 0)
    acc_extra_size = Param(int, 64, unused=MEMORY)
    log_flag = Param(int, -1)
    log_missed_flag = Param(int, -1)
    log_level = Param(int, 1)
    log_facility = Param(str)
    log_extra = Param(str)
    db_flag = Param(int, -1)
    db_missed_flag = Param(int, -1)
    db_extra = Param(str)
    db_url = Param(str)
    db_table_acc = Param(str, "acc")
    db_table_missed_calls = Param(str, "missed_calls")
    acc_method_column = Param(str, "method")
    acc_from_tag_column = Param(str, "from_tag")
    acc_to_tag_column = Param(str, "to_tag")
    acc_callid_column = Param(str, "callid")
    acc_sip_code_column = Param(str, "sip_code")
    acc_sip_reason_column = Param(str, "sip_reason")
    acc_time_column = Param(str, "time")
    db_insert_mode = Param(int, 0)
    time_mode = Param(int, 0)
    time_attr = Param(str, "time_attr")
    time_exten = Param(str, "time_exten")
    time_format = Param(str, "%Y-%m-%d %H:%M:%S")
    clone_msg = Param(int, 1, unused="no two processes ever write the same message, so nothing has to be copied first")
    cdr_enable = Param(int, 0)
    cdr_skip = Param(str)
    cdr_log_enable = Param(int, 1)
    cdr_start_on_confirmed = Param(int, 0)
    cdr_facility = Param(str)
    cdr_extra = Param(str)
    cdr_extra_nullable = Param(int, 0)
    cdr_extra_size = Param(int, 64, unused=MEMORY)
    cdr_start_id = Param(str, "start_time")
    cdr_end_id = Param(str, "end_time")
    cdr_duration_id = Param(str, "duration")
    cdr_expired_dlg_enable = Param(int, 0)
    cdr_on_failed = Param(int, 1)
    cdrs_table = Param(str, "")

    def mod_init(self) -> None:
        core = self.core
        tm = core.module("tm")
        if tm is None:
            raise ModuleError("can't load TM API")
        self.tm = tm.api
        self.rr = None
        if self.detect_direction:
            self.rr = core.module("rr")
            if self.rr is None:
                raise ModuleError("can't load RR API")
            if not self.rr.append_fromtag:
                raise ModuleError("'append_fromtag' RR param is not enabled - required by 'detect_direction'")
        self.records = Records(self)
        if self.cdr_enable:
            CallRecords(self)
        self._log_acc, self._log_missed = _mask(self.log_flag), _mask(self.log_missed_flag)
        self._db_acc = _mask(self.db_flag) if self.db_url else 0
        self._db_missed = _mask(self.db_missed_flag) if self.db_url else 0
        self._failed = _mask(self.failed_transaction_flag)
        self._acc = self._log_acc | self._db_acc
        self._missed = self._log_missed | self._db_missed
        self._wanted = self._acc | self._missed | _mask(self.acc_prepare_flag)
        self._filtered = self._filter()
        self.tm.on("request-in", self._request)
        self.tm.on("response-out", self._replied)
        self.tm.on("failure", self._failure)
        if self.report_ack:
            self.tm.on("e2e-ack", self._acknowledged)

    def _filter(self) -> frozenset[int]:
        codes = (self.failed_filter or "").split(",")
        if codes == [""]:
            return frozenset()
        if any(len(code.strip()) != 3 or not code.strip().isdigit() for code in codes):
            log.err("response code in failed_filter must have 3 digits")
            raise ModuleError("failed to parse failed_filter param")
        return frozenset(int(code) for code in codes)

    # functions

    @function("acc_log_request", STR)
    def acc_log_request(self, ctx: Context, comment: str) -> int:
        """Account the request in the log."""
        event = self._event(ctx, comment)
        return self.records.log(event, REQUEST) if event is not None else -1

    @function("acc_db_request", STR, TABLE)
    def acc_db_request(self, ctx: Context, comment: str, table: str) -> int:
        """Account the request in a table."""
        if not self.db_url:
            log.err("accounting to database is not set up: there is no db_url")
            return -1
        event = self._event(ctx, comment)
        return self.records.insert(event, self.core.registry.format(table).evaluate(ctx)) if event is not None else -1

    @function("acc_request", STR, STR)
    def acc_request(self, ctx: Context, comment: str, table: str) -> int:
        """Account the request in the log, and in a table if there is a database."""
        event = self._event(ctx, comment)
        if event is None or self.records.log(event, REQUEST) < 0:
            return -1
        return self.records.insert(event, table) if self.db_url else 1

    def _event(self, ctx: Context, comment: str) -> Event | None:
        if not ctx.msg.is_request:
            return None
        code, reason = comment_of(comment)
        try:
            return Event(ctx, f"{code:03d}" if code else "", reason, ctx.msg.to.tag, self._upstream(ctx.msg))
        except BadMessage as error:
            log.err(f"required headers are missing: {error.reason}")
            return None

    # what tm says

    def _request(self, ctx: Context, t: Transaction) -> None:
        """A transaction was made: follow it?"""
        msg = ctx.msg
        if not (msg.flags & self._wanted or self.acc_prepare_always):
            return
        if msg.method == "CANCEL" and not self.report_cancels:
            return
        self.tm.note(t, "acc", self._upstream(msg))

    def _upstream(self, msg: Message) -> bool:
        """Is From the one who was called? For the rest of the request's life."""
        return self.rr is not None and self.rr.direction(msg) == 2

    def _replied(self, t: Transaction, code: int, reply: Message | None) -> None:
        """A reply was sent upstream."""
        upstream = self.tm.notes(t).get("acc")
        if upstream is None:
            return
        request = t.request()
        missed = code >= 300 and t.is_invite and request.flags & self._missed
        answered = self._is_accounted(request.flags, code, reply)
        if not missed and not answered:
            return
        branch = t.relayed
        if branch < 0 and code >= 300:
            branch = self.tm.picked(t)
        ctx = self.tm.context(t, request)
        ctx.branch = branch
        if t.reply_code:
            ctx.route_type = RouteType.FAILURE
        event = self._outcome(ctx, t, code, reply, upstream)
        if missed:
            self._write_missed(event)
        if answered:
            if request.flags & self._log_acc:
                self.records.log(event, ANSWERED)
            if request.flags & self._db_acc:
                self.records.insert(event, self.records.table(event))

    def _is_accounted(self, flags: int, code: int, reply: Message | None) -> bool:
        if code >= 300:
            return bool(flags & self._failed) and code not in self._filtered and bool(flags & self._acc)
        if not flags & self._acc:
            return False
        return code >= 200 or bool(self.early_media and reply is not None and reply.content_length)

    def _failure(self, ctx: Context, t: Transaction, code: int, reply: Message | None) -> None:
        """The best reply is a failure, and nothing was sent upstream yet: the call was missed, whatever comes.

        The flags that say so are taken away from failure_route, and with its end from the transaction.
        """
        upstream = self.tm.notes(t).get("acc")
        if upstream is not None and t.is_invite and ctx.msg.flags & self._missed:
            uri = ctx.msg.new_uri
            self._write_missed(self._outcome(ctx, t, code, reply, upstream))
            ctx.msg.flags &= ~self._missed
            ctx.msg.new_uri = uri

    def _write_missed(self, event: Event) -> None:
        """Account a missed call."""
        flags = event.ctx.msg.flags
        if flags & self._log_missed:
            self.records.log(event, MISSED)
        if flags & self._db_missed:
            self.records.insert(event, self.records.missed_table(event))

    def _outcome(self, ctx: Context, t: Transaction, code: int, reply: Message | None, upstream: bool) -> Event:
        """What a reply means for the request; its URI is made that of the branch whose reply went upstream last, be it
        a provisional one, and before there is any that of the branch that was decided on. So it is in Kamailio."""
        request = ctx.msg
        branch = t.relayed if t.relayed >= 0 else ctx.branch
        if branch >= 0:
            request.new_uri = t.branch_notes(branch).get("uri") or request.new_uri
        tag, reason = request.to.tag, reason_text(code)
        if reply is not None:
            tag, reason = reply.to.tag, reply.reason
            if self.reason_from_hf:
                reason = reply.header("reason") or reason
        elif ctx.branch >= 0:
            tag = self.tm.to_tag(request)
        return Event(ctx, str(code), reason, tag, upstream)

    def _acknowledged(self, ctx: Context, t: Transaction) -> None:
        """The ACK of a call that is accounted."""
        upstream = self.tm.notes(t).get("acc")
        if upstream is None:
            return
        flags = t.request().flags
        if not flags & self._acc:
            return
        whole = self.tm.context(t, ctx.msg)
        whole.t = None
        event = Event(whole, str(t.status), reason_text(t.status), ctx.msg.to.tag, upstream)
        if flags & self._log_acc:
            self.records.log(event, ACKED)
        if flags & self._db_acc:
            self.records.insert(event, self.records.table(event))


def _mask(flag: int) -> int:
    """The bit of a flag; 0 for one that is not set."""
    return 1 << flag if flag >= 0 else 0
