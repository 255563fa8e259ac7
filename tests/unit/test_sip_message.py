"""Messages: the header index, values on demand, script state."""

from __future__ import annotations

import marshal

import pytest

from kamailio_py.sip.branch import Branch
from kamailio_py.sip.endpoint import ListenSocket
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message

INVITE = (
    "INVITE sip:bob@example.test SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1;rport, SIP/2.0/TCP second;branch=z9hG4bK2\r\n"
    "v: SIP/2.0/UDP third;branch=z9hG4bK3\r\n"
    'From: "A, l" <sip:alice@example.test>;tag=f1\r\n'
    "t: <sip:bob@example.test>\r\n"
    "Call-ID : c1\r\n"
    "CSeq: 7 INVITE\r\n"
    "Subject: one\r\n"
    " two\r\n"
    "Contact: <sip:a@h1>, <sip:a@h2>;q=0.5\r\n"
    "m: <sip:a@h3>\r\n"
    "X-Own: x\r\n"
    "Content-Length: 4\r\n"
    "\r\n"
    "body"
)
SOCKETS = [ListenSocket(0, "udp", "127.0.0.1", 5060), ListenSocket(1, "tcp", "127.0.0.1", 5061)]


def message(text: str = INVITE) -> Message:
    return Message(text, "10.0.0.9", 4000, SOCKETS[0])


def test_names_are_long_and_lower() -> None:
    assert message().names == [
        "via", "via", "from", "to", "call-id", "cseq", "subject", "contact", "contact", "x-own", "content-length",
    ]  # fmt: skip


def test_first_line() -> None:
    msg = message()
    assert (msg.is_request, msg.method, msg.ruri, msg.version) == (True, "INVITE", "sip:bob@example.test", "SIP/2.0")
    reply = Message(INVITE.replace("INVITE sip:bob@example.test SIP/2.0", "SIP/2.0 404 Not here"))
    assert (reply.is_request, reply.status, reply.reason, reply.method) == (False, 404, "Not here", "INVITE")


def test_method_is_known_in_any_case() -> None:
    msg = message(INVITE.replace("INVITE sip", "invite sip"))
    assert (msg.method, msg.method_text) == ("INVITE", "invite")


@pytest.mark.parametrize("folded", [True, False])
def test_spans_cover_the_message(folded: bool) -> None:
    text = INVITE if folded else INVITE.replace("\r\n two", "")
    msg = message(text)
    whole = "".join(msg.raw(i) for i in range(len(msg.names)))
    start = text.index("\r\n") + 2
    assert text[start:] == whole + "\r\nbody"
    assert msg.headers_end == len(text) - 6
    assert msg.body == "body"


def test_values() -> None:
    msg = message()
    assert msg.header("subject") == "one two"
    assert msg.raw_value(msg.find("subject")) == "one\r\n two"
    assert msg.name_text(msg.find("call-id")) == "Call-ID"
    assert msg.headers("contact") == ["<sip:a@h1>, <sip:a@h2>;q=0.5", "<sip:a@h3>"]
    assert msg.header("none") is None
    assert msg.indexes("contact")[-1] == 8
    start, end = msg.value_span(msg.find("x-own"))
    assert msg.text[start:end] == "x"


def test_parsed_values() -> None:
    msg = message()
    assert (msg.via.host, msg.via.port, msg.via.branch, msg.via.rport, msg.via.more) == (
        "10.0.0.1", 5070, "z9hG4bK1", "", True,
    )  # fmt: skip
    assert [via.host for via in msg.vias()] == ["10.0.0.1", "second", "third"]
    assert msg.via2 is not None
    assert msg.via2.branch == "z9hG4bK2"
    assert (msg.from_.display, msg.from_.name, msg.from_.uri, msg.from_.tag) == (
        '"A, l"', "A, l", "sip:alice@example.test", "f1",
    )  # fmt: skip
    assert (msg.to.tag, msg.call_id, msg.cseq_number, msg.cseq_method) == ("", "c1", "7", "INVITE")
    assert [contact.uri for contact in msg.contacts if not isinstance(contact, str)] == [
        "sip:a@h2",
        "sip:a@h1",
        "sip:a@h3",
    ]
    assert msg.content_length == 4


def test_star_contact() -> None:
    assert message(INVITE.replace("m: <sip:a@h3>", "m: *")).contacts == "*"


def test_bad_values_raise_only_when_asked() -> None:
    msg = message(INVITE.replace("CSeq: 7 INVITE", "CSeq: 7").replace("<sip:a@h3>", '"x'))
    assert msg.call_id == "c1"
    with pytest.raises(BadMessage):
        msg.cseq  # noqa: B018
    with pytest.raises(BadMessage):
        msg.contacts  # noqa: B018
    with pytest.raises(BadMessage):
        msg.check()


def test_what_stands_behind_the_mandatory_headers_does_not_matter_to_check() -> None:
    late = message(INVITE.replace("X-Own: x", "no header"))
    late.check()
    assert late.broken
    with pytest.raises(BadMessage):
        late.require_headers()
    early = message(INVITE.replace("From: ", "no header\r\nFrom: "))
    with pytest.raises(BadMessage):
        early.check()


def test_parsed_uri_follows_the_script() -> None:
    msg = message()
    assert msg.parsed_uri.host == "example.test"
    msg.new_uri = "sip:c@d"
    assert (msg.uri, msg.parsed_uri.host) == ("sip:c@d", "d")
    msg.new_uri = None
    assert msg.parsed_uri.host == "example.test"


def test_state_survives_marshal() -> None:
    msg = message()
    msg.new_uri, msg.dst_uri, msg.flags, msg.force_rport = "sip:n@m", "sip:d", 5, True
    msg.force_socket = SOCKETS[1]
    msg.lumps.insert(msg.headers_end, "X: 1\r\n")
    msg.branches.append(Branch("sip:x@y", q=500, force_socket=SOCKETS[1], ruid="r"))
    msg.reply_headers.append("Y: 2\r\n")
    msg.xflags[1] = 9
    data = marshal.loads(marshal.dumps(msg.state()))
    other = message()
    other.path = "to be forgotten"
    other.restore(data, SOCKETS)
    assert other.state() == msg.state()
    assert (other.new_uri, other.dst_uri, other.flags, other.force_rport, other.path) == (
        "sip:n@m", "sip:d", 5, True, None,
    )  # fmt: skip
    assert other.force_socket is SOCKETS[1]
    assert other.branches[0].force_socket is SOCKETS[1]
    assert other.branches[0].uri == "sip:x@y"
    assert other.xflags == [0, 9]


def test_fresh_state_is_small_and_clears() -> None:
    fresh = message().state()
    msg = message()
    msg.new_uri = "sip:x@y"
    msg.lumps.delete(0, 3)
    msg.restore(fresh, SOCKETS)
    assert msg.new_uri is None
    assert not msg.has_lumps


def test_overwrite_changes_received_text() -> None:
    msg = message()
    i = msg.find("x-own")
    start, _ = msg.value_span(i)
    msg.overwrite(i, start, "y")
    assert msg.header("x-own") == "y"
    assert "X-Own: y\r\n" in msg.text
