"""The server side of transactions: making, answering, absorbing, ending."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.cells import CLIENT, House, balanced, request

from kamailio_py.modules.tm import errors
from kamailio_py.script.context import Context
from kamailio_py.sip.message import Message


@pytest.fixture
def house() -> Iterator[House]:
    with balanced(120, 1) as made:
        yield made


def answering(house: House, code: int = 200, reason: str = "OK") -> list[list[int]]:
    """A route that makes a transaction and answers; the list gets what the functions returned."""
    results: list[list[int]] = []

    def main(ctx: Context) -> int:
        made = house.tm.t_newtran(ctx)
        results.append([made])
        if made > 0:
            results[-1].append(house.tm.t_reply(ctx, code, reason))
        return 1

    house.main(main)
    return results


def test_request_is_answered_and_repeated_one_absorbed(house: House) -> None:
    results = answering(house)
    sent = house.request("MESSAGE")
    house.receive(sent)
    assert results == [[1, 1], [0]]
    assert house.statuses() == [200, 200]
    assert house.sent[0] == house.sent[1]
    text, target = house.sent[0]
    assert (target.host, target.port) == CLIENT
    assert "tag=" in (Message(text).header("to") or "")


def test_finished_transaction_lives_for_the_wait_time(house: House) -> None:
    results = answering(house)
    sent = house.request("MESSAGE")
    house.advance(4.9)
    house.receive(sent)
    house.advance(0.3)
    house.receive(sent)
    assert [r[0] for r in results] == [1, 0, 1]


def test_negative_reply_to_invite_is_repeated_until_the_ack(house: House) -> None:
    answering(house, 486, "Busy")
    house.request("INVITE")
    house.advance(1.6)
    assert house.statuses() == [486, 486, 486]
    to = Message(house.sent[0][0]).to.tag
    house.request("ACK", to_tag=to)
    house.take()
    house.advance(10)
    assert house.take() == []


def test_success_of_ours_to_invite_is_repeated_until_its_ack(house: House) -> None:
    answering(house)
    house.request("INVITE")
    house.advance(0.6)
    assert house.statuses() == [200, 200]
    to = Message(house.sent[0][0]).to.tag
    house.request("ACK", to_tag=to, branch="z9hG4bK-another")
    house.take()
    house.advance(10)
    assert house.take() == []


def test_second_newtran_and_second_final_reply_are_errors(house: House) -> None:
    got: list[int] = []

    def main(ctx: Context) -> int:
        tm = house.tm
        got.extend((tm.t_newtran(ctx), tm.t_newtran(ctx), tm.t_reply(ctx, 404, "a"), tm.t_reply(ctx, 405, "b")))
        return 1

    house.main(main)
    house.request()
    assert got == [1, errors.E_SCRIPT, 1, -1]
    assert house.statuses() == [404]


def test_reply_without_transaction_fails(house: House) -> None:
    got: list[int] = []
    house.main(lambda ctx: got.append(house.tm.t_reply(ctx, 404, "a")) or 1)
    house.request()
    assert got == [-1]


def test_forgotten_transaction_is_released_with_a_warning(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    house.main(lambda ctx: house.tm.t_newtran(ctx))
    house.request()
    assert "script writer didn't release transaction" in capfd.readouterr().err
    assert house.take() == []


def test_released_transaction_absorbs_silently(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    house.main(lambda ctx: house.tm.t_newtran(ctx) and house.tm.t_release(ctx))
    sent = house.request()
    house.receive(sent)
    assert capfd.readouterr().err == ""
    assert house.take() == []


def test_provisional_reply_is_what_a_retransmission_gets_meanwhile(house: House) -> None:
    def main(ctx: Context) -> int:
        if house.tm.t_newtran(ctx) > 0:
            house.tm.t_reply(ctx, 183, "Wait")
        return 1

    house.main(main)
    sent = house.request("INVITE")
    house.receive(sent)
    assert house.statuses() == [183, 183]
    t = house.tm.api.lookup_callid("call-a", "1")
    assert t is not None
    assert house.tm.api.reply_to(t, 500, "End") == 1
    house.tm.api.release(t)


@pytest.mark.parametrize("method", ["MESSAGE", "INVITE"])
def test_same_branch_of_another_sender_is_another_transaction(house: House, method: str) -> None:
    results = answering(house)
    house.request(method, "x", branch="z9hG4bKsame")
    text = request(method, "x", branch="z9hG4bKsame").replace("127.0.0.1:5555", "127.0.0.1:6666")
    house.receive(text, ("127.0.0.1", 6666))
    assert [r[0] for r in results] == [1, 1]


def test_old_client_without_cookie_is_matched_by_its_headers(house: House) -> None:
    results = answering(house)
    sent = house.request("OPTIONS", branch="1")
    house.receive(sent)
    house.request("OPTIONS", branch="1", ruri="sip:other@127.0.0.1")
    assert [r[0] for r in results] == [1, 0, 1]


def test_two_transactions_of_one_bucket_are_told_apart(house: House) -> None:
    results = answering(house)
    # the same Call-ID and CSeq number: one bucket
    first = house.request("OPTIONS", "b", branch="z9hG4bK1")
    second = house.request("INFO", "b", branch="z9hG4bK2")
    house.receive(first)
    house.receive(second)
    assert [r[0] for r in results] == [1, 1, 0, 0]
    assert len(house.tm.table.table) == 2


def test_exhausted_memory_is_an_error_and_leaves_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    house = House(size=8 << 20)
    results = answering(house)
    arena = house.shm.arena
    owner = arena.owner("test", "hog")
    hogs = []
    for size in (1 << 20, 100_000, 4000, 2000, 1000, 500, 200, 40):
        while block := arena.alloc(size, owner):
            hogs.append(block)
    house.request("MESSAGE", "full")
    assert results == [[errors.E_OUT_OF_MEM]]
    assert "out of mem" in capfd.readouterr().err
    for block in hogs:
        arena.free(block)
    house.request("MESSAGE", "full")
    assert results[1] == [1, 1]
    house.advance(20, step=1)
    assert house.balanced() == []
    house.close()


def test_cancel_before_its_invite_is_remembered(house: House) -> None:
    seen = []

    def main(ctx: Context) -> int:
        tm = house.tm
        if tm.t_newtran(ctx) > 0:
            seen.append((ctx.msg.method, tm.t_is_canceled(ctx)))
            tm.t_reply(ctx, 487, "Gone")
        return 1

    house.main(main)
    house.request("CANCEL", "early")
    house.request("INVITE", "early")
    assert seen == [("CANCEL", -1), ("INVITE", 1)]
    house.request("ACK", "early", to_tag=Message(house.sent[-1][0]).to.tag)
