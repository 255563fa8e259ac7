"""A message that is taken apart by a shape is the same as one that went the long way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kamailio_py.sip import message_values, shapes
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.header_layout import MANDATORY
from kamailio_py.sip.message import Message
from kamailio_py.sip.reply import build_reply, build_reply_forward, forward_destination, reply_destination
from kamailio_py.sip.request import build_forward
from kamailio_py.sip.shapes import SEEN_BEFORE, SHAPES, Shapes

WIRE = Path(__file__).parent.parent / "wire"
FILES = [path for kind in ("valid", "invalid") for path in sorted((WIRE / kind).glob("*.sip"))]
USUAL = (
    "OPTIONS sip:bob@127.0.0.1 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n"
    'From: <sip:a@b>;tag=1\r\nTo: "Bob" <sip:b@c>\r\nCall-ID: c-1@h\r\nCSeq: 1 OPTIONS\r\nX-Any: a, b\r\n'
    "Content-Length: 0\r\n\r\n"
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Shapes:
    known = Shapes()
    monkeypatch.setattr(message_values, "KNOWN", known)
    return known


REPLY = (
    "SIP/2.0 180 Ringing\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK4d2.1.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bK1;rport=40000;received=10.1.1.1\r\n"
    'Record-Route: <sip:127.0.0.1;lr>\r\nFrom: <sip:a@b>;tag=1\r\nTo: "Bob" <sip:b@c>;tag=2\r\nCall-ID: c-1@h\r\n'
    "CSeq: 1 INVITE\r\nContact: <sip:b@127.0.0.1:5070>\r\nContent-Length: 0\r\n\r\n"
)


ROUTE = "Record-Route: <sip:127.0.0.1;lr>\r\n"
AFTER_ROUTE = REPLY.replace(ROUTE, "").replace("Ringing\r\n", f"Ringing\r\n{ROUTE}")


def received(text: str) -> Message:
    msg = Message(text, "10.1.1.1", 40000)
    if msg.is_request:
        msg.check()
    else:
        assert "via" in msg.names or not msg.names  # as the engine asks first
        msg.check_reply()
    return msg


def facts(text: str) -> Any:
    """Everything that may come out differently, or why nothing does."""
    try:
        msg = received(text)
        via, to, _ = msg.via, msg.to, (msg.call_id, msg.cseq)
    except (BadMessage, IndexError, ValueError, AssertionError):
        return "bad"  # the words may differ: the long way stops at the first header that is wrong
    span = via.rport_span if via.rport is not None else None
    found: list[Any] = [
        (via.transport, via.host, via.port_text, via.port, via.branch, via.rport, via.received, via.more, via.start),
        (via.end, via.host_end, via.params_start, via.params, via.i, via.alias, span),
        (to.text, to.display, to.uri, to.tag, to.params),
        (msg.call_id, msg.cseq, list(msg.names), msg.broken, msg.headers_end, msg.body_offset, msg.body),
        [(msg.raw(i), msg.value(i), msg.span(i), msg.name_text(i)) for i in range(len(msg.names))],
        reply_destination(msg),
    ]
    if not msg.is_request:
        found += [(msg.status, msg.reason, msg.method, msg.version), forward_destination(msg), build_reply_forward(msg)]
    builds: list[Callable[[], Any]] = [
        lambda: build_reply(msg, 200, "OK", to_tag="t"),
        lambda: build_forward(msg, via="Via: x\r\n"),
        lambda: [(one.branch, one.received, one.rport) for one in msg.vias()],
        msg.require_headers,
        lambda: overwritten(msg),
    ]
    for build in builds:
        try:
            found.append(build())
        except BadMessage:
            found.append("bad")
    return found


def overwritten(msg: Message) -> Any:
    """What is left of a header when its first character is another."""
    i = msg.find("call-id")
    msg.overwrite(i, msg.value_span(i)[0], "~")
    return msg.text, msg.raw(i), msg.value(i), msg.span(i), msg.value(msg.find("to")), build_forward(msg, via="")


def both_ways(text: str, teacher: str) -> tuple[Any, Any]:
    message_values.KNOWN = Shapes()
    long_way = facts(text)
    message_values.KNOWN = Shapes()
    for _ in range(SEEN_BEFORE):
        facts(teacher)
    return long_way, facts(text)


def test_the_usual_request_gets_a_shape(fresh: Shapes) -> None:
    for _ in range(SEEN_BEFORE):
        assert not fresh.of
        received(USUAL)
    [shape] = fresh.of["OPTIONS"]
    assert shape.starts(USUAL, USUAL.index("\r\n")) is not None
    long_way, short_way = both_ways(USUAL, USUAL)
    assert long_way == short_way != "bad"


@pytest.mark.parametrize(
    "usual",
    [REPLY, AFTER_ROUTE, REPLY.replace("Via", "v", 1)],
    ids=["via first", "route first", "vias spelt differently"],
)
def test_the_usual_reply_gets_a_shape(usual: str, fresh: Shapes) -> None:
    for _ in range(SEEN_BEFORE):
        assert not fresh.of
        received(usual)
    [shape] = fresh.of[shapes.REPLY]
    assert shape.starts(usual, usual.index("\r\n")) is not None
    assert received(usual).is_proven
    long_way, short_way = both_ways(usual, usual)
    assert long_way == short_way != "bad"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_corpus(path: Path) -> None:
    text = path.read_bytes().decode("latin-1")
    long_way, short_way = both_ways(text, text)
    assert long_way == short_way


PLACES = st.integers(0, len(USUAL))
BITS = st.sampled_from(
    [
        "", " ", "\t", "\r", "\n", "\r\n", "\r\n ", ";", ",", '"', "<", ">", ":", "=", "\0", "0", "\xff", ";rport",
        "[::1]",
    ]
)  # fmt: skip


@given(PLACES, st.integers(0, 12), BITS)
@example(USUAL.index("OPTIONS\r\nX"), 7, "OPTIONS ")
@example(USUAL.index("40000"), 5, "")
@example(USUAL.index("c-1@h"), 5, "")
@settings(max_examples=600)
def test_what_is_nearly_the_usual_request(place: int, cut: int, put: str) -> None:
    changed = USUAL[:place] + put + USUAL[place + cut :]
    long_way, short_way = both_ways(changed, USUAL)
    assert long_way == short_way


IN_REPLY = st.integers(0, len(REPLY))


@given(st.sampled_from([REPLY, AFTER_ROUTE]), IN_REPLY, st.integers(0, 12), BITS)
@example(REPLY, REPLY.index(";rport=40000"), 12, ";rport")
@example(REPLY, REPLY.index(";received"), 9, ";received=")
@example(AFTER_ROUTE, AFTER_ROUTE.index("40000;branch"), 5, "400000")
@example(REPLY, REPLY.index("180"), 3, "200")
@example(REPLY, REPLY.index("CSeq"), 4, "Via")
@settings(max_examples=600)
def test_what_is_nearly_the_usual_reply(usual: str, place: int, cut: int, put: str) -> None:
    changed = usual[:place] + put + usual[place + cut :]
    long_way, short_way = both_ways(changed, usual)
    assert long_way == short_way


def test_an_order_whose_values_fit_no_shape_is_given_up(fresh: Shapes) -> None:
    unusual = REPLY.replace(";rport=40000", ";maddr=10.0.0.1")
    for _ in range(SEEN_BEFORE):
        msg = received(unusual)
    assert not fresh.of
    assert msg.layout is not None
    fresh.learn(shapes.REPLY, msg.layout, [], unusual, 0)
    seen = dict(fresh._seen)
    assert received(unusual).via2 is not None
    assert fresh._seen == seen  # nobody looks at the lines of another one


@pytest.mark.parametrize("put", ["X-Long: ", "CSeq: ", 'To: "Bob" <sip:'])
def test_long_headers_go_the_long_way(put: str, fresh: Shapes) -> None:
    """So that what is remembered of them takes no room."""
    for _ in range(SEEN_BEFORE):
        received(USUAL.replace("X-Any", "X-Long"))
    long = USUAL.replace("X-Any", "X-Long").replace(put, f"{put}{'1' * 5000}")
    assert received(long)._lines
    long_way, short_way = both_ways(long, USUAL.replace("X-Any", "X-Long"))
    assert long_way == short_way != "bad"


def test_only_a_few_are_kept(fresh: Shapes) -> None:
    for n in range(SHAPES + 3):
        for _ in range(SEEN_BEFORE):
            received(USUAL.replace("X-Any", f"X-{n}"))
    assert len(fresh.of["OPTIONS"]) == SHAPES
    last = USUAL.replace("X-Any", f"X-{SHAPES + 2}")
    assert fresh.of["OPTIONS"][0].starts(last, last.index("\r\n")) is not None
    assert shapes.KNOWN is not fresh


HEADERS = {
    "via": "Via: SIP/2.0/UDP 10.1.1.1:40000;branch=z9hG4bK1", "from": "From: <sip:a@b>;tag=1", "to": "To: <sip:b@c>",
    "call-id": "Call-ID: c-1@h", "cseq": "CSeq: 1 OPTIONS", "max-forwards": "Max-Forwards: 70", "x-any": "X-Any: a, b",
}  # fmt: skip


@given(st.permutations(list(HEADERS)), st.sampled_from(["", "t"]))
@example(list(HEADERS), "t")
@example([*HEADERS][1:5] + [*HEADERS][:1] + [*HEADERS][5:], "t")
def test_a_reply_has_the_headers_of_its_request_in_their_order(order: list[str], tag: str) -> None:
    text = "OPTIONS sip:bob@127.0.0.1 SIP/2.0\r\n" + "".join(f"{HEADERS[name]}\r\n" for name in order) + "\r\n"
    lines = [HEADERS[name] + (f";tag={tag}" if tag and name == "to" else "") for name in order if name in MANDATORY]
    expected = "\r\n".join(["SIP/2.0 200 OK", *lines, "Content-Length: 0", "", ""])
    message_values.KNOWN = Shapes()
    for _ in range(SEEN_BEFORE + 1):
        msg = received(text)
        assert build_reply(msg, 200, "OK", to_tag=tag) == expected
    assert not msg._lines
