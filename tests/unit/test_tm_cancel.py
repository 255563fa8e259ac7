"""CANCEL: from upstream, and those sent after branches."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.cells import House, answer, balanced

from kamailio_py.modules.tm.cell import State
from kamailio_py.script.context import Context
from kamailio_py.sip.message import Message


@pytest.fixture
def house() -> Iterator[House]:
    with balanced() as made:
        yield made


def relay_all(house: House) -> None:
    house.main(lambda ctx: house.tm.t_relay(ctx))


def test_cancel_of_a_ringing_branch(house: House) -> None:
    relay_all(house)
    house.request("INVITE")
    house.reply(1, 180)
    house.take()
    house.request("CANCEL", headers='Reason: Q.850;cause=16\r\nReason: SIP;cause=600;text="x"\r\n')
    assert house.take() == ["CANCEL sip:bob@127.0.0.1:7000 SIP/2.0", "SIP/2.0 200 canceling"]


def test_cancel_carries_the_reasons_of_the_received_one(house: House) -> None:
    relay_all(house)
    house.request("INVITE")
    house.reply(1, 180)
    house.request("CANCEL", headers="Reason: Q.850;cause=16\r\n")
    cancel = Message(house.sent[-2][0])
    invite = Message(house.sent[1][0])
    assert cancel.headers("reason") == ["Q.850;cause=16"]
    assert (cancel.ruri, cancel.header("via"), cancel.cseq_method) == (invite.ruri, invite.header("via"), "CANCEL")
    house.receive(answer(cancel.text, 200))
    house.reply(1, 487, "Request Terminated")
    assert house.take()[-1] == "SIP/2.0 487 Request Terminated"


def test_branch_without_reply_is_cancelled_when_it_rings(house: House) -> None:
    relay_all(house)
    house.request("INVITE")
    house.request("CANCEL")
    assert house.take()[-1] == "SIP/2.0 200 canceling"
    house.advance(0.6)
    invite = house.sent[0][0]
    assert house.take() == ["INVITE sip:bob@127.0.0.1:7000 SIP/2.0"]
    house.receive(answer(invite, 180))
    assert house.take() == ["CANCEL sip:bob@127.0.0.1:7000 SIP/2.0"]


def test_method_0_ends_the_branch_at_once(house: House) -> None:
    house.tm.cancel_b_method = 0
    relay_all(house)
    house.request("INVITE")
    house.take()
    house.request("CANCEL")
    assert house.take() == ["SIP/2.0 487 Request Terminated", "SIP/2.0 200 canceling"]


def test_method_2_sends_a_cancel_anyway(house: House) -> None:
    house.tm.cancel_b_method = 2
    relay_all(house)
    house.request("INVITE")
    house.take()
    house.request("CANCEL")
    assert house.take() == ["CANCEL sip:bob@127.0.0.1:7000 SIP/2.0", "SIP/2.0 200 canceling"]


def test_cancel_is_repeated_until_it_is_answered(house: House) -> None:
    relay_all(house)
    house.request("INVITE")
    house.reply(1, 180)
    house.take()
    house.request("CANCEL")
    cancel = house.sent[0][0]
    house.take()
    house.advance(1.6)
    assert house.take() == [cancel.split("\r\n")[0]] * 2
    house.receive(answer(cancel, 200))
    house.advance(5)
    assert house.take() == []


def test_repeated_cancel_gets_the_same_answer(house: House) -> None:
    relay_all(house)
    house.request("INVITE")
    house.reply(1, 180)
    house.take()
    text = house.request("CANCEL")
    house.receive(text)
    assert house.statuses() == [200, 200]


def test_invite_without_branches_is_answered_487(house: House) -> None:
    def main(ctx: Context) -> int:
        if ctx.msg.method == "CANCEL":
            return house.tm.t_relay(ctx)
        house.tm.t_newtran(ctx)
        house.request("CANCEL", "slow")
        assert house.tm.t_is_canceled(ctx) == 1
        assert house.tm.t_relay(ctx) == -1
        return 1

    house.main(main)
    house.request("INVITE", "slow")
    assert house.take() == ["SIP/2.0 487 Request canceled", "SIP/2.0 200 ok -- no more pending branches"]


def test_unmatched_cancel_modes(house: House) -> None:
    relay_all(house)
    for mode, expected in ((0, 2), (1, 1), (2, 0)):
        house.tm.unmatched_cancel = mode
        house.request("CANCEL", f"m{mode}", ruri=f"sip:m{mode}@127.0.0.1:7000")
        # without an answer only a stateful one is repeated
        house.advance(0.6)
        assert sum(f"sip:m{mode}@" in line for line in house.take()) == expected


def test_no_failure_branch_after_a_cancel(house: House) -> None:
    def failure(ctx: Context) -> int:
        ctx.msg.new_uri = "sip:again@127.0.0.1:7001"
        return house.tm.t_relay(ctx)

    house.route("failure", "F", failure)

    def main(ctx: Context) -> int:
        if ctx.msg.method != "CANCEL":
            house.tm.t_on_failure(ctx, "F")
        return house.tm.t_relay(ctx)

    house.main(main)
    house.request("INVITE")
    house.reply(1, 180)
    house.request("CANCEL")
    house.reply(1, 487)
    assert house.statuses()[-1] == 487
    assert [text for text, _ in house.sent if "sip:again" in text] == []


def test_timeout_of_a_cancelled_branch_is_a_487(house: House) -> None:
    relay_all(house)
    house.request("INVITE")
    house.request("CANCEL")
    house.take()
    house.advance(31, step=0.5)
    assert "SIP/2.0 487 Request Terminated" in house.take()


def test_relay_cancel_leaves_an_unknown_one_to_the_script(house: House) -> None:
    results = []

    def main(ctx: Context) -> int:
        if ctx.msg.method == "CANCEL":
            results.append(house.tm.t_relay_cancel(ctx))
            return 1
        return house.tm.t_relay(ctx)

    house.main(main)
    house.request("CANCEL", "unknown")
    house.request("INVITE", "known")
    house.request("CANCEL", "known")
    assert results == [1, 0]


def test_state_of_a_cancelled_transaction(house: House) -> None:
    relay_all(house)
    house.request("INVITE")
    house.reply(1, 180)
    house.request("CANCEL")
    t = house.tm.api.lookup_callid("call-a", "1")
    assert t is not None
    assert t.state == State.CANCELED
    house.tm.api.release(t)
