"""Suspending and resuming, in one process: what is saved, what is returned, what answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kit.cells import House, answer, balanced

from kamailio_py.config.host import RouteType
from kamailio_py.modules.tm.cell import Cell, State
from kamailio_py.script.context import Context
from kamailio_py.sip.message import Message


@pytest.fixture
def house() -> Iterator[House]:
    with balanced() as made:
        yield made


def suspending(house: House, before: Any = None) -> list[Any]:
    """A route that suspends every request but CANCEL and ACK; the list gets what suspend() returned."""
    idents: list[Any] = []

    def main(ctx: Context) -> int:
        if ctx.msg.method in ("CANCEL", "ACK"):
            return house.tm.t_relay(ctx)
        if house.tm.t_newtran(ctx) <= 0:
            return 0
        if before is not None:
            before(ctx)
        idents.append(house.tm.api.suspend(ctx))
        return 0

    house.main(main)
    return idents


def answer_route(house: House, code: int = 200) -> Any:
    return house.route("request", f"R{code}", lambda ctx: house.tm.t_reply(ctx, code, "Later"))


def test_resumed_route_answers(house: House) -> None:
    idents = suspending(house)
    route = answer_route(house)
    house.request("MESSAGE")
    assert house.take() == []
    assert house.tm.api.resume(*idents[0], route) == 1
    assert house.take() == ["SIP/2.0 200 Later"]


def test_script_state_survives(house: House) -> None:
    def before(ctx: Context) -> None:
        msg = ctx.msg
        msg.new_uri, msg.dst_uri, msg.flags = "sip:new@127.0.0.1:7001", "sip:127.0.0.1:7002", 5
        msg.lumps.insert(msg.headers_end, "X-Added: 1\r\n")
        ctx.avps["a"] = ["text", 7]
        ctx.xavps["x"] = [{"inner": [1]}]
        house.tm.t_on_failure(ctx, "F")

    seen = []

    def resumed(ctx: Context) -> int:
        msg = ctx.msg
        seen.append((msg.new_uri, msg.dst_uri, msg.flags, ctx.avps, ctx.xavps, house.tm.t_is_set(ctx, "failure_route")))
        assert ctx.route_type == RouteType.FAILURE
        return house.tm.t_relay(ctx)

    house.route("failure", "F", lambda ctx: 1)
    route = house.route("request", "R", resumed)
    idents = suspending(house, before)
    house.request("MESSAGE")
    house.tm.api.resume(*idents[0], route)
    expected = ("sip:new@127.0.0.1:7001", "sip:127.0.0.1:7002", 5, {"a": ["text", 7]}, {"x": [{"inner": [1]}]}, 1)
    assert seen == [expected]
    sent = Message(house.sent[0][0])
    assert (sent.ruri, sent.header("x-added")) == ("sip:new@127.0.0.1:7001", "1")
    assert house.sent[0][1].port == 7002
    # the blind branch has number 0
    assert (sent.via.branch or "").endswith(".1")
    house.reply(0, 200)
    assert house.statuses() == [200]


def test_resume_of_what_is_not_there(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    assert house.tm.api.resume(0, 0, None) == -1
    assert house.tm.api.resume(17, 4711, None) == -1
    assert capfd.readouterr().err.count("active transaction not found") == 2


def test_second_resume_is_refused(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    idents = suspending(house)
    results = []
    nothing = house.route("request", "NOTHING", lambda ctx: 1)

    def resumed(ctx: Context) -> int:
        results.append(house.tm.api.resume(*idents[0], nothing))
        return house.tm.t_reply(ctx, 200, "OK")

    route = house.route("request", "R", resumed)
    house.request("INVITE")
    assert house.tm.api.resume(*idents[0], route) == 1
    assert results == [-2]
    assert f"transaction is not suspended [{idents[0][0]}:{idents[0][1]}]" in capfd.readouterr().err
    assert house.tm.api.resume(*idents[0], route) == -1
    assert house.statuses() == [100, 200]


def test_route_that_does_nothing_is_answered_with_an_error(house: House) -> None:
    idents = suspending(house)
    nothing = house.route("request", "NOTHING", lambda ctx: 1)
    house.request("MESSAGE")
    house.tm.api.resume(*idents[0], nothing)
    assert house.take() == ["SIP/2.0 500 I'm terribly sorry, server error occurred (1/TM)"]


def test_suspended_again_in_the_resumed_route(house: House) -> None:
    idents = suspending(house)
    rounds = []

    def resumed(ctx: Context) -> int:
        rounds.append(ctx.avps.get("n"))
        ctx.avps["n"] = [len(rounds)]
        if len(rounds) == 3:
            return house.tm.t_reply(ctx, 200, "OK")
        assert house.tm.api.suspend(ctx) == idents[0]
        return 0

    route = house.route("request", "R", resumed)
    house.request("INVITE")
    for _ in range(3):
        assert house.tm.api.resume(*idents[0], route) == 1
    assert rounds == [None, [1], [2]]
    assert house.statuses() == [100, 200]


def test_blind_branches_are_limited(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    idents = suspending(house)
    results = []

    def resumed(ctx: Context) -> int:
        results.append(house.tm.api.suspend(ctx))
        return 0

    route = house.route("request", "R", resumed)
    house.request("MESSAGE")
    for _ in range(house.tm.client.limit):
        assert house.tm.api.resume(*idents[0], route) == 1
    assert results[-1] == -1
    assert results[:-1] == [idents[0]] * (house.tm.client.limit - 1)
    error = capfd.readouterr().err
    assert "maximum number of branches exceeded" in error
    assert "failed to add the blind UAC" in error
    assert house.statuses() == [500]


def test_timeout_while_suspended_is_408_and_a_late_resume_finds_nothing(house: House) -> None:
    idents = suspending(house)
    route = answer_route(house)
    house.request("MESSAGE")
    house.advance(29.9)
    assert house.take() == []
    house.advance(0.2)
    assert house.take() == ["SIP/2.0 408 Request Timeout"]
    assert house.tm.api.resume(*idents[0], route) == -1
    assert house.take() == []


def test_timeout_while_suspended_runs_the_failure_route(house: House) -> None:
    """The archetype: the timer fires, failure_route goes elsewhere, and only then somebody resumes."""
    idents = suspending(house, lambda ctx: house.tm.t_on_failure(ctx, "F"))

    def failure(ctx: Context) -> int:
        assert ctx.t.reply_code == 408
        ctx.msg.new_uri = "sip:fallback@127.0.0.1:7001"
        return house.tm.t_relay(ctx)

    house.route("failure", "F", failure)
    runs: list[int] = []
    route = house.route("request", "R", lambda ctx: runs.append(1) or 1)
    house.request("MESSAGE")
    house.advance(30.1)
    assert house.take() == ["MESSAGE sip:fallback@127.0.0.1:7001 SIP/2.0"]
    assert house.tm.api.resume(*idents[0], route) == -2
    assert runs == []
    house.advance(0.1)


def test_retransmission_while_suspended_is_absorbed(house: House) -> None:
    idents = suspending(house)
    route = answer_route(house)
    text = house.request("INVITE")
    house.receive(text)
    assert house.statuses() == [100, 100]
    assert len(idents) == 1
    house.tm.api.resume(*idents[0], route)
    house.receive(text)
    assert house.statuses() == [100, 100, 200, 200]


def test_cancel_while_suspended(house: House) -> None:
    idents = suspending(house)
    runs: list[int] = []
    route = house.route("request", "R", lambda ctx: runs.append(1) or 1)
    house.request("INVITE")
    house.request("CANCEL")
    assert house.take()[1:] == ["SIP/2.0 487 Request canceled", "SIP/2.0 200 ok -- no more pending branches"]
    assert house.tm.api.resume(*idents[0], route) == -1
    assert runs == []


def test_suspend_of_a_cancelled_transaction_is_1(house: House) -> None:
    results = []

    def main(ctx: Context) -> int:
        if ctx.msg.method == "CANCEL":
            return house.tm.t_relay(ctx)
        house.tm.t_newtran(ctx)
        house.request("CANCEL")
        results.append(house.tm.api.suspend(ctx))
        return 0

    house.main(main)
    house.request("INVITE")
    assert results == [1]


def test_suspend_after_a_final_reply_is_minus_3(house: House) -> None:
    results = []

    def main(ctx: Context) -> int:
        house.tm.t_newtran(ctx)
        house.tm.t_reply(ctx, 404, "No")
        results.append(house.tm.api.suspend(ctx))
        return 0

    house.main(main)
    house.request("MESSAGE")
    assert results == [-3]


def test_suspend_without_transaction(house: House) -> None:
    results = []
    house.main(lambda ctx: results.append(house.tm.api.suspend(ctx)) or 1)
    house.request("MESSAGE")
    assert results == [-1]


def test_suspension_taken_back(house: House) -> None:
    def main(ctx: Context) -> int:
        house.tm.t_newtran(ctx)
        ident = house.tm.api.suspend(ctx)
        assert house.tm.api.cancel_suspend(ctx, *ident) == 1
        assert ctx.t.state == State.ACTIVE
        assert house.tm.api.cancel_suspend(ctx, *ident) == -2
        return house.tm.t_relay(ctx)

    house.main(main)
    house.request("INVITE")
    sent = [text for text, _ in house.sent if text.startswith("INVITE")]
    house.receive(answer(sent[0], 200), ("127.0.0.1", 7000))
    assert house.statuses() == [100, 200]


def test_suspended_in_failure_route(house: House) -> None:
    idents: list[Any] = []

    def failure(ctx: Context) -> int:
        idents.append(house.tm.api.suspend(ctx))
        return 1

    house.route("failure", "F", failure)

    def main(ctx: Context) -> int:
        house.tm.t_on_failure(ctx, "F")
        return house.tm.t_relay(ctx)

    def resumed(ctx: Context) -> int:
        ctx.msg.new_uri = "sip:second@127.0.0.1:7001"
        return house.tm.t_relay(ctx)

    house.main(main)
    route = house.route("request", "R", resumed)
    house.request("MESSAGE")
    house.reply(0, 404)
    assert house.statuses() == []
    assert house.tm.api.resume(*idents[0], route) == 1
    assert house.take()[-1] == "MESSAGE sip:second@127.0.0.1:7001 SIP/2.0"


def relay_with_reply_route(house: House, reply: Any) -> None:
    house.route("reply", "R", reply)

    def main(ctx: Context) -> int:
        house.tm.t_on_reply(ctx, "R")
        ctx.avps["a"] = [1]
        return house.tm.t_relay(ctx)

    house.main(main)


def test_suspended_reply_is_relayed_when_resumed(house: House) -> None:
    idents: list[Any] = []
    relay_with_reply_route(house, lambda ctx: idents.append(house.tm.api.suspend(ctx)) or 1)
    seen = []

    def resumed(ctx: Context) -> int:
        seen.append((ctx.msg.status, ctx.branch, ctx.route_type, ctx.avps))
        ctx.msg.lumps.insert(ctx.msg.headers_end, "X-Later: 1\r\n")
        return 1

    route = house.route("request", "LATER", resumed)
    house.request("MESSAGE")
    text = house.reply(0, 200)
    house.receive(text, ("127.0.0.1", 7000))  # repeated meanwhile
    assert house.statuses() == []
    assert len(idents) == 1
    assert house.tm.api.resume(*idents[0], route) == 1
    assert seen == [(200, 0, RouteType.TM_ONREPLY, {"a": [1]})]
    assert house.statuses() == [200]
    assert Message(house.sent[-1][0]).header("x-later") == "1"
    assert house.tm.api.resume(*idents[0], route) == -1


def test_reply_suspended_twice(house: House) -> None:
    idents: list[Any] = []
    relay_with_reply_route(house, lambda ctx: idents.append(house.tm.api.suspend(ctx)) or 1)
    rounds: list[int] = []

    def resumed(ctx: Context) -> int:
        rounds.append(1)
        if len(rounds) == 1:
            house.tm.api.suspend(ctx)
        return 1

    route = house.route("request", "LATER", resumed)
    house.request("MESSAGE")
    house.reply(0, 404)
    house.tm.api.resume(*idents[0], route)
    assert house.statuses() == []
    house.tm.api.resume(*idents[0], route)
    assert house.statuses() == [404]


def test_suspended_reply_does_not_hold_up_another_branch(house: House) -> None:
    idents: list[Any] = []

    def reply(ctx: Context) -> int:
        if ctx.branch == 0:
            idents.append(house.tm.api.suspend(ctx))
        return 1

    house.route("reply", "R", reply)

    def main(ctx: Context) -> int:
        from kamailio_py.sip.branch import Branch

        house.tm.t_on_reply(ctx, "R")
        ctx.msg.branches.append(Branch("sip:two@127.0.0.1:7001"))
        return house.tm.t_relay(ctx)

    house.main(main)
    nothing = house.route("request", "N", lambda ctx: 1)
    house.request("MESSAGE")
    house.reply(0, 404)
    house.reply(1, 486)
    assert house.statuses() == []
    house.tm.api.resume(*idents[0], nothing)
    assert house.statuses() == [404]


def test_forgotten_suspended_reply_ends_by_its_timer(house: House) -> None:
    relay_with_reply_route(house, lambda ctx: house.tm.api.suspend(ctx) and 1)
    house.request("MESSAGE")
    house.reply(0, 200)
    house.advance(29.5)
    assert house.statuses() == []
    house.advance(1)
    assert house.statuses() == [408]


def test_suspended_provisional_reply_goes_on(house: House) -> None:
    idents: list[Any] = []

    def reply(ctx: Context) -> int:
        if ctx.msg.status == 180:
            idents.append(house.tm.api.suspend(ctx))
        return 1

    relay_with_reply_route(house, reply)
    nothing = house.route("request", "N", lambda ctx: 1)
    house.request("INVITE")
    house.reply(1, 180)
    assert house.statuses() == [100]
    house.tm.api.resume(*idents[0], nothing)
    assert house.statuses() == [100, 180]
    house.reply(1, 200)
    assert house.statuses() == [100, 180, 200]


def test_label_and_index_zero(house: House) -> None:
    idents = suspending(house)
    route = answer_route(house)
    call_id = next(f"z{n}" for n in range(1_000_000) if _index(f"call-z{n}") == 0)
    labels = house.tm.table._labels
    house.shm.u32[labels] = 0
    house.request("MESSAGE", call_id)
    assert idents == [(0, 0)]
    assert house.tm.api.resume(0, 0, route) == 1
    assert house.statuses() == [200]


def _index(call_id: str) -> int:
    from kamailio_py.sip.hash import transaction_index

    return transaction_index(call_id, "1")


def test_memory_of_a_suspended_transaction(house: House) -> None:
    idents = suspending(house, lambda ctx: ctx.avps.update(a=["value"]))
    route = answer_route(house)
    before = house.shm.arena.used
    house.request("INFO", "size", body="x" * 400)
    taken = house.shm.arena.used - before
    assert taken <= 4096
    house.tm.api.resume(*idents[0], route)


def test_no_memory_for_the_suspension(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    results: list[Any] = []
    arena = house.shm.arena

    def main(ctx: Context) -> int:
        house.tm.t_newtran(ctx)
        # as if it had been suspended before: from the second time on the guarding branch takes memory
        ctx.t.set_word(Cell.blind, ctx.t.offset)
        real, arena_alloc = house.tm.arena, arena.alloc

        class Full:
            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

            def alloc(self, size: int, owner: int) -> int:
                return 0 if owner == house.tm.table.branches else arena_alloc(size, owner)

        house.tm.arena = Full()  # type: ignore[assignment]
        results.append(house.tm.api.suspend(ctx))
        house.tm.arena = real
        return house.tm.t_reply(ctx, 500, "Full")

    house.main(main)
    house.request("MESSAGE")
    assert results == [-1]
    assert house.take() == ["SIP/2.0 500 Full"]
    assert "no more share memory" in capfd.readouterr().err
