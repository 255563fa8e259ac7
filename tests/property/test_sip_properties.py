"""The wire layer against any input: it parses or raises BadMessage, and what it takes apart goes together again."""

from __future__ import annotations

import contextlib

import sipmessage
from hypothesis import given, settings
from hypothesis import strategies as st

from kamailio_py.sip.address_lists import parse_contacts, parse_routes
from kamailio_py.sip.endpoint import ListenSocket
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.hash import char_msg_val
from kamailio_py.sip.lumps import Lumps
from kamailio_py.sip.message import Message
from kamailio_py.sip.nameaddr import NameAddr, split_values
from kamailio_py.sip.reply import build_reply, build_reply_forward, forward_destination, reply_destination
from kamailio_py.sip.request import build_forward, via_line
from kamailio_py.sip.uri import Uri, build
from kamailio_py.sip.via import Via

SOCKET = ListenSocket(0, "udp", "127.0.0.1", 5070)
LATIN = st.characters(max_codepoint=255)
NASTY = st.text(alphabet=st.sampled_from('sip:@;=?<>"\\,[]()/ \t\r\n.0a:Vv&%*\0\xff'), max_size=60)
PIECES = st.sampled_from(
    [
        "OPTIONS sip:a@b SIP/2.0\r\n", "SIP/2.0 200 OK\r\n", "Via: SIP/2.0/UDP h:5060;branch=z9hG4bK1\r\n", "v:",
        "From: ", "<sip:a@b>;tag=1\r\n", "To: <sip:c@d>\r\n", "Call-ID: x\r\n", "CSeq: 1 OPTIONS\r\n",
        "Content-Length: 0\r\n",
        "Contact: *\r\n", "Route: <sip:r;lr>,\r\n <sip:s>\r\n", "\r\n", "\n", " ", "\t", ";", ",", '"', "<", ">", ":",
        "\0",
        "received=", "rport", "tag=", "Retry-After: 5\r\n", "Max-Forwards: 70\r\n", "\xff", "SIP/2.0/UDP", "[::1]",
    ]
)  # fmt: skip
MESSAGES = st.one_of(st.text(alphabet=LATIN, max_size=200), st.lists(PIECES, max_size=25).map("".join))


def touch(msg: Message) -> None:
    """Ask for everything a message can be asked for; only BadMessage may come."""
    questions = (
        lambda: msg.check(), lambda: msg.require_headers(), lambda: msg.via, lambda: msg.via2, lambda: msg.vias(),
        lambda: msg.from_.tag, lambda: msg.to.tag, lambda: msg.call_id, lambda: msg.cseq, lambda: msg.contacts,
        lambda: msg.routes, lambda: msg.content_length, lambda: msg.parsed_uri, lambda: msg.method,
        lambda: char_msg_val(msg), lambda: reply_destination(msg), lambda: forward_destination(msg),
        lambda: build_reply(msg, 200, "OK", to_tag="x"), lambda: build_reply_forward(msg),
        lambda: build_forward(msg, via=via_line(SOCKET, "b"), uri="sip:n@m", path="<sip:p>", proto="tcp"),
    )  # fmt: skip
    for question in questions:
        with contextlib.suppress(BadMessage):
            question()
    if "via" in msg.names:
        with contextlib.suppress(BadMessage):
            msg.check_reply()
    for i in range(len(msg.names)):
        assert msg.raw(i) == msg.text[slice(*msg.span(i))]
        assert msg.name_text(i)
        assert "\n" not in msg.value(i)
        start, end = msg.value_span(i)
        assert msg.text[start:end] == msg.raw_value(i).strip(" \t\r\n")


@given(MESSAGES)
@settings(max_examples=400)
def test_parse_or_raise(text: str) -> None:
    with contextlib.suppress(BadMessage):
        touch(Message(text, "10.0.0.1", 5060, SOCKET))


@given(NASTY)
@settings(max_examples=400)
def test_values_parse_or_raise(text: str) -> None:
    for parse in (Uri.parse, NameAddr, split_values, lambda t: Via(t + " ", 0, len(t))):
        with contextlib.suppress(BadMessage):
            parse(text)
    for parse_list in (parse_contacts, parse_routes):
        with contextlib.suppress(BadMessage):
            for address in parse_list(text):
                assert text.startswith(address.text, address.start)
                assert text.startswith(address.uri, address.uri_start)
    with contextlib.suppress(BadMessage):
        touch(Message(f"INVITE {text} SIP/2.0\r\nVia: {text}\r\nTo: {text}\r\nFrom: {text}\r\nm: {text}\r\n\r\n"))


@given(st.text(alphabet="abcdef", min_size=1, max_size=20), st.data())
@settings(max_examples=200)
def test_lumps_against_a_naive_model(text: str, data: st.DataObject) -> None:
    """The model keeps what is inserted before each position and which characters are gone."""
    lumps = Lumps()
    edits: list[tuple[int, int, str]] = []
    for _ in range(data.draw(st.integers(0, 6))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, len(text)))
        piece = data.draw(st.text(alphabet="XYZ", max_size=3))
        lumps.replace(start, end, piece)
        edits.append((start, end, piece))
    gone = {at for start, end, _ in edits for at in range(start, end)}
    expected = "".join(c for at, c in enumerate(text) if at not in gone)
    result = lumps.apply(text)
    assert "".join(c for c in result if c not in "XYZ") == expected
    assert "".join(c for c in result if c in "XYZ") == "".join(
        piece for _, _, piece in sorted(edits, key=lambda edit: edit[0])
    )
    if all(start == end for start, end, _ in edits):
        at_place = ["".join(piece for start, _, piece in edits if start == at) for at in range(len(text) + 1)]
        assert result == "".join(a + b for a, b in zip(at_place, [*text, ""], strict=True))
    assert lumps.size_change(0) == len(result) - len(text)


TOKEN = st.text(alphabet="abcxyz019-", min_size=1, max_size=8).map(lambda t: f"a{t}a")


@given(TOKEN, TOKEN, st.integers(1, 65535), st.lists(st.tuples(TOKEN, TOKEN), max_size=3, unique_by=lambda p: p[0]))
def test_uri_round_trip(user: str, host: str, port: int, params: list[tuple[str, str]]) -> None:
    host += ".example"
    text = build("sip", user, "", host, str(port), ";".join(f"{name}={value}" for name, value in params))
    uri = Uri.parse(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)
    assert all(uri.param(name) == value for name, value in params)
    assert build(uri.scheme, uri.user, uri.password, uri.host, uri.port_text, uri.params, uri.headers) == text
    oracle = sipmessage.URI.parse(text)
    assert (oracle.user, oracle.host, oracle.port) == (uri.user, uri.host, uri.port)


@given(TOKEN, TOKEN, TOKEN, st.booleans())
def test_addresses_as_sipmessage_reads_them(name: str, user: str, tag: str, quoted: bool) -> None:
    display = f'"{name}"' if quoted else name
    text = f"{display} <sip:{user}@example.test>;tag={tag}"
    address = NameAddr(text)
    oracle = sipmessage.Address.parse(text)
    assert (address.name, address.uri, address.tag) == (oracle.name, str(oracle.uri), oracle.parameters["tag"])


@given(st.lists(st.tuples(TOKEN, TOKEN), max_size=10), st.text(alphabet=LATIN, max_size=30))
def test_reply_and_forward_keep_what_is_not_theirs(others: list[tuple[str, str]], body: str) -> None:
    extra = "".join(f"X-{name}: {value}\r\n" for name, value in others)
    text = (
        "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
        f"To: <sip:c@d>\r\n{extra}Call-ID: x\r\nCSeq: 1 MESSAGE\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    msg = Message(text, "10.0.0.1", 5062, SOCKET)
    assert build_forward(msg, via="") == text
    forwarded = Message(build_forward(msg, via=via_line(SOCKET, "z9hG4bK2")), "127.0.0.1", 5070)
    assert [via.branch for via in forwarded.vias()] == ["z9hG4bK2", "z9hG4bK1"]
    assert forwarded.body == body
    reply = Message(build_reply(forwarded, 200, "OK", to_tag="t"), "127.0.0.1", 5064)
    back = Message(build_reply_forward(reply))
    assert back.to.tag == "t"
    assert [via.branch for via in back.vias()] == ["z9hG4bK1"]
    oracle = sipmessage.Response.parse(build_reply_forward(reply).encode("latin-1"))
    assert oracle.code == 200
    assert oracle.cseq.method == "MESSAGE"
