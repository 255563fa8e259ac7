"""The stock config started by kamailio-py with each of its defines, what a start costs, and real clients against it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.server import Server, our_command, process_tree
from tests.kit.stock import DOMAIN, STOCK, Stock

pytestmark = pytest.mark.skipif(
    not STOCK.exists() and os.environ.get("KAMAILIO_REQUIRED") != "1", reason="needs Debian's kamailio.cfg"
)

USUAL = "AUTH IPAUTH USRLOCDB ACCDB ALIASDB SPEEDDIAL MULTIDOMAIN NAT ANTIFLOOD"
ALONE = [
    "AUTH", "USRLOCDB", "ACCDB", "ALIASDB", "SPEEDDIAL", "MULTIDOMAIN", "NAT", "ANTIFLOOD", "PSTN", "VOICEMAIL", "TLS",
    "XMLRPC", "JSONRPC", "BLOCK3XX", "BLOCK401407", "PRESENCE", "DEBUG", "MSGREBUILD",
]  # fmt: skip
TOGETHER = ("", "AUTH IPAUTH", "NAT RTPENGINE", "NAT NATSIPPING", USUAL, f"{USUAL} PRESENCE PSTN VOICEMAIL TLS JSONRPC")
CALLEE = Path(__file__).with_name("sipp_callee.xml")
CALLER = Path(__file__).with_name("sipp_caller.xml")
MOST_CPU = 1.2
"""Seconds of CPU until the first answer: on an idle machine it comes well before half of it has passed."""
MOST_MEMORY = 150 << 20

OPTIONS = (
    "OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bKa{own}\r\n"
    "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def server(defines: str, *, listen: tuple[str, ...] = ()) -> Server:
    from tests.differential.test_stock_tls import tls_cfg

    room = Stock(
        "start", defines, database=True, local='#!subst "!/etc/kamailio/tls.cfg!@DIR@/tls.cfg!"', listen=listen,
        prepare=tls_cfg,
    )  # fmt: skip
    return Server("ours", our_command(), room.text([]), room.options, room.prepare, listen=room.listen)


def asked(where: tuple[str, int], patience: float = 5.0) -> str:
    """The answer to OPTIONS, which is sent again until it is there."""
    deadline = time.monotonic() + patience
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.settimeout(0.02)
        request = OPTIONS.format(port=where[1], own=client.getsockname()[1]).encode()
        while time.monotonic() < deadline:
            client.sendto(request, where)
            try:
                return client.recv(4096).decode()
            except (TimeoutError, ConnectionRefusedError):
                continue
    return ""


@pytest.mark.parametrize("defines", [*ALONE, *TOGETHER])
def test_starts_with(defines: str) -> None:
    """Every define, alone and in the usual combinations: it starts, answers and stops."""
    started = server(defines)
    try:
        started.start()
        assert asked(started.address).startswith("SIP/2.0 200 Keepalive")
        assert "CRITICAL" not in started.log()
    finally:
        status = started.stop()
    assert status == 0


def cpu(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pids: list[int]) -> int:
    """Bytes, what is shared counted once."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            match = re.search(r"^Pss: +(\d+) kB", rollup.read(), re.MULTILINE)
        assert match
        total += int(match[1]) << 10
    return total


@pytest.fixture(scope="module")
def stock() -> Iterator[Server]:
    started = server("", listen=("tcp:127.0.0.1",))
    started.start()
    yield started
    started.stop()


def test_what_a_start_costs(stock: Server) -> None:
    """CPU time, which a busy machine does not change as it does the time on the clock."""
    assert stock.process is not None
    assert asked(stock.address)
    tree = process_tree(stock.process.pid)
    assert len(tree) >= 20
    # The first start of all compiles the sources; this one reads what that has kept, unless nothing may be kept.
    if not os.environ.get("PYTHONDONTWRITEBYTECODE"):
        assert cpu(tree) < MOST_CPU
    assert memory(tree) < MOST_MEMORY


def run(*words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    path = shutil.which(words[0])
    if path is None:
        if os.environ.get("KAMAILIO_REQUIRED") == "1":
            pytest.fail(f"KAMAILIO_REQUIRED=1, and there is no {words[0]} on this machine")
        pytest.skip(f"needs {words[0]}")
    return subprocess.run([path, *words[1:]], capture_output=True, text=True, timeout=timeout, check=False)


def test_sipsak_options(stock: Server) -> None:
    done = run("sipsak", "-vv", "-p", f"127.0.0.1:{stock.port}", "-s", "sip:example.test")
    assert done.returncode == 0, done.stdout
    assert "200 Keepalive" in done.stdout


def test_sipsak_registers(stock: Server) -> None:
    """Registers, and finds the registration again."""
    proxy = f"127.0.0.1:{stock.port}"
    done = run(
        "sipsak", "-U", "-C", "sip:me@127.0.0.1:9", "-x", "60", "-v", "-p", proxy, "-s", "sip:sipsak@example.test"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = run("kamcmd", "-s", f"unixs:{stock.directory}/run/kamailio_ctl", "ul.lookup", "location", "sipsak")
    assert "Address: sip:me@127.0.0.1:9" in shown.stdout


def test_kamcmd_statistics(stock: Server) -> None:
    socket_ = f"unixs:{stock.directory}/run/kamailio_ctl"
    asked(stock.address)
    shown = run("kamcmd", "-s", socket_, "stats.get_statistics", "core:")
    assert int(re.search(r"core:rcv_requests\S* = (\d+)", shown.stdout)[1]) > 0  # type: ignore[index]
    assert "registered_users" in run("kamcmd", "-s", socket_, "stats.get_statistics", "usrloc:").stdout


def test_sipp_calls(stock: Server, tmp_path: Path) -> None:
    """Calls with record route for a few seconds, none of which fails."""
    done = sipp_calls(stock, tmp_path, rate=40, calls=120)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]


def sipp_calls(stock: Server, where: Path, rate: int, calls: int) -> subprocess.CompletedProcess[str]:
    """sipp's own caller and callee, the callee registered as `service`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    added = run(
        "kamcmd", "-s", f"unixs:{stock.directory}/run/kamailio_ctl", "ul.add", "location", "service",
        f"sip:service@127.0.0.1:{port}", "3600", "1.0", ".", "0", "0", "8191",
    )  # fmt: skip
    assert "error" not in added.stdout + added.stderr, added.stdout + added.stderr
    callee = subprocess.Popen(
        ["sipp", "-sf", str(CALLEE), "-i", "127.0.0.1", "-p", str(port), "-nostdin"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=where,
    )  # fmt: skip
    try:
        return run(
            "sipp", f"127.0.0.1:{stock.port}", "-sf", str(CALLER), "-s", "service", "-i", "127.0.0.1", "-r",
            str(rate), "-m", str(calls), "-d", "200", "-nostdin", "-trace_err", "-error_file", str(where / "errors"),
        )  # fmt: skip
    finally:
        callee.terminate()
        callee.wait()


def baresip(where: Path, name: str, stock: Server, *commands: str, seconds: int) -> subprocess.Popen[str]:
    """A baresip registered as `name`, which answers by itself and ends after so many seconds."""
    where.mkdir()
    (where / "config").write_text(
        "sip_listen 127.0.0.1:0\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule_tmp account.so\n"
        "module ausine.so\nmodule aufile.so\nmodule_app menu.so\naudio_source ausine,440\n"
        "ausrc_srate 48000\nausrc_channels 2\n"
        f"audio_player aufile,{where}/heard.wav\nnet_interface 127.0.0.1\n"
    )
    account = f"<sip:{name}@{DOMAIN};transport=udp>;auth_pass=none;answermode=auto;regint=600"
    (where / "accounts").write_text(f'{account};outbound="sip:127.0.0.1:{stock.port}"\n')
    words = [word for command in commands for word in ("-e", command)]
    return subprocess.Popen(
        ["baresip", "-f", str(where), "-t", str(seconds), *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_baresip_calls_baresip(stock: Server, tmp_path: Path) -> None:
    """Two phones register, one calls the other, who answers."""
    run("baresip", "-h")
    called = baresip(tmp_path / "bob", "bob", stock, seconds=8)
    control = f"unixs:{stock.directory}/run/kamailio_ctl"
    deadline = time.monotonic() + 10
    while "bob" not in run("kamcmd", "-s", control, "ul.dump").stdout and time.monotonic() < deadline:
        time.sleep(0.1)
    caller = baresip(tmp_path / "alice", "alice", stock, f"/dial sip:bob@{DOMAIN}", seconds=6)
    said = caller.communicate(timeout=30)[0]
    heard = called.communicate(timeout=30)[0]
    assert "Call established" in said, said + heard
    assert "Call established" in heard, said + heard
