"""Transactions through any sequence of requests, replies, CANCELs, ACKs, suspensions and time.

Whatever comes in whatever order: no request is finally answered in two ways (a 2xx of an INVITE excepted, which passes
whenever it comes), everything is answered or timed out in the end, and nothing is left behind.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from kit.cells import CALLEE, House, answer

from kamailio_py.modules.tm.cell import METHODS as METHOD_BITS
from kamailio_py.modules.tm.cell import Cell
from kamailio_py.script.context import Context
from kamailio_py.sip.branch import Branch
from kamailio_py.sip.hash import transaction_index
from kamailio_py.sip.message import Message

METHODS = st.sampled_from(["INVITE", "MESSAGE"])
FINALS = st.sampled_from([200, 302, 401, 404, 486, 503, 603])
MODES = ("reply", "relay", "fork", "suspend", "serial", "held")


class Lifecycle(RuleBasedStateMachine):
    """One server; requests are treated as the part of their Call-ID says."""

    def __init__(self) -> None:
        super().__init__()
        self.house = house = House(size=8 << 20)
        self.requests: list[str] = []
        self.suspended: list[tuple[int, int]] = []
        self.finals: dict[str, set[str]] = {}
        self.seen = 0
        house.main(self.main)
        self.later = house.route("request", "LATER", self.resumed)
        house.route("failure", "SERIAL", self.failed)
        house.route("reply", "HELD", self.held)

    def main(self, ctx: Context) -> int:
        tm, msg = self.house.tm, ctx.msg
        if msg.method in ("CANCEL", "ACK"):
            return tm.t_relay(ctx)
        mode = msg.call_id.split("-")[1]
        if mode == "serial":
            tm.t_on_failure(ctx, "SERIAL")
        if mode == "held":
            tm.t_on_reply(ctx, "HELD")
        if tm.t_newtran(ctx) <= 0:
            return 0
        if mode == "reply":
            return tm.t_reply(ctx, 404, "No")
        if mode == "suspend":
            self.note(tm.api.suspend(ctx))
            return 0
        if mode == "fork":
            msg.branches.append(Branch("sip:two@127.0.0.1:7002"))
        return tm.t_relay(ctx)

    def note(self, ident: Any) -> None:
        if isinstance(ident, tuple):
            self.suspended.append(ident)

    def resumed(self, ctx: Context) -> int:
        tm = self.house.tm
        if not ctx.msg.is_request:
            return 1
        ctx.avps["round"] = [ctx.avps.get("round", [0])[0] + 1]
        if ctx.avps["round"] == [1]:
            self.note(tm.api.suspend(ctx))
            return 0
        return tm.t_relay(ctx)

    def failed(self, ctx: Context) -> int:
        ctx.msg.new_uri = "sip:serial@127.0.0.1:7003"
        return self.house.tm.t_relay(ctx)

    def held(self, ctx: Context) -> int:
        self.note(self.house.tm.api.suspend(ctx))
        return 1

    def alive(self, text: str) -> bool:
        """Is there a transaction of this request? What comes when it is over is a new one, or passes without state."""
        msg = Message(text)
        index = transaction_index(msg.call_id, msg.cseq[0])
        method = METHOD_BITS[msg.method]
        return any(
            self.house.tm.u32[(offset + Cell.method) >> 2] == method for offset in self.house.tm.table.table.walk(index)
        )

    def awaited(self, text: str) -> bool:
        """Is there the branch that sent this? A reply for one of a transaction before it passes without state."""
        found = self.house.tm.matching.reply(Message(answer(text, 100)))
        if found is None:
            return False
        self.house.tm.table.release(found[0])
        return True

    def anew(self, text: str) -> None:
        """If the request comes after its transaction is over, its answers are counted from the start."""
        if not self.alive(text):
            msg = Message(text)
            self.finals.pop(f"{msg.call_id} {msg.method}", None)

    # what happens

    @rule(method=METHODS, mode=st.sampled_from(MODES))
    def new(self, method: str, mode: str) -> None:
        self.requests.append(self.house.request(method, f"{mode}-{len(self.requests)}"))

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def repeat(self, data: Any) -> None:
        text = data.draw(st.sampled_from(self.requests))
        self.anew(text)
        self.house.receive(text)

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        text = data.draw(st.sampled_from(self.requests))
        if text.startswith("INVITE"):
            text = text.replace("INVITE ", "CANCEL ", 1).replace("1 INVITE", "1 CANCEL")
            self.anew(text)
            self.house.receive(text)

    @precondition(lambda self: any(not text.startswith("SIP/2.0") for text, _ in self.house.sent))
    @rule(data=st.data(), status=st.one_of(st.sampled_from([100, 180, 183]), FINALS))
    def reply(self, data: Any, status: int) -> None:
        sent = [text for text, _ in self.house.sent if not text.startswith(("SIP/2.0", "ACK")) and self.awaited(text)]
        if sent:
            self.house.receive(answer(data.draw(st.sampled_from(sent)), status), CALLEE)

    @precondition(lambda self: self.suspended)
    @rule(data=st.data())
    def resume(self, data: Any) -> None:
        self.house.tm.api.resume(*data.draw(st.sampled_from(self.suspended)), self.later)

    @precondition(lambda self: any(text.startswith("SIP/2.0 4") for text, _ in self.house.sent))
    @rule(data=st.data())
    def acknowledge(self, data: Any) -> None:
        finals = [text for text, _ in self.house.sent if text.startswith("SIP/2.0 4") and " INVITE\r\n" in text]
        if finals:
            msg = Message(data.draw(st.sampled_from(finals)))
            self.house.request("ACK", msg.call_id.removeprefix("call-"), to_tag=msg.to.tag)

    @rule(seconds=st.sampled_from([0.3, 2.0, 6.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.house.advance(seconds, step=0.3)

    # what must hold

    @invariant()
    def one_answer(self) -> None:
        sent = self.house.sent
        for text, _ in sent[self.seen :]:
            if text.startswith("SIP/2.0"):
                msg = Message(text)
                if msg.status >= 300:
                    self.finals.setdefault(f"{msg.call_id} {msg.cseq_method}", set()).add(text)
        self.seen = len(sent)
        for name, texts in self.finals.items():
            assert len(texts) == 1, (name, [text.split("\r\n")[0] for text in texts])

    def teardown(self) -> None:
        self.house.advance(250, step=1)
        assert self.house.balanced() == []
        self.house.close()


Lifecycle.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLifecycle = Lifecycle.TestCase
