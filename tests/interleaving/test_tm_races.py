"""Races of a transaction: resume, CANCEL, timeout, replies and retransmissions in any order.

After each order: the request was answered finally by one reply and no other, every cell was freed without being
referenced any more, no lock is held, all memory was given back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.cells import CALLEE, House, answer, request

from kamailio_py.script.context import Context
from kamailio_py.sip.branch import Branch
from kamailio_py.sip.hash import branch_param, transaction_index
from kamailio_py.sip.message import Message

from .stage import Stage, every_order, orders

WALK = 60


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.close()


class Race:
    """One scenario: sets up a transaction, casts the actors, plays an order and looks at what came of it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.number = 0

    ident: tuple[int, int] = (0, 0)
    ahead = 40
    """By how many seconds the clock of an actor may have gone ahead."""

    def may(self, stage: Stage, alive: list[str]) -> list[str]:
        """Those of the actors whose turn it may be now."""
        return alive

    def name(self) -> str:
        return f"race{self.number}"

    def prepare(self) -> None:
        """Before forking: the request, up to where the race starts."""

    def cast(self, stage: Stage) -> None:
        raise NotImplementedError

    def answers(self, stage: Stage, finals: list[Message]) -> list[Message]:
        """The final replies of which there must be but one."""
        return finals

    def check(self, stage: Stage, finals: list[Message]) -> None:
        """What must hold besides the rest."""

    def play(self, choose: Callable[[list[str]], str] | None = None, order: list[str] | None = None) -> None:
        house = self.house
        self.number += 1
        house.sent.clear()
        self.prepare()
        before = [text for text, _ in house.sent]
        house.sent.clear()
        stage = Stage(house)
        self.cast(stage)
        try:
            stage.play(order, (lambda alive: choose(self.may(stage, alive))) if choose is not None else None)
            house.clock.advance(self.ahead)
            house.advance(60, step=0.5)
            sent = before + stage.sent + [text for text, _ in house.sent]
            finals = final_replies(sent, "CANCEL", other=True)
            finals = self.answers(stage, finals)
            assert len({m.text for m in finals}) <= 1, [m.text.split("\r\n")[0] for m in finals]
            assert finals, [t.split("\r\n")[0] for t in sent]
            house.sent.clear()
            assert house.balanced() == []
            self.check(stage, finals)
        except AssertionError as error:
            raise AssertionError(f"{error}\nin this order: {stage.order}") from None

    def walk(self, seed: int, limit: int = WALK) -> None:
        for choose in orders(limit, seed):
            self.play(choose)


def final_replies(sent: list[str], method: str, *, other: bool = False) -> list[Message]:
    """Final replies for requests of `method`, or of all others."""
    found = []
    for text in sent:
        if text.startswith("SIP/2.0"):
            msg = Message(text)
            if msg.status >= 200 and (msg.cseq_method == method) != other:
                found.append(msg)
    return found


def timeout(house: House, seconds: float = 31) -> None:
    house.clock.advance(seconds)
    house.shm.wheel.run(house.clock.ms())


class SuspendedInvite(Race):
    """An INVITE is suspended; it is resumed, cancelled and timed out at once, and somebody resumes it twice."""

    actors = ("resume", "cancel", "timeout")

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.runs = 0

        def main(ctx: Context) -> int:
            tm = house.tm
            if ctx.msg.method == "CANCEL":
                return tm.t_relay(ctx)
            if ctx.msg.method == "ACK":
                return tm.t_relay(ctx)
            if tm.t_newtran(ctx) > 0:
                ident = tm.api.suspend(ctx)
                if isinstance(ident, tuple):
                    self.ident = ident
            return 0

        house.main(main)
        self.entry = house.route("request", "RESUMED", self.resumed)

    def resumed(self, ctx: Context) -> int:
        return self.house.tm.t_reply(ctx, 200, "Resumed")

    def prepare(self) -> None:
        self.text = self.house.request("INVITE", self.name())

    def cast(self, stage: Stage) -> None:
        house = self.house
        acts: dict[str, Callable[[], Any]] = {
            "resume": lambda: house.tm.api.resume(*self.ident, self.entry),
            "again": lambda: house.tm.api.resume(*self.ident, self.entry),
            "cancel": lambda: house.receive(request("CANCEL", self.name())),
            "timeout": lambda: timeout(house),
            "repeat": lambda: house.receive(self.text),
        }
        for name in self.actors:
            stage.actor(name, acts[name])

    def check(self, stage: Stage, finals: list[Message]) -> None:
        results = [stage.results[name] for name in ("resume", "again") if name in stage.results]
        assert all(result in (1, -1, -2) for result in results)
        if len(results) == 2:
            assert results.count(1) <= 2
        if not any(text.startswith("CANCEL") for text in stage.sent):
            # otherwise it came after everything was over, and went on as any request
            cancels = final_replies(stage.sent, "CANCEL")
            assert len({m.text for m in cancels}) == ("cancel" in self.actors)
            assert all(m.status == 200 for m in cancels)
        assert finals[0].status in (200, 487, 408)


def test_resume_cancel_timeout(house: House) -> None:
    SuspendedInvite(house).walk(seed=1, limit=120)


def test_resume_and_cancel_in_every_order(house: House) -> None:
    race = SuspendedInvite(house)
    race.actors = ("resume", "cancel")
    assert every_order(race.play, limit=150) > 20


def test_resume_and_timeout_in_every_order(house: House) -> None:
    race = SuspendedInvite(house)
    race.actors = ("resume", "timeout")
    assert every_order(race.play, limit=150) > 20


def test_two_resumes(house: House) -> None:
    race = SuspendedInvite(house)
    race.actors = ("resume", "again")
    every_order(race.play, limit=120)


def test_two_resumes_a_cancel_and_a_retransmission(house: House) -> None:
    race = SuspendedInvite(house)
    race.actors = ("resume", "again", "cancel", "repeat")
    race.walk(seed=2)


class ResumedAgain(SuspendedInvite):
    """The resumed route suspends once more and somebody else resumes that."""

    def resumed(self, ctx: Context) -> int:
        if "round" not in ctx.avps:
            ctx.avps["round"] = [1]
            result = self.house.tm.api.suspend(ctx)
            assert result in (self.ident, 1, -3)
            return 0
        assert ctx.avps["round"] == [1]
        return self.house.tm.t_reply(ctx, 200, "Second")

    def prepare(self) -> None:
        super().prepare()

    def cast(self, stage: Stage) -> None:
        super().cast(stage)

    def check(self, stage: Stage, finals: list[Message]) -> None:
        assert finals[0].status in (200, 408, 487)


def test_suspended_again_with_two_resumers(house: House) -> None:
    race = ResumedAgain(house)
    race.actors = ("resume", "again", "cancel", "timeout")
    race.walk(seed=3, limit=100)


class SuspendingNow(SuspendedInvite):
    """The script has only just suspended, and has not ended, when it is resumed and cancelled elsewhere."""

    def prepare(self) -> None:
        house = self.house
        index = transaction_index(f"call-{self.name()}", "1")
        self.ident = (index, house.tm.u32[house.tm.table._labels + index])

    def cast(self, stage: Stage) -> None:
        house = self.house
        stage.actor("suspend", lambda: house.receive(request("INVITE", self.name())))
        stage.actor("resume", lambda: house.tm.api.resume(*self.ident, self.entry))
        stage.actor("cancel", lambda: house.receive(request("CANCEL", self.name())))

    def check(self, stage: Stage, finals: list[Message]) -> None:
        assert finals[0].status in (200, 408, 487, 500)


def test_resumed_while_it_is_being_suspended(house: House) -> None:
    SuspendingNow(house).walk(seed=4, limit=100)


class Relayed(Race):
    """An INVITE was relayed and rings: its final reply, a CANCEL and the timer come together."""

    status = 200
    ahead = 130

    def __init__(self, house: House) -> None:
        super().__init__(house)
        house.main(lambda ctx: house.tm.t_relay(ctx))

    def answers(self, stage: Stage, finals: list[Message]) -> list[Message]:
        """A success passes also after another final reply."""
        others = [m for m in finals if m.status != 200]
        return others or finals

    def prepare(self) -> None:
        self.house.request("INVITE", self.name())
        self.invite = self.house.sent[-1][0]
        self.house.receive(answer(self.invite, 180), CALLEE)

    def cast(self, stage: Stage) -> None:
        house = self.house
        reply = answer(self.invite, self.status)
        stage.actor("reply", lambda: house.receive(reply, CALLEE))
        stage.actor("repeated", lambda: house.receive(reply, CALLEE))
        stage.actor("cancel", lambda: house.receive(request("CANCEL", self.name())))
        stage.actor("timeout", lambda: timeout(house, 121))


def test_success_cancel_timeout(house: House) -> None:
    Relayed(house).walk(seed=5)


def test_busy_cancel_timeout(house: House) -> None:
    race = Relayed(house)
    race.status = 486
    race.walk(seed=6)


class Forked(Race):
    """Two branches fail at the same time; failure_route tries a third; a CANCEL comes in between."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.with_cancel = False

        def failure(ctx: Context) -> int:
            ctx.avps["failures"] = [ctx.avps.get("failures", [0])[0] + 1]
            assert ctx.avps["failures"] == [1]
            ctx.msg.new_uri = "sip:third@127.0.0.1:7003"
            return house.tm.t_relay(ctx)

        house.route("failure", "F", failure)
        house.route("reply", "R", lambda ctx: ctx.avps.__setitem__("n", [ctx.avps.get("n", [0])[0] + 1]) or 1)

        def main(ctx: Context) -> int:
            if ctx.msg.method == "INVITE":
                house.tm.t_on_failure(ctx, "F")
                house.tm.t_on_reply(ctx, "R")
                ctx.msg.branches.append(Branch("sip:second@127.0.0.1:7002"))
            return house.tm.t_relay(ctx)

        house.main(main)

    def prepare(self) -> None:
        self.house.request("INVITE", self.name())
        self.invites = [text for text, _ in self.house.sent if text.startswith("INVITE")]
        assert len(self.invites) == 2

    def cast(self, stage: Stage) -> None:
        house = self.house
        for number, status in enumerate((486, 404)):
            reply = answer(self.invites[number], status)
            stage.actor(f"reply{number}", lambda reply=reply: house.receive(reply, CALLEE))
        if self.with_cancel:
            stage.actor("cancel", lambda: house.receive(request("CANCEL", self.name())))

    def check(self, stage: Stage, finals: list[Message]) -> None:
        third = [text for text in stage.sent if text.startswith("INVITE sip:third")]
        if not self.with_cancel:
            assert len(third) == 1
            assert finals[0].status == 408


def test_two_branches_fail_at_once(house: House) -> None:
    assert every_order(Forked(house).play, limit=150) > 10


def test_two_branches_fail_and_a_cancel(house: House) -> None:
    race = Forked(house)
    race.with_cancel = True
    race.walk(seed=7)


class SuspendedReply(Race):
    """The reply of a branch is suspended; it is resumed, comes again, and the timer fires."""

    def __init__(self, house: House) -> None:
        super().__init__(house)

        def reply(ctx: Context) -> int:
            result = house.tm.api.suspend(ctx)
            if isinstance(result, tuple):
                self.ident = result
            return 1

        house.route("reply", "R", reply)

        def main(ctx: Context) -> int:
            house.tm.t_on_reply(ctx, "R")
            return house.tm.t_relay(ctx)

        house.main(main)
        self.entry = house.route("request", "LATER", lambda ctx: 1)

    def prepare(self) -> None:
        self.house.request("MESSAGE", self.name())
        self.reply = answer(self.house.sent[-1][0], 200)
        self.house.receive(self.reply, CALLEE)

    def cast(self, stage: Stage) -> None:
        house = self.house
        stage.actor("resume", lambda: house.tm.api.resume(*self.ident, self.entry))
        stage.actor("again", lambda: house.tm.api.resume(*self.ident, self.entry))
        stage.actor("repeated", lambda: house.receive(self.reply, CALLEE))
        stage.actor("timeout", lambda: timeout(house))

    def check(self, stage: Stage, finals: list[Message]) -> None:
        assert finals[0].status in (200, 408)


def test_suspended_reply(house: House) -> None:
    SuspendedReply(house).walk(seed=8, limit=100)


class ResumedRelay(SuspendedInvite):
    """The resumed route relays; the reply is there before the route has ended, or the CANCEL is."""

    def resumed(self, ctx: Context) -> int:
        return self.house.tm.t_relay(ctx)

    def may(self, stage: Stage, alive: list[str]) -> list[str]:
        """There is no reply before the INVITE went out."""
        sent = any(text.startswith("INVITE") for text in stage.sent)
        return alive if sent or alive == ["reply"] else [name for name in alive if name != "reply"]

    def answers(self, stage: Stage, finals: list[Message]) -> list[Message]:
        """A reply to an INVITE that was never sent passes without state: there was none."""
        sent = any(text.startswith("INVITE") for text in stage.sent)
        return finals if sent else [m for m in finals if m.status != 486]

    def cast(self, stage: Stage) -> None:
        house = self.house
        # what the branch will look like is known: the reply needs only its Via
        t = _handle(house, self.ident)
        value = house.tm.client.value(t, Message(self.text, "127.0.0.1", 5555, house.socket))
        via = f"Via: SIP/2.0/UDP 127.0.0.1;branch={branch_param(self.ident[0], value, 1)}\r\n"
        invite = self.text.replace("Via:", f"{via}Via:", 1)
        reply = answer(invite, 486)
        stage.actor("resume", lambda: house.tm.api.resume(*self.ident, self.entry))
        stage.actor("reply", lambda: self.house.receive(reply, CALLEE))
        stage.actor("cancel", lambda: house.receive(request("CANCEL", self.name())))

    def check(self, stage: Stage, finals: list[Message]) -> None:
        assert finals[0].status in (408, 486, 487)


def _handle(house: House, ident: tuple[int, int]) -> Any:
    t = house.tm.api.lookup(*ident)
    assert t is not None
    house.tm.api.release(t)
    return t


def test_reply_while_the_resumed_route_still_runs(house: House) -> None:
    ResumedRelay(house).walk(seed=9, limit=80)


class SuspendedFailure(Race):
    """failure_route suspends and is resumed elsewhere before the process that runs it has come to its end."""

    def __init__(self, house: House) -> None:
        super().__init__(house)

        def failure(ctx: Context) -> int:
            assert isinstance(house.tm.api.suspend(ctx), tuple)
            return 0

        def resumed(ctx: Context) -> int:
            ctx.msg.new_uri = "sip:third@127.0.0.1:7003"
            return house.tm.t_relay(ctx)

        house.route("failure", "F", failure)
        self.entry = house.route("request", "RESUMED", resumed)

        def main(ctx: Context) -> int:
            if ctx.msg.method == "INVITE":
                house.tm.t_on_failure(ctx, "F")
            return house.tm.t_relay(ctx)

        house.main(main)

    def prepare(self) -> None:
        house = self.house
        house.request("INVITE", self.name())
        [self.invite] = [text for text, _ in house.sent if text.startswith("INVITE")]
        index = transaction_index(f"call-{self.name()}", "1")
        self.ident = (index, house.tm.u32[house.tm.table._labels + index] - 1)

    def cast(self, stage: Stage) -> None:
        house = self.house
        stage.actor("reply", lambda: house.receive(answer(self.invite, 486), CALLEE))
        stage.actor("resume", lambda: house.tm.api.resume(*self.ident, self.entry))

    def check(self, stage: Stage, finals: list[Message]) -> None:
        third = [text for text in stage.sent if text.startswith("INVITE sip:third")]
        assert len(third) == (stage.results["resume"] == 1)
        # the third never answers, nor does anybody resume what was resumed too early
        assert finals[0].status == 408


def test_resumed_while_the_failure_route_still_runs(house: House) -> None:
    assert every_order(SuspendedFailure(house).play, limit=200) > 10
