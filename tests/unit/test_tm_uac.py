"""Requests of our own, contacts by q, and the events other modules listen to."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from kit.cells import CALLEE, House, answer, balanced

from kamailio_py.modules.tm.contacts import LAST_OF_GROUP, in_order
from kamailio_py.modules.tm.stored import StoredRequest
from kamailio_py.modules.tm.write import parse_append
from kamailio_py.script.context import Context
from kamailio_py.script.control import ScriptDrop
from kamailio_py.sip.branch import Branch
from kamailio_py.sip.message import Message


@pytest.fixture
def house() -> Iterator[House]:
    with balanced(200, 1, contacts_avp="c", contact_flows_avp="f") as made:
        yield made


def ask(house: House, method: str = "OPTIONS", **more: Any) -> list[tuple[int, Any]]:
    """Send a request; the list gets what the callback is told."""
    told: list[tuple[int, Any]] = []
    house.tm.api.callback("test", lambda t, code, msg, data: told.append((code, data)))
    house.tm.api.request(
        method,
        "sip:x@127.0.0.1:7000",
        "<sip:me@here.test>",
        "<sip:x@there.test>",
        callback="test",
        data={"n": 1},
        **more,
    )
    return told


def test_request_and_its_reply(house: House) -> None:
    told = ask(house, headers="X-Mine: 1\r\n", body="hello")
    sent = Message(house.sent[0][0])
    assert (sent.method, sent.header("x-mine"), sent.body, sent.header("content-length")) == (
        "OPTIONS",
        "1",
        "hello",
        "5",
    )
    assert sent.from_.tag
    house.reply(0, 100)
    house.reply(0, 200)
    house.reply(0, 200)
    assert told == [(200, {"n": 1})]
    assert house.statuses() == []


def test_request_that_is_not_answered(house: House) -> None:
    told = ask(house)
    house.advance(31)
    assert told == [(408, {"n": 1})]


def test_success_of_our_invite_is_acknowledged_again_and_again(house: House) -> None:
    told = ask(house, "INVITE")
    reply = answer(
        house.sent[0][0],
        200,
        headers="Contact: <sip:there@127.0.0.1:7009>\r\nRecord-Route: <sip:127.0.0.1:7008;lr>\r\n",
    )
    house.take()
    house.receive(reply, CALLEE)
    house.receive(reply, CALLEE)
    assert told == [(200, {"n": 1})]
    assert house.sent[0] == house.sent[1]
    ack, target = Message(house.sent[0][0]), house.sent[0][1]
    assert (ack.method, ack.ruri, ack.header("route"), target.port) == (
        "ACK",
        "sip:there@127.0.0.1:7009",
        "<sip:127.0.0.1:7008;lr>",
        7008,
    )
    assert ack.to.tag == "callee"


def test_local_request_route_may_change_or_drop(house: House) -> None:
    def route(ctx: Context) -> int:
        if ctx.msg.method == "INFO":
            raise ScriptDrop(0)
        ctx.msg.lumps.insert(ctx.msg.headers_end, "X-Route: 1\r\n")
        return 1

    house.route("event", "tm:local-request", route)
    ask(house)
    ask(house, "INFO")
    assert [Message(text).header("x-route") for text, _ in house.sent] == ["1"]


def test_events_of_a_relayed_request(house: House) -> None:
    seen: list[Any] = []
    api = house.tm.api
    api.on("request-in", lambda ctx, t: seen.append("in"))
    api.on("request-out", lambda t, branch, text: seen.append(("out", branch)))
    api.on("response-in", lambda t, branch, msg: seen.append(("reply", branch, msg.status)))
    api.on("response-out", lambda t, code, msg: seen.append(("answer", code)))
    api.on("completed", lambda t, code: seen.append(("completed", code)))
    api.on("destroyed", lambda t: seen.append("destroyed"))
    house.main(lambda ctx: house.tm.t_relay(ctx))
    house.request("MESSAGE")
    house.reply(0, 200)
    house.advance(6)
    assert seen == ["in", ("out", 0), ("reply", 0, 200), ("completed", 200), ("answer", 200), "destroyed"]
    with pytest.raises(ValueError, match="no event"):
        api.on("nothing", print)


def test_end_to_end_ack_is_reported_to_those_who_ask(house: House) -> None:
    seen: list[Any] = []
    house.tm.api.on("e2e-ack", lambda ctx, t: seen.append(ctx.msg.method))
    house.tm.child_init(1)
    house.main(lambda ctx: house.tm.t_relay(ctx))
    house.request("INVITE")
    house.reply(1, 200)
    house.request("ACK", to_tag="callee", branch="z9hG4bK-e2e")
    assert seen == ["ACK"]
    assert house.take()[-1].startswith("ACK ")


def test_contacts_are_tried_by_q(house: House) -> None:
    seen = []

    def main(ctx: Context) -> int:
        msg = ctx.msg
        msg.q = 300
        msg.branches += [Branch("sip:b@127.0.0.1", q=900), Branch("sip:c@127.0.0.1", q=900), Branch("sip:d@127.0.0.1")]
        tm = house.tm
        assert tm.t_load_contacts(ctx) == 1
        while tm.t_next_contacts(ctx) == 1:
            seen.append([msg.uri.split("@")[0], *(branch.uri.split("@")[0] for branch in msg.branches)])
        assert "c" not in ctx.xavps
        return 1

    house.main(main)
    house.request("OPTIONS")
    # branches that no t_relay() took stay, as with Kamailio
    assert seen == [["sip:c", "sip:b"], ["sip:bob", "sip:b"], ["sip:d", "sip:b"]]


def test_second_flow_of_an_instance_waits(house: House) -> None:
    def main(ctx: Context) -> int:
        ctx.msg.instance = "one"
        ctx.msg.branches.append(Branch("sip:flow2@127.0.0.1", instance="one"))
        ctx.msg.branches.append(Branch("sip:other@127.0.0.1", instance="two"))
        tm = house.tm
        tm.t_load_contacts(ctx)
        tm.t_next_contacts(ctx)
        uris = {ctx.msg.uri, *(branch.uri for branch in ctx.msg.branches)}
        assert len(uris) == 2
        assert len(ctx.xavps["f"]) == 1
        assert tm.serial.next_flow(ctx, "one") == 1
        assert ctx.msg.uri not in uris
        assert tm.serial.next_flow(ctx, "one") == -2
        return 1

    house.main(main)
    house.request("OPTIONS")


def test_order_drawn_by_q_is_one_by_one() -> None:
    places = [Branch(f"sip:{n}@x", q=q) for n, q in enumerate((1000, 1, None))]
    drawn = in_order(places, 1, random.Random(1))
    assert {place.uri for place, _ in drawn} == {place.uri for place in places}
    assert all(flag == LAST_OF_GROUP for _, flag in drawn)
    first = [in_order(places, 1, random.Random(seed))[0][0].uri for seed in range(50)]
    assert first.count("sip:0@x") > 40


def test_append_of_write_functions() -> None:
    assert parse_append("a:hdr[X];L=avp[n];msg[body]") == (
        "a",
        [("X", "hdr", "X"), ("L", "avp", "n"), ("body", "msg", "body")],
    )
    for bad in ("a", ":hdr[X]", "a:xyz[1]", "a:hdr", "a:msg[head]"):
        with pytest.raises(ValueError, match="tw_append"):
            parse_append(bad)


def test_resumed_request_is_parsed_when_it_is_looked_at(house: House) -> None:
    seen: list[Any] = []

    def main(ctx: Context) -> int:
        house.tm.t_newtran(ctx)
        seen.append(house.tm.api.suspend(ctx))
        return 0

    def resumed(ctx: Context) -> int:
        msg = ctx.msg
        assert isinstance(msg, StoredRequest)
        assert msg.untouched
        assert (msg.method, msg.new_uri, msg.flags) == ("MESSAGE", None, 0)
        assert msg.untouched
        assert (msg.call_id, msg.src_port, msg.header("x-a")) == ("call-a", 5555, "1")
        assert not msg.untouched
        return house.tm.t_reply(ctx, 200, "OK")

    route = house.route("request", "R", resumed)
    plain = house.route("request", "P", lambda ctx: house.tm.t_reply(ctx, 200, "OK"))
    house.main(main)
    house.request("MESSAGE", headers="X-A: 1\r\n")
    house.tm.api.resume(*seen[0], route)
    house.request("MESSAGE", "b", headers="X-A: 1\r\n")
    house.tm.api.resume(*seen[1], plain)
    # made from the message, made from what was prepared: the same but for what names the request
    first, second = (text for text, _ in house.sent)
    to = [Message(text).to.tag for text in (first, second)]
    named = first.replace(to[0], to[1]).replace("call-a", "call-b").replace("z9hG4bK-a", "z9hG4bK-b")
    assert named.replace("tag=f-a", "tag=f-b") == second
