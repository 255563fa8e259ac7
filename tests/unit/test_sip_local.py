"""Requests made here: ACK and CANCEL as tm sent them for these INVITEs, and a request of uac's."""

from __future__ import annotations

from kamailio_py.sip.endpoint import ListenSocket
from kamailio_py.sip.local import build_ack, build_cancel, build_request
from kamailio_py.sip.message import Message
from kamailio_py.sip.request import build_forward, via_line

VIA = "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK7c65.e4f642c86d8a7305642efb587571c2b4.0\r\n"
INVITE = (
    "INVITE sip:new@127.0.0.1:5064;a=b SIP/2.0\r\nX-Ins: 1\r\nRecord-Route: <sip:127.0.0.1:5070;lr;ftag=f1>\r\n"
    + VIA
    + "Via: SIP/2.0/UDP 127.0.0.1:5062;received=127.0.0.1;branch=z9hG4bKitwo;rport=5062\r\n"
    "Route: <sip:127.0.0.1:5064;lr>\r\nMax-Forwards: 70\r\nRoute: <sip:x;lr>, <sip:y;lr>\r\n"
    'From: "Al"  <sip:a@b>;tag=f1\r\nTo : <sip:c@d>\r\nCall-ID: ctwo\r\nCSeq:   7 INVITE\r\n'
    "User-Agent: foo\r\nContent-Length: 3\r\nX-Added: yes\r\n\r\nv=0"
)
HEAD = VIA + "Route: <sip:127.0.0.1:5064;lr>\r\nMax-Forwards: 70\r\nRoute: <sip:x;lr>, <sip:y;lr>\r\n"


def test_ack_of_a_failed_branch() -> None:
    reply = Message("SIP/2.0 486 Busy\r\nVia: x\r\nTo : <sip:c@d>;tag=t1\r\nCSeq: 7 INVITE\r\n\r\n")
    assert build_ack(INVITE, reply) == (
        "ACK sip:new@127.0.0.1:5064;a=b SIP/2.0\r\n" + HEAD + 'From: "Al"  <sip:a@b>;tag=f1\r\n'
        "To : <sip:c@d>;tag=t1\r\nCall-ID: ctwo\r\nCSeq:   7 ACK\r\nContent-Length: 0\r\n\r\n"
    )


def test_cancel_with_reason() -> None:
    assert build_cancel(INVITE, "Reason: Q.850;cause=3\r\n") == (
        "CANCEL sip:new@127.0.0.1:5064;a=b SIP/2.0\r\n" + HEAD + 'From: "Al"  <sip:a@b>;tag=f1\r\n'
        "To : <sip:c@d>\r\nCall-ID: ctwo\r\nCSeq:   7 CANCEL\r\nContent-Length: 0\r\nReason: Q.850;cause=3\r\n\r\n"
    )


def test_cancel_copies_headers_with_a_prefix() -> None:
    text = build_cancel(INVITE, prefix="X-")
    assert "X-Ins: 1\r\n" in text
    assert "X-Added: yes\r\n" in text
    assert "User-Agent" not in text
    assert text.endswith("Content-Length: 0\r\nX-Added: yes\r\n\r\n")
    reply = Message("SIP/2.0 486 Busy\r\nVia: x\r\nTo : <sip:c@d>;tag=t1\r\nCSeq: 7 INVITE\r\n\r\n")
    assert "X-Ins: 1\r\n" in build_ack(INVITE, reply, prefix="X-")


def test_request_of_our_own() -> None:
    assert build_request(
        "MESSAGE",
        "sip:t@127.0.0.1:5064",
        via=VIA,
        from_="<sip:from@x>;tag=1",
        to="<sip:to@y>",
        call_id="cid1",
        cseq="10",
        user_agent="User-Agent: kamailio (5.6.3 (x86_64/linux))\r\n",
        headers="X-A: 1\r\n",
        body="hello",
    ) == (
        "MESSAGE sip:t@127.0.0.1:5064 SIP/2.0\r\n" + VIA + "To: <sip:to@y>\r\nFrom: <sip:from@x>;tag=1\r\n"
        "CSeq: 10 MESSAGE\r\nCall-ID: cid1\r\nMax-Forwards: 70\r\nContent-Length: 5\r\n"
        "User-Agent: kamailio (5.6.3 (x86_64/linux))\r\nX-A: 1\r\n\r\nhello"
    )


def test_forwarded_with_edits_as_t_relay_sent_it() -> None:
    msg = Message(
        "INVITE sip:two@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bKitwo;rport\r\n"
        "Route: <sip:127.0.0.1:5064;lr>\r\nMax-Forwards: 70\r\nRoute: <sip:x;lr>, <sip:y;lr>\r\n"
        'From: "Al"  <sip:a@b>;tag=f1\r\nTo : <sip:c@d>\r\nCall-ID: ctwo\r\nCSeq:   7 INVITE\r\n'
        "User-Agent: foo\r\nContent-Length: 3\r\n\r\nv=0",
        "127.0.0.1",
        5062,
    )
    first = msg.span(0)[0]
    msg.lumps.insert(msg.headers_end, "X-Added: yes\r\n")
    msg.lumps.insert(first, "X-Ins: 1\r\n")
    msg.lumps.insert(first, "Record-Route: <sip:127.0.0.1:5070;lr;ftag=f1>\r\n")
    msg.new_uri = "sip:new@127.0.0.1:5064;a=b"
    assert build_forward(msg, via=VIA) == INVITE
    assert len(msg.lumps) == 3


def test_content_length_follows_an_edited_body() -> None:
    text = "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=1\r\nContent-Length: 4\r\n\r\nbody"
    msg = Message(text, "h", 5060)
    msg.lumps.replace(msg.body_offset, len(text), "other text")
    assert build_forward(msg, via="").endswith("Content-Length: 10\r\n\r\nother text")
    bare = Message(text.replace("Content-Length: 4\r\n", ""), "h", 5060)
    assert build_forward(bare, via="", proto="tcp").endswith("Content-Length: 4\r\n\r\nbody")
    assert "Content-Length" not in build_forward(bare, via="")


def test_via_line() -> None:
    assert via_line(ListenSocket(0, "udp", "10.0.0.1", 5060), "b", ";rport") == (
        "Via: SIP/2.0/UDP 10.0.0.1;branch=b;rport\r\n"
    )
    assert via_line(ListenSocket(0, "tcp", "::1", 5061), "b") == "Via: SIP/2.0/TCP [::1]:5061;branch=b\r\n"
    advertised = ListenSocket(0, "tls", "10.0.0.1", 5061, advertise_host="sip.example", advertise_port=5060)
    assert via_line(advertised, "b") == "Via: SIP/2.0/TLS sip.example:5060;branch=b\r\n"
