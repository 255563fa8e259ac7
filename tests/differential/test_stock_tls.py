"""The stock config with TLS and JSON-RPC over HTTP."""

from __future__ import annotations

from pathlib import Path

from kit import certificates
from kit.calls import answer, give_up, hang_up
from kit.jsonrpc import Datagrams
from kit.scene import Scene
from kit.stock import (
    DOMAIN,
    NONCE,
    PASSWORD,
    Stock,
    answered,
    call,
    contact_of,
    invite,
    note_accounting,
    phone,
    phones,
    register,
    signed_in,
    subscribers,
    with_credentials,
)

TLS_CFG = """
[server:default]
method = TLSv1.2+
verify_certificate = no
require_certificate = no
certificate = {0}/server.pem
private_key = {0}/server.key

[client:default]
verify_certificate = no
require_certificate = no
"""


def tls_cfg(directory: Path) -> None:
    (directory / "tls.cfg").write_text(TLS_CFG.format(certificates.directory()))


def stock(name: str, defines: str, *, database: bool = False) -> Stock:
    local = '#!subst "!/etc/kamailio/tls.cfg!@DIR@/tls.cfg!"'
    return Stock(name, defines, local=local, database=database, listen=("tls:127.0.0.1",), prepare=tls_cfg)


room = stock("stock-tls", "TLS")
guarded = stock("stock-tls-auth", "TLS AUTH", database=True)
web = Stock("stock-web", "JSONRPC", listen=("tcp:127.0.0.1",))


@room.one
def test_keepalive(s: Scene) -> None:
    alice = phone(s, "alice", "tls")
    alice.request("OPTIONS", uri=f"sip:{DOMAIN}")
    alice.expect(200)


@room.one
def test_register(s: Scene) -> None:
    """New, refreshed, removed."""
    alice = phone(s, "alice", "tls")
    register(alice)
    register(alice, cseq=2)
    register(alice, cseq=3, headers="Expires: 0")
    sent = invite(alice, alice.name)
    alice.ack(sent, alice.expect(404))


@room.each("caller", "called")
def test_call(s: Scene, who: str) -> None:
    alice, bob = phones(s, "alice", "bob", over="tls")
    register(bob)
    sent, received, final = answered(alice, bob)
    if who == "caller":
        hang_up(alice, bob, sent, final)
    else:
        hang_up(bob, alice, received, final, cseq=1)
    note_accounting(s)


@room.each("udp-tls", "tls-udp")
def test_between_transports(s: Scene, ways: str) -> None:
    """Two Record-Routes where the transport changes."""
    one, other = ways.split("-")
    alice, bob = phone(s, "alice", one), phone(s, "bob", other)
    register(bob)
    sent, _, final = answered(alice, bob)
    hang_up(alice, bob, sent, final)


@room.one
def test_busy(s: Scene) -> None:
    alice, bob = phones(s, "alice", "bob", over="tls")
    register(bob)
    answer(alice, bob, invite(alice, bob.name), 486, rings=False)


@room.one
def test_cancelled(s: Scene) -> None:
    alice, bob = phones(s, "alice", "bob", over="tls")
    register(bob)
    give_up(alice, bob, invite(alice, bob.name))


@room.one
def test_no_connections(s: Scene) -> None:
    ask = Datagrams(s.server.directory / "run" / "kamailio_rpc.sock")
    s.note(str(ask("tls.list")))
    ask.close()


ECHO = '{"jsonrpc": "2.0", "method": "core.echo", "params": ["a", 1], "id": 7}'


@web.each(rpc=("/RPC", ECHO), fault=("/RPC", ECHO.replace("core.echo", "no.such")), other=("/index.html", ""))
def test_http(s: Scene, row: tuple[str, str]) -> None:
    """Commands over HTTP on the port of SIP; the connection is closed after the answer."""
    path, body = row
    client = s.stream("client")
    client.raw(
        f"POST {path} HTTP/1.1\r\nHost: {s.host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    client.expect_http()
    client.expect_closed()


@web.one
def test_sip_beside_http(s: Scene) -> None:
    alice = phone(s, "alice", "tcp")
    register(alice)
    alice.request("OPTIONS", uri=f"sip:{DOMAIN}")
    alice.expect(200)


@guarded.each("right", "wrong")
def test_password(s: Scene, password: str) -> None:
    s.mask(NONCE)
    alice = phone(s, "alice", "tls")
    subscribers(s, alice)
    sent = alice.request("REGISTER", uri=f"sip:{DOMAIN}", user=alice.name, headers=f"Contact: {contact_of(alice)}")
    with_credentials(alice, sent, alice.expect(401), password=PASSWORD if password == "right" else "wrong")
    alice.expect(200 if password == "right" else 401)


@guarded.each("tls", "udp")
def test_call_with_password(s: Scene, over: str) -> None:
    """From TLS to TLS and to UDP; the credentials stay here."""
    alice, bob = phone(s, "alice", "tls"), phone(s, "bob", over)
    subscribers(s, alice, bob)
    signed_in(s, alice, bob)
    sent = call(s, alice, bob.name)
    received, final = answer(alice, bob, sent, rings=False)
    hang_up(bob, alice, received, final, cseq=1)
    note_accounting(s)
