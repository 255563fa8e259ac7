"""The jsonrpcs module with real processes: kamctl and kamcli unchanged, all transports, callers that behave badly."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.jsonrpc import Datagrams, over_fifo, request
from tests.kit.ports import Port
from tests.kit.programs import program
from tests.kit.server import Server, our_command

CFG = """#!KAMAILIO
debug=0
children=2
disable_tcp=yes
mine.num = 5
loadmodule "jsonrpcs.so"
loadmodule "cfg_rpc.so"
loadmodule "sl.so"
loadmodule "pv.so"
modparam("jsonrpcs", "dgram_workers", 2)
modparam("jsonrpcs", "fifo_reply_dir", "{replies}")
modparam("jsonrpcs", "fifo_mode", 0600)
request_route {{
    sl_send_reply("200", "$sel(cfg_get.mine.num)");
}}
"""


class Running:
    def __init__(self, replies: Path) -> None:
        self.replies = replies
        self.server = Server("ours", our_command(), CFG.format(replies=replies)).start()
        run = self.server.directory / "run"
        self.fifo, self.socket = run / "kamailio_rpc.fifo", run / "kamailio_rpc.sock"

    def options(self) -> str:
        """The reason phrase of the answer to an OPTIONS."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.bind(("127.0.0.1", 0))
            caller.settimeout(5)
            caller.sendto(
                (
                    f"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{caller.getsockname()[1]}"
                    ";branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n"
                    "Content-Length: 0\r\n\r\n"
                ).encode(),
                self.server.address,
            )
            return caller.recv(65535).decode().split("\r\n")[0].removeprefix("SIP/2.0 200 ")

    def over_fifo(self, data: bytes, name: str = "caller", timeout: float = 10) -> str:
        return over_fifo(self.fifo, data, self.replies / name, timeout).decode("latin-1")


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    # kamctl wants its answers in /tmp
    made = Running(Path("/tmp"))
    yield made
    made.server.stop()


@pytest.fixture
def ask(running: Running) -> Iterator[Datagrams]:
    made = Datagrams(running.socket)
    yield made
    made.close()


def test_processes(ask: Datagrams) -> None:
    names = [row["DSC"] for row in ask("core.psx")]
    assert names[-3:] == ["JSONRPCS FIFO", "JSONRPCS DATAGRAM", "JSONRPCS DATAGRAM"]


def test_files(running: Running) -> None:
    fifo, sock = os.stat(running.fifo).st_mode, os.stat(running.socket).st_mode
    assert (stat.S_ISFIFO(fifo), stat.S_IMODE(fifo)) == (True, 0o600)
    assert (stat.S_ISSOCK(sock), stat.S_IMODE(sock)) == (True, 0o660)


def test_kamctl(running: Running) -> None:
    kamctl = program("kamctl")

    def run(*words: str) -> str:
        environment = os.environ | {"RPCFIFOPATH": str(running.fifo)}
        done = subprocess.run([kamctl, "rpc", *words], capture_output=True, text=True, env=environment, timeout=30)
        return done.stdout

    document = json.loads(run("core.echo", "a", "s:5", "7"))
    assert document["result"] == ["a", "5", "7"]
    assert isinstance(document["id"], int)
    assert json.loads(run("cfg.get", "mine", "num"))["result"] == 5
    assert json.loads(run("nope"))["error"] == {"code": 500, "message": "Method Not Found"}


def test_kamcli(running: Running, tmp_path: Path) -> None:
    kamcli = program("kamcli")
    config = tmp_path / "kamcli.ini"
    config.write_text(
        "[main]\ndomain=test.com\n[db]\n[ctl]\ntype=jsonrpc\n[jsonrpc]\ntransport=socket\n"
        f"srvaddr={running.socket}\nrcvaddr={tmp_path}/reply\noutformat=json\n"
    )

    def run(*words: str) -> str:
        command = [kamcli, "--config", str(config), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout

    assert json.loads(run("jsonrpc", "core.echo", "a", "i:7"))["result"] == ["a", "7"]
    assert json.loads(run("jsonrpc", "cfg.get", "mine"))["result"] == {"num": 5}
    assert "up_since" in run("uptime")
    assert "JSONRPCS FIFO" in run("ps")


def test_over_the_fifo(running: Running) -> None:
    assert running.over_fifo(request("core.echo", "}{", reply_name="caller", id="x") + b"\n") == (
        '{\n\t"jsonrpc":\t"2.0",\n\t"result":\t["}{"],\n\t"id":\t"x"\n}'
    )


def test_a_change_is_seen_by_all_receivers(running: Running, ask: Datagrams) -> None:
    for number in (6, 5):
        assert ask("cfg.seti", "mine", "num", number) == {}
        assert {running.options() for _ in range(20)} == {str(number)}


@pytest.mark.parametrize("size", [1000, 60_000, 180_000])
def test_requests_of_any_length(ask: Datagrams, size: int) -> None:
    assert ask("core.echo", "a" * size) == ["a" * size]


def test_garbage_is_not_answered_and_does_no_harm(running: Running, ask: Datagrams) -> None:
    for data in (b"\0", b"garbage", b"{" * 5000, b"[" * 100_000, b'{"a":', b"\xff" + os.urandom(2000)):
        assert ask.raw(data, 0.05) is None
    for data in (b"1o\x05", b"-3 x", b"null"):  # what begins with a value gets an empty result, as from 5.6.3
        assert ask.raw(data) == b'{\n\t"jsonrpc":\t"2.0",\n\t"result":\t{\n\t}\n}'
    for data in (b"}}}}{", b'{"jsonrpc":"2.0","method":"core.echo', b"{broken}\n", b"\0\xff" * 3000):
        with open(running.fifo, "wb", buffering=0) as stream:
            stream.write(data)
    # an incomplete request is given a second, the next one may be taken for its rest
    until = time.monotonic() + 20
    while '"result":\t["a"]' not in running.over_fifo(request("core.echo", "a", reply_name="caller"), timeout=2):
        assert time.monotonic() < until
    assert ask("core.echo", "a") == ["a"]
    assert running.server.alive


def test_callers_that_are_gone(running: Running, ask: Datagrams) -> None:
    """No reply FIFO, one that nobody reads, a file that is none, one outside the directory, a closed socket."""
    reply = running.replies / f"unread-{os.getpid()}"
    plain = running.replies / f"plain-{os.getpid()}"
    os.mkfifo(reply)
    plain.write_text("kept")
    try:
        with open(running.fifo, "wb", buffering=0) as stream:
            for name in ("nothere", reply.name, plain.name, "../etc/x", ""):
                stream.write(request("core.psx", reply_name=name) + b"\n")
            # read from, but never emptied: more than a pipe holds
            reader = os.open(reply, os.O_RDONLY | os.O_NONBLOCK)
            stream.write(request("core.echo", "a" * 200_000, reply_name=reply.name) + b"\n")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
            gone.bind(str(running.replies / f"gone-{os.getpid()}"))
            gone.sendto(request("core.psx"), str(running.socket))
        os.unlink(running.replies / f"gone-{os.getpid()}")
        assert running.options() == "5"
        assert ask("core.echo", "a") == ["a"]
        assert '"result":\t["a"]' in running.over_fifo(request("core.echo", "a", reply_name="caller"))
        assert plain.read_text() == "kept"
        os.close(reader)
    finally:
        reply.unlink()
        plain.unlink()


def test_a_flood_does_not_stop_sip(running: Running, ask: Datagrams) -> None:
    """Callers that never read their answers: the server's queue and theirs are full."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
        path = running.replies / f"flood-{os.getpid()}"
        caller.bind(str(path))
        caller.setblocking(False)
        try:
            for _ in range(400):
                try:
                    caller.sendto(request("core.psx"), str(running.socket))
                except BlockingIOError:
                    break
            before = time.monotonic()
            assert running.options() == "5"
            assert time.monotonic() - before < 1
        finally:
            path.unlink()
    assert ask("core.echo", "a") == ["a"]


def test_udp_and_names_of_the_config(tmp_path: Path) -> None:
    port = Port()
    cfg = CFG.format(replies=tmp_path).replace(
        "request_route", f'modparam("jsonrpcs", "dgram_socket", "udp:127.0.0.1:{port.number}")\n'
        'modparam("jsonrpcs", "fifo_name", "mine.fifo")\nmodparam("jsonrpcs", "pretty_format", 0)\nrequest_route',
    )  # fmt: skip
    server = Server("ours", our_command(), cfg).start()
    caller = Datagrams(("127.0.0.1", port.number))
    try:
        assert caller.raw(request("core.echo", "a")) == b'{"jsonrpc":"2.0","result":["a"],"id":1}'
        fifo = server.directory / "run" / "mine.fifo"
        assert fifo.exists()
        assert server.process is not None
        server.process.terminate()
        server.process.wait(10)
        assert not fifo.exists()
    finally:
        caller.close()
        server.stop()
        port.release()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ('"transport", 1', "cannot bind to XHTTP API"),
        ('"dgram_socket", "udp:127.0.0.1"', "no port specified"),
        ('"dgram_socket", "udp:127.0.0.1:x"', "there is not a valid number port"),
        ('"dgram_user", "nobody-at-all"', "Bad user name nobody-at-all"),
        ('"fifo_group", "nobody-at-all"', "Bad group name nobody-at-all"),
        ('"fifo_reply_dir", "/nosuch"', "Directory stat for MI Fifo reply failed: No such file or directory"),
        ('"fifo_name", "/nosuch/x"', "Can't create FIFO: No such file or directory (mode=432)"),
        ('"dgram_socket", "/nosuch/x"', "bind: No such file or directory"),
        ('"fifo_name", "/dev/null"', "/dev/null exists and is no FIFO"),
    ],
)
def test_what_keeps_it_from_starting(tmp_path: Path, params: str, said: str) -> None:
    cfg = tmp_path / "bad.cfg"
    cfg.write_text(f'debug=0\nloadmodule "jsonrpcs"\nmodparam("jsonrpcs", {params})\nrequest_route {{ exit; }}\n')
    port = Port()
    command = [*our_command(), "-f", str(cfg), "-DD", "-E", "-Y", str(tmp_path), "-l", f"udp:127.0.0.1:{port.number}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    port.release()
    assert done.returncode == 255
    assert said in done.stderr


HTTP = """#!KAMAILIO
debug=-3
listen=tcp:127.0.0.1:{port}
children=1
tcp_children=1
tcp_accept_no_cl=yes
http_reply_parse=yes
loadmodule "xhttp.so"
loadmodule "jsonrpcs.so"
loadmodule "sl.so"
loadmodule "cfg_rpc.so"
modparam("jsonrpcs", "transport", 1)
request_route {{ exit; }}
event_route[xhttp:request] {{
    if (!jsonrpc_dispatch()) {{ xhttp_reply("400", "Bad Request", "", ""); }}
}}
"""


def test_over_http() -> None:
    """Status, headers and body are those of real Kamailio."""
    port = Port()
    server = Server("ours", our_command(), HTTP.format(port=port.number)).start()

    def post(body: str) -> tuple[int, str, str, str]:
        client = http.client.HTTPConnection("127.0.0.1", port.number, timeout=10)
        client.request("POST", "/RPC", body, {"Content-Type": "application/json"})
        answer = client.getresponse()
        found = answer.status, answer.reason, answer.headers.get("Content-Type", ""), answer.read().decode()
        client.close()
        return found

    try:
        assert post(request("core.echo", "a").decode()) == (
            200, "OK", "application/json", '{\n\t"jsonrpc":\t"2.0",\n\t"result":\t["a"],\n\t"id":\t1\n}',
        )  # fmt: skip
        assert post(request("nope").decode())[:3] == (500, "Method Not Found", "application/json")
        assert post(request("cfg.get", "nope", "x").decode())[:2] == (400, "Failed to get the variable")
        assert post("{}")[3] == '{\n\t"jsonrpc":\t"2.0",\n\t"result":\t{\n\t}\n}'
        assert post("garbage")[:2] == (400, "Bad Request")
    finally:
        server.stop()
        port.release()
