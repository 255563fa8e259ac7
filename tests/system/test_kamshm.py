"""kamshm on real servers: live, stopped, hung, crashed, as a copy; what it shows is what the traffic made."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kamailio_py.inspector import processes, queues, tables, timers
from kamailio_py.inspector.command import main
from kamailio_py.inspector.segment import Segment, attached
from kamailio_py.shm import instances
from tests.kit.kamcmd import kamcmd
from tests.kit.server import Server, our_command
from tests.kit.waiting import until

KAMSHM = [sys.executable, "-m", "kamailio_py.inspector.command"]
CFG = """#!KAMAILIO
debug=2
children=2
async_workers=1
async_workers_group="name=slow;workers=1"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "cfgutils.so"
loadmodule "htable.so"
loadmodule "async.so"
modparam("htable", "htable", "calls=>size=4;autoexpire=300;")
modparam("tm", "wt_timer", 60000)
modparam("tm", "fr_timer", 100000)
include_file "more.cfg"
request_route {
    $sht(calls=>$ci) = $rU;
    $shv(last) = $rm;
    $avp(who) = $fU;
    $xavp(a=>b) = 7;
    switch ($rm) {
        case "OPTIONS":
            sl_send_reply("200", "OK");
            exit;
        case "INFO":
            $du = "sip:127.0.0.1:9";
            t_on_failure("FAILED");
            async_route("LATER", "90");
            exit;
        case "MESSAGE":
            async_task_route("LATER");
            exit;
        case "PUBLISH":
            async_task_group_route("SLEEPY", "slow");
            exit;
        case "NOTIFY":
            sht_lock("calls=>n");
            $sht(calls=>n) = 5;
            usleep("400000001");
        case "REFER":
            $sht(calls=>n) = 6;
            exit;
        case "SUBSCRIBE":
            usleep("400000000");
            exit;
    }
    t_newtran();
    t_reply("202", "fine");
}
route[LATER] {
    t_reply("404", "Not found");
}
failure_route[FAILED] {
    exit;
}
"""
MORE = """route[SLEEPY] {

    usleep("400000000");
}
"""


STATES = dict.fromkeys(("active", "suspended", "continuing", "canceled", "completed"), 0)


def line_of(text: str, path: str = CFG) -> int:
    return next(number for number, line in enumerate(path.splitlines(), 1) if text in line)


class Client:
    """Sends requests, each a call of its own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(5)
        self.count = 0

    def send(self, method: str, user: str = "bob") -> str:
        """Its Call-ID."""
        self.count += 1
        call_id = f"{method}-{self.count}-{self.socket.getsockname()[1]}"
        self.socket.sendto(
            f"{method} sip:{user}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self.socket.getsockname()[1]}"
            f";branch=z9hG4bK{call_id}\r\nFrom: <sip:alice@b>;tag=1\r\nTo: <sip:{user}@b>\r\n"
            f"Call-ID: {call_id}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n".encode(),
            self.server.address,
        )
        return call_id

    def ask(self, method: str) -> str:
        """Its Call-ID, once it was answered."""
        call_id = self.send(method)
        while f"Call-ID: {call_id}" not in self.socket.recv(4096).decode():
            pass
        return call_id


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def make(*options: str, cfg: str = CFG) -> Server:
        server = Server("kamshm", our_command(), cfg, list(options))
        (server.directory / "more.cfg").write_text(MORE)
        started.append(server)
        return server.start()

    yield make
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Server, Client]]:
    """One server for those who only look."""
    server = Server("kamshm", our_command(), CFG)
    (server.directory / "more.cfg").write_text(MORE)
    server.start()
    yield server, Client(server)
    server.stop()


def name_of(server: Server) -> str:
    assert server.process is not None
    return next(found.name for found in instances.instances() if found.master == server.process.pid)


def kamshm(*words: str, code: int = 0) -> str:
    """What the command prints, run in this process, after a look at its exit code; of errors what it says."""
    done = CliRunner().invoke(main, words)
    assert done.exit_code == code, (words, done.exit_code, done.output, done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.stdout or done.stderr


def plain(server: Server, *words: str, code: int = 0) -> Any:
    return json.loads(kamshm("-i", name_of(server), "--json", *words, code=code))


# values and traffic


def test_a_suspended_transaction_says_who_what_where_and_when(shared: tuple[Server, Client]) -> None:
    server, client = shared
    call_id = client.send("INFO")
    row = until(lambda: plain(server, "tm", "list", "--call-id", call_id)["shown"])[0]
    assert (row["state"], row["method"], row["call_id"]) == ("suspended", "INFO", call_id)
    suspended = row["suspended"]
    assert suspended["at"] == f"test.cfg:{line_of('async_route(')}"
    assert suspended["by"]["description"].startswith("udp receiver child=")
    assert suspended["by"]["pid"] in [found["pid"] for found in plain(server, "ps")]
    assert (suspended["route"], suspended["timer"], suspended["queue"]) == ("route[LATER]", "async", "")
    assert 80 < suspended["due_in_seconds"] <= 90
    assert [(one["number"], one["blind"], one["status"]) for one in row["branches"]] == [(0, True, 0)]
    assert 90 < row["branches"][0]["timers"]["fr"] <= 100

    shown = plain(server, "tm", "show", row["transaction"])
    assert shown["request"].startswith("INFO sip:bob@127.0.0.1 SIP/2.0\r\nVia: ")
    assert shown["request"].endswith("Content-Length: 0\r\n\r\n")
    assert shown["attributes"] == {"avp": {"who": ["alice"]}, "xavp": {"a": [{"b": [7]}]}}
    assert shown["changes"]["values"] == {"dst_uri": "sip:127.0.0.1:9"}
    assert shown["armed"] == {"on_failure": "failure_route[FAILED]"}
    assert (shown["references"], shown["reply"], shown["consistent"]) == (1, "", True)
    text = kamshm("tm", "show", row["transaction"], "-i", name_of(server))
    for part in ("suspended at", "test.cfg:", "route[LATER]", "$avp(who)", "failure_route[FAILED]", call_id):
        assert part in text


def test_what_was_answered_is_shown_with_its_reply_and_its_story(shared: tuple[Server, Client]) -> None:
    server, client = shared
    call_id = client.ask("MESSAGE")
    row = until(
        lambda: [r for r in plain(server, "tm", "--json")["shown"] if r["call_id"] == call_id and r["references"] == 1]
    )[0]
    assert (row["state"], row["status"]) == ("completed", 404)
    shown = plain(server, "tm", "show", row["transaction"])
    assert shown["reply"].startswith("SIP/2.0 404 Not found\r\n")
    assert shown["suspended"]["times_resumed"] == 1
    story = plain(server, "trace", call_id)
    assert story == plain(server, "trace", row["transaction"]) | {"who": call_id}
    assert story["complete"]
    events = story["events"]
    assert [event["event"] for event in events] == ["created", "suspended", "queued", "taken", "resumed", "replied"]
    assert events[1]["text"] == f"suspended as {row['transaction']} at test.cfg:{line_of('async_task_route(')}"
    assert events[4]["text"] == "resumed, route[LATER] runs"
    assert events[0]["pid"] == shown["suspended"]["by"]["pid"] != events[3]["pid"]
    assert events[3]["process"] == "Async Task Worker - default"
    times = [event["seconds"] for event in events]
    assert times == sorted(times)
    assert times[0] == 0.0


def test_statistics_agree_with_the_traffic(shared: tuple[Server, Client]) -> None:
    server, client = shared
    before = plain(server, "tm", "stats")
    queue = plain(server, "queue", "default")[0]
    for _ in range(3):
        client.ask("MESSAGE")
    client.ask("REGISTER")
    sent = client.send("INFO")
    until(lambda: plain(server, "tm", "list", "--call-id", sent)["shown"])
    after = plain(server, "tm", "stats")
    grown = {name: after["counters"][name] - value for name, value in before["counters"].items()}
    assert (grown["total"], grown["4xx"], grown["2xx"], grown["rpl_sent"]) == (5, 3, 1, 4)
    states = {name: after["states"][name] - value for name, value in before["states"].items()}
    assert states == {"active": 0, "suspended": 1, "continuing": 0, "canceled": 0, "completed": 4}
    assert after["transactions"] - before["transactions"] == 5
    assert after["waiting"]["timer"] == before["waiting"]["timer"] + 1
    now = plain(server, "queue", "default")[0]
    assert (now["taken"] - queue["taken"], now["depth"], now["workers"]) == (3, 0, 1)


def test_tables_of_modules(shared: tuple[Server, Client]) -> None:
    server, client = shared
    call_id = client.ask("REGISTER")
    items = {row["key"]: row for row in plain(server, "htable", "calls")}
    assert items[call_id]["value"] == "bob"
    assert 290 < items[call_id]["expires_in_seconds"] <= 301
    assert plain(server, "htable", "calls", call_id)[0]["key"] == call_id
    assert plain(server, "htable")[0]["htable"] == "calls"
    assert {row["name"]: row["value"] for row in plain(server, "shv")} == {"last": "REGISTER"}
    rows = [row for row in plain(server, "avp") if row["call_id"] == call_id]
    assert {(row["kind"], row["name"]): row["values"] for row in rows} == {
        ("avp", "who"): ["alice"], ("xavp", "a"): [{"b": [7]}],
    }  # fmt: skip
    # the same without any knowledge of what the module keeps there
    known = plain(server, "table")
    assert {"tm", "htable.calls", "pv.shv"} <= {row["table"] for row in known["tables"]}
    generic = plain(server, "table", "pv.shv")
    assert [(row["name"], row["text"]) for row in generic] == [("last", "REGISTER")]
    cells = plain(server, "table", "tm", "--limit", "0")
    assert len(cells) == plain(server, "tm", "stats")["transactions"]
    client.send("INFO")
    sleepers = until(lambda: plain(server, "records", "async:sleeper"))
    assert all(row["timer"].startswith("async in ") for row in sleepers)
    assert "there is no htable nix" in kamshm("-i", name_of(server), "htable", "nix", code=1)
    assert "there is no transaction 1:2" in kamshm("-i", name_of(server), "tm", "show", "1:2", code=1)


def test_memory_snapshots_and_what_grew(shared: tuple[Server, Client], tmp_path: Path) -> None:
    server, client = shared
    copy = str(tmp_path / "before")
    until(lambda: not [row for row in plain(server, "ps") if row["doing"]])
    taken = plain(server, "snapshot", copy)
    assert taken["takes"] < taken["size"] == 64 << 20
    assert "exists already" in kamshm("-i", name_of(server), "snapshot", copy, code=1)
    sent = [client.send("INFO") for _ in range(5)]
    until(lambda: plain(server, "tm", "list", "--call-id", sent[-1])["shown"])
    until(lambda: len(plain(server, "records", "async:sleeper")) >= 5)
    grew = json.loads(kamshm("--json", "diff", copy, name_of(server), code=1))
    by_owner = {row["owner"]: row["blocks"] for row in grew["owners"]}
    assert (by_owner["tm:cell"], by_owner["async:sleeper"]) == (5, 5)
    assert grew["used_after"] - grew["used_before"] == sum(row["bytes"] for row in grew["owners"])
    same = json.loads(kamshm("--json", "diff", copy, copy))
    assert same["owners"] == []
    # a copy is shown as it was then
    then = json.loads(kamshm("-i", copy, "--json", "tm", "list", "--limit", "0"))["shown"]
    assert not {row["call_id"] for row in then} & set(sent)
    memory = plain(server, "mem")
    assert memory["used"] == sum(row["bytes"] for row in memory["owners"]) + reserved(server)
    assert kamshm("-i", copy, "check").endswith("all consistent\n")


def reserved(server: Server) -> int:
    """Bytes of the arena that belong to structures."""
    with attached(name_of(server)) as segment:
        return segment.memory.arena.used - sum(block.stride for block in segment.memory.arena.walk())


def test_timers_and_metrics(shared: tuple[Server, Client]) -> None:
    server, client = shared
    client.send("INFO")
    until(lambda: [row for row in plain(server, "timers")["kinds"] if row["kind"] == "async"])
    found = plain(server, "timers")
    kinds = {row["kind"]: row["pending"] for row in found["kinds"]}
    assert kinds["tm.fr"] == kinds["async"] == len(plain(server, "records", "async:sleeper"))
    assert found["pending"] == sum(kinds.values()) == sum(found["due"].values())
    assert found["behind_ms"] < 2000
    text = kamshm("-i", name_of(server), "prometheus")
    samples = dict(re.findall(r"^(\w+\{[^}]*\}) ([-+0-9.e]+)$", text, re.MULTILINE))
    assert len(samples) > 50
    label = f'instance_name="{name_of(server)}"'
    assert samples[f"kamailio_py_up{{{label}}}"] == "1"
    stats = plain(server, "tm", "stats")
    assert int(samples[f'kamailio_py_transactions{{{label},state="suspended"}}']) == stats["states"]["suspended"]
    assert int(samples[f'kamailio_py_statistic{{{label},group="tm",name="total"}}']) == stats["counters"]["total"]
    families = plain(server, "prometheus")
    assert {family["type"] for family in families} == {"gauge", "counter", "untyped", "histogram"}
    for family in families:
        assert f"# TYPE {family['name']} {family['type']}\n" in text


@pytest.mark.kamailio
def test_rpc_and_kamshm_agree(tmp_path: Path) -> None:
    """What the real kamcmd is told is what kamshm reads."""
    path = str(tmp_path / "ctl")
    ctl = f'loadmodule "ctl.so"\nmodparam("ctl", "binrpc", "unix:{path}")\n'
    server = Server("kamshm", our_command(), CFG.replace('loadmodule "tm.so"', ctl + 'loadmodule "tm.so"'))
    (server.directory / "more.cfg").write_text(MORE)
    server.start()
    try:
        client = Client(server)
        for _ in range(3):
            client.ask("MESSAGE")
        client.send("INFO")
        until(lambda: plain(server, "tm", "stats")["states"] == STATES | {"suspended": 1, "completed": 3})
        told = dict(re.findall(r"(\w+): (\d+)", kamcmd(path, "core.shmmem")))
        memory = until(
            lambda: [m for m in [plain(server, "mem")] if str(m["used"]) == told["used"]],
        )[0]
        assert told["free"] == str(memory["free"])
        listed = re.findall(r"PID: (\d+)\s+DSC: ([^\n]*)", kamcmd(path, "core.psx"))
        shown = [(str(row["pid"]), row["description"]) for row in plain(server, "ps")]
        assert [(pid, title.strip()) for pid, title in listed] == shown
        assert "value: INFO" in kamcmd(path, "pv.shvGet", "last")
        assert plain(server, "shv") == [{"name": "last", "value": "INFO"}]
        stats = dict(re.findall(r"(\w+): (\d+)", kamcmd(path, "tm.stats")))
        counters = plain(server, "tm", "stats")["counters"]
        assert (stats["total"], stats["4xx"]) == (str(counters["total"]), str(counters["4xx"])) == ("4", "3")
        assert stats["current"] == str(plain(server, "tm", "stats")["transactions"])
        dumped = re.findall(r"name: (\S+)\s+value: (\S+)", kamcmd(path, "htable.dump", "calls"))
        assert sorted(dumped) == sorted((row["key"], row["value"]) for row in plain(server, "htable", "calls"))
        assert len(dumped) == 4
        assert "ctl handler" in [row["description"] for row in plain(server, "ps")]
    finally:
        server.stop()


# hung, stopped, killed


def test_where_a_process_hangs(start: Callable[..., Server]) -> None:
    server = start()
    client = Client(server)
    hanging = client.send("SUBSCRIBE", "carol")
    sleepy = client.send("PUBLISH")
    waiting = client.send("PUBLISH")

    place = f"test.cfg:{line_of('400000000')}"

    def hung() -> Any:
        rows = plain(server, "ps")
        receivers = [row for row in rows if row["doing"].startswith("SUBSCRIBE ") and row["place"] == place]
        workers = [row for row in rows if row["place"].startswith("more.cfg")]
        queue = plain(server, "queue", "slow")[0]
        return (receivers, workers, queue) if receivers and workers and queue["depth"] else None

    [receiver], [worker], queue = until(hung)
    assert receiver["doing"] == "SUBSCRIBE sip:carol@127.0.0.1 SIP/2.0"
    assert 0 < receiver["busy_seconds"] < 20
    # in an included file, in the hands of a worker, with the file's own line
    assert worker["place"] == "more.cfg:3"
    assert worker["doing"].startswith("task async ")
    assert worker["doing"].endswith(", route[SLEEPY]")
    assert worker["description"] == "Async Task Worker - slow"
    assert (queue["depth"], queue["taken"]) == (1, 1)
    assert queue["high_water"] in (1, 2)  # the first may have been taken before the second came
    assert queue["in_hand"][0]["pid"] == worker["pid"]
    assert 0 < queue["oldest_seconds"] < 20
    assert queue["waiting"][0]["task"].endswith("route[SLEEPY]")
    rows = {row["call_id"]: row for row in plain(server, "tm", "list")["shown"]}
    first, second = sorted((rows[sleepy], rows[waiting]), key=lambda row: row["state"])
    assert (first["state"], second["state"]) == ("continuing", "suspended")
    assert first["suspended"]["taken_by"]["pid"] == worker["pid"]
    assert (second["suspended"]["queue"], second["suspended"]["position"]) == ("async:slow", 1)
    assert second["suspended"]["route"] == "route[SLEEPY]"
    assert hanging not in rows
    stats = plain(server, "tm", "stats")
    assert stats["waiting"] == {"timer": 0, "queue": 1, "in_hand": 1}
    assert plain(server, "check")["faults"] == []
    # nothing of this ends by itself
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    left = name_of(server)
    assert [row["state"] for row in json.loads(kamshm("ls", "--json")) if row["instance"] == left] == ["left over"]
    shown = kamshm("-i", left, "ps", code=1)
    assert "SUBSCRIBE sip:carol@127.0.0.1 SIP/2.0" in shown
    assert "more.cfg:3" in shown
    assert "is not removed" not in kamshm("rm", left)
    assert kamshm("-i", left, "ps", code=3) == f"kamshm: no instance {left}, and no such file\n"


def test_a_lock_of_a_stopped_and_of_a_dead_process(start: Callable[..., Server]) -> None:
    """A process is stopped, and then killed, while it holds a lock and was writing what it guards."""
    server = start("--no-respawn")
    client = Client(server)
    client.ask("REGISTER")
    client.send("NOTIFY")
    name = name_of(server)
    place = f"test.cfg:{line_of('usleep(')}"  # where it arrives a moment after it has the lock
    [held] = until(lambda: [row for row in plain(server, "locks")["held"] if row["place"] == place])
    assert held["lock"].startswith("htable.calls.locks[")
    assert held["doing"].startswith("NOTIFY sip:bob@127.0.0.1 SIP/2.0")
    assert held["state"] == "running"
    client.send("REFER")
    until(lambda: plain(server, "locks")["held"][0]["waited_for_by"])
    [waiting] = [row for row in plain(server, "ps") if row["waits_for"] == held["lock"]]
    [holding] = [row for row in plain(server, "ps") if row["holds"] == [held["lock"]]]
    assert waiting["doing"].startswith("REFER ")
    assert waiting["place"].startswith("test.cfg:")
    assert holding["pid"] == held["pid"] != waiting["pid"]
    # waiting is sampled
    groups = until(
        lambda: [
            g for g in plain(server, "locks")["groups"] if g["group"] == "htable.calls.locks" and g["waits_sampled"]
        ]
    )
    assert groups[0]["most_waited_for"] == held["lock"]
    os.kill(server.process.pid, signal.SIGSTOP)  # so that the master does not free the lock
    os.kill(held["pid"], signal.SIGSTOP)
    until(lambda: [row for row in plain(server, "locks")["held"] if row["state"] == "stopped"])
    # readable, and said to be in the middle of something
    assert {row["key"]: row["value"] for row in plain(server, "htable", "calls")}["n"] == 5
    assert plain(server, "tm", "stats")["transactions"] == 1
    assert plain(server, "check")["faults"] == []
    os.kill(held["pid"], signal.SIGKILL)
    until(lambda: Path(f"/proc/{held['pid']}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    [dead] = plain(server, "locks", code=1)["held"]
    assert (dead["pid"], dead["state"]) == (held["pid"], "dead")
    assert held["lock"] in kamshm("-i", name, "locks", code=1)
    assert [row["pid"] for row in plain(server, "ps", code=1) if row["state"] == "dead"] == [held["pid"]]
    [fault] = plain(server, "check", code=1)["faults"]
    assert fault.startswith(f"lock {held['lock']} is held by process {held['pid']} (udp receiver child=")
    assert {row["key"]: row["value"] for row in plain(server, "htable", "calls")}["n"] == 5
    # and the same when the master is gone, and all others with it
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    os.kill(waiting["pid"], signal.SIGKILL)
    until(lambda: all(row["state"] == "dead" for row in plain(server, "ps", code=1)))
    faults = plain(server, "check", code=1)["faults"]
    assert fault in faults
    assert [row["key"] for row in plain(server, "htable", "calls") if row["key"] == "n"]
    assert plain(server, "tm", "list")["shown"][0]["method"] == "REGISTER"
    assert plain(server, "trace", plain(server, "tm", "list")["shown"][0]["transaction"])["complete"]
    kamshm("rm", name)


def test_it_is_a_command_of_its_own(shared: tuple[Server, Client]) -> None:
    server, _ = shared
    done = subprocess.run([*KAMSHM, "ps", "-i", name_of(server)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split() == [
        "PID", "RANK", "DESCRIPTION", "STATE", "HEARTBEAT", "FOR", "AT", "DOING", "LOCKS",
    ]  # fmt: skip
    assert "\x1b" not in done.stdout
    done = subprocess.run([*KAMSHM, "ps", "-i", "nix"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "kamshm: no instance nix, and no such file\n"


# finding, and what cannot be read


def test_an_instance_by_name_pid_and_file(shared: tuple[Server, Client]) -> None:
    server, _ = shared
    name = name_of(server)
    [child] = [row["pid"] for row in plain(server, "ps") if row["description"] == "timer"]
    for choice in (name, str(server.process.pid), str(child), f"/dev/shm/kamailio_py.{name}"):
        rows = json.loads(kamshm("ps", "--json", "-i", choice))
        assert rows[0]["pid"] == server.process.pid
        assert {row["state"] for row in rows} == {"running"}
    row = next(row for row in json.loads(kamshm("ls", "--json")) if row["instance"] == name)
    assert (row["state"], row["pid"], row["cfg"]) == ("live", server.process.pid, str(server.cfg_path))
    assert row["size"] == 64 << 20
    assert f"is running with pid {server.process.pid}" in kamshm("rm", name, code=3)


def test_nothing_can_be_written_and_no_lock_taken(shared: tuple[Server, Client]) -> None:
    server, _ = shared
    with attached(name_of(server)) as segment:
        with pytest.raises(TypeError):
            segment.memory.memory[0] = 1
        with pytest.raises(TypeError):
            segment.memory.u64[100] = 1
        assert not any(hasattr(lock, "acquire") for group in segment.memory.lock_groups.values() for lock in group)


def test_options_stand_before_or_behind(shared: tuple[Server, Client]) -> None:
    server, _ = shared
    name = name_of(server)
    rows = [
        [row["pid"] for row in json.loads(kamshm(*words))]
        for words in (["-i", name, "--json", "ps"], ["ps", "-i", name, "--json"], ["--json", "ps", "--instance", name])
    ]
    assert rows[0] == rows[1] == rows[2]
    shown = [
        json.loads(kamshm(*words))["total"]
        for words in (
            ["tm", "-i", name, "--json"],
            ["--json", "tm", "-i", name, "list"],
            ["tm", "list", "-i", name, "--json"],
        )
    ]
    assert len(set(shown)) == 1


def test_watch_goes_on_until_it_is_interrupted(shared: tuple[Server, Client]) -> None:
    server, client = shared
    words = [*KAMSHM, "-i", name_of(server), "queue", "default", "--json", "--watch", "0.2"]
    # where the tests run in the background of a shell SIGINT is ignored, and children inherit that
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, preexec_fn=heed) as watching:
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())[0]
        for _ in range(5):
            client.ask("MESSAGE")
        rates, taken = 0.0, 0
        while taken < first["taken"] + 5:
            row = json.loads(watching.stdout.readline())[0]
            rates, taken = max(rates, row["per_second"]), row["taken"]
        assert rates > 1
        watching.send_signal(signal.SIGINT)
        assert watching.wait(5) == 0


@pytest.mark.parametrize(
    ("cut", "text"),
    [
        (lambda whole: b"", "not a shared memory segment of kamailio-py"),
        (lambda whole: b"hello\n" * 100, "not a shared memory segment of kamailio-py"),
        (lambda whole: os.urandom(1 << 20), "not a shared memory segment of kamailio-py"),
        (lambda whole: whole[:300_000], "not a shared memory segment|truncated: 300000 of 67108864 bytes are there"),
        (lambda whole: whole[: 5 << 20], "truncated: 5242880 of 67108864 bytes are there"),
        (lambda whole: whole[:16] + b"\x63" + whole[17:], "layout version 99 of the segment is not"),
        (
            lambda whole: whole[:1000] + os.urandom(1 << 18) + whole[1000 + (1 << 18) :],
            "damaged|not a shared|being made",
        ),
    ],
)
def test_a_file_that_is_none(
    shared: tuple[Server, Client], tmp_path: Path, cut: Callable[[bytes], bytes], text: str
) -> None:
    server, _ = shared
    path = tmp_path / "file"
    path.write_bytes(cut(Path(f"/dev/shm/kamailio_py.{name_of(server)}").read_bytes()))
    for words in (["ps"], ["tm"], ["check"]):
        said = kamshm("-i", str(path), *words, code=3)
        assert re.fullmatch(rf"kamshm: {path}: ({text}).*\n", said)


def test_help_has_examples_and_exit_codes() -> None:
    text = kamshm("--help")
    assert "kamshm trace 'a84b4c76e66710'" in text
    assert "Exit codes:" in text
    assert "--instance NAME|PID|FILE" in text
    assert "Usage" in kamshm("nix", code=2)


# under load


def test_a_thousand_looks_under_load_find_no_wrong_record(start: Callable[..., Server]) -> None:
    """Each look attaches anew and reads one noun chosen by turns, while requests come as fast as they are answered."""
    server = start(cfg=CFG.replace("60000", "300").replace("calls=>$ci", "calls=>$rm"))
    flood = subprocess.Popen([sys.executable, "-c", FLOOD, str(server.port)], stdout=subprocess.PIPE)
    try:
        name = name_of(server)
        until(lambda: plain(server, "tm", "stats")["counters"]["total"] > 100)
        looks: list[Callable[[Segment], None]] = [
            look_at_transactions,
            look_at_processes,
            look_at_the_rest,
            look_at_events,
        ]
        for number in range(1000):
            with attached(name) as segment:
                looks[number % len(looks)](segment)
        assert flood.poll() is None
    finally:
        flood.kill()
        flood.wait()
    with attached(name) as segment:
        assert segment.memory.counters.total(segment.memory.counters.ids["tm", "total"]) > 1000
    assert "ERROR" not in server.log()
    assert "BUG" not in server.log()


FLOOD = """
import socket, sys, time
port, n = int(sys.argv[1]), 0
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.bind(("127.0.0.1", 0))
client.settimeout(0.05)
here = client.getsockname()[1]
end = time.monotonic() + 100
while time.monotonic() < end:
    for method in ("MESSAGE", "REGISTER", "INFO") if n % 300 == 0 else ("MESSAGE", "REGISTER", "MESSAGE"):
        n += 1
        client.sendto(f"{method} sip:bob@127.0.0.1 SIP/2.0\\r\\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{here};branch=z9hG4bK{n}\\r\\nFrom: <sip:alice@b>;tag=1\\r\\n"
            f"To: <sip:bob@b>\\r\\nCall-ID: load-{n}-{method}\\r\\nCSeq: 1 {method}\\r\\n"
            f"Max-Forwards: 70\\r\\nContent-Length: 0\\r\\n\\r\\n".encode(), ("127.0.0.1", port))
    try:
        for _ in range(3):
            client.recv(4096)
    except TimeoutError:
        pass
"""


def look_at_transactions(segment: Segment) -> None:
    """Of a few buckets, everything: what is said to be consistent is right."""
    from kamailio_py.inspector.cells import Cells, attributes

    cells = Cells(segment)
    assert cells.table is not None
    seen = 0
    for bucket in cells.table.filled():
        for cell in cells.bucket(bucket, full=True):
            if not cell.stable:
                continue
            method = cell.call_id.rpartition("-")[2]
            assert cell.values["index"] == bucket
            assert cell.method == method
            assert cell.text.startswith(f"{method} sip:bob@127.0.0.1 SIP/2.0\r\n")
            assert cell.text.endswith("\r\n\r\n")
            assert cell.source == "127.0.0.1"
            assert cell.state in ("active", "suspended", "continuing", "completed")
            assert cell.values["status"] in (0, 202, 404)
            assert cell.values["refs"] < 5
            reply = cell.blocks.get("reply")
            assert (reply is not None) == (cell.values["status"] != 0)
            if reply:
                assert reply.startswith(f"SIP/2.0 {cell.values['status']} ".encode())
                assert f"Call-ID: {cell.call_id}\r\n".encode() in reply
            if "attributes" in cell.blocks:
                assert attributes(cell.blocks["attributes"]) == {"avp": {"who": ["alice"]}, "xavp": {"a": [{"b": [7]}]}}
            for branch, _ in cell.branches:
                assert branch["cell"] == cell.offset
                assert branch["flags"] & 1
        seen += 1
        if seen == 8:
            return


def look_at_processes(segment: Segment) -> None:
    for row in processes.collect(segment):
        assert row["state"] == "running"
        assert re.fullmatch(
            r"|(MESSAGE|REGISTER|INFO) sip:bob@127\.0\.0\.1 SIP/2\.0|timers|timer \S+|task .*|SIP/2\.0 \d+ .*",
            row["doing"],
        ), row
        assert row["place"] == "" or re.fullmatch(r"test\.cfg:\d+", row["place"])
        assert (row["busy_seconds"] or 0) < 30
        assert row["heartbeat_seconds"] < 60
    for row in queues.collect(segment):
        assert row["depth"] <= row["high_water"] <= row["capacity"]
        assert row["rejected"] == 0
        assert 0 <= (row["oldest_seconds"] or 0) < 30


def look_at_the_rest(segment: Segment) -> None:
    for row in tables.items(segment, "calls"):
        assert (row["key"] in ("MESSAGE", "REGISTER", "INFO"), row["value"]) == (True, "bob")
    assert {
        (row["name"], row["value"] in ("MESSAGE", "REGISTER", "INFO")) for row in tables.shared_variables(segment)
    } == {("last", True)}
    found = timers.collect(segment)
    assert {row["kind"] for row in found["kinds"]} <= {"tm.wait", "tm.fr", "async"}


def look_at_events(segment: Segment) -> None:
    events = segment.memory.trace.events()
    assert events
    now = segment.now
    routes = len(segment.script.routes)
    for event in events[::16]:
        assert 0 <= now - event.at < 200e9
        assert event.transaction[0] < 65536
        if event.what.name == "REPLIED":
            assert event.detail in (202, 404)
        elif event.what.name == "RESUMED":
            assert event.detail < routes
        elif event.what.name == "SUSPENDED":
            assert segment.script.place(event.detail).startswith("test.cfg:")
