"""Asking name servers: which, how often and for how long; what an answer becomes; resolv.conf."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from kamailio_py.dns import servers
from kamailio_py.dns.records import RecordSet
from kamailio_py.dns.resolv_conf import ResolvConf
from kamailio_py.dns.servers import NameServers, ask_system
from kamailio_py.engine.settings import GlobalValues
from tests.kit.name_server import NameServer


class Asking(NameServers):
    """Name servers of a resolv.conf in a directory of the test's own."""

    def __init__(self, path: Path, port: int) -> None:
        self.counted: Counter[str] = Counter()
        super().__init__(GlobalValues(), self._counted)
        self.path, self.port = str(path), port
        path.write_text("nameserver 127.0.0.1\nsearch one.test two.test\noptions timeout:1 attempts:1\n")

    def _counted(self, name: str) -> None:
        self.counted[name] += 1


@pytest.fixture
def server() -> Iterator[NameServer]:
    with NameServer({"a.test": ["A 1.1.1.1", "5 A 1.1.1.2"]}) as made:
        yield made


@pytest.fixture
def asking(server: NameServer, tmp_path: Path) -> Asking:
    return Asking(tmp_path / "resolv.conf", server.port)


def shown(sets: list[RecordSet] | None) -> list[str] | None:
    if sets is None:
        return None
    return [f"{one.name} {one.type} {each.target} {ttl}" for one in sets for each, ttl in zip(one.records, one.ttls,
                                                                                            strict=True)]  # fmt: skip


def test_records_come_in_their_order_with_their_times(asking: Asking) -> None:
    assert shown(asking.ask("a.test", "A")) == ["a.test A 1.1.1.1 60", "a.test A 1.1.1.2 5"]


def test_every_kind_of_record(server: NameServer, asking: Asking) -> None:
    server.zone["all.test"] = [
        "AAAA ::1", "SRV 1 2 3 host.test", 'NAPTR 4 5 "s" "SIP+D2U" "" _sip._udp.test', 'TXT "one" "two"',
        "PTR name.test", "CNAME other.test",
    ]  # fmt: skip
    found = {kind: asking.ask("all.test", kind) for kind in ("AAAA", "SRV", "NAPTR", "TXT", "PTR", "CNAME")}
    records = {kind: next(one for one in sets or [] if one.type == kind).records[0] for kind, sets in found.items()}
    assert records["AAAA"].target == "::1"
    assert records["SRV"].state() == ["host.test", 0, 1, 2, 3, [], False]
    assert records["NAPTR"].state() == ["_sip._udp.test", 0, 4, 5, 0, ["s", "SIP+D2U", ""], False]
    assert records["TXT"].texts == ["one", "two"]
    assert records["PTR"].target == "name.test"
    assert records["CNAME"].target == "other.test"


def test_what_is_no_name_is_not_asked_for(server: NameServer, asking: Asking) -> None:
    for name in ("", "a b", "a/b", "\xe4.test", "." * 3, "x" * 64 + ".test", ("x" * 60 + ".") * 5):
        assert asking.ask(name, "A") is None
    assert server.asked == []


def test_failures_are_counted(server: NameServer, asking: Asking) -> None:
    server.refused.add("refused.test")
    server.zone["other.test"] = ["AAAA ::1"]
    for name in ("none.test", "refused.test", "other.test"):
        assert asking.ask(name, "A") is None
    assert asking.counted == {"failed_dns_request": 3}


def test_slow_answers_are_counted_and_told(
    server: NameServer, asking: Asking, capfd: pytest.CaptureFixture[str]
) -> None:
    server.delay = 0.05
    asking.cfg.set("dns_slow_query_ms", 20)
    assert asking.ask("a.test", "A")
    assert asking.counted == {"slow_dns_request": 1}
    assert "res_search[A][a.test]elapsed[" in capfd.readouterr().err


def test_domains_of_resolv_conf(server: NameServer, asking: Asking) -> None:
    server.zone["short.two.test"] = ["A 2.2.2.2"]
    assert shown(asking.ask("short", "A")) == ["short.two.test A 2.2.2.2 60", "short CNAME short.two.test 60"]
    assert server.asked == ["A short.one.test", "A short.two.test"]
    asking.ask("dotted.name", "A")
    assert server.asked[2:] == ["A dotted.name", "A dotted.name.one.test", "A dotted.name.two.test"]
    asking.cfg.set("dns_use_search_list", 0)
    asking.ask("short", "A")
    assert server.asked[5:] == ["A short"]


def test_only_domains_of_resolv_conf_are_believed(server: NameServer, asking: Asking) -> None:
    """A server may give the name a longer one than it was asked for."""
    server.zone["short.one.test"] = ["CNAME short.else.test"]
    server.zone["short.else.test"] = ["A 2.2.2.2"]
    aliases = [one for one in asking.ask("short", "A") or [] if one.name == "short"]
    assert [each.target for one in aliases for each in one.records] == ["short.one.test"]


def test_truncated_answers_come_over_tcp(server: NameServer, asking: Asking) -> None:
    server.truncated.add("a.test")
    assert asking.ask("a.test", "A")
    assert server.asked == ["A a.test", "A a.test"]


def test_silence_takes_its_time(server: NameServer, asking: Asking) -> None:
    server.silent.add("silent.test")
    asking.cfg.set("dns_use_search_list", 0)
    began = time.monotonic()
    assert asking.ask("silent.test", "A") is None
    assert 0.9 < time.monotonic() - began < 1.9
    assert server.asked == ["A silent.test"]


def test_how_often_and_how_long_is_asked(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round is twice as long as the one before, and shared by the servers."""
    asked: list[tuple[str, float]] = []
    monkeypatch.setattr(servers, "_exchange", lambda query, server, port, patience: asked.append((server, patience)))
    Path(asking.path).write_text("nameserver ::1\nnameserver ::2\noptions timeout:4 attempts:2")
    asking.cfg.set("dns_use_search_list", 0)
    assert asking.ask("a.test", "A") is None
    assert asked == [("::1", 4), ("::2", 4), ("::1", 4), ("::2", 4)]
    asked.clear()
    for name, value in (("dns_retr_time", 2), ("dns_retr_no", 3), ("dns_servers_no", 1)):
        asking.cfg.set(name, value)
    assert asking.ask("a.test", "A") is None
    assert asked == [("::1", 2), ("::1", 4), ("::1", 8)]


def test_where_nobody_listens_is_known_at_once(server: NameServer, asking: Asking) -> None:
    Path(asking.path).write_text("nameserver 127.0.0.9\nnameserver 127.0.0.1\n")
    began = time.monotonic()
    assert asking.ask("a.test", "A")
    assert time.monotonic() - began < 1
    asking.cfg.set("dns_servers_no", 1)
    assert asking.ask("a.test", "A") is None
    assert time.monotonic() - began < 1


def test_resolv_conf_is_read_again(server: NameServer, asking: Asking) -> None:
    Path(asking.path).write_text("nameserver 127.0.0.9\n")
    assert asking.ask("a.test", "A") is None
    Path(asking.path).write_text("nameserver 127.0.0.1\n")
    assert asking.ask("a.test", "A")


def test_resolv_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# comment\nnameserver 10.0.0.1 # one\nnameserver ::1\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n"
        "domain old.test\nsearch a.test b.test.\nnameserver\n"
        "options ndots:2 timeout:3 attempts:4 rotate edns0 ndots:x\n"
    )
    found = ResolvConf.read(str(path))
    assert found == ResolvConf(["10.0.0.1", "::1", "10.0.0.3"], ["a.test", "b.test."], 2, 3, 4, True)
    assert found.names("one.dot", True) == ["one.dot.a.test", "one.dot.b.test", "one.dot"]
    assert found.names("two.dots.here", True) == ["two.dots.here", "two.dots.here.a.test", "two.dots.here.b.test"]
    assert found.names("absolute.", True) == ["absolute"]
    assert found.names("x", False) == ["x"]
    monkeypatch.setenv("RES_OPTIONS", "ndots:7")
    monkeypatch.setenv("LOCALDOMAIN", "mine.test")
    again = ResolvConf.read(str(path))
    assert (again.ndots, again.search) == (7, ["mine.test"])


def test_without_resolv_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is the name server, and its own domain is looked in."""
    monkeypatch.setattr(socket, "gethostname", lambda: "host.domain.test")
    assert ResolvConf.read(str(tmp_path / "none")) == ResolvConf(["127.0.0.1"], ["domain.test"])


def test_the_system_knows_localhost() -> None:
    assert "127.0.0.1" in ask_system("localhost", "A")
    assert ask_system("no-such-name.invalid", "A") == []


def test_who_needs_no_names_does_not_load_dnspython() -> None:
    program = (
        "import sys\nfrom tests.kit.local import Local\n"
        "with Local('loadmodule \"tm\"\\nrequest_route { t_relay(); }') as server:\n"
        "    server.inject('OPTIONS sip:x@127.0.0.9 SIP/2.0\\nVia: SIP/2.0/UDP 1.1.1.1;branch=z9hG4bKx\\n'\n"
        "                  'From: <sip:a@b>;tag=1\\nTo: <sip:b>\\nCall-ID: c\\nCSeq: 1 OPTIONS')\n"
        "    assert server.sent\n"
        "print([name for name in sys.modules if name.startswith('dns.')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
