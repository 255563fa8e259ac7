"""The stock config as it is installed, without a define: what it refuses, and requests it answers itself."""

from __future__ import annotations

from kit.agent import Agent
from kit.scene import Scene
from kit.stock import DOMAIN, Stock, phone, phones

plain = Stock("stock", listen=("tcp:127.0.0.1",))


@plain.each("udp", "tcp")
def test_keepalive(s: Scene, over: str) -> None:
    """OPTIONS to the server itself, by address and by name of its domain."""
    alice = phone(s, "alice", over)
    for where in (s.host, DOMAIN, f"{s.host};transport=tcp"):
        alice.request("OPTIONS", uri=f"sip:{where}")
        alice.expect(200)


@plain.each(
    friendly="friendly-scanner", scanner="some scanner 1", sipcli="sipcli/v1.8", sipvicious="sipvicious",
    vax="VaxSIPUserAgent/3.1", pplsip="pplsip", capital="Friendly-Scanner", harmless="Phone 1.0",
)  # fmt: skip
def test_scanner(s: Scene, user_agent: str) -> None:
    """Requests of scanners are dropped without a word."""
    alice = phone(s, "alice")
    alice.request("OPTIONS", uri=f"sip:{DOMAIN}", headers=f"User-Agent: {user_agent}")
    s.fence()
    s.server.settle()
    alice.request("INVITE", uri=f"sip:nobody@{DOMAIN}", headers=f"User-Agent: {user_agent}")
    s.fence()


@plain.each("0", "1", "10", "11", "255", "256", "-1", "x", "")
def test_max_forwards(s: Scene, value: str) -> None:
    alice = phone(s, "alice")
    alice.request("MESSAGE", uri=f"sip:nobody@{DOMAIN}", max_forwards=None, headers=f"Max-Forwards: {value}")
    s.fence()
    s.server.settle()


@plain.each("udp", "tcp")
def test_too_many_hops(s: Scene, over: str) -> None:
    alice = phone(s, "alice", over)
    sent = alice.request("INVITE", uri=f"sip:nobody@{DOMAIN}", max_forwards=0)
    alice.ack(sent, alice.expect(483))


@plain.each("INVITE", "MESSAGE", "OPTIONS", "INFO", "UPDATE", "NOTIFY", "REFER", "BYE", "PRACK", "SUBSCRIBE", "FOO")
def test_unknown_user(s: Scene, method: str) -> None:
    alice = phone(s, "alice")
    sent = alice.request(method, uri=f"sip:nobody@{DOMAIN}")
    reply = alice.expect(404)
    if method == "INVITE":
        alice.ack(sent, reply)


@plain.one
def test_unknown_user_tcp(s: Scene) -> None:
    alice = phone(s, "alice", "tcp")
    sent = alice.request("INVITE", uri=f"sip:nobody@{DOMAIN}")
    alice.ack(sent, alice.expect(404))


@plain.each("INVITE", "MESSAGE", "INFO")
def test_no_user(s: Scene, method: str) -> None:
    """A request-URI without a user part."""
    alice = phone(s, "alice")
    alice.request(method, uri=f"sip:{DOMAIN}")
    alice.expect(484)


@plain.each("INVITE", "MESSAGE", "OPTIONS", "REGISTER", "SUBSCRIBE", "PUBLISH")
def test_foreign_domain(s: Scene, method: str) -> None:
    """No open relay: requests to foreign domains are refused."""
    alice = phone(s, "alice")
    alice.request(method, uri="sip:bob@foreign.test" if method != "REGISTER" else "sip:foreign.test")
    alice.expect(403)


@plain.each(
    other_port="sip:bob@127.0.0.1:1", other_scheme="sips:bob@example.test", tel="tel:+4930123", urn="urn:service:sos",
    upper="sip:bob@EXAMPLE.TEST", port="sip:bob@example.test:5060", v6="sip:bob@[::1]:5060",
    dot="sip:bob@example.test.",
)  # fmt: skip
def test_whose_domain(s: Scene, uri: str) -> None:
    """What is the server's own."""
    alice = phone(s, "alice")
    alice.request("MESSAGE", uri=uri)
    s.fence()
    s.server.settle()


@plain.each("BYE", "INFO", "INVITE", "SUBSCRIBE", "ACK", "MESSAGE", "OPTIONS", "REGISTER")
def test_within_an_unknown_dialog(s: Scene, method: str) -> None:
    """A request with a To tag that has no Route."""
    alice = phone(s, "alice")
    alice.request(method, uri=f"sip:nobody@{DOMAIN}", to_tag="t1")
    s.fence()
    s.server.settle()


@plain.one
def test_preloaded_route(s: Scene) -> None:
    """A Route in a request that begins a dialog is taken off."""
    alice, bob = phones(s, "alice", "bob")
    alice.request("INVITE", uri=f"sip:nobody@{DOMAIN}", headers=f"Route: <sip:{bob.host};lr>")
    alice.expect(404)


@plain.one
def test_route_within_a_dialog(s: Scene) -> None:
    """Whoever knows the route may send through the server: loose routing."""
    alice, bob = phones(s, "alice", "bob")
    alice.request("INFO", uri=f"sip:bob@{bob.host}", to_tag="t1", headers=f"Route: <sip:{s.host};lr>")
    bob.reply(bob.expect("INFO"), 200)
    alice.expect(200)


@plain.one
def test_cancel_of_nothing(s: Scene) -> None:
    alice = phone(s, "alice")
    alice.request("CANCEL", uri=f"sip:nobody@{DOMAIN}")
    s.fence()


@plain.one
def test_ack_of_nothing(s: Scene) -> None:
    alice = phone(s, "alice")
    alice.request("ACK", uri=f"sip:nobody@{DOMAIN}")
    alice.request("ACK", uri=f"sip:nobody@{DOMAIN}", to_tag="t1")
    s.fence()


@plain.one
def test_publish(s: Scene) -> None:
    alice = phone(s, "alice")
    alice.request("PUBLISH", uri=f"sip:alice@{DOMAIN}", headers="Event: presence\nExpires: 60")
    alice.expect(404)


@plain.each(
    voicemail=("nobody@", "message-summary", 404), presence=("nobody@", "presence", 404),
    server=("", "presence", 404), none=("nobody@", "", 404),
)  # fmt: skip
def test_subscribe(s: Scene, row: tuple[str, str, int]) -> None:
    """Without voicemail and presence."""
    user, event, status = row
    alice = phone(s, "alice")
    alice.request("SUBSCRIBE", uri=f"sip:{user}{DOMAIN}", headers=f"Event: {event}" if event else "")
    alice.expect(status)


VIA = "Via: SIP/2.0/UDP {host};branch=z9hG4bK-{case}\r\n"
FROM = "From: <sip:alice@example.test>;tag=f1\r\n"
TO = "To: <sip:bob@example.test>\r\n"
CALL_ID = "Call-ID: {case}\r\n"
CSEQ = "CSeq: 1 MESSAGE\r\n"
LENGTH = "Content-Length: 0\r\n"
START = "MESSAGE sip:nobody@example.test SIP/2.0\r\n"
WHOLE = START + VIA + FROM + TO + CALL_ID + CSEQ + "Max-Forwards: 5\r\n"


def raw(s: Scene, alice: Agent, text: str) -> None:
    alice.send(text.replace("{host}", alice.host).replace("{case}", s.name))


@plain.each(
    no_from=START + VIA + TO + CALL_ID + CSEQ + LENGTH + "\r\n",
    no_to=START + VIA + FROM + CALL_ID + CSEQ + LENGTH + "\r\n",
    no_call_id=START + VIA + FROM + TO + CSEQ + LENGTH + "\r\n",
    no_cseq=START + VIA + FROM + TO + CALL_ID + LENGTH + "\r\n",
    no_via=START + FROM + TO + CALL_ID + CSEQ + LENGTH + "\r\n",
    cseq_method=START + VIA + FROM + TO + CALL_ID + "CSeq: 1 INFO\r\n" + LENGTH + "\r\n",
    cseq_number=START + VIA + FROM + TO + CALL_ID + "CSeq: 4294967296 MESSAGE\r\n" + LENGTH + "\r\n",
    cseq_word=START + VIA + FROM + TO + CALL_ID + "CSeq: x MESSAGE\r\n" + LENGTH + "\r\n",
    version=WHOLE.replace("SIP/2.0\r\n", "SIP/3.0\r\n", 1) + LENGTH + "\r\n",
    via_version=WHOLE.replace("SIP/2.0/UDP", "SIP/3.0/UDP", 1) + LENGTH + "\r\n",
    scheme=WHOLE.replace("sip:nobody@", "http:nobody@", 1) + LENGTH + "\r\n",
    from_uri=WHOLE.replace("sip:alice@", "nothing:", 1) + LENGTH + "\r\n",
    from_without_tag=WHOLE.replace(";tag=f1", "", 1) + LENGTH + "\r\n",
    to_uri=WHOLE.replace("sip:bob@", "xyz:", 1) + LENGTH + "\r\n",
    length_too_large=WHOLE + "Content-Length: 5\r\n\r\nabc",
    length_too_small=WHOLE + "Content-Length: 2\r\n\r\nabc",
    length_no_number=WHOLE + "Content-Length: abc\r\n\r\nabc",
    length_none=WHOLE + "\r\nabc",
    expires_word=WHOLE + "Expires: soon\r\n" + LENGTH + "\r\n",
    expires_large=WHOLE + "Expires: 4294967296\r\n" + LENGTH + "\r\n",
    expires=WHOLE + "Expires: 10\r\n" + LENGTH + "\r\n",
    require=WHOLE + "Require: something\r\n" + LENGTH + "\r\n",
    proxy_require=WHOLE + "Proxy-Require: something, else\r\n" + LENGTH + "\r\n",
    two_cseq=WHOLE + "CSeq: 2 INFO\r\n" + LENGTH + "\r\n",
    two_from=WHOLE + "From: <sip:carol@example.test>;tag=f2\r\n" + LENGTH + "\r\n",
    authorization=WHOLE + "Authorization: Digest nonsense\r\n" + LENGTH + "\r\n",
    proxy_authorization=WHOLE + 'Proxy-Authorization: Digest username="a"\r\n' + LENGTH + "\r\n",
    contact=WHOLE + "Contact: <nonsense\r\n" + LENGTH + "\r\n",
    no_colon=WHOLE + "A line without a colon\r\n" + LENGTH + "\r\n",
    no_port=WHOLE.replace("{host};", "127.0.0.1:99999;", 1) + LENGTH + "\r\n",
    uri_port=WHOLE.replace("nobody@example.test", "nobody@example.test:99999", 1) + LENGTH + "\r\n",
    uri_empty=WHOLE.replace("sip:nobody@example.test", "sip:", 1) + LENGTH + "\r\n",
    keepalive="\r\n\r\n",
    zeros="\0\0\0\0",
    nothing_of_sip="GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    cut=WHOLE,
)  # fmt: skip
def test_malformed(s: Scene, text: str) -> None:
    """What the sanity checks refuse, what the parser refuses, and what both let pass."""
    alice = phone(s, "alice")
    raw(s, alice, text)
    s.fence()
    s.server.settle()
    alice.drain()
    s.fence()


@plain.each(
    status="SIP/2.0 999 X\r\n" + VIA + FROM + TO + CALL_ID + CSEQ + LENGTH + "\r\n",
    lonely="SIP/2.0 200 OK\r\n" + VIA + FROM + TO + CALL_ID + CSEQ + LENGTH + "\r\n",
    no_cseq="SIP/2.0 200 OK\r\n" + VIA + FROM + TO + CALL_ID + LENGTH + "\r\n",
)  # fmt: skip
def test_reply_of_nothing(s: Scene, text: str) -> None:
    """Replies that nobody waits for, and malformed ones."""
    alice = phone(s, "alice")
    raw(s, alice, text)
    s.fence()
    s.server.settle()
