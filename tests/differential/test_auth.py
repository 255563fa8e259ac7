"""Digest authentication on both servers: what is accepted, what is not, and what the challenges look like."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from kit.agent import Agent
from kit.digest import authorization, challenge_of
from kit.room import Room
from kit.scene import Scene
from kit.sip import Sip

from kamailio_py.db.tables import create_sqlite

NONCE = r'nonce="[^"]*"'
RESPONSE = r'response="[0-9a-f]+"|rspauth="[0-9a-f]+"'
REALM = "example.test"

LOG = """
route[SHOW] {
    xlog("L_NOTICE", "rc $var(rc) au=$au ad=$ad aU=$aU ar=$ar Au=$Au AU=$AU\\n");
}
"""

room = Room("auth", modules="auth", cfg=LOG)
counted = Room("auth_counted", modules="auth", params='modparam("auth", "nonce_count", 1)', cfg=LOG)
one_time = Room(
    "auth_one_time",
    modules="auth",
    params="""
modparam("auth", "one_time_nonce", 1)
modparam("auth", "add_authinfo_hdr", 1)
modparam("auth", "realm_prefix", "sip.")
""",
    cfg=LOG,
)
sha256 = Room("auth_sha256", modules="auth", params='modparam("auth", "algorithm", "SHA-256")', cfg=LOG)
bound = Room(
    "auth_bound",
    modules="auth",
    params="""
modparam("auth", "secret", "a secret that is long enough for two halves")
modparam("auth", "auth_checks_register", 15)
modparam("auth", "auth_checks_no_dlg", 6)
modparam("auth", "auth_checks_in_dlg", 8)
modparam("auth", "nonce_expire", 1)
modparam("auth", "add_authinfo_hdr", 1)
""",
    cfg=LOG,
)


def masked(s: Scene) -> Agent:
    s.mask(NONCE)
    s.mask(RESPONSE)
    return s.agent("alice")


def challenged(agent: Agent, method: str = "REGISTER", **more: str) -> tuple[dict[str, str], str]:
    """(the challenge to a request, the request's URI)"""
    request = agent.request(method, **more)
    reply = agent.expect(401 if method == "REGISTER" else 407)
    if method == "INVITE":
        agent.ack(request, reply)
    return challenge_of(reply), request.uri


REGISTERS = """
    $var(rc) = pv_www_authenticate("example.test", "secret", "0");
    route(SHOW);
    if ($var(rc) < 0) {
        www_challenge("example.test", "1");
        exit;
    }
    sl_send_reply("200", "Fine");
"""


def register(agent: Agent, header: str, status: int = 200, method: str = "REGISTER", **more: str) -> Sip:
    agent.request(method, headers=header, **more)
    return agent.expect(status)


@room.case("route[good] {" + REGISTERS + "}")
def test_good(s: Scene) -> None:
    alice = masked(s)
    challenge, uri = challenged(alice)
    register(alice, authorization(challenge, "REGISTER", uri))
    # without nonce_count and one-time nonces it may be used again and again
    register(alice, authorization(challenge, "REGISTER", uri))
    register(alice, authorization(challenge, "REGISTER", uri, nc="00000002"))
    register(alice, authorization(challenge, "REGISTER", uri, qop=""))
    register(alice, authorization(challenge, "REGISTER", uri, "alice@example.com"))


@room.case("route[bad] {" + REGISTERS + "}")
def test_bad(s: Scene) -> None:
    alice = masked(s)
    challenge, uri = challenged(alice)
    own = {
        "wrong password": authorization(challenge, "REGISTER", uri, password="wrong"),
        "other realm": authorization(challenge | {"realm": "else.test"}, "REGISTER", uri),
        "realm in capitals": authorization(challenge | {"realm": "EXAMPLE.test"}, "REGISTER", uri),
        "no response": authorization(challenge, "REGISTER", uri, response=""),
        "short response": authorization(challenge, "REGISTER", uri, response="12ab"),
        "capital response": authorization(challenge, "REGISTER", uri, response="A" * 32),
        "no cnonce": authorization(challenge, "REGISTER", uri, cnonce=""),
        "no nc": authorization(challenge, "REGISTER", uri, nc="00000001").replace("nc=00000001, ", ""),
        "no user": authorization(challenge, "REGISTER", uri, username=""),
        "no uri": authorization(challenge, "REGISTER", uri).replace('uri="', 'x="'),
        "another nonce": authorization(challenge, "REGISTER", uri, nonce="x" * 32),
        "a short nonce": authorization(challenge, "REGISTER", uri, nonce="abc"),
        "no base64": authorization(challenge, "REGISTER", uri, nonce="-" * 32),
        "long nonce": authorization(challenge, "REGISTER", uri, nonce="A" * 400),
        "from long ago": authorization(challenge, "REGISTER", uri, nonce="A" * 32),
        "another method": authorization(challenge, "INVITE", uri),
        "proxy": authorization(challenge, "REGISTER", uri, header="Proxy-Authorization"),
        "basic": "Authorization: Basic YWxpY2U6c2VjcmV0",
        "nothing": "Authorization: Digest",
        "rubbish": 'Authorization: Digest username="alice',
        "empty": "Authorization: ",
    }
    for what, header in own.items():
        s.note(f"{what}: {register(alice, header, 401).status}")


@room.case("route[two_headers] {" + REGISTERS + "}")
def test_two_headers(s: Scene) -> None:
    """The header of the realm counts."""
    alice = masked(s)
    challenge, uri = challenged(alice)
    other = authorization(challenge | {"realm": "else.test"}, "REGISTER", uri, "bob")
    register(alice, f"{other}\n{authorization(challenge, 'REGISTER', uri)}")


@room.case("""
route[calls] {
    $var(rc) = pv_proxy_authenticate("$fd", "$var(pw)", "1");
    if (!pv_proxy_authenticate("$fd", "57dc8ad9aab9b0f0f7b9bfd7b9f8ac87", "1")) {
        $var(rc) = pv_proxy_authenticate("$fd", "secret", 0);
    }
    route(SHOW);
    if ($var(rc) < 0) {
        auth_challenge("$fd", "0");
        exit;
    }
    consume_credentials();
    xlog("L_NOTICE", "consumed: $rc\\n");
    msg_apply_changes();
    xlog("L_NOTICE", "left: $hdr(Proxy-Authorization) $hdr(Authorization)\\n");
    if (has_credentials("example.test")) { xlog("L_NOTICE", "still there\\n"); }
    sl_send_reply("200", "Fine");
}
""")
def test_calls(s: Scene) -> None:
    alice = masked(s)
    challenge, uri = challenged(alice, "INVITE")
    header = authorization(challenge, "INVITE", uri, header="Proxy-Authorization")
    alice.request("INVITE", headers=header)
    alice.expect(200)
    alice.request("INVITE", headers=authorization(challenge, "INVITE", uri, "bob", "no", header="Proxy-Authorization"))
    alice.expect(407)


@room.case("""
route[consume] {
    consume_credentials();
    xlog("L_NOTICE", "$rc\\n");
    if (has_credentials("example.test")) { xlog("L_NOTICE", "has some\\n"); }
    if (has_credentials("else.test")) { xlog("L_NOTICE", "has others\\n"); }
    sl_send_reply("200", "Fine");
}
""")
def test_consume(s: Scene) -> None:
    alice = s.agent("alice")
    register(alice, "", method="OPTIONS")
    challenge = {"realm": "example.test", "nonce": "n"}
    register(alice, authorization(challenge, "OPTIONS", "sip:x"), method="OPTIONS")
    register(alice, authorization(challenge, "OPTIONS", "sip:x", header="Proxy-Authorization"), method="OPTIONS")


@room.case("""
route[challenges] {
    $var(m) = $hdr(X-Flags);
    if ($hdr(X-What) == "proxy") { proxy_challenge("$fd", "$(hdr(X-Flags){s.int})"); }
    else if ($hdr(X-What) == "www") { www_challenge("$fd", "$(hdr(X-Flags){s.int})"); }
    else { auth_challenge("r", "$(hdr(X-Flags){s.int})"); }
    xlog("L_NOTICE", "$rc\\n");
}
""")
def test_challenges(s: Scene) -> None:
    alice = masked(s)
    for what, status in (("www", 401), ("proxy", 407), ("auth", 407)):
        for flags in (0, 1, 2, 3, 4, 16, 17, 18):
            alice.request("OPTIONS", headers=f"X-What: {what}\nX-Flags: {flags}")
            alice.expect(status)


@room.case("""
route[avp_challenge] {
    $var(rc) = pv_www_authenticate("example.test", "secret", "$(hdr(X-Flags){s.int})");
    xlog("L_NOTICE", "$var(rc) [$avp(digest_challenge)]\\n");
    auth_get_www_authenticate("example.test", "$(hdr(X-Flags){s.int})", "$var(wauth)");
    xlog("L_NOTICE", "$rc [$var(wauth)]\\n");
    sl_send_reply("200", "Fine");
}
""")
def test_avp_challenge(s: Scene) -> None:
    alice = masked(s)
    for flags in (0, 1, 2, 4, 8, 12, 14, 16, 32):
        register(alice, f"X-Flags: {flags}", method="OPTIONS")


@room.case("""
route[identity] {
    $var(rc) = pv_auth_check("example.test", "secret", "0", "$(hdr(X-Checks){s.int})");
    route(SHOW);
    if ($var(rc) < 0 && $var(rc) != -8) { auth_challenge("example.test", "1"); exit; }
    sl_send_reply("200", "Fine");
}
""")
def test_identity(s: Scene) -> None:
    alice = masked(s)
    for method in ("REGISTER", "PUBLISH", "MESSAGE"):
        header = "Authorization" if method == "REGISTER" else "Proxy-Authorization"
        for checks in (0, 1):
            challenge, uri = challenged(alice, method, headers=f"X-Checks: {checks}")
            for user in ("alice", "bob", "identity"):
                sent = authorization(challenge, method, uri, user, header=header)
                s.note(f"{method} {checks} {user}")
                register(alice, f"{sent}\nX-Checks: {checks}", method=method)


@room.case("""
route[never] {
    $var(rc) = pv_www_authenticate("example.test", "secret", 0);
    xlog("L_NOTICE", "$rm $var(rc)\\n");
    $var(rc) = pv_auth_check("example.test", "secret", 0, 1);
    xlog("L_NOTICE", "$rm $var(rc)\\n");
    if (is_method("ACK|CANCEL")) {
        auth_challenge("example.test", 0);
        xlog("L_NOTICE", "$rm $rc\\n");
        exit;
    }
    $var(rc) = pv_www_authenticate("example.test", "secret", 0, "$hdr(X-Method)");
    xlog("L_NOTICE", "$rm as $hdr(X-Method) $var(rc)\\n");
    sl_send_reply("200", "Fine");
}
""")
def test_never(s: Scene) -> None:
    alice = masked(s)
    alice.request("ACK")
    alice.request("PRACK", headers="X-Method: OPTIONS")
    alice.expect(200)
    alice.request("OPTIONS", headers="X-Method: REGISTER")
    alice.expect(200)


@counted.case("route[nc] {" + REGISTERS + "}")
def test_nc(s: Scene) -> None:
    alice = masked(s)
    challenge, uri = challenged(alice)
    for nc, status in (
        ("00000001", 200), ("00000001", 401), ("00000003", 200), ("00000002", 401), ("0000000a", 200),
        ("0000000B", 200), ("000000ff", 200), ("00000100", 401), ("1", 401), ("0000000g", 401), ("00000000", 401),
    ):  # fmt: skip
        s.note(f"{nc}: {register(alice, authorization(challenge, 'REGISTER', uri, nc=nc), status).status}")
    register(alice, authorization(challenge, "REGISTER", uri, qop=""))


@one_time.case("route[once] {" + REGISTERS.replace('"example.test"', '"sip.example.test"') + "}")
def test_once(s: Scene) -> None:
    alice = masked(s)
    challenge, uri = challenged(alice)
    register(alice, authorization(challenge, "REGISTER", uri))
    register(alice, authorization(challenge, "REGISTER", uri), 401)
    register(alice, authorization(challenge, "REGISTER", uri, nc="00000002"), 401)
    challenge, uri = challenged(alice)
    register(alice, authorization(challenge, "REGISTER", uri, password="wrong"), 401)
    register(alice, authorization(challenge, "REGISTER", uri), 401)


@one_time.case("route[next_nonce] {" + REGISTERS + "}")
def test_next_nonce(s: Scene) -> None:
    """Authentication-Info names the nonce for the next request."""
    alice = masked(s)
    challenge, uri = challenged(alice)
    for _ in range(3):
        reply = register(alice, authorization(challenge, "REGISTER", uri))
        challenge["nonce"] = reply.first("Authentication-Info").split('nextnonce="')[1].split('"')[0]


@sha256.case("route[sha256] {" + REGISTERS + "}")
def test_sha256(s: Scene) -> None:
    alice = masked(s)
    challenge, uri = challenged(alice)
    register(alice, authorization(challenge, "REGISTER", uri))
    register(alice, authorization(challenge, "REGISTER", uri, password="wrong"), 401)
    register(alice, authorization(challenge | {"algorithm": "MD5"}, "REGISTER", uri), 401)


@bound.case("route[stale] {" + REGISTERS + "}")
def test_stale(s: Scene) -> None:
    alice = masked(s)
    challenge, uri = challenged(alice, call_id="c1")
    register(alice, authorization(challenge, "REGISTER", uri), call_id="c1")
    time.sleep(max(0.0, 2.1 - time.time() % 1))
    register(alice, authorization(challenge, "REGISTER", uri), 401, call_id="c1")


@bound.case("""
route[bound_to] {
    $var(rc) = pv_auth_check("example.test", "secret", "0", "0");
    route(SHOW);
    if ($var(rc) < 0) { auth_challenge("example.test", "1"); exit; }
    sl_send_reply("200", "Fine");
}
""")
def test_bound_to(s: Scene) -> None:
    alice = masked(s)
    bob = s.agent("bob")
    challenge, uri = challenged(alice, call_id="c1", from_tag="f1")
    header = authorization(challenge, "REGISTER", uri)
    register(alice, header, call_id="c1", from_tag="f1")
    register(alice, header, 401, call_id="c2", from_tag="f1")
    register(alice, header, 401, call_id="c1", from_tag="f2")
    alice.request("REGISTER", headers=header, call_id="c1", uri=f"{uri};x")
    alice.expect(401)
    alice.request("MESSAGE", headers=header.replace("Authorization", "Proxy-Authorization"), call_id="c1")
    alice.expect(407)
    challenge, uri = challenged(alice, "MESSAGE", to_tag="t1")
    sent = authorization(challenge, "MESSAGE", uri, header="Proxy-Authorization")
    bob.request("MESSAGE", headers=sent, to_tag="t1", call_id="another")
    bob.expect(200)


@bound.case("route[each_others] {" + REGISTERS + "}", differs="each server is asked with nonces made by the other one")
def test_each_others(s: Scene) -> None:
    """Servers that share a secret accept each other's nonces: this one stands for both."""
    alice = masked(s)
    SHARED[s.server.name] = challenged(alice, call_id="c1", uri="sip:each_others@example.test")[0]
    deadline = time.monotonic() + 5
    while len(SHARED) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    other = next(challenge for name, challenge in SHARED.items() if name != s.server.name)
    header = authorization(other, "REGISTER", "sip:each_others@example.test")
    register(alice, header, call_id="c1", uri="sip:each_others@example.test")


SHARED: dict[str, dict[str, str]] = {}


# the same against a database


def subscribers(directory: Path) -> None:
    create_sqlite(str(directory / "u.db"))
    made = sqlite3.connect(directory / "u.db")
    made.executescript("""
insert into subscriber (username, domain, password, ha1, ha1b) values
  ('alice', 'example.test', 'secret', '24c9bd16abbd3b4dbf94f4e50ef74ab2', '5c7a1d5a2e9c9b0e0f1b5c4d3e2f1a0b'),
  ('carol', 'else.test', 'secret', 'x', 'y'),
  ('dave', 'example.test', '', '', '');
create table people as select * from subscriber;
alter table people add column uid int;
update people set uid = 7;
insert into version values (100, 'people', 7);
""")
    import hashlib

    def h(*parts: str) -> str:
        return hashlib.md5(":".join(parts).encode()).hexdigest()

    made.execute(
        "update subscriber set ha1=?, ha1b=? where username='alice'",
        (h("alice", REALM, "secret"), h("alice@example.test", REALM, "secret")),
    )
    made.commit()
    made.close()


DB = """
modparam("auth_db", "db_url", "sqlite:///@DIR@/u.db")
modparam("auth_db", "load_credentials", "$avp(mail)=ha1b;domain;$var(p)=password")
"""
hashed = Room("auth_db", modules="auth db_sqlite auth_db", params=DB, cfg=LOG, prepare=subscribers)
plain = Room(
    "auth_db_plain",
    modules="auth db_sqlite auth_db",
    params="""
modparam("auth_db", "db_url", "sqlite:///@DIR@/u.db")
modparam("auth_db", "calculate_ha1", yes)
modparam("auth_db", "password_column", "password")
modparam("auth_db", "use_domain", 1)
modparam("auth_db", "load_credentials", "$avp(uid)=uid")
modparam("auth_db", "force_generate_avps", 1)
""",
    cfg=LOG,
    prepare=subscribers,
)

WWW_DB = """
    $var(p) = 0;
    $var(rc) = www_authenticate("$td", "TABLE");
    route(SHOW);
    xlog("L_NOTICE", "mail=$avp(mail) domain=$avp(domain) p=$var(p) uid=$avp(uid)\\n");
    if ($var(rc) < 0) { www_challenge("$td", "0"); exit; }
    sl_send_reply("200", "Fine");
"""


@hashed.case("route[db_register] {" + WWW_DB.replace("TABLE", "subscriber") + "}")
def test_db_register(s: Scene) -> None:
    alice = masked(s)
    challenge, uri = challenged(alice)
    register(alice, authorization(challenge, "REGISTER", uri))
    register(alice, authorization(challenge, "REGISTER", uri, "alice@example.test"))
    register(alice, authorization(challenge, "REGISTER", uri, password="wrong"), 401)
    register(alice, authorization(challenge, "REGISTER", uri, "nobody"), 401)
    register(alice, authorization(challenge, "REGISTER", uri, "dave", ""), 401)


@hashed.case("""
route[db_check] {
    $var(rc) = auth_check("$fd", "subscriber", "$(hdr(X-Flags){s.int})");
    route(SHOW);
    if ($var(rc) < 0 && $var(rc) != -8) { auth_challenge("$fd", "0"); exit; }
    sl_send_reply("200", "Fine");
}
""")
def test_db_check(s: Scene) -> None:
    agents = s.agents("alice", "bob")
    masked(s)
    for agent in agents:
        for method in ("REGISTER", "MESSAGE", "PUBLISH", "SUBSCRIBE"):
            for flags in (0, 1, 2, 3):
                challenge, uri = challenged(agent, method, headers=f"X-Flags: {flags}")
                header = "Authorization" if method == "REGISTER" else "Proxy-Authorization"
                sent = authorization(challenge, method, uri, header=header)
                s.note(f"{agent.name} {method} {flags}")
                register(agent, f"{sent}\nX-Flags: {flags}", method=method)


@hashed.case("""
route[subscriber] {
    $var(p) = 0;
    is_subscriber("$hdr(X-URI)", "subscriber", "$(hdr(X-Flags){s.int})");
    xlog("L_NOTICE", "$rc mail=[$avp(mail)] domain=$avp(domain) p=$var(p)\\n");
    sl_send_reply("200", "Fine");
}
""")
def test_subscriber(s: Scene) -> None:
    alice = s.agent("alice")
    for uri in ("sip:alice@example.test", "sip:alice@else.test", "sip:nobody@example.test", "nonsense", "sip:x.test"):
        for flags in (0, 1, 2, 3):
            alice.request("OPTIONS", headers=f"X-URI: {uri}\nX-Flags: {flags}")
            alice.expect(200)


@plain.case("route[db_plain] {" + WWW_DB.replace("TABLE", "people") + "}")
def test_db_plain(s: Scene) -> None:
    alice = masked(s)
    challenge, uri = challenged(alice)
    register(alice, authorization(challenge, "REGISTER", uri))
    register(alice, authorization(challenge, "REGISTER", uri, "alice@example.test"))
    register(alice, authorization(challenge, "REGISTER", uri, "carol"), 401)
    register(alice, authorization(challenge, "REGISTER", uri, "carol@else.test"))
    register(alice, authorization(challenge, "REGISTER", uri, password="wrong"), 401)


@plain.case("""
route[db_proxy] {
    $var(rc) = proxy_authenticate("$fd", "people");
    route(SHOW);
    if ($var(rc) < 0) { proxy_challenge("$fd", "1"); exit; }
    consume_credentials();
    sl_send_reply("200", "Fine");
}
""")
def test_db_proxy(s: Scene) -> None:
    alice = masked(s)
    challenge, uri = challenged(alice, "INVITE")
    register(alice, authorization(challenge, "INVITE", uri, header="Proxy-Authorization"), method="INVITE")
