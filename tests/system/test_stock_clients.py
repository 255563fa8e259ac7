"""Real clients on the stock config: sipsak, sipp, baresip, PJSUA, kamcmd; with and without passwords, on UDP, TCP, TLS.

Users are made by kamctl, in a database that kamdbctl made.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import certificates
from tests.kit.admin import Admin
from tests.kit.agent import Agent
from tests.kit.kamcmd import kamcmd
from tests.kit.programs import program
from tests.kit.server import Server, our_command
from tests.kit.stock import DOMAIN, Stock, needs_stock
from tests.kit.waiting import until
from tests.system.test_stock import server

pytestmark = needs_stock

HERE = Path(__file__).parent
CALLEE = HERE / "sipp_callee.xml"
PASSWORD = "secret"
PATIENCE = 15.0


@pytest.fixture(scope="module")
def stock() -> Iterator[Server]:
    """Without defines, on UDP and TCP."""
    started = server("", listen=("tcp:127.0.0.1",))
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def secured() -> Iterator[Server]:
    """With passwords, a database and TLS, which has an address of its own; alice and bob are users."""
    started = server("AUTH USRLOCDB TLS", listen=("tcp:127.0.0.1", "tls:127.0.0.2"))
    (started.directory / "kamailio.db").unlink()
    admin = Admin(started, DOMAIN)
    admin.kamdbctl("create")
    for user in ("alice", "bob"):
        assert "added" in admin.kamctl("add", user, PASSWORD)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def texts() -> Iterator[Server]:
    """With passwords in a database of text files."""
    room = Stock("texts", "AUTH", local='loadmodule "db_text.so"\n#!define DBURL "text://@DIR@/kamailio.db"')
    started = Server("texts", our_command(), room.text([]), room.options, room.prepare)
    admin = Admin(started, DOMAIN, "DBTEXT")
    admin.kamdbctl("create", str(started.directory / "kamailio.db"))
    assert "added" in admin.kamctl("add", "alice", PASSWORD)
    started.start()
    yield started
    started.stop()


def run(*words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program(words[0]), *words[1:]], capture_output=True, text=True, timeout=timeout, check=False)


# -- sipsak


def sipsak(on: Server, *words: str) -> subprocess.CompletedProcess[str]:
    return run("sipsak", "-p", f"127.0.0.1:{on.port}", *words)


@pytest.mark.parametrize("over", ["udp", "tcp"])
def test_sipsak_options(stock: Server, over: str) -> None:
    done = sipsak(stock, "-vv", "-E", over, "-s", f"sip:{DOMAIN}")
    assert done.returncode == 0, done.stdout
    assert "200 Keepalive" in done.stdout


def test_sipsak_registers(stock: Server) -> None:
    """Registers, is found, and is removed."""
    words = ("-U", "-C", "sip:me@127.0.0.1:9", "-v", "-s", f"sip:sipsak@{DOMAIN}")
    done = sipsak(stock, *words, "-x", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Address: sip:me@127.0.0.1:9" in kamcmd(stock.ctl, "ul.lookup", "location", "sipsak")
    done = sipsak(stock, *words, "-x", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "AOR not found" in kamcmd(stock.ctl, "ul.lookup", "location", "sipsak")


def test_sipsak_reaches_a_user(stock: Server) -> None:
    """OPTIONS for a user go to his phone, which is looked up, and its answer comes back; nobody answers for others."""
    phone = Agent("phone", "sipsak", stock.address)
    phone.request("REGISTER", user="phone", headers=phone.contact)
    phone.expect(200)
    answering = threading.Thread(target=lambda: phone.reply(phone.expect("OPTIONS"), 200, headers="X-Phone: me"))
    answering.start()
    done = sipsak(stock, "-vv", "-s", f"sip:phone@{DOMAIN}")
    answering.join()
    phone.close()
    assert done.returncode == 0, done.stdout
    assert "X-Phone: me" in done.stdout
    done = sipsak(stock, "-vv", "-s", f"sip:nobody@{DOMAIN}")
    assert done.returncode == 1
    assert "SIP/2.0 404 Not Found" in done.stdout


@pytest.mark.parametrize("kept", ["secured", "texts"])
def test_sipsak_password(kept: str, request: pytest.FixtureRequest) -> None:
    """A user that kamctl made registers with his password and not with another one."""
    on = request.getfixturevalue(kept)
    words = ("-U", "-C", "sip:me@127.0.0.1:9", "-x", "60", "-vvv", "-s", f"sip:alice@{DOMAIN}")
    done = sipsak(on, *words, "-a", "wrong")
    assert done.returncode != 0
    assert "alice" not in kamcmd(on.ctl, "ul.dump")
    done = sipsak(on, *words, "-a", PASSWORD)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIP/2.0 401 Unauthorized" in done.stdout
    assert "Address: sip:me@127.0.0.1:9" in kamcmd(on.ctl, "ul.lookup", "location", "alice")
    kamcmd(on.ctl, "ul.rm", "location", "alice")


# -- kamcmd


def test_kamcmd_statistics(stock: Server) -> None:
    sipsak(stock, "-s", f"sip:{DOMAIN}")
    shown = kamcmd(stock.ctl, "stats.get_statistics", "core:")
    assert int(re.search(r"core:rcv_requests\S* = (\d+)", shown)[1]) > 0  # type: ignore[index]
    assert "registered_users" in kamcmd(stock.ctl, "stats.get_statistics", "usrloc:")


# -- sipp


def test_sipp_calls(stock: Server, tmp_path: Path) -> None:
    """Calls with record route for a few seconds, none of which fails: the short form of sipp_minute.sh."""
    rate, calls = 100, 500
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    added = kamcmd(
        stock.ctl,
        "ul.add",
        "location",
        "service",
        f"sip:service@127.0.0.1:{port}",
        "3600",
        "1.0",
        ".",
        "0",
        "0",
        "8191",
    )
    assert "error" not in added, added
    # Without its 180: sipp that has sent one no longer answers an INVITE that comes again.
    answering = re.sub(r"  <send><!\[CDATA\[\nSIP/2.0 180.*?</send>\n", "", CALLEE.read_text(), flags=re.DOTALL)
    (tmp_path / "callee.xml").write_text(answering)
    callee = subprocess.Popen(
        [program("sipp"), "-sf", str(tmp_path / "callee.xml"), "-i", "127.0.0.1", "-p", str(port), "-nostdin"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path,
    )  # fmt: skip
    try:
        done = run(
            "sipp", f"127.0.0.1:{stock.port}", "-sf", str(HERE / "sipp_caller.xml"), "-s", "service", "-i", "127.0.0.1",
            "-r", str(rate), "-m", str(calls), "-d", "200", "-l", str(calls), "-nostdin", "-trace_err", "-error_file",
            str(tmp_path / "errors"),
        )  # fmt: skip
    finally:
        callee.terminate()
        callee.wait()
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    counted = re.findall(r"(Successful|Failed) call +\| +\d+ +\| +(\d+)", done.stdout)[-2:]
    assert dict(counted) == {"Successful": str(calls), "Failed": "0"}


# -- phones


class Baresip:
    """A baresip registered as `user`, which answers by itself. What it says is in `said`."""

    def __init__(self, where: Path, user: str, proxy: str, over: str, *commands: str) -> None:
        where.mkdir()
        (where / "config").write_text(
            "sip_listen 127.0.0.1:0\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule_tmp account.so\n"
            "module ausine.so\nmodule aufile.so\nmodule_app menu.so\naudio_source ausine,440\n"
            "ausrc_srate 48000\nausrc_channels 2\n"
            f"audio_player aufile,{where}/heard.wav\nnet_interface 127.0.0.1\n"
            f"sip_certificate {where}/certificate.pem\n"
        )
        made = certificates.directory()
        pem = (made / "server.key").read_bytes() + (made / "server.pem").read_bytes()
        (where / "certificate.pem").write_bytes(pem)
        account = f"<sip:{user}@{DOMAIN};transport={over}>;auth_user={user};auth_pass={PASSWORD};answermode=auto"
        (where / "accounts").write_text(f'{account};regint=600;outbound="sip:{proxy};transport={over}"\n')
        words = [word for command in commands for word in ("-e", command)]
        self._log = where / "said"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [program("baresip"), "-f", str(where), "-t", "60", *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=where,
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def place(over: str, request: pytest.FixtureRequest) -> tuple[Server, str, str]:
    """The server of a row, its address and the transport: `plain` is without passwords, over UDP."""
    on: Server = request.getfixturevalue("stock" if over == "plain" else "secured")
    return on, f"127.0.0.{2 if over == 'tls' else 1}:{on.port}", "udp" if over == "plain" else over


WAYS = pytest.mark.parametrize("over", ["plain", "udp", "tcp", "tls"])


@WAYS
def test_baresip_calls_baresip(over: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Two phones register, one calls the other, who answers; both hear something."""
    on, proxy, transport = place(over, request)
    with contextlib.ExitStack() as stack:
        called = Baresip(tmp_path / "bob", "bob", proxy, transport)
        stack.callback(called.stop)
        until(lambda: "bob" in kamcmd(on.ctl, "ul.dump"), PATIENCE, "no registration")
        caller = Baresip(tmp_path / "alice", "alice", proxy, transport, f"/dial sip:bob@{DOMAIN}")
        stack.callback(caller.stop)
        for phone in (caller, called):
            until(lambda phone=phone: "Call established" in phone.said, PATIENCE, "no call")  # type: ignore[misc]
    assert "Auth Failed" not in caller.said + called.said
    until(lambda: "bob" not in kamcmd(on.ctl, "ul.dump"), PATIENCE, "registrations stay")


@WAYS
def test_pjsua_calls_pjsua(over: str, request: pytest.FixtureRequest) -> None:
    """Two users of PJSUA register, call each other, hang up and remove their registrations."""
    if importlib.util.find_spec("pjsua2") is None:
        assert os.environ.get("KAMAILIO_REQUIRED") != "1" or sys.version_info >= (3, 13), "there is no pjsua2"
        pytest.skip("needs pjsua2, which comes for Python 3.11 and 3.12 on x86-64")
    on, proxy, transport = place(over, request)
    command = [sys.executable, str(HERE / "pjsua_call.py"), transport, proxy, DOMAIN, "alice", "bob", PASSWORD]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "alice call CONFIRMED 200" in done.stdout
    assert "bob call CONFIRMED 200" in done.stdout
    assert "alice" not in kamcmd(on.ctl, "ul.dump")
