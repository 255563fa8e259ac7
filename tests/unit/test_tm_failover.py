"""DNS failover: a branch that fails goes on to the next address, in whichever way it fails, until there are none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.local import Local
from tests.kit.rpc import invoke

CFG = """
use_dns_failover=yes
loadmodule "pv"
loadmodule "tm"
modparam("tm", "fr_timer", 1000)
request_route { t_on_failure("FAILED"); t_relay(); }
failure_route[FAILED] { if (t_check_status("503")) { t_reply("500", "all failed"); } }
onsend_route { if ($rU == "refused" && snd_port == 5060 && to_port == 5071) { drop; } }
"""


@pytest.fixture
def server() -> Iterator[Local]:
    with Local(CFG) as made:
        for number in (1, 2, 3):
            target = f"host{number}.test"
            invoke(made.core, "dns.add_srv", "_sip._udp.e.test", 60, number, 1, 5070 + number, target, 0)
            invoke(made.core, "dns.add_a", target, 60, f"10.0.0.{number}", 0)
        yield made
        faults = made.core.shm.check()
    assert faults == []


def request(method: str = "OPTIONS", user: str = "x", ident: str = "1") -> str:
    return (
        f"{method} sip:{user}@e.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bK{ident}\r\n"
        f"From: <sip:a@b>;tag=1\r\nTo: <sip:x@b>\r\nCall-ID: c{ident}\r\nCSeq: 1 {method}\r\nMax-Forwards: 9\r\n\r\n"
    )


def sent(server: Local) -> list[int]:
    """Ports requests went to, retransmissions left out."""
    ports = [target.port for text, target in server.sent if text.startswith(("OPTIONS", "INVITE"))]
    return list(dict.fromkeys(ports))


def answer(server: Local, port: int, status: int) -> None:
    """A reply from where the request was sent to."""
    text, target = next(each for each in server.sent if each[1].port == port)
    kept = [line for line in text.split("\r\n") if line.startswith(("Via", "From", "To", "Call-ID", "CSeq"))]
    lines = [f"SIP/2.0 {status} said", *kept, "Content-Length: 0", "", ""]
    server.inject("\r\n".join(lines), target.host, port)


def last(server: Local) -> str:
    """Status line of the last reply that went upstream."""
    return [text for text, _ in server.sent if text.startswith("SIP/2.0")][-1].split("\r\n")[0]


def test_503_goes_on_until_somebody_answers(server: Local) -> None:
    server.inject(request())
    for port in (5071, 5072):
        answer(server, port, 503)
    assert sent(server) == [5071, 5072, 5073]
    answer(server, 5073, 200)
    assert last(server) == "SIP/2.0 200 said"
    texts = [text for text, target in server.sent if text.startswith("OPTIONS")]
    branches = [text.split(";branch=")[1].split("\r\n")[0] for text in texts]
    assert [branch.rsplit(".", 1)[1] for branch in branches] == ["0", "1", "2"]
    assert len({branch.rsplit(".", 1)[0] for branch in branches}) == 1


def test_failure_route_runs_when_all_have_failed(server: Local) -> None:
    server.inject(request())
    for port in (5071, 5072):
        answer(server, port, 503)
        assert not any(text.startswith("SIP/2.0") for text, _ in server.sent)
    answer(server, 5073, 503)
    assert last(server) == "SIP/2.0 500 all failed"


def test_silence_goes_on_and_ends_in_408(server: Local) -> None:
    server.inject(request())
    server.advance(2.5, 0.1)
    assert sent(server) == [5071, 5072, 5073]
    server.advance(1.5, 0.1)
    assert last(server) == "SIP/2.0 408 Request Timeout"


def test_a_provisional_reply_settles_the_place(server: Local) -> None:
    server.inject(request("INVITE"))
    answer(server, 5071, 180)
    server.advance(121, 1)
    assert sent(server) == [5071]


def test_other_replies_settle_it_too(server: Local) -> None:
    server.inject(request())
    answer(server, 5071, 486)
    assert sent(server) == [5071]
    assert last(server) == "SIP/2.0 486 said"


def test_what_cannot_be_sent_to_is_passed_over(server: Local) -> None:
    server.core.sender = lambda data, target: target.port == 5073 and server._send(data, target)
    server.inject(request())
    assert sent(server) == [5073]


def test_onsend_route_may_refuse_an_address(server: Local) -> None:
    server.inject(request(user="refused"))
    assert sent(server) == [5072]


def test_nothing_goes_on_after_a_cancel(server: Local) -> None:
    server.inject(request("INVITE"))
    server.inject(request("CANCEL"))
    server.advance(3, 0.1)
    assert sent(server) == [5071]


def test_without_failover(server: Local) -> None:
    server.core.cfg.set("use_dns_failover", 0)
    server.inject(request())
    answer(server, 5071, 503)
    assert sent(server) == [5071]


def test_not_more_branches_than_there_may_be(server: Local) -> None:
    server.core.module("tm").client.limit = 2
    server.inject(request())
    answer(server, 5071, 503)
    answer(server, 5072, 503)
    assert sent(server) == [5071, 5072]
    assert last(server) == "SIP/2.0 500 all failed"
