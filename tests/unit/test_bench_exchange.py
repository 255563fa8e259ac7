"""What kambench says to a server and what it makes of the answers: templates, numbers, credentials, calls."""

from __future__ import annotations

from hashlib import md5

import pytest
from sipmessage import Message

from kamailio_py.bench import answers, scenario
from kamailio_py.bench.exchange import Calls, Requests, Template
from kamailio_py.bench.link import split

SERVER, LOCAL = "127.0.0.1:5060", "127.0.0.1:4711"
OF_ONE_REQUEST = [name for name in scenario.shipped() if scenario.load(name).kind == "requests"]


def first(exchange: Requests | Calls, number: int = 7) -> bytes:
    sent: list[bytes] = []
    exchange.begin(number, sent.append)
    assert len(sent) == 1
    return sent[0]


@pytest.mark.parametrize("name", OF_ONE_REQUEST)
def test_what_ships_is_sip_and_carries_its_number(name: str) -> None:
    exchange = scenario.load(name).exchange(SERVER, LOCAL)
    data = first(exchange)  # type: ignore[arg-type]
    message = Message.parse(data)
    assert message.via[0].host == "127.0.0.1"
    assert message.content_length == 0
    assert exchange.number(data) == 7
    assert "{" not in data.decode()


def test_each_number_is_another_call_and_another_branch() -> None:
    exchange = scenario.load("options-stateless").exchange(SERVER, LOCAL)
    one, two = (Message.parse(first(exchange, number)) for number in (1, 2))  # type: ignore[arg-type]
    assert one.call_id != two.call_id
    assert one.via[0].parameters["branch"] != two.via[0].parameters["branch"]


def test_a_body_has_its_length() -> None:
    data = Template("MESSAGE sip:a@b SIP/2.0\nCall-ID: {id}\n\nhello\nyou", SERVER, LOCAL, "r.").fill(1)
    assert data.endswith(b"Content-Length: 10\r\n\r\nhello\r\nyou")


@pytest.mark.parametrize(
    ("answer", "over", "wrong"),
    [("200 OK", True, 0), ("100 Trying", False, 0), ("404 Not Found", True, 1), ("401 Unauthorized", True, 1)],
)
def test_only_the_expected_final_answer_is_right(answer: str, over: bool, wrong: int) -> None:
    exchange = scenario.load("options-stateless").exchange(SERVER, LOCAL)
    reply = f"SIP/2.0 {answer}\r\n".encode() + first(exchange).partition(b"\r\n")[2]  # type: ignore[arg-type]
    assert exchange.react(reply, lambda data: None) == (7 if over else -1)
    assert len(exchange.wrong) == wrong


def test_answers_of_another_run_are_nobodys() -> None:
    one, two = (scenario.load("options-stateless").exchange(SERVER, LOCAL) for _ in range(2))
    reply = b"SIP/2.0 200 OK\r\n" + first(one).partition(b"\r\n")[2]  # type: ignore[arg-type]
    assert two.react(reply, lambda data: None) == -1


@pytest.mark.parametrize("qop", ["", ', qop="auth"'])
def test_a_challenge_is_met_once(qop: str) -> None:
    exchange = scenario.load("register-auth").exchange(SERVER, LOCAL)
    request = first(exchange)  # type: ignore[arg-type]
    challenge = (
        b"SIP/2.0 401 Unauthorized\r\n" + request.partition(b"\r\n")[2].rpartition(b"Content-Length")[0]
        + b'WWW-Authenticate: Digest realm="example.test", nonce="abc"' + qop.encode()
        + b"\r\nContent-Length: 0\r\n\r\n"
    )  # fmt: skip
    sent: list[bytes] = []
    assert exchange.react(challenge, sent.append) == -1
    again = sent[0].decode()
    first_half = md5(b"user0007:example.test:secret").hexdigest()
    second_half = md5(b"REGISTER:sip:example.test").hexdigest()
    middle = "abc:00000001:bench:auth" if qop else "abc"
    assert f'response="{md5(f"{first_half}:{middle}:{second_half}".encode()).hexdigest()}"' in again
    assert "\r\nCSeq: 2 REGISTER\r\n" in again
    assert (
        Message.parse(again.encode()).via[0].parameters["branch"] != Message.parse(request).via[0].parameters["branch"]
    )
    refused = challenge.replace(b"CSeq: 1 ", b"CSeq: 2 ")
    assert exchange.react(refused, sent.append) == 7
    assert exchange.wrong == ["SIP/2.0 401 Unauthorized"]


def test_both_parties_of_a_call() -> None:
    """The server is a proxy that adds its route and changes nothing else: what one party sends the other gets."""
    exchange = scenario.load("call-relay").exchange(SERVER, LOCAL)
    assert isinstance(exchange, Calls)
    waiting = [first(exchange).replace(b"\r\nVia", b"\r\nRecord-Route: <sip:127.0.0.1:5060;lr>\r\nVia", 1)]
    seen, over = [], -1
    while waiting:
        data = waiting.pop(0)
        seen.append(data.partition(b"\r\n")[0].decode())
        over = max(over, exchange.react(data, waiting.append))
    assert seen == [
        f"INVITE sip:bob@{LOCAL} SIP/2.0", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK", f"ACK sip:bob@{LOCAL} SIP/2.0",
        f"BYE sip:bob@{LOCAL} SIP/2.0", "SIP/2.0 200 OK",
    ]  # fmt: skip
    assert over == 7
    assert exchange.acknowledged == 1


def test_a_stream_is_split_where_messages_end() -> None:
    whole = b"A\r\nContent-Length: 3\r\n\r\nxyzB\r\nl: 0\r\n\r\n"
    for cut in range(len(whole)):
        found, rest = split(whole[:cut])
        more, rest = split(rest + whole[cut:])
        assert (found + more, rest) == ([b"A\r\nContent-Length: 3\r\n\r\nxyz", b"B\r\nl: 0\r\n\r\n"], b"")


def reply(tag: str, branch: str, extra: str = "", number: int = 1, port: int = 4711) -> bytes:
    return (
        f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-{branch}\r\nTo: <sip:b@b>;tag={tag}\r\n"
        f"Call-ID: run.{number:08d}@bench\r\nServer: {tag}\r\n{extra}\r\n"
    ).encode()


def test_answers_that_differ_by_nature_are_the_same() -> None:
    one = answers.canonical([reply("a", "x")], "run.", "127.0.0.1:4711")
    two = answers.canonical([reply("b", "y", number=2, port=4712)], "run.", "127.0.0.1:4712")
    assert answers.difference(one, two) == ""


def test_answers_that_differ_are_told_apart() -> None:
    one = answers.canonical([reply("a", "x")], "run.", "127.0.0.1:4711")
    two = answers.canonical([reply("a", "x", "Contact: <sip:b>\r\n")], "run.", "127.0.0.1:4711")
    assert answers.difference(one, two) == "+ Contact: <sip:b>"


BROKEN = {
    'title = "t"': "cfg is missing",
    'title = "t"\ncfg = "none.cfg"\nmessage = "Call-ID: {id} branch=z9hG4bK-{id}"': "there is no file",
    'title = "t"\ncfg = "a.cfg"\nmessage = "OPTIONS"': "must have {id} in its Call-ID",
    'title = "t"\ncfg = "a.cfg"\ncolour = "red"': "unknown key colour",
    'title = "t"\ncfg = "a.cfg"\nwindow = "wide"': "window must be of type int",
    'title = "t"\ncfg = "a.cfg"\nkind = "dance"': "kind must be one of",
    'title = "t"\ncfg = "a.cfg"\nrates = [0]\nmessage = "Call-ID: {id} branch=z9hG4bK-{id}"': "rates are numbers",
    "title = ": "Invalid value",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_file_that_is_no_scenario_is_told_why(text: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "a.cfg").touch()
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(scenario.ScenarioError, match=r"own\.toml") as raised:
        scenario.load(str(tmp_path / "own.toml"))
    assert BROKEN[text] in str(raised.value)
