"""TLS with real processes: certificates changed while the server runs, clients that say nothing or nonsense."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from kit import certificates

from tests.kit.kamcmd import kamcmd
from tests.kit.server import Server, our_command

CFG = """#!KAMAILIO
debug=2
children=1
tcp_children=2
enable_tls=yes
tcp_connect_timeout=1
loadmodule "sl.so"
loadmodule "ctl.so"
loadmodule "tls.so"
modparam("ctl", "binrpc", "unix:@DIR@/ctl")
modparam("tls", "config", "@DIR@/tls.cfg")
request_route { sl_send_reply("200", "OK"); }
"""
REQUEST = (
    b"OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
    b"To: <sip:a@b>\r\nCall-ID: tls\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def write_profile(directory: Path, name: str) -> None:
    where = certificates.directory()
    (directory / "tls.cfg").write_text(
        f"[server:default]\nmethod = TLSv1.2+\ncertificate = {where}/{name}.pem\nprivate_key = {where}/{name}.key\n"
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server(
        "ours", our_command(), CFG, prepare=lambda directory: write_profile(directory, "server"),
        listen=("tls:127.0.0.1",),
    )  # fmt: skip
    yield made.start()
    made.stop()


def connect(server: Server) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(server.address, timeout=5))


def shown(connection: ssl.SSLSocket) -> str:
    der = connection.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).subject.rfc4514_string().rpartition("CN=")[2].partition(",")[0]


def told(server: Server, command: str) -> str:
    return kamcmd(f"unix:{server.directory}/ctl", command)


def asks(connection: ssl.SSLSocket) -> bool:
    connection.sendall(REQUEST)
    return connection.recv(4096).startswith(b"SIP/2.0 200")


@pytest.mark.kamailio
def test_reload_changes_new_connections_only(server: Server) -> None:
    with connect(server) as old:
        assert asks(old)
        assert "TLSv1.3" in told(server, "tls.list")
        write_profile(next(server.directory.rglob("tls.cfg")).parent, "second")
        assert told(server, "tls.reload") == "Ok. TLS configuration reloaded.\n"
        for _ in range(4):
            with connect(server) as new:
                assert asks(new)
                assert "second" in shown(new)
        assert asks(old)
        (next(server.directory.rglob("tls.cfg"))).write_text("[server:default]\ncertificate = none.pem\n")
        assert told(server, "tls.reload").startswith("error: 500 - ")
        with connect(server) as new:
            assert asks(new), "the former certificates stay"


def test_silent_and_foolish_clients_are_let_go(server: Server) -> None:
    """No handshake within tcp_connect_timeout; plain SIP on the port of TLS."""
    with (
        socket.create_connection(server.address, timeout=5) as silent,
        socket.create_connection(server.address) as plain,
    ):
        plain.settimeout(5)
        plain.sendall(REQUEST)
        began = time.monotonic()
        while plain.recv(4096):
            pass
        assert time.monotonic() - began < 1
        assert silent.recv(4096) == b""
        assert 0.5 < time.monotonic() - began < 4
    with connect(server) as connection:
        assert asks(connection)


def test_large_answers_and_cut_records(server: Server) -> None:
    with connect(server) as connection:
        for at in range(0, len(REQUEST), 11):
            connection.sendall(REQUEST[at : at + 11])
        assert connection.recv(4096).startswith(b"SIP/2.0 200")
        connection.sendall(REQUEST * 50)
        text = b""
        while text.count(b"SIP/2.0 200") < 50:
            text += connection.recv(65536)
