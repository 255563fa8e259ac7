"""SIP over TLS: profiles, certificates, server names, and the same calls as over TCP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kit import certificates
from kit.agent import Agent
from kit.calls import answer, hang_up
from kit.room import Room
from kit.scene import Scene

TLS_CFG = """
[server:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = no
certificate = {0}/server.pem
private_key = "{0}/server.key"
ca_list = {0}/ca.pem

[server:any]      # another name
server_name = second.example.test
certificate = {0}/second.pem
private_key = {0}/second.key

[client:default]
verify_certificate = yes
require_certificate = yes
ca_list = {0}/ca.pem
certificate = {0}/server.pem
private_key = {0}/server.key
server_name = agent.example.test
"""

NAMES = (
    "version cipher_info cipher_bits description peer_verified peer_revoked peer_expired peer_selfsigned "
    "peer_server_name peer_notBefore peer_notAfter peer_raw_cert peer_urlencoded_cert my_raw_cert my_urlencoded_cert "
    "peer_version peer_serial my_version my_serial peer_subject_uid my_subject_uid peer_subject peer_issuer my_subject "
    + " ".join(
        f"{whose}_{who}_{part}"
        for whose in ("peer", "my")
        for who in ("subject", "issuer")
        for part in ("cn", "locality", "country", "state", "organization", "unit")
    )
    + " "
    + " ".join(f"{whose}_san_{kind}" for whose in ("peer", "my") for kind in ("email", "hostname", "uri", "ip"))
).split()


def configured(text: str) -> Callable[[Path], None]:
    """What puts a tls.cfg into the directory of a server."""

    def prepare(directory: Path) -> None:
        (directory / "tls.cfg").write_text(text.format(certificates.directory()))

    return prepare


room = Room(
    "tls",
    listen=("tls:127.0.0.1",),
    globals_="tcp_children=1\nenable_tls=yes",
    modules="tls",
    params="""
modparam("tls", "config", "@DIR@/tls.cfg")
modparam("tls", "tls_log", 1)
modparam("tls", "tls_debug", 1)
""",
    first="if (has_totag()) { loose_route(); t_relay(); exit; }",
    prepare=configured(TLS_CFG),
)


@room.case("""
route[plain] { xlog("L_NOTICE", "$rm $pr $si:$sp to $Ri:$Rp $su $prid $proto\\n"); sl_send_reply("200", "OK"); }
""")
def test_plain(s: Scene) -> None:
    """Requests, one by one and several at once, cut anywhere."""
    alice = s.tls("alice")
    alice.request("OPTIONS")
    alice.expect(200)
    texts = [alice.request("INFO", body="x" * n, via_params=";rport", send=False).text for n in range(3)]
    alice.send("".join(texts))
    for _ in texts:
        alice.expect(200)
    text = alice.request("MESSAGE", send=False, body="abc").text
    alice.send(text[:50])
    alice.send(text[50:])
    alice.expect(200)
    alice.raw(b"\r\n\r\n")
    alice.expect_pong()


@room.case(
    "route[variables] {"
    + "".join(f'xlog("L_NOTICE", "{name} <$tls_{name}>\\n");' for name in NAMES)
    + "".join(
        f'xlog("L_NOTICE", "{name} <$tls({name})>\\n");'
        for name in ("m_issuer_line", "m_subject_line", "p_issuer_line", "p_subject_line")
    )
    + ' if (is_peer_verified()) { xlog("L_NOTICE", "verified\\n"); } sl_send_reply("200", "OK"); }'
)
def test_variables(s: Scene) -> None:
    """What a script sees of a connection, with a certificate of the client, without one, and with a server name."""
    for name, certificate, server_name in (("alice", "client", "sip.example.test"), ("bob", "", None)):
        agent = s.tls(name, certificate, server_name)
        agent.request("OPTIONS")
        agent.expect(200)


@room.case("""
route[not_tls] { xlog("L_NOTICE", "<$tls_version> <$tls_peer_subject_cn> $tls(m_subject_line)\\n");
    $var(x) = is_peer_verified(); xlog("L_NOTICE", "$var(x)\\n"); sl_send_reply("200", "OK"); }
""")
def test_not_tls(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("OPTIONS")
    alice.expect(200)


@room.case(
    'route[names] { xlog("L_NOTICE", "$tls_peer_server_name $tls_my_subject_cn\\n"); sl_send_reply("200", "OK"); }'
)
def test_names(s: Scene) -> None:
    """The name a client asks for chooses the certificate."""
    for number, name in enumerate(
        ("sip.example.test", "second.example.test", "SECOND.example.test", "unknown.test", None)
    ):
        agent = s.tls(f"agent{number}", "", name)
        agent.request("OPTIONS")
        agent.expect(200)
        s.note(f"{name}: {agent.shown()}")


@room.case('route[unknown_authority] { sl_send_reply("200", "OK"); }')
def test_unknown_authority(s: Scene) -> None:
    """A certificate that nobody vouches for ends the connection."""
    alice = s.tls("alice", "self")
    alice.request("OPTIONS")
    alice.expect_closed()


CALL = """
route[{0}] {{ record_route(); t_on_reply("{0}"); t_relay(); }}
onreply_route[{0}] {{ xlog("L_NOTICE", "$rs of $rm over $pr\\n"); }}
"""


def call(alice: Agent, bob: Agent) -> None:
    sent = alice.request("INVITE", bob, body="v=0\r\n")
    alice.expect(100)
    _, final = answer(alice, bob, sent, body="v=0\r\n")
    hang_up(alice, bob, sent, final)


@room.case(CALL.format("call_over_tls"))
def test_call_over_tls(s: Scene) -> None:
    call(s.tls("alice"), s.tls("bob"))


@room.case(CALL.format("call_tls_to_udp"))
def test_call_tls_to_udp(s: Scene) -> None:
    call(s.tls("alice"), s.agent("bob"))


@room.case(CALL.format("call_udp_to_tls"))
def test_call_udp_to_tls(s: Scene) -> None:
    call(s.agent("alice"), s.tls("bob"))


@room.case('route[told] { sl_send_reply("200", "ok"); }')
def test_told(s: Scene) -> None:
    """tls_log and tls_debug: who is connected, and how."""
    for certificate in ("", "client"):
        alice = s.tls(f"alice{certificate}", certificate)
        alice.request("OPTIONS")
        alice.expect(200)
        for text in (
            "SSL handshake started", "SSL handshake done", "tls_accept: local socket: 127.0.0.1:",
            f"tls_accept: new connection from {alice.host} using TLSv1.3 TLS_AES_256_GCM_SHA384 256",
            "tls_accept: client did not present a certificate",
        ):  # fmt: skip
            s.note(f"{text.replace(alice.host, 'alice')}: {s.server.log_contains(text, s._log_from)}")
        s._log_from = s.server.log_size()


PROFILES = """
[server:default]
certificate = {0}/server.pem
private_key = {0}/server.key
[client:default]
certificate = {0}/server.pem
private_key = {0}/server.key
server_name = default.example.test
[client:any]
server_name = second.example.test
server_id = second
certificate = {0}/second.pem
private_key = {0}/second.key
[client:any]
server_name = client.example.test
server_id = client
certificate = {0}/client.pem
private_key = {0}/client.key
"""
WAYS = {
    "nothing": "$var(x) = 1;",
    "name": '$xavp(how=>server_name) = "xavp.example.test";',
    "id": '$xavp(how=>server_id) = "second";',
    "both": '$xavp(how=>server_name) = "xavp.example.test"; $xavp(how[0]=>server_id) = "client";',
    "unknown": '$xavp(how=>server_id) = "nobody"; $xavp(how[0]=>server_name) = "client.example.test";',
    "crossed": '$xavp(how=>server_id) = "second"; $xavp(how[0]=>server_name) = "client.example.test";',
    "crosswise": '$xavp(how=>server_id) = "client"; $xavp(how[0]=>server_name) = "second.example.test";',
    "numbers": "$xavp(how=>server_id) = 7; $xavp(how[0]=>server_name) = 8;",
    "named": '$xavp(how=>server_name) = "second.example.test";',
    "empty": '$xavp(how=>server_name) = "";',
    "once": 'tls_set_connect_server_id("second");',
    "after": "$var(x) = 1;",
    "twice": 'tls_set_connect_server_id("second"); $xavp(how=>server_id) = "client";',
    "again": "$var(x) = 1;",
}


outgoing = Room(
    "tls_outgoing",
    listen=("tls:127.0.0.1",),
    globals_="tcp_children=1\nenable_tls=yes",
    modules="tls",
    params='modparam("tls", "config", "@DIR@/tls.cfg")\nmodparam("tls", "xavp_cfg", "how")\n',
    prepare=configured(PROFILES),
)


def connected(s: Scene, way: str = "nothing") -> None:
    """A request that needs a new connection; note what it looks like from the other end."""
    alice, bob = s.agent(f"alice-{way}"), s.tls(f"bob-{way}")
    alice.request("OPTIONS", bob, headers=f"Way: {way}")
    bob.reply(bob.expect("OPTIONS"), 200)
    alice.expect(200)
    s.note(f"{way}: {bob.asked}")


def ways(then: str) -> str:
    return "".join(f'if ($hdr(Way) == "{way}") {{ {set_} }}\n' for way, set_ in WAYS.items()) + then


@outgoing.case(f"route[chosen] {{ {ways('t_relay();')} }}")
def test_chosen(s: Scene) -> None:
    """Which name is asked for and which profile used is the script's to say, for each connection."""
    for way in WAYS:
        connected(s, way)


@outgoing.case(f"route[stateless] {{ {ways('forward();')} }}")
def test_stateless(s: Scene) -> None:
    for way in ("both", "nothing"):
        connected(s, way)


@outgoing.case("""
route[branch] { $xavp(how=>server_id) = "second"; t_on_branch("branch"); t_relay(); }
branch_route[branch] { $xavp(how=>server_name) = "branch.example.test"; }
""")
def test_branch(s: Scene) -> None:
    connected(s)


@outgoing.case("""
route[failure] { $xavp(how=>server_name) = "client.example.test"; t_on_failure("failure"); t_relay(); }
failure_route[failure] {
    if ($hdr(Way) == "id") { $xavp(how[0]=>server_id) = "second"; }
    $ru = $hdr(Next);
    t_relay();
}
""")
def test_failure(s: Scene) -> None:
    """What the request route has set still counts when another place is tried."""
    for way in ("nothing", "id"):
        alice, carol, bob = s.agent(f"alice-{way}"), s.agent(f"carol-{way}"), s.tls(f"bob-{way}")
        alice.request("INVITE", carol, headers=f"Way: {way}\nNext: sip:bob@{bob.host};transport=tls")
        alice.expect(100)
        carol.reply(carol.expect("INVITE"), 500)
        carol.expect("ACK")
        bob.reply(bob.expect("INVITE"), 200)
        alice.expect(200)
        s.note(f"{way}: {bob.asked}")


@room.case("route[not_named] { t_relay(); }")
def test_not_named(s: Scene) -> None:
    """The name of a profile is not asked for."""
    connected(s)
