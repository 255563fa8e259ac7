"""ctl with real processes: the real kamcmd over every kind of socket, and clients that behave badly."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kamailio_py.rpc.binrpc import PacketType
from tests.kit.kamcmd import Wire, kamcmd, request
from tests.kit.ports import Port
from tests.kit.server import Server, our_command, process_tree

pytestmark = pytest.mark.kamailio

CFG = """
debug=2
log_stderror=yes
children=1
loadmodule "ctl"
loadmodule "pv"
loadmodule "sl"
modparam("pv", "shvset", "x=i:3")
modparam("ctl", "binrpc", "unix:{directory}/stream")
modparam("ctl", "binrpc", "unixd:{directory}/datagram")
modparam("ctl", "binrpc", "tcp:127.0.0.1:{tcp}")
modparam("ctl", "binrpc", "udp:127.0.0.1:{udp}")
modparam("ctl", "fifo", "{directory}/fifo")
modparam("ctl", "mode", 0640)
request_route {{ sl_send_reply("200", "OK"); }}
"""


class Control:
    """The server under test with its addresses."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = Port(), Port()
        tcp, udp = (port.number for port in self.ports)
        self.path = str(directory / "stream")
        self.addresses = [
            f"unixs:{self.path}", f"unixd:{directory}/datagram", f"tcp:127.0.0.1:{tcp}", f"udp:127.0.0.1:{udp}",
        ]  # fmt: skip
        for port in self.ports:
            port.release()
        self.server = Server("ctl", our_command(), CFG.format(directory=directory, tcp=tcp, udp=udp)).start()

    def serves(self) -> bool:
        """Whether ctl and SIP both answer, from the processes they had at the beginning."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
            agent.settimeout(5)
            agent.bind(("127.0.0.1", 0))
            via = f"Via: SIP/2.0/UDP 127.0.0.1:{agent.getsockname()[1]};branch=z9hG4bK1\r\n"
            head = f"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n{via}From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n"
            agent.sendto(f"{head}Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n".encode(), self.server.address)
            answered = agent.recv(4096).startswith(b"SIP/2.0 200")
        assert kamcmd(self.path, "core.version") == "kamailio 5.6.3 (x86_64/linux) \n"
        return answered and "was started again" not in self.server.log()


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    made = Control(tmp_path_factory.mktemp("ctl"))
    yield made
    made.server.stop()
    assert not list(made.directory.iterdir())


@pytest.mark.parametrize("number", range(4), ids=["unix_stream", "unix_dgram", "tcp", "udp"])
def test_kamcmd_over_every_socket(control: Control, number: int) -> None:
    address = control.addresses[number]
    assert kamcmd(address, "pv.shvGet", "x") == "{\n\tname: x\n\ttype: int\n\tvalue: 3\n}\n"
    assert kamcmd(address, "core.echo", "a", "1", "s:2", "b c") == "a\n1\n2\nb c\n"
    assert kamcmd(address, "nosuch") == "error: 500 - command nosuch not found\n"
    assert kamcmd(address, "core.printi", "a") == (
        "error: 400 - error at parameter 0: expected integer type but record doesn't match type\n"
    )
    assert kamcmd(address, "-f", "%v=%v;", "core.printi", "1", "2").strip() == "1=2;"
    stream = number in (0, 2)
    assert kamcmd(address, "ctl.connections") == f"{int(stream)}\n"
    assert kamcmd(address, "ctl.who").startswith("binrpc\n" if stream else "error: 400 - no open stream connection")


def test_interactive_kamcmd(control: Control) -> None:
    said = kamcmd(control.path, stdin="core.version\ncore.echo a b\nhelp\nnosuch\nlist\nquit\n")
    assert "kamcmd> core.version\nkamailio 5.6.3 (x86_64/linux) \n" in said
    assert "kamcmd> core.echo a b\na\nb\n" in said
    assert "\ncore.psx\n" in said  # its list for completion comes from system.listMethods
    assert "alias: psx" in said
    assert "error: 500 - command nosuch not found" in said


def test_addresses_and_their_mode(control: Control) -> None:
    tcp, udp = (port.number for port in control.ports)
    listed = kamcmd(control.path, "ctl.listen")
    assert listed == (
        f"binrpc\nunix_stream\n{control.directory}/stream\n\nbinrpc\nunix_dgram\n{control.directory}/datagram\n\n"
        f"binrpc\ntcp\n127.0.0.1\n{tcp}\nbinrpc\nudp\n127.0.0.1\n{udp}\nfifo\nfifo\n{control.directory}/fifo\n\n"
    )
    for name in ("stream", "datagram", "fifo"):
        assert stat.S_IMODE((control.directory / name).stat().st_mode) == 0o640


def test_who_is_connected(control: Control) -> None:
    with Wire(control.path) as other, socket.create_connection(("127.0.0.1", control.ports[0].number)) as third:
        other.send(request("core.printi", 1)).packet()
        host, port = third.getsockname()
        with Wire(control.path) as wire:
            _, who = wire.send(request("ctl.who")).packet()
            assert who.count("<anonymous unix socket>") == 2
            assert who[12:] == [] or [host, str(port)] in [who[i : i + 2] for i in range(len(who) - 1)]
            assert wire.send(request("ctl.connections")).packet()[1] == [3]


def test_requests_in_pieces_and_several_at_once(control: Control) -> None:
    with Wire(control.path) as wire:
        for byte in request("core.printi", 1, 2):
            wire.send(bytes([byte]))
        assert wire.packet() == (PacketType.REPLY, [1, 2])
        wire.send(request("core.printi", 3) * 50)
        assert [wire.packet()[1] for _ in range(50)] == [[3]] * 50
        wire.send(request("core.printi", 4))
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.packet()[1] == [4]
        assert wire.closed()


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", "bad request: corrupted packet"),
        (b"\xa1\x13\x00COOK", "bad request: corrupted packet"),
        (request(), "bad request method: end of packet encountered"),
        (request(b"\x10\x01"), "bad request method: record doesn't match type"),
        (b"\xa1\x0f\xff\xff\xff\xffCOOK", "bad request: buffer too small"),
        (request("core.echo", "x" * 200_000), "bad request: buffer too small"),
        (os.urandom(1) + b"\0" * 70_000, "bad request: corrupted packet"),
    ],
    ids=["http", "reply", "empty", "no-name", "4 GiB", "long", "zeros"],
)
def test_garbage_gets_a_fault_and_the_end(control: Control, sent: bytes, text: str) -> None:
    sent = b"\0" + sent[1:] if text.endswith("corrupted packet") and sent[0] != 0xA1 else sent
    with Wire(control.path) as wire:
        wire.send(sent)
        assert wire.packet() == (PacketType.FAULT, [400, text])
        assert wire.closed()
    assert control.serves()


def test_garbage_in_datagrams(control: Control) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        address = ("127.0.0.1", control.ports[1].number)
        for sent in (b"garbage", b"\xa1", b"\xa1\x03\x20COOK", b"\xa1\x03\x00COOK"):
            client.sendto(sent, address)
            assert client.recv(4096)[1] >> 4 == PacketType.FAULT
        client.sendto(b"", address)
        client.sendto(request("core.printi", 1), address)
        assert client.recv(4096).endswith(b"\x10\x01")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unnamed:  # nowhere to answer to
        unnamed.sendto(request("core.version"), f"{control.directory}/datagram")
    assert control.serves()


def test_clients_that_disappear(control: Control) -> None:
    for cut in (1, 5, 20):
        with Wire(control.path) as wire:
            wire.send(request("core.echo", "x" * 100)[:cut])
    for _ in range(20):
        with Wire(control.path) as wire:
            wire.send(request("core.psa") * 20)
    assert control.serves()
    with Wire(control.path) as wire:
        deadline = time.monotonic() + 5
        while wire.send(request("ctl.connections")).packet()[1] != [1]:
            assert time.monotonic() < deadline


def test_a_reader_that_does_not_read_holds_up_nobody(control: Control) -> None:
    with Wire(control.path) as slow:
        slow.socket.setblocking(False)
        asked = 0
        try:
            while asked < 20_000:
                slow.socket.sendall(request("core.echo", "x" * 20_000))
                asked += 1
        except BlockingIOError:
            pass
        assert 0 < asked < 20_000  # the server stopped reading from it
        assert control.serves()
        slow.socket.settimeout(10)
        assert slow.packet() == (PacketType.REPLY, ["x" * 20_000])
    assert control.serves()


def test_two_hundred_clients_at_once(control: Control) -> None:
    wires = [Wire(control.path) for _ in range(200)]
    for number, wire in enumerate(wires):
        wire.send(request("core.printi", number))
    assert [wire.packet()[1] for wire in wires] == [[number] for number in range(200)]
    for wire in wires:
        wire.close()


def test_the_fifo(control: Control, tmp_path: Path) -> None:
    reply = f"ctl-test-{os.getpid()}"
    path = Path("/tmp") / reply
    os.mkfifo(path)
    try:
        asked = {
            f":core.echo:{reply}\na\n1\n\n": "200 OK\na\n1\n",
            f":pv.shvGet:{reply}\nx\n\n": "200 OK\n{name:x,type:int,value:3}\n",
            f":nosuch:{reply}\n\n": "500 Command 'nosuch' not found\n",
        }
        for text, answer in asked.items():
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            with (control.directory / "fifo").open("w") as fifo:
                fifo.write(text)
            got, deadline = b"", time.monotonic() + 5
            while not got and time.monotonic() < deadline:
                try:
                    got = os.read(reader, 65536)
                except BlockingIOError:
                    time.sleep(0.01)
            os.close(reader)
            assert got.decode() == answer
        with (control.directory / "fifo").open("w") as fifo:
            fifo.write("garbage\n\n:core.version:../../etc/passwd\n\n:core.version:nobody\n\n:core.version:\n\n")
    finally:
        path.unlink()
    assert control.serves()


def test_completion_at_a_terminal(control: Control) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "dumb"
        os.execvp("kamcmd", ["kamcmd", "-s", control.path])
    said = b""

    def wait_for(text: bytes) -> None:
        nonlocal said
        deadline = time.monotonic() + 10
        while text not in said:
            assert time.monotonic() < deadline, said
            if select.select([terminal], [], [], 0.1)[0]:
                said += os.read(terminal, 4096)

    try:
        wait_for(b"kamcmd> ")
        os.write(terminal, b"core.shm\t")
        wait_for(b"core.shmmem ")
        os.write(terminal, b"\n")
        wait_for(b"fragments: ")
        os.write(terminal, b"core.ps\t\t")
        wait_for(b"core.psa")
        wait_for(b"core.psx")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of its own, with the default socket."""
    made = Server("ctl-own", our_command(), 'debug=2\nloadmodule "ctl"\nrequest_route { drop; }\n').start()
    yield made
    made.stop()


def test_the_handler_is_started_again(server: Server) -> None:
    listed = kamcmd(server.ctl, "-f", "%v %v\n", "core.ps")
    handler = next(line for line in listed.splitlines() if line.endswith("ctl handler"))
    with Wire(server.ctl) as connected:
        connected.send(request("core.printi", 1)).packet()
        os.kill(int(handler.split()[0]), signal.SIGKILL)
        assert server.wait_log("(ctl handler) was started again")
        assert connected.closed()
    assert kamcmd(server.ctl, "core.printi", "2") == "2\n"
    assert kamcmd(server.ctl, "-f", "%v %v\n", "core.ps") != listed


def test_the_default_socket_and_core_kill(server: Server) -> None:
    path = Path(server.ctl)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server.process is not None
    pids = process_tree(server.process.pid)
    assert kamcmd(server.ctl, "core.kill") == ""
    assert server.process.wait(5) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids[1:])
    assert not path.exists()
