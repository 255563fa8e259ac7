"""Starting, stopping, dying: real processes, real signals, nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kamailio_py.shm import instances
from kamailio_py.shm.memory import SharedMemory
from tests.kit.ports import Port
from tests.kit.server import Server, our_command
from tests.kit.waiting import until

CFG = """#!KAMAILIO
debug=2
children=2
loadmodule "sl.so"

request_route {
    sl_send_reply("200", "OK");
    exit;
}
"""

OPTIONS = (
    "OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{n}\r\n"
    "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: life-{n}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def ask(server: Server, n: int = 1, timeout: float = 3.0) -> str:
    """One OPTIONS; the reply, "" when none came."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.settimeout(timeout)
        client.sendto(OPTIONS.format(port=client.getsockname()[1], n=n).encode(), server.address)
        try:
            return client.recv(4096).decode()
        except TimeoutError:
            return ""


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def make(cfg: str = CFG, *options: str) -> Server:
        server = Server("ours", our_command(), cfg, list(options))
        started.append(server)
        return server.start()

    yield make
    for server in started:
        server.stop()


def segments(server: Server) -> list[str]:
    assert server.process is not None
    return [found.name for found in instances.instances() if found.master == server.process.pid]


def table(server: Server) -> dict[str, int]:
    """Description -> pid from the server's own process table."""
    [name] = segments(server)
    memory = SharedMemory.attach(name)
    try:
        return {row.description: row.pid for _, row in memory.processes.rows()}
    finally:
        memory.close()


def test_answers_and_stops_within_a_second_leaving_nothing(start: Callable[..., Server], tmp_path: Path) -> None:
    pid_file = tmp_path / "server.pid"
    server = start(CFG, "-P", str(pid_file))
    assert ask(server).startswith("SIP/2.0 200 OK")
    assert pid_file.read_text() == f"{server.process.pid}\n"
    assert segments(server)
    semaphores = [
        name for name in os.listdir("/dev/shm") if name.startswith("sem.") and str(server.process.pid) in name
    ]
    assert semaphores == []
    stopped = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(5) == 0
    assert time.monotonic() - stopped < 1.0
    assert not pid_file.exists()
    assert segments(server) == []
    assert "Thank you for flying kamailio!!!" in server.log()


def test_processes_are_named_as_kamailio_names_them(start: Callable[..., Server]) -> None:
    server = start(CFG.replace("children=2", 'children=2\nasync_workers=2\nasync_workers_group="name=reg;workers=1"'))
    where = f"127.0.0.1:{server.port}"
    assert list(table(server)) == [
        "main process - attendant",
        f"udp receiver child=0 sock={where}",
        f"udp receiver child=1 sock={where}",
        "slow timer",
        "timer",
        "secondary timer",
        "Async Task Worker - default",
        "Async Task Worker - reg",
        "tcp main process",
    ]


def test_the_first_receiver_that_is_free_takes_a_request(start: Callable[..., Server]) -> None:
    server = start(
        """#!KAMAILIO
debug=2
children=3
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "cfgutils.so"

request_route {
    if ($cs == 1000) {
        xlog("L_WARN", "sleeping in $pp\\n");
        sleep("2");
    }
    sl_send_reply("200", "by $pp");
}
"""
    )

    def by() -> set[str]:
        lines = set()
        for n in range(5):
            server.settle()
            lines.add(ask(server, n).split("\r\n")[0])
        return lines

    assert len(by()) == 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        request = OPTIONS.replace("CSeq: 1 ", "CSeq: 1000 ")
        client.sendto(request.format(port=9, n=99).encode(), server.address)
        assert server.wait_log("sleeping in ")
        busy = server.log().partition("sleeping in ")[2].split()[0]
        [second] = by()
    assert f"by {busy}" not in second


def test_a_killed_receiver_is_started_again(start: Callable[..., Server]) -> None:
    server = start()
    name = f"udp receiver child=0 sock=127.0.0.1:{server.port}"
    victim = table(server)[name]
    os.kill(victim, signal.SIGKILL)
    assert server.wait_log(f"child process {victim} exited by a signal 9")
    assert server.wait_log("was started again")
    assert table(server)[name] != victim
    assert all(ask(server, n) for n in range(20))


def test_a_copy_of_the_memory_is_kept_when_a_process_dies(start: Callable[..., Server]) -> None:
    server = start(CFG, "--keep-crashed")
    [name] = segments(server)
    victim = table(server)[f"udp receiver child=0 sock=127.0.0.1:{server.port}"]
    os.kill(victim, signal.SIGKILL)
    assert server.wait_log("was started again")
    [kept] = [found.name for found in instances.instances() if found.name.startswith(f"{name}.crash.")]
    memory = SharedMemory.attach(kept)
    try:
        assert victim in [row.pid for _, row in memory.processes.rows()]
        assert memory.check() == []
    finally:
        memory.close()
    assert ask(server)
    server.process.terminate()
    server.process.wait(5)
    assert [found.name for found in instances.instances() if found.name.startswith(name)] == [kept]
    instances.remove(kept)


def test_without_respawn_the_instance_stops_as_kamailio_does(start: Callable[..., Server]) -> None:
    server = start(CFG, "--no-respawn")
    os.kill(table(server)[f"udp receiver child=1 sock=127.0.0.1:{server.port}"], signal.SIGKILL)
    assert server.process.wait(5) == 1
    assert "terminating due to SIGCHLD" in server.log()
    assert segments(server) == []


def test_children_do_not_outlive_a_killed_master(start: Callable[..., Server]) -> None:
    server = start()
    pids = [pid for pid in table(server).values() if pid != server.process.pid]
    server.process.kill()
    server.process.wait(5)
    until(lambda: not any(alive(pid) for pid in pids))
    [left] = [found for found in instances.instances() if found.master == server.process.pid]
    assert not left.live
    instances.remove(left.name)


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_signals_that_mean_nothing_do_nothing(start: Callable[..., Server]) -> None:
    server = start()
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        server.process.send_signal(number)
    assert server.wait_log("unhandled signal 12")
    assert ask(server)


def test_garbage_never_ends_a_process(start: Callable[..., Server]) -> None:
    server = start()
    pids = table(server)
    wire = Path(__file__).parents[1] / "wire"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        for file in sorted(wire.rglob("*.sip")):
            client.sendto(file.read_bytes()[:60000], server.address)
        for junk in (b"", b"\0" * 100, b"\xff" * 3000, b"SIP/2.0 200", b"\r\n\r\n", b"A" * 60000, b"INVITE"):
            client.sendto(junk, server.address)
    assert ask(server), "\n".join(line for line in server.log().splitlines() if "ERROR" not in line)
    assert table(server) == pids
    assert "Traceback" not in server.log()


def run(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*our_command(), *arguments], capture_output=True, text=True, timeout=20, check=False, **more)


def test_check_accepts_and_refuses(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.cfg", tmp_path / "bad.cfg"
    good.write_text(CFG)
    bad.write_text(CFG.replace("sl_send_reply", "sl_sent_reply").replace("exit;", "exit"))
    accepted = run("-c", "-f", str(good), "-l", "udp:127.0.0.1:5060")
    assert accepted.returncode == 0
    assert "config file ok, exiting..." in accepted.stderr
    assert "Listening on" in accepted.stdout
    refused = run("-c", "-f", str(bad))
    assert refused.returncode == 255
    assert f"parse error in config file {bad}, line 7" in refused.stderr
    assert "sl_send_reply" in refused.stderr
    assert "ERROR: bad config file" in refused.stderr


def test_exit_codes_of_the_command_line(tmp_path: Path) -> None:
    assert run("-v").returncode == 0
    assert "kamailio 5.6.3" in run("-v").stdout
    assert run("-h").returncode == 0
    unknown = run("-Z")
    assert unknown.returncode == 255
    assert "Unknown option '-Z'. Use -h for help." in unknown.stderr
    missing = run("-f", str(tmp_path / "none.cfg"))
    assert missing.returncode == 255
    assert "No such file or directory" in missing.stderr


def test_daemon_writes_its_pid_and_the_second_start_is_refused(tmp_path: Path) -> None:
    port = Port()
    cfg, pid_file = tmp_path / "d.cfg", tmp_path / "d.pid"
    cfg.write_text(f"listen=udp:127.0.0.1:{port.number}\n{CFG}")
    started = subprocess.run([*our_command(), "-f", str(cfg), "-P", str(pid_file)], timeout=20, check=False)
    assert started.returncode == 0
    pid = int(pid_file.read_text())
    try:
        again = run("-f", str(cfg), "-P", str(pid_file), "-DD", "-E")
        assert again.returncode == 255
        assert "running process found in the pid file" in again.stderr
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGTERM)
        until(lambda: not alive(pid))
        port.release()
    assert not pid_file.exists()
