"""The configs that ship, each in one process: what their heads say is what they do."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.local import Local
from kit.requests import request
from kit.sip import Sip

CFG = Path(__file__).parents[2] / "cfg"
_numbers = iter(range(10**9))


def load(name: str) -> Local:
    return Local((CFG / name).read_text())


def ask(server: Local, method: str = "MESSAGE", user: str = "x", **parts: str) -> list[Sip]:
    number = next(_numbers)
    parts = {"call_id": f"c{number}", "branch": f"z9hG4bK{number}", **parts}
    uri = f"sip:{user}@127.0.0.1:5060" if user else "sip:127.0.0.1:5060"
    return [Sip(text) for text in server.inject(request(method, uri, **parts))]


def starts(replies: list[Sip]) -> list[str]:
    return [reply.start for reply in replies]


def later(server: Local, seconds: float) -> list[str]:
    return [Sip(text).start for text in server.advance(seconds, 0.01)]


def test_every_config_is_tested() -> None:
    names = {path.name for path in CFG.glob("*.cfg")}
    assert names == {
        "async.cfg",
        "async-task.cfg",
        "handover.cfg",
        "suspend-continue.cfg",
        "proxy.cfg",
        "registrar.cfg",
    }


@pytest.mark.parametrize(
    ("user", "seconds"), [("x", 4.0), ("sleep", 4.0), ("2", 2.0), ("ms-150", 0.15)]
)  # fmt: skip
def test_async(user: str, seconds: float) -> None:
    with load("async.cfg") as server:
        assert ask(server, "INFO", user) == []
        assert later(server, seconds - 0.02) == []
        assert later(server, 0.04) == ["SIP/2.0 404 Not found"]


def test_async_at_once() -> None:
    with load("async.cfg") as server:
        assert starts(ask(server, "OPTIONS")) == ["SIP/2.0 200 OK"]
        assert starts(ask(server, "INFO", "worker")) == ["SIP/2.0 404 Not found"]
        assert starts(ask(server, "INFO", "100")) == ["SIP/2.0 400 Not so long"]
        assert starts(ask(server, "INFO", "ms-30000")) == ["SIP/2.0 400 Not so long"]


@pytest.mark.parametrize(
    ("method", "user", "answers", "group"),
    [
        ("REGISTER", "x", ["SIP/2.0 200 Registered"], "register"),
        ("INVITE", "x", ["SIP/2.0 100 trying -- your call is important to us", "SIP/2.0 603 Not today"], "calls"),
        ("INFO", "default", ["SIP/2.0 200 Done"], "default"),
        ("INFO", "calls", ["SIP/2.0 200 Done"], "calls"),
        ("INFO", "nobody", ["SIP/2.0 404 No such group"], ""),
    ],
)
def test_async_task(capfd: pytest.CaptureFixture[str], method: str, user: str, answers: list[str], group: str) -> None:
    with load("async-task.cfg") as server:
        assert starts(ask(server, method, user)) == answers
    if group:
        assert f"{method} in a worker of group {group}" in capfd.readouterr().err


def test_async_task_without_message(capfd: pytest.CaptureFixture[str]) -> None:
    with load("async-task.cfg") as server:
        assert starts(ask(server, "MESSAGE", "bob", body="hello")) == ["SIP/2.0 202 Accepted"]
    assert "group default: alice wrote to bob: hello" in capfd.readouterr().err


def test_handover() -> None:
    with load("handover.cfg") as server:
        for number in (1, 2):
            assert ask(server, "MESSAGE", "bob", call_id=f"call{number}") == []
            [reply] = [Sip(text) for text in server.advance(1.01)]
            assert reply.start == "SIP/2.0 200 Handed over"
            found = {name: value for name, value in reply.headers if name.startswith("X-")}
            assert found.pop("X-Var") in ("0", "set before")  # one process here, two in a server
            assert found == {
                "X-Avp": "alice",
                "X-Avp-List": "2 1",
                "X-Xavp": f"call{number} 7",
                "X-Shv": str(number),
                "X-Htable": "sip:bob@127.0.0.1:5060",
                "X-Flag": "set",
                "X-Uri": "sip:elsewhere@example.com",
                "X-Destination": "sip:192.0.2.1:5070",
            }


def test_suspend_continue() -> None:
    with load("suspend-continue.cfg") as server:
        assert ask(server, "MESSAGE", "jane") == []
        assert starts(ask(server, "MESSAGE", "jane")) == ["SIP/2.0 491 Somebody waits already"]
        assert starts(ask(server, "INFO", "joe")) == ["SIP/2.0 404 Nobody waits"]
        answers = starts(ask(server, "INFO", "jane", extra="X-Answer: 486 Busy Here"))
        assert answers == ["SIP/2.0 486 Busy Here", "SIP/2.0 200 Answered"]
        assert starts(ask(server, "INFO", "jane")) == ["SIP/2.0 404 Nobody waits"]
        assert starts(ask(server, "INVITE", "jim")) == ["SIP/2.0 100 trying -- your call is important to us"]
        assert starts(ask(server, "INFO", "jim")) == ["SIP/2.0 200 OK", "SIP/2.0 200 Answered"]
        assert ask(server, "MESSAGE", "late") == []
        assert later(server, 20.5)[-1] == "SIP/2.0 408 Request Timeout"
        assert starts(ask(server, "INFO", "late")) == ["SIP/2.0 404 Nobody waits"]


def answer(server: Local, sent: str, status: str, extra: str = "") -> list[str]:
    """Start lines of what is sent because the next hop answers."""
    sip = Sip(sent)
    lines = [f"SIP/2.0 {status}"]
    for name in ("Via", "Record-Route", "From", "To", "Call-ID", "CSeq"):
        tag = ";tag=b" if name == "To" and "tag=" not in sip.first("To") else ""
        lines += [f"{name}: {value}{tag}" for value in sip.all(name)]
    return server.inject("\n".join([*lines, *extra.splitlines(), "Content-Length: 0"]), port=7000)


def test_proxy() -> None:
    with load("proxy.cfg") as server:
        assert starts(ask(server, "OPTIONS", "")) == ["SIP/2.0 200 OK"]
        assert starts(ask(server, "INVITE", "bob")) == ["SIP/2.0 404 Not Found"]
        uri = "sip:bob@127.0.0.1:7000"
        trying, first = server.inject(request("INVITE", f"{uri};backup=7001"))
        assert trying.startswith("SIP/2.0 100 ")
        assert Sip(first).first("Max-Forwards") == "10"
        assert Sip(first).first("Record-Route") == "<sip:127.0.0.1;lr;ftag=f1>"
        [ringing] = answer(server, first, "180 Ringing")
        assert ringing.startswith("SIP/2.0 180 Ringing")
        ack, second = answer(server, first, "486 Busy")
        assert ack.startswith("ACK sip:bob@127.0.0.1:7000;backup=7001 ")
        assert second.startswith("INVITE sip:bob@127.0.0.1:7001;backup=7001 ")
        [ok] = answer(server, second, "200 OK", "Contact: <sip:c@127.0.0.1:7001>")
        assert ok.startswith("SIP/2.0 200 OK")
        in_dialog = {"to_tag": "b", "extra": "Route: <sip:127.0.0.1;lr;ftag=f1>"}
        [ack] = server.inject(request("ACK", "sip:c@127.0.0.1:7001", branch="z9hG4bKa", **in_dialog))
        assert ack.startswith("ACK sip:c@127.0.0.1:7001 ")
        assert Sip(ack).all("Route") == []
        [bye] = server.inject(request("BYE", "sip:c@127.0.0.1:7001", cseq=2, branch="z9hG4bKb", **in_dialog))
        [done] = answer(server, bye, "200 OK")
        assert done.startswith("SIP/2.0 200 OK")


def test_registrar() -> None:
    with load("registrar.cfg") as server:
        assert starts(ask(server, "INVITE", "bob")) == ["SIP/2.0 404 Not Found"]
        contacts = "Contact: <sip:b@127.0.0.1:7000>;q=0.5, <sip:b@127.0.0.1:7001>"
        [reply] = ask(server, "REGISTER", "", extra=contacts)
        assert reply.first("Contact").startswith("<sip:b@127.0.0.1:7000>;q=0.5;expires=3600, ")
        _, first, second = ask(server, "INVITE", "bob")
        assert [first.uri, second.uri] == ["sip:b@127.0.0.1:7000", "sip:b@127.0.0.1:7001"]
