"""TCP with real processes: many connections, slow and silent ones, and processes that die."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from kamailio_py.shm import instances
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.transport.connections import Connection, TcpHead
from tests.kit.server import Server, our_command
from tests.kit.waiting import until

CFG = """#!KAMAILIO
debug=2
children=2
tcp_children=3
async_workers=1
tcp_connection_lifetime=3
tcp_max_connections=250
tcp_send_timeout=2
tcp_conn_wq_max=30000
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "async.so"
loadmodule "textops.so"
route[LATER] { t_reply("200", "Later"); }
request_route {
    if ($rU == "later") { async_task_route("LATER"); exit; }
    if ($rU == "relay") { forward(); exit; }
    if ($rU == "long") { set_reply_body("@LONG@", "text/plain"); }
    sl_send_reply("200", "OK");
}
""".replace("@LONG@", "x" * 4000)


TCP = ("tcp:127.0.0.1",)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server("ours", our_command(), CFG, listen=TCP)
    yield made.start()
    made.stop()


class View:
    """The server's table of connections, seen from outside."""

    def __init__(self, server: Server) -> None:
        assert server.process is not None
        [name] = [found.name for found in instances.instances() if found.master == server.process.pid]
        self.memory = SharedMemory.attach(name)

    @property
    def opened(self) -> int:
        return TcpHead.unpack(self.memory.memory, self.memory.structures["tcp"].offset).opened

    def records(self) -> list[Any]:
        table = self.memory.tables["tcp.connections"]
        return [Connection.unpack(self.memory.memory, at) for bucket in table.filled() for at in table.walk(bucket)]

    def pid(self, description: str) -> int:
        return next(row.pid for _, row in self.memory.processes.rows() if row.description == description)


@pytest.fixture
def view(server: Server) -> Iterator[View]:
    made = View(server)
    until(lambda: made.opened == 0, what="connections of the test before")
    yield made
    made.memory.close()


_numbers = iter(range(1, 1 << 30))


def request(user: str = "x", host: str = "127.0.0.1", extra: str = "", method: str = "OPTIONS") -> bytes:
    number = next(_numbers)
    return (
        f"{method} sip:{user}@{host} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{number}\r\n"
        f"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: tcp-{number}\r\nCSeq: 1 {method}\r\n{extra}"
        "Content-Length: 0\r\n\r\n"
    ).encode()


class Client:
    """One connection."""

    def __init__(self, server: Server, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(5)
        self.socket.connect(server.address)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, user: str = "x") -> str:
        """The first line of the answer, "" where the connection has ended."""
        try:
            self.socket.sendall(request(user))
            return self.socket.recv(65536).decode("latin-1").partition("\r\n")[0]
        except ConnectionError:
            return ""

    def ended(self) -> bool:
        """Whether the server closes the connection within the timeout."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        except TimeoutError:
            return False
        return True


def ask_udp(server: Server) -> float:
    """Seconds until a request over UDP is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.settimeout(5)
        port = client.getsockname()[1]
        asked = time.monotonic()
        client.sendto(request().replace(b"TCP 127.0.0.1:9;", f"UDP 127.0.0.1:{port};".encode()), server.address)
        assert client.recv(4096).startswith(b"SIP/2.0 200")
        return time.monotonic() - asked


def test_two_hundred_connections(server: Server, view: View) -> None:
    """All are answered, and the receivers share them."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server)) for _ in range(200)]
        for client in clients:
            client.socket.sendall(request())
        for client in clients:
            assert client.socket.recv(65536).startswith(b"SIP/2.0 200 OK")
        assert view.opened == 200
        shares = Counter(record.reader for record in view.records())
        assert sorted(shares) == [0, 1, 2]
        assert max(shares.values()) - min(shares.values()) <= 1
        assert all(client.ask() == "SIP/2.0 200 OK" for client in clients[::7])
    until(lambda: view.opened == 0)
    assert view.records() == []


def test_no_more_than_tcp_max_connections(server: Server, view: View) -> None:
    with ExitStack() as stack:
        for _ in range(250):
            assert stack.enter_context(Client(server)).ask() == "SIP/2.0 200 OK"
        assert stack.enter_context(Client(server)).ended()
        assert "maximum number of connections exceeded: 250/250" in server.log()


def test_another_process_answers(server: Server, view: View) -> None:
    """The worker that resumes the request writes on the connection of a receiver."""
    with Client(server) as client:
        assert [client.ask("later") for _ in range(20)] == ["SIP/2.0 200 Later"] * 20


def test_an_idle_connection_ends_after_its_lifetime(server: Server, view: View) -> None:
    with Client(server) as client:
        assert client.ask() == "SIP/2.0 200 OK"
        began = time.monotonic()
        assert client.ended()
        assert 2.5 < time.monotonic() - began < 5


def test_who_takes_nothing_is_let_go(server: Server, view: View) -> None:
    """A client that does not read: its answers wait, up to a limit; nobody else is kept waiting."""
    with Client(server, receive_buffer=4096) as slow:
        slow.socket.settimeout(10)
        until(lambda: view.opened)
        try:
            for _ in range(2000):
                slow.socket.sendall(request("long"))
                if not view.opened:
                    break
        except (TimeoutError, ConnectionError):
            pass
        assert ask_udp(server) < 1
        with Client(server) as other:
            assert other.ask() == "SIP/2.0 200 OK"
        until(lambda: server.log_contains("write queue full") or server.log_contains("write timeout"), 30)
        until(lambda: not view.records())


def test_half_a_message_waits_for_the_other_half(server: Server, view: View) -> None:
    with Client(server) as patient, Client(server) as other:
        text = request()
        patient.socket.sendall(text[:60])
        assert [other.ask() for _ in range(5)] == ["SIP/2.0 200 OK"] * 5
        patient.socket.sendall(text[60:])
        assert patient.socket.recv(65536).startswith(b"SIP/2.0 200 OK")


def test_a_killed_receiver_takes_its_connections_along(server: Server, view: View) -> None:
    """The others go on; what it had is forgotten; the new one works."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server)) for _ in range(9)]
        assert all(client.ask() == "SIP/2.0 200 OK" for client in clients)
        victim = view.pid("tcp receiver (generic) child=1")
        os.kill(victim, signal.SIGKILL)
        answers = [client.ask() for client in clients]
        assert Counter(answers) == {"SIP/2.0 200 OK": 6, "": 3}
        until(lambda: view.pid("tcp receiver (generic) child=1") != victim)
        with Client(server) as fresh:
            assert fresh.ask() == "SIP/2.0 200 OK"
        until(lambda: view.opened == 6, 15, what="its connections are forgotten")
        more = [stack.enter_context(Client(server)) for _ in range(3)]
        assert all(client.ask() == "SIP/2.0 200 OK" for client in more)
    until(lambda: view.opened == 0)
    until(lambda: view.memory.check() == [])


def test_the_death_of_tcp_main_costs_no_connection(server: Server, view: View) -> None:
    with Client(server) as client:
        assert client.ask() == "SIP/2.0 200 OK"
        victim = view.pid("tcp main process")
        os.kill(victim, signal.SIGKILL)
        with Client(server) as meanwhile:
            assert client.ask() == "SIP/2.0 200 OK"
            assert meanwhile.ask() == "SIP/2.0 200 OK"
        assert view.pid("tcp main process") != victim


@pytest.fixture
def patient() -> Iterator[Server]:
    """A server of its own, which keeps connections and what waits for them."""
    cfg = CFG.replace("tcp_connection_lifetime=3\n", "").replace("tcp_conn_wq_max=30000\n", "")
    made = Server("ours", our_command(), cfg, listen=TCP)
    yield made.start()
    made.stop()


def test_requests_over_one_outgoing_connection(patient: Server) -> None:
    """Two processes forward to the same place: one connection, nothing lost, nothing mixed up."""
    server = patient
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        host = f"127.0.0.1:{listener.getsockname()[1]};transport=tcp"
        clients = [stack.enter_context(Client(server)) for _ in range(6)]
        clients[0].socket.sendall(request("relay", host))
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(5)
            # connected is earlier than found by others: they would open one more
            text, sent, wanted = accepted.recv(65536), 1, 301
            while text.count(b"\r\n\r\n") < wanted:
                # what is not read waits in the server, which has a limit
                while sent < min(wanted, text.count(b"\r\n\r\n") + 31):
                    for client in clients:
                        client.socket.sendall(request("relay", host, "X: " + "y" * 300 + "\r\n"))
                    sent += len(clients)
                try:
                    data = accepted.recv(65536)
                except TimeoutError:
                    came = text.count(b"\r\n\r\n")
                    pytest.fail(f"{came} of {sent} came:\n{server.log()[-2000:]}")
                assert data, server.log()[-2000:]
                text += data
            messages = text.split(b"\r\n\r\n")
            assert len(messages) == wanted + 1
            assert all(m.startswith(b"OPTIONS sip:relay@") and m.endswith(b"Content-Length: 0") for m in messages[:-1])
        listener.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_a_failing_route_may_keep_the_connection() -> None:
    """tcp_script_mode=1, for a message that cannot be worked on."""
    server = Server(
        "ours", our_command(), CFG.replace("children=2", "children=2\ntcp_script_mode=1"), listen=TCP
    ).start()
    with Client(server) as client:
        client.socket.sendall(request().replace(b"From:", b"X:"))
        assert client.ask() == "SIP/2.0 200 OK"
    server.stop()


def test_it_stops_with_connections_open() -> None:
    server = Server("ours", our_command(), CFG, listen=TCP).start()
    with Client(server) as client:
        assert client.ask() == "SIP/2.0 200 OK"
        assert server.process is not None
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 0
        assert time.monotonic() - began < 1.5
        assert client.ended()
    server.stop()
