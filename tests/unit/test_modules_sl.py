"""The sl module: replies without state, and which ACKs are recognised as theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.local import Local
from kit.requests import request
from kit.sip import Sip

CFG = """
loadmodule "tm"
loadmodule "sl"
loadmodule "pv"
loadmodule "textops"
modparam("sl", "default_code", 555)
modparam("sl", "default_reason", "Default")
request_route {
    switch ($rU) {
        case "none": sl_send_reply("$avp(x)", "$avp(y)"); break;
        case "low": sl_reply("99", "Low"); break;
        case "high": sl_send_reply("700", ""); break;
        case "sum": sl_reply(200 + 1, "For $rm"); break;
        case "trying": send_reply("100", "Trying"); break;
        case "added": append_to_reply("X-A: 1\\r\\n");
                      sl_send_reply("180", "Ringing"); sl_send_reply("200", "OK"); break;
        case "state": t_newtran(); $var(a) = send_reply("404", "Gone"); $var(b) = send_reply("405", "Again");
                      sl_send_reply("200", ": $var(a) $var(b) $ltt(s) $ltt(t) $ltt(x)"); break;
        case "tags": sl_send_reply("200", ": $ltt(s) $ltt(x) $ltt(t)"); break;
        case "error": sl_reply_error(); break;
        case "relay": $ru = "sip:x@no.such.host.invalid"; if (!t_relay()) sl_reply_error(); break;
        case "mode": send_reply_mode("404", "Closed", "3"); break;
        default: sl_send_reply("404", "Not here");
    }
}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Local]:
    with Local(CFG) as made:
        yield made


def ask(server: Local, user: str, method: str = "OPTIONS", **parts: str) -> list[Sip]:
    text = request(method, f"sip:{user}@127.0.0.1", call_id=f"{user}-{method}", branch=f"z9hG4bK{user}", **parts)
    return [Sip(sent) for sent in server.inject(text)]


def count(server: Local, name: str) -> int:
    counters = server.core.shm.counters
    return counters.total(counters.counter("sl", name))


@pytest.mark.parametrize(
    ("user", "start"),
    [
        ("none", "SIP/2.0 555 Default"), ("low", "SIP/2.0 099 Low"), ("high", "SIP/2.0 700 "),
        ("sum", "SIP/2.0 201 For OPTIONS"), ("mode", "SIP/2.0 404 Closed"),
        ("error", "SIP/2.0 500 I'm terribly sorry, server error occurred (1/SL)"),
    ],
)  # fmt: skip
def test_status_lines(server: Local, user: str, start: str) -> None:
    [reply] = ask(server, user)
    assert reply.start == start


def test_error_of_the_function_called_before(server: Local) -> None:
    stateless, stateful = ask(server, "relay")
    assert stateless.start == "SIP/2.0 478 Unresolvable destination (478/SL)"
    assert stateful.start == "SIP/2.0 478 Unresolvable destination (478/TM)"


def test_whole_reply(server: Local) -> None:
    [reply] = ask(server, "x")
    assert reply.text == (
        "SIP/2.0 404 Not here\r\n"
        "Via: SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bKx\r\n"
        "From: <sip:alice@example.test>;tag=f1\r\n"
        f"To: <sip:bob@example.test>;tag={reply.to_tag}\r\n"
        "Call-ID: x-OPTIONS\r\n"
        "CSeq: 1 OPTIONS\r\n"
        "Server: kamailio (5.6.3 (x86_64/linux))\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    assert len(reply.to_tag) == 41
    assert reply.to_tag[32] == "."
    assert server.sent[-1][1][:3] == ("udp", "127.0.0.1", 40000)


def test_to_tag_is_that_of_the_request_or_computed(server: Local) -> None:
    [first], [again] = ask(server, "x"), ask(server, "x")
    assert first.to_tag == again.to_tag
    [kept] = ask(server, "x", to_tag="theirs")
    assert kept.to_tag == "theirs"
    [trying] = ask(server, "trying")
    assert trying.to_tag == ""


def test_headers_of_the_script_stay_for_the_next_reply(server: Local) -> None:
    ringing, ok = ask(server, "added")
    assert (ringing.status, ok.status) == (180, 200)
    assert ringing.first("X-A") == ok.first("X-A") == "1"


REDIRECT = """
loadmodule "sl"
loadmodule "pv"
loadmodule "corex"
modparam("sl", "rich_redirect", {rich})
request_route {{
    append_branch("sip:x@y:5", "0.5"); append_branch("sip:z@y:5;p=1", "0.75");
    $(branch(path)[1]) = "<sip:p1;lr>,<sip:p2;lr>"; $(branch(flags)[1]) = 5;
    if ($rU == "moved") $ru = "sip:new@h;a=b";
    sl_send_reply("302", "Moved");
}}
"""


def test_redirection_says_where() -> None:
    with Local(REDIRECT.format(rich=0)) as server:
        [moved], [stayed] = ask(server, "moved"), ask(server, "x")
    branches = "<sip:x@y:5>;q=0.5, <sip:z@y:5;p=1>;q=0.75"
    assert moved.first("Contact") == f"<sip:new@h;a=b>, {branches}"
    assert stayed.first("Contact") == branches


def test_rich_redirection() -> None:
    with Local(REDIRECT.format(rich=3)) as server:
        [reply] = ask(server, "moved")
    assert reply.first("Contact") == (
        "<sip:new@h;a=b>;flags=0, <sip:x@y:5>;q=0.5;flags=0, "
        "<sip:z@y:5;p=1?Route=%3csip:p1%3blr%3e%2c%3csip:p2%3blr%3e>;q=0.75;flags=5"
    )


def test_transaction_answers_where_there_is_one(server: Local) -> None:
    stateful, stateless = ask(server, "state")
    assert stateful.start == "SIP/2.0 404 Gone"
    assert stateful.to_tag[32] == "-"
    a, b, own, of_transaction, mixed = stateless.start.split(" ")[3:]
    assert (a, b) == ("1", "-1")
    assert own == stateless.to_tag
    assert of_transaction == mixed == stateful.to_tag


def test_tags_without_a_transaction(server: Local) -> None:
    [reply] = ask(server, "tags")
    own, mixed, of_transaction = reply.start.split(" ")[3:]
    assert own == mixed == reply.to_tag
    assert of_transaction == "<null>"


def test_ack_of_our_reply_is_filtered_for_two_seconds(server: Local) -> None:
    [reply] = ask(server, "call", "INVITE")
    ack = request("ACK", "sip:call@127.0.0.1", call_id="call-INVITE", branch="z9hG4bKcall", to_tag=reply.to_tag)
    before = count(server, "received_ACKs")
    failures = count(server, "failures")
    server.inject(ack)
    assert count(server, "received_ACKs") == before + 1
    for other in (ack.replace("z9hG4bKcall", "z9hG4bKother"), ack.replace(reply.to_tag, "x" * 41)):
        server.inject(other)
    assert count(server, "received_ACKs") == before + 1
    assert count(server, "failures") == failures + 2  # the script tried to answer an ACK
    server.clock.advance(2.001)
    server.inject(ack)
    assert count(server, "received_ACKs") == before + 1


def test_statistics_by_code(server: Local) -> None:
    names = ("404_replies", "4xx_replies", "555_replies", "5xx_replies", "xxx_replies", "2xx_replies", "sent_replies")
    counters = server.core.shm.counters
    before = {name: count(server, name) for name in names if ("sl", name) in counters.ids}
    for user in ("x", "none", "low", "high", "sum"):
        ask(server, user)
    after = {name: count(server, name) - total for name, total in before.items()}
    assert after == {
        "404_replies": 1,
        "4xx_replies": 0,
        "5xx_replies": 1,
        "xxx_replies": 2,
        "2xx_replies": 1,
        "sent_replies": 5,
    }


def test_event_routes(capfd: pytest.CaptureFixture[str]) -> None:
    cfg = """
        loadmodule "sl"
        loadmodule "pv"
        loadmodule "xlog"
        request_route { sl_send_reply("404", "No"); }
        event_route[sl:local-response] { xlog("sent $rs $rr $rm to $snd(ip):$snd(port)\\n"); }
        event_route[sl:filtered-ack] { xlog("ack $rm $ru\\n"); }
    """
    with Local(cfg) as server:
        [reply] = ask(server, "x", "INVITE")
        server.inject(request("ACK", "sip:x@h", call_id="x-INVITE", branch="z9hG4bKx", to_tag=reply.to_tag))
    err = capfd.readouterr().err
    assert "ERROR: <script>: sent 404 No INVITE to 127.0.0.1:40000\n" in err
    assert "ERROR: <script>: ack ACK sip:x@h\n" in err


REPLY = """SIP/2.0 200 OK
Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx.0
Via: SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bKy
From: <sip:a@b>;tag=1
To: <sip:b@b>;tag=2
Call-ID: q
CSeq: 1 INVITE
X: {}
Content-Length: 0"""


@pytest.mark.parametrize(
    ("arguments", "start", "complaint"),
    [
        ("", "SIP/2.0 200 OK", ""),
        ('"203"', "SIP/2.0 203 OK", ""),
        ('"299", "Fine $rm"', "SIP/2.0 299 Fine $rm", ""),
        ('"", ""', "SIP/2.0 200 OK", ""),
        ('"399", "Fine"', None, "reply code class cannot be changed"),
        ('"29x", "Fine"', None, "invalid reply code value 29x!"),
        ('"29", "Fine"', None, "invalid reply code value 29"),
    ],
)
def test_forwarding_a_reply_changed(
    capfd: pytest.CaptureFixture[str], arguments: str, start: str | None, complaint: str
) -> None:
    cfg = f"""
        loadmodule "sl"
        loadmodule "pv"
        loadmodule "textops"
        request_route {{ ; }}
        onreply_route {{ append_hf("X-Added: 1\\r\\n"); sl_forward_reply({arguments}); drop; }}
    """
    with Local(cfg) as server:
        sent = [Sip(text) for text in server.inject(REPLY)]
    assert [reply.start for reply in sent] == ([start] if start else [])
    assert complaint in capfd.readouterr().err
    if sent:
        assert len(sent[0].all("Via")) == 1
        assert sent[0].first("X-Added") == "1"


def test_nothing_is_sent_in_answer_to_a_reply() -> None:
    cfg = 'loadmodule "sl"\nrequest_route { ; }\nonreply_route { if (send_reply("200", "x")) return; drop; }'
    with Local(cfg) as server:
        assert server.inject(REPLY) == []
