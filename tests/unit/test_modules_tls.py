"""The tls module without a network: reading certificates and profiles, two codecs talking to each other."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from kit import certificates
from kit.local import Local

from kamailio_py.module import ModuleError
from kamailio_py.modules.tls.certificate import BadCertificate, Certificate
from kamailio_py.modules.tls.codec import ClearText, TlsCodec, TlsError
from kamailio_py.modules.tls.profiles import Profiles
from kamailio_py.sip.endpoint import Destination, ListenSocket

HERE = ListenSocket(0, "tls", "127.0.0.1", 5061)


def pem(name: str) -> str:
    return (certificates.directory() / f"{name}.pem").read_text()


@pytest.mark.parametrize("name", ["ca", "server", "second", "client", "self"])
def test_certificates_read_as_others_read_them(name: str) -> None:
    ours, theirs = Certificate.from_pem(pem(name)), x509.load_pem_x509_certificate(pem(name).encode())
    assert ours.serial == theirs.serial_number
    assert ours.version == theirs.version.value
    for own, other in ((ours.subject, theirs.subject), (ours.issuer, theirs.issuer)):
        assert [value.encode("latin-1").decode() for _, value in own] == [a.value for a in other]
    assert ours.not_before == theirs.not_valid_before_utc.strftime("%b %e %H:%M:%S %Y GMT")
    assert ours.not_after == theirs.not_valid_after_utc.strftime("%b %e %H:%M:%S %Y GMT")
    assert ours.pem == pem(name)


def test_names_of_a_certificate() -> None:
    client = Certificate.from_pem(pem("client"))
    assert Certificate.part(client.subject, "UID") == "alice"
    assert Certificate.line(client.subject).startswith("/C=DE/ST=Bayern/L=M\\xC3\\xBCnchen/O=Client Org/")
    assert client.san == {
        "email": ["alice@example.test"], "dns": ["client.example.test"], "uri": ["sip:alice@example.test"],
        "ip": ["2001:db8::1"],
    }  # fmt: skip


@given(st.binary(max_size=40) | st.integers(0, 600).map(lambda n: ssl.PEM_cert_to_DER_cert(pem("client"))[:n]))
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    if data != ssl.PEM_cert_to_DER_cert(pem("client")):
        with pytest.raises(BadCertificate):
            Certificate(data)


SECTIONS = """
[server:default]
method = TLSv1.2+
certificate = server.pem
private_key = "server.key"   # with its key
[server:127.0.0.1:5061]
verify_certificate = yes
ca_list = ca.pem
[server:any]
server_name = second.example.test
server_name_mode = 1
certificate = second.pem
private_key = second.key
ca_list = ca.pem
[client:default]
verify_certificate = yes
ca_list = ca.pem
[client:10.0.0.1:5061]
server_id = trunk
verify_certificate = no
certificate = client.pem
private_key = client.key
[client:any]
server_name = asked.example.test
server_name_mode = 1
"""


def profiles(text: str, tmp_path: Path) -> Profiles:
    for file in certificates.directory().iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "tls.cfg"
    path.write_text(text)
    return Profiles({"method": "TLSv1+"}, str(path))


def test_profiles(tmp_path: Path) -> None:
    found = profiles(SECTIONS, tmp_path)
    here = found.server(HERE)
    assert here.context.verify_mode == ssl.CERT_OPTIONAL
    assert here.context.minimum_version == ssl.TLSVersion.TLSv1_2, "from the default section"
    assert found.server(ListenSocket(0, "tls", "127.0.0.1", 5062)).default
    assert [profile.title for profile in found.servers] == ["TLSs<default>", "TLSs<127.0.0.1:5061>", "TLSs<any:0>"]
    assert found.client("10.0.0.1", 5061) == 1
    assert found.client("10.0.0.1", 5060) == 0
    assert found.client("10.0.0.9", 5060, "trunk") == 1
    assert found.client("10.0.0.9", 5060, "trunk", "sub.asked.example.test") == 2, "it stands further down"
    assert found.client("10.0.0.9", 5060, "", "sub.asked.example.test") == 2
    assert found.client("10.0.0.9", 5060, "unknown", "asked.example.test") == 2
    assert found.client("10.0.0.9", 5060, "unknown", "another.example.test") == 0
    assert found.clients[0].context.verify_mode == ssl.CERT_REQUIRED
    assert found.clients[1].context.verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("method = TLSv1.2", ":1: no section before this"),
        ("[server:default]\nnonsense", ":2: cannot be read: nonsense"),
        ("[server:default]\nmethodd = TLSv1", ":2: unknown parameter methodd"),
        ("[server:default]\nverify_certificate = perhaps", "invalid value of verify_certificate: perhaps"),
        ("[server:default]\nmethod = TLSv9", "TLSs<default>: invalid tls_method [TLSv9]"),
        ("[server:default]\ncertificate = none.pem", "Unable to load certificate file"),
        ("[server:default]\ncertificate = server.pem\nprivate_key = client.key", "Unable to load private key file"),
        ("[client:default]\nca_list = server.key", "Unable to load ca_list"),
        ("[server:default]\ncipher_list = nothing", "Unable to cipher_list"),
        ("[nobody:default]", "cannot be read"),
    ],
)
def test_errors_say_where(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ModuleError, match=says.replace("[", r"\[").replace("<", "<")):
        profiles(text, tmp_path)


def talk(server: TlsCodec, client: TlsCodec, *, step: int = 7) -> dict[str, bytes]:
    """Carry what both send, a few bytes at a time, until nothing is left; what each has read."""
    read = {"server": b"", "client": b""}
    flying = [("server", client.start())]
    while flying:
        to, data = flying.pop(0)
        codec = server if to == "server" else client
        for at in range(0, len(data), step):
            plain, answer = codec.received(data[at : at + step])
            read[to] += plain
            if answer:
                flying.append(("client" if to == "server" else "server", answer))
    return read


def test_codecs(tmp_path: Path) -> None:
    """What is written before the handshake is over waits for it; the name asked for chooses the certificate."""
    found = profiles(SECTIONS, tmp_path)
    server = TlsCodec(found.server(HERE).context, False)
    client = TlsCodec(found.clients[1].context, True, "sub.second.example.test")
    assert client.encode(b"early ") == b""
    assert client.encode(b"bird") == b""
    assert talk(server, client) == {"server": b"early bird", "client": b""}
    assert server.ready
    assert client.ready
    assert server.server_name == "sub.second.example.test"
    assert client.peer is not None
    assert Certificate.part(client.peer.subject, "CN") == "second.example.test"
    assert not client.verified, "it was not asked to verify"
    assert server.verified
    data = b"x" * 100_000
    assert server.received(client.encode(data))[0] == data
    assert client.received(server.encode(b"y"))[0] == b"y"
    assert client.cipher[0] in client.description


def test_certificate_of_the_client(tmp_path: Path) -> None:
    found = profiles(SECTIONS, tmp_path)
    server, client = TlsCodec(found.server(HERE).context, False), TlsCodec(found.clients[1].context, True)
    talk(server, client, step=100_000)
    assert server.verified
    assert server.peer is not None
    assert Certificate.part(server.peer.subject, "CN") == "client.example.test"


def test_unknown_authority_is_said_to_the_other_end(tmp_path: Path) -> None:
    found = profiles(
        SECTIONS.replace("verify_certificate = no", "verify_certificate = yes\nca_list = self.pem"), tmp_path
    )
    server, client = TlsCodec(found.server(HERE).context, False), TlsCodec(found.clients[1].context, True)
    with pytest.raises(TlsError, match="certificate verify failed"):
        talk(server, client)
    assert client.finish(), "the alert"


def test_garbage_ends_the_connection(tmp_path: Path) -> None:
    server = TlsCodec(profiles(SECTIONS, tmp_path).server(HERE).context, False)
    with pytest.raises(TlsError):
        server.received(b"OPTIONS sip:a SIP/2.0\r\n\r\n")


CFG = """
listen=udp:127.0.0.1:5060
enable_tls=yes
loadmodule "tls"
loadmodule "sl"
loadmodule "pv"
loadmodule "xlog"
modparam("tls", "config", "{0}")
request_route {{ sl_send_reply("200", ": $tls_version $tls_peer_subject_cn"); }}
event_route[tls:connection-out] {{ if ($conid == 7) drop; }}
"""


LIMITS = """
modparam("tls", "renegotiation", 1)
modparam("tls", "tls_disable_compression", 0)
modparam("tls", "con_ct_wq_max", 10)
modparam("tls", "ct_wq_max", 20)
"""


class Outgoing:
    outgoing = True


def test_event_route_may_refuse_a_connection(tmp_path: Path) -> None:
    profiles(SECTIONS, tmp_path)
    with Local(CFG.format(tmp_path / "tls.cfg"), tmp_path) as local:
        tls = local.core.module("tls")
        assert tls.established(Outgoing(), HERE, ("10.0.0.1", 5061), 6)
        assert not tls.established(Outgoing(), HERE, ("10.0.0.1", 5061), 7)
        version = tls.profiles
        (tmp_path / "tls.cfg").write_text("[server:default]\nmethod = SSLv23\n")
        assert tls.reload(None) == "Ok. TLS configuration reloaded."
        assert tls.choose("10.0.0.1", 5061) == (0, "")
        assert tls.profiles is not version


HOW = """
listen=udp:127.0.0.1:5060
enable_tls=yes
loadmodule "tls"
loadmodule "pv"
modparam("tls", "config", "{0}")
modparam("tls", "xavp_cfg", "how")
request_route {{
    $xavp(how=>server_name) = $hdr(Name);
    if ($hdr(Id) != $null) {{ $xavp(how[0]=>server_id) = $hdr(Id); }}
    if ($hdr(Once) != $null) {{ tls_set_connect_server_id("$hdr(Once)"); }}
    forward();
}}
"""
ASK = (
    "OPTIONS sip:bob@127.0.0.1:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1\r\n"
    "From: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n{0}\r\nContent-Length: 0\r\n\r\n"
)


def test_the_script_says_how_to_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While its route runs; the id that the function sets is for one connection."""
    profiles(SECTIONS, tmp_path)
    chosen = []
    with Local(HOW.format(tmp_path / "tls.cfg"), tmp_path) as local:
        tls = local.core.module("tls")
        send = local.core.sender

        def choosing(data: bytes, destination: Destination) -> bool:
            chosen.append(tls.choose("10.0.0.9", 5061))
            return send(data, destination)

        monkeypatch.setattr(local.core, "sender", choosing)
        for headers in ("Name: a.test", "Name: asked.example.test", "Name: b.test\r\nId: trunk", "Once: trunk", "X: y",
                        f"Name: {'n' * 129}"):  # fmt: skip
            local.inject(ASK.format(headers))
        assert chosen == [(0, "a.test"), (2, "asked.example.test"), (1, "b.test"), (1, ""), (0, ""), (0, "")]
        assert tls.choose("10.0.0.9", 5061) == (0, ""), "no route runs"
        assert local.core.running is None


def test_what_waits_for_a_handshake_is_limited(tmp_path: Path) -> None:
    """con_ct_wq_max of one connection, ct_wq_max of all."""
    context = profiles(SECTIONS, tmp_path).clients[1].context
    queue = ClearText(10, 15)
    first, second = (TlsCodec(context, True, queue=queue) for _ in range(2))
    assert first.encode(b"x" * 10) == b""
    with pytest.raises(TlsError, match="clear text write queue full"):
        first.encode(b"x")
    assert second.encode(b"x" * 5) == b""
    with pytest.raises(TlsError, match="clear text write queue full"):
        second.encode(b"x")
    first.finish()
    assert queue.bytes == 5
    assert second.encode(b"x" * 5) == b""


@pytest.mark.parametrize(("text", "queue"), [("", (65536, 10485760)), (LIMITS, (10, 20))])
def test_options_of_openssl(text: str, queue: tuple[int, int], tmp_path: Path) -> None:
    """Who asks for it may begin anew within a connection, and compress."""
    profiles(SECTIONS, tmp_path)
    cfg = CFG.format(tmp_path / "tls.cfg").replace("request_route", f"{text}request_route")
    with Local(cfg, tmp_path) as local:
        tls = local.core.module("tls")
        for profile in (*tls.profiles.servers, *tls.profiles.clients):
            assert bool(profile.context.options & ssl.OP_NO_RENEGOTIATION) is not bool(text)
            assert bool(profile.context.options & ssl.OP_NO_COMPRESSION) is not bool(text)
        assert (tls._queue.most_of_one, tls._queue.most_of_all) == queue
