"""The uac module: what travels in Record-Route, answers to challenges, what its parameters refuse."""

from __future__ import annotations

from hashlib import md5, sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.local import Local
from kit.requests import request
from kit.sip import Sip, build_reply

from kamailio_py.module import ModuleError
from kamailio_py.modules.uac.auth import Credential, authorization, challenges, parse_credential
from kamailio_py.modules.uac.replace import decode, encode
from kamailio_py.sip.digest import parse_credentials
from kamailio_py.sip.message import Message

MODULES = """
loadmodule "tm"
loadmodule "sl"
loadmodule "rr"
loadmodule "pv"
loadmodule "xlog"
loadmodule "siputils"
loadmodule "textops"
loadmodule "uac"
"""
ROUTES = """
request_route {
    if (has_totag()) { loose_route(); $du = "sip:127.0.0.1:7000"; t_relay(); exit; }
    record_route(); $du = "sip:127.0.0.1:7000";
    uac_replace_from("sip:shown@other.test");
    t_relay();
}
"""
URIS = st.from_regex(r"sip:[a-z0-9.-]{1,20}@[a-z]{1,12}\.[a-z]{2,8}(:[1-9][0-9]{3})?", fullmatch=True)


@given(URIS, URIS, st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8))
def test_what_travels_gives_each_side_the_other_uri(old: str, new: str, password: str) -> None:
    value = encode(old, new, password)
    assert "=" not in value
    assert decode(old, value, password) == new
    assert decode(new, value, password) == old


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60))
def test_what_others_write_there_is_no_traceback(value: str) -> None:
    found = decode("sip:alice@example.test", value, "")
    assert found is None or found.startswith("sip")


def test_as_real_kamailio_writes_it() -> None:
    assert encode("sip:alice@example.test", "sip:robin@gotham.example", "") == "AAAAABMDCwoLAAIXFQURAUtLDAQeBGxl"
    assert encode("sip:alice@example.test", "sip:b@gotham.example", "") == "AAAAAAMsDgwRKAQVTwgIDQheGABzdA--"


def test_a_route_that_was_changed_is_left_alone() -> None:
    with Local(f"{MODULES}{ROUTES}") as server:
        sent = server.inject(request("INVITE", extra="Contact: <sip:alice@127.0.0.1:40000>"))
        invite = next(Sip(text) for text in sent if text.startswith("INVITE"))
        assert invite.first("From") == "<sip:shown@other.test>;tag=f1"
        route = invite.all("Record-Route")[0].replace("vsf=AA", "vsf=!!")
        more = {"cseq": 2, "to_tag": "b1", "branch": "z9hG4bKi"}
        [info] = server.inject(request("INFO", "sip:bob@127.0.0.1:7000", extra=f"Route: {route}", **more))
        assert Sip(info).first("From") == "<sip:alice@example.test>;tag=f1"


def test_replies_get_their_own_from_back() -> None:
    with Local(f"{MODULES}{ROUTES}") as server:
        sent = server.inject(request("INVITE"))
        invite = next(Sip(text) for text in sent if text.startswith("INVITE"))
        [ringing] = server.inject(build_reply(invite, 180, None, "b1", "", ""), port=7000)
        assert Sip(ringing).first("From") == "<sip:alice@example.test>;tag=f1"


def challenge(value: str, status: int = 401) -> Message:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    return Message(f"SIP/2.0 {status} x\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n{name}: {value}\r\n\r\n")


def test_sha256_and_auth_int() -> None:
    [one] = challenges(challenge('Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth-int"'))
    line = authorization(401, one, Credential("u", "r", "p"), "MESSAGE", "sip:x@y", "body", "c")
    given = parse_credentials(line.partition(": ")[2])
    assert given is not None

    def h(text: str) -> str:
        return sha256(text.encode()).hexdigest()

    ha2 = h(f"MESSAGE:sip:x@y:{h('body')}")
    assert given["response"] == h(f"{h('u:r:p')}:n:00000001:c:auth-int:{ha2}")
    assert (given["qop"], given["algorithm"], given["username"]) == ("auth-int", "SHA-256", "u")


def test_a_password_that_is_hashed_already() -> None:
    hashed = md5(b"u:r:p").hexdigest()
    [one] = challenges(challenge('Digest realm="r", nonce="n"', 407))
    plain = authorization(407, one, Credential("u", "r", "p"), "INVITE", "sip:x", "", "c")
    assert authorization(407, one, Credential("u", "r", hashed, True), "INVITE", "sip:x", "", "c") == plain
    assert plain.startswith("Proxy-Authorization: Digest ")


@pytest.mark.parametrize("value", ["Basic realm=x", 'Digest realm="r', 'Digest realm="r", nonce="n", algorithm=X', ""])
def test_challenges_that_cannot_be_answered(value: str) -> None:
    assert challenges(challenge(value)) == []


def test_credentials() -> None:
    assert parse_credential("u:r.test:p:w") == Credential("u", "r.test", "p:w")
    for bad in ("", "u", "u:r", ":r:p", "u::p"):
        with pytest.raises(ValueError, match="user:realm:password"):
            parse_credential(bad)


@pytest.mark.parametrize(
    "param", ['"restore_mode", "some"', '"auth_realm_avp", "$avp(r)"', '"default_socket", "udp:1.2.3.4:5060"']
)
def test_bad_parameters_stop_the_start(param: str) -> None:
    with pytest.raises(ModuleError):
        Local(f'{MODULES}modparam("uac", {param})\n{ROUTES}')
