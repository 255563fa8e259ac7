"""Forwarding: branches, retransmissions, replies, selection, failure routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kit.cells import House, answer, balanced

from kamailio_py.modules.tm import errors, selection
from kamailio_py.modules.tm.cell import Branch, Cell
from kamailio_py.script.context import Context
from kamailio_py.script.control import ScriptDrop
from kamailio_py.sip.branch import Branch as Place
from kamailio_py.sip.message import Message


@pytest.fixture
def house() -> Iterator[House]:
    with balanced() as made:
        yield made


def relaying(house: House, *more: str, arm: Any = None) -> list[int]:
    """A route that relays to the request-URI and to `more` URIs."""
    results: list[int] = []

    def main(ctx: Context) -> int:
        if arm is not None:
            arm(ctx)
        ctx.msg.branches.extend(Place(uri) for uri in more)
        results.append(house.tm.t_relay(ctx))
        return 1

    house.main(main)
    return results


def out(house: House, method: str) -> list[int]:
    """Numbers of the sent requests of a method."""
    return [n for n, (text, _) in enumerate(house.sent) if text.startswith(f"{method} ")]


def test_request_and_reply_pass(house: House) -> None:
    results = relaying(house)
    house.request("OPTIONS")
    house.reply(0, 180)
    house.reply(0, 200)
    assert results == [1]
    assert house.take() == ["OPTIONS sip:bob@127.0.0.1:7000 SIP/2.0", "SIP/2.0 180 Reason", "SIP/2.0 200 Reason"]


def test_retransmissions_double_up_to_t2_until_the_timeout(house: House) -> None:
    relaying(house)
    times = []
    start = house.clock.ms()
    house.request("OPTIONS")
    house.sent.clear()
    for _ in range(620):
        house.advance(0.05)
        times += [(house.clock.ms() - start) / 1000 for text, _ in house.sent if text.startswith("OPTIONS")]
        if house.statuses():
            break
        house.sent.clear()
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5]
    assert house.statuses() == [408]


def test_provisional_stops_invite_retransmission_and_sets_the_longer_timer(house: House) -> None:
    house.tm.fr_inv_timer = 50000
    house.tm.cfg_changed()
    relaying(house)
    house.request("INVITE")
    assert house.statuses() == [100]
    house.advance(0.6)
    house.reply(out(house, "INVITE")[0], 180)
    house.take()
    house.advance(49)
    assert house.take() == []
    house.advance(2)
    assert house.take()[:2] == ["SIP/2.0 408 Request Timeout", "CANCEL sip:bob@127.0.0.1:7000 SIP/2.0"]


def test_non_invite_goes_to_t2_after_a_provisional(house: House) -> None:
    relaying(house)
    house.request("OPTIONS")
    house.reply(0, 100)
    house.take()
    house.advance(0.6)
    assert len(house.take()) == 1
    house.advance(3.8)
    assert house.take() == []
    house.advance(0.2)
    assert len(house.take()) == 1


def test_negative_reply_is_acked_hop_by_hop_and_relayed(house: House) -> None:
    relaying(house)
    house.request("INVITE")
    sent = out(house, "INVITE")[0]
    text = house.reply(sent, 486)
    ack = Message(house.sent[out(house, "ACK")[0]][0])
    invite = Message(house.sent[sent][0])
    assert ack.header("via") == invite.header("via")
    assert ack.to.tag == "callee"
    assert house.statuses() == [100, 486]
    house.receive(text, ("127.0.0.1", 7000))
    assert len(out(house, "ACK")) == 2
    assert house.statuses() == [100, 486]


def test_second_success_of_an_invite_is_relayed_too(house: House) -> None:
    relaying(house)
    house.request("INVITE")
    sent = out(house, "INVITE")[0]
    house.reply(sent, 200)
    house.reply(sent, 200)
    assert house.statuses() == [100, 200, 200]


def test_unresolvable_target_is_answered_when_the_script_ends(house: House) -> None:
    def main(ctx: Context) -> int:
        ctx.msg.new_uri = "sip:x@nosuch.invalid"
        assert house.tm.t_relay(ctx) == errors.E_BAD_ADDRESS
        assert house.statuses() == []
        return 1

    house.main(main)
    house.request("OPTIONS")
    assert house.take() == ["SIP/2.0 478 Unresolvable destination (478/TM)"]


def test_script_may_answer_itself_after_a_failed_relay(house: House) -> None:
    def main(ctx: Context) -> int:
        ctx.msg.new_uri = "sip:x@nosuch.invalid"
        house.tm.t_relay(ctx)
        return house.tm.t_reply(ctx, 404, "Mine")

    house.main(main)
    house.request("OPTIONS")
    assert house.take() == ["SIP/2.0 404 Mine"]


def test_send_failure_is_answered_with_477(house: House) -> None:
    house.refuse = lambda text: text.startswith("OPTIONS")
    results = relaying(house)
    house.request("OPTIONS")
    assert results == [-1]
    assert house.take() == ["SIP/2.0 477 Unfortunately error on sending to next hop occurred (477/TM)"]


def test_best_of_several_negative_replies(house: House) -> None:
    relaying(house, "sip:two@127.0.0.1:7001", "sip:three@127.0.0.1:7002")
    house.request("OPTIONS")
    house.reply(0, 503)
    house.reply(2, 404)
    assert house.statuses() == []
    house.reply(1, 486)
    assert house.statuses() == [404]


@pytest.mark.parametrize(
    ("codes", "best"),
    [((486, 404), 404), ((503, 302), 302), ((404, 603), 603), ((500, 401), 401), ((408, 484), 484), ((603, 600), 600)],
)
def test_order_of_preference(codes: tuple[int, int], best: int) -> None:
    assert min(codes, key=selection.priority) == best


def test_first_success_cancels_the_others(house: House) -> None:
    relaying(house, "sip:two@127.0.0.1:7001")
    house.request("INVITE")
    first, second = out(house, "INVITE")
    house.reply(first, 180)
    house.reply(second, 200)
    cancel = Message(house.sent[out(house, "CANCEL")[0]][0])
    assert cancel.header("reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    assert cancel.header("via") == Message(house.sent[first][0]).header("via")
    house.receive(answer(cancel.text, 200))
    house.reply(first, 487)
    assert house.statuses() == [100, 180, 200]


def test_503_becomes_500(house: House) -> None:
    relaying(house)
    house.request("OPTIONS")
    house.reply(0, 503, "Service Unavailable")
    assert house.take()[-1] == "SIP/2.0 500 Service Unavailable"


def test_challenges_of_all_branches_are_put_together(house: House) -> None:
    relaying(house, "sip:two@127.0.0.1:7001")
    house.request("OPTIONS")
    house.reply(0, 401, "Unauthorized", 'WWW-Authenticate: Digest realm="a"\r\n')
    house.reply(1, 407, "Proxy", 'Proxy-Authenticate: Digest realm="b"\r\n')
    reply = Message(house.sent[-1][0])
    assert (reply.status, reply.reason) == (401, "Unauthorized")
    assert reply.header("www-authenticate") == 'Digest realm="a"'
    assert reply.header("proxy-authenticate") == 'Digest realm="b"'


def test_failure_route_tries_the_next_target(house: House) -> None:
    seen = []

    def failure(ctx: Context) -> int:
        tm = house.tm
        seen.append((ctx.t.reply_code, tm.t_check_status(ctx, __import__("re").compile("404")), ctx.avps, ctx.msg.uri))
        assert tm.t_relay(ctx) == -1  # nothing new to forward to
        ctx.msg.new_uri = "sip:second@127.0.0.1:7001"
        ctx.avps["tried"] = [2]
        return tm.t_relay(ctx)

    house.route("failure", "F", failure)

    def arm(ctx: Context) -> None:
        house.tm.t_on_failure(ctx, "F")
        ctx.avps["tried"] = [1]

    relaying(house, arm=arm)
    house.request("OPTIONS")
    house.reply(0, 404)
    assert seen == [(404, 1, {"tried": [2]}, "sip:bob@127.0.0.1:7000")]
    assert house.take() == ["OPTIONS sip:bob@127.0.0.1:7000 SIP/2.0", "OPTIONS sip:second@127.0.0.1:7001 SIP/2.0"]


def test_failure_route_is_not_run_again_for_the_new_branch(house: House) -> None:
    runs = []

    def failure(ctx: Context) -> int:
        runs.append(1)
        ctx.msg.new_uri = "sip:second@127.0.0.1:7001"
        return house.tm.t_relay(ctx)

    house.route("failure", "F", failure)
    relaying(house, arm=lambda ctx: house.tm.t_on_failure(ctx, "F"))
    house.request("OPTIONS")
    house.reply(0, 404)
    house.reply(1, 500)
    assert runs == [1]
    # the 404 was dropped when the new branch was made: failure_reply_mode 3
    assert house.statuses() == [500]


def test_failure_route_answers(house: House) -> None:
    house.route("failure", "F", lambda ctx: house.tm.t_reply(ctx, 410, "Gone"))
    relaying(house, arm=lambda ctx: house.tm.t_on_failure(ctx, "F"))
    house.request("OPTIONS")
    house.reply(0, 404)
    assert house.take()[-1] == "SIP/2.0 410 Gone"


def test_timeout_runs_the_failure_route_and_answers_408(house: House) -> None:
    seen = []

    def failure(ctx: Context) -> int:
        tm = house.tm
        seen.append((tm.t_branch_timeout(ctx), tm.t_branch_replied(ctx), tm.t_any_timeout(ctx)))
        return 1

    house.route("failure", "F", failure)
    relaying(house, arm=lambda ctx: house.tm.t_on_failure(ctx, "F"))
    house.request("OPTIONS")
    house.advance(31)
    assert seen == [(1, -1, 1)]
    assert house.statuses() == [408]


def test_branch_route_changes_only_its_branch(house: House) -> None:
    numbers = []

    def branch(ctx: Context) -> int:
        numbers.append(ctx.branch)
        ctx.msg.lumps.insert(ctx.msg.headers_end, f"X-Branch: {ctx.branch}\r\n")
        if ctx.msg.uri.startswith("sip:two"):
            raise ScriptDrop(0)
        return 1

    house.route("branch", "B", branch)
    relaying(
        house, "sip:two@127.0.0.1:7001", "sip:three@127.0.0.1:7002", arm=lambda ctx: house.tm.t_on_branch(ctx, "B")
    )
    house.request("OPTIONS")
    assert numbers == [0, 1, 1]
    assert [Message(text).headers("x-branch") for text, _ in house.sent] == [["0"], ["1"]]


def test_onreply_route_drops_a_provisional_but_no_final_reply(house: House) -> None:
    def drop(ctx: Context) -> int:
        raise ScriptDrop(0)

    house.route("reply", "R", drop)
    relaying(house, arm=lambda ctx: house.tm.t_on_reply(ctx, "R"))
    house.request("OPTIONS")
    house.reply(0, 183)
    house.reply(0, 404)
    assert house.statuses() == [404]


def test_avps_and_flags_are_the_transactions(house: House) -> None:
    seen: list[Any] = []

    def reply(ctx: Context) -> int:
        seen.append((dict(ctx.avps), ctx.msg.flags))
        ctx.avps["b"] = ["from reply"]
        ctx.msg.flags |= 2
        return 1

    house.route("reply", "R", reply)
    house.route("failure", "F", lambda ctx: seen.append((dict(ctx.avps), ctx.msg.flags)) or 1)

    def arm(ctx: Context) -> None:
        house.tm.t_on_reply(ctx, "R")
        house.tm.t_on_failure(ctx, "F")
        ctx.avps["a"] = [1]
        ctx.msg.flags = 1

    relaying(house, arm=arm)
    house.request("OPTIONS")
    house.reply(0, 404)
    assert seen == [({"a": [1]}, 1), ({"a": [1], "b": ["from reply"]}, 3)]


def test_branch_failure_route_runs_for_each_branch(house: House) -> None:
    codes = []
    house.route("event", "tm:branch-failure:BF", lambda ctx: codes.append((ctx.branch, ctx.t.reply_code)) or 1)
    relaying(house, "sip:two@127.0.0.1:7001", arm=lambda ctx: house.tm.t_on_branch_failure(ctx, "BF"))
    house.request("OPTIONS")
    house.reply(1, 486)
    house.reply(0, 404)
    assert codes == [(1, 486), (0, 404)]


def test_reply_of_a_dropped_branch_is_not_chosen(house: House) -> None:
    house.route("onsend", "0", lambda ctx: _drop_two(ctx))
    relaying(house, "sip:two@127.0.0.1:7001")
    house.request("OPTIONS")
    assert len(house.sent) == 1
    house.reply(0, 486)
    assert house.statuses() == [486]


def _drop_two(ctx: Context) -> int:
    if ctx.core.snd is not None and ctx.core.snd[1].port == 7001:
        raise ScriptDrop(0)
    return 1


def test_replicated_request_is_not_answered_upstream(house: House) -> None:
    house.main(lambda ctx: house.tm.t_replicate_uri(ctx, "sip:copy@127.0.0.1:7009"))
    house.request("OPTIONS")
    house.reply(0, 200)
    assert house.statuses() == []


def test_maximum_of_branches(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    relaying(house, *(f"sip:n{n}@127.0.0.1:7100" for n in range(20)))
    house.request("OPTIONS")
    assert len(house.sent) == house.tm.client.limit
    assert "maximum number of branches exceeded" in capfd.readouterr().err
    t = house.tm.api.lookup_callid("call-a", "1")
    assert t is not None
    assert t.branch_get(3, Branch.number) == 3
    house.tm.api.release(t)


def test_turn_of_a_dead_process_is_taken_over(house: House) -> None:
    relaying(house)
    house.request("OPTIONS")
    t = house.tm.api.lookup_callid("call-a", "1")
    assert t is not None
    # a process that does not exist any more has the turn
    house.shm.processes.slot = 7
    house.shm.processes.enter(1, "gone", 0, pid=2**22 + 1)
    house.shm.processes.slot = 0
    t.set(Cell.turn, 8)
    house.reply(0, 200)
    assert house.statuses() == [200]
    assert t.turn == 0
    house.tm.api.release(t)


def test_what_comes_while_another_has_the_turn_waits_for_it(house: House) -> None:
    """As when two processes meet: the second leaves its reply to the first."""
    order: list[int] = []

    def reply(ctx: Context) -> int:
        order.append(ctx.msg.status)
        if ctx.msg.status == 180:
            house.reply(0, 183)
            house.reply(0, 200)
            assert house.statuses() == []
        return 1

    house.route("reply", "R", reply)
    relaying(house, arm=lambda ctx: house.tm.t_on_reply(ctx, "R"))
    house.request("OPTIONS")
    house.reply(0, 180)
    assert order == [180, 183, 200]
    assert house.statuses() == [180, 183, 200]
