"""The auth module: nonces and what is remembered of them; digests of the RFCs; start-up errors."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.databases import core_with
from kit.local import Local
from kit.memory import all_of, segment
from kit.requests import request

from kamailio_py.module import ModuleError
from kamailio_py.modules.auth.in_flight import InFlight, Verdict, power_of_two
from kamailio_py.modules.auth.nonce import COUNTED, ONE_TIME, Nonces
from kamailio_py.sip import digest
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message

MESSAGE = Message(request("REGISTER"), "127.0.0.1", 5060)


def test_the_digest_of_rfc_2617() -> None:
    credentials = {
        "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "uri": "/dir/index.html",
        "qop": "auth",
        "nc": "00000001",
        "cnonce": "0a4f113b",
    }
    ha1 = digest.ha1("MD5", "Mufasa", "testrealm@host.com", "Circle Of Life")
    assert digest.response("MD5", ha1, credentials, "GET") == "6629fae49393a05397450978507c4ef1"


def test_the_digests_of_rfc_7616() -> None:
    credentials = {
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "uri": "/dir/index.html",
        "qop": "auth",
        "nc": "00000001",
        "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    }
    expected = {
        "MD5": "8ca523f5e9506fed4657c9700eebdbec",
        "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    }
    for algorithm, response in expected.items():
        ha1 = digest.ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life")
        assert digest.response(algorithm, ha1, credentials, "GET") == response


def test_with_auth_int_the_body_counts() -> None:
    credentials = {"nonce": "n", "uri": "sip:a", "qop": "auth-int", "nc": "1", "cnonce": "c"}
    assert digest.response("MD5", "h", credentials, "INVITE", "a") != digest.response(
        "MD5", "h", credentials, "INVITE", "b"
    )


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 15), st.integers(0, 2**32 - 1))
def test_a_nonce_says_what_was_put_in(since: int, expire: int, checks: int, number: int) -> None:
    nonces = Nonces("secret", "other")
    for flags in (None, COUNTED | 3, ONE_TIME):
        text = nonces.make(since, expire, checks, MESSAGE, number, flags)
        nonce = nonces.read(text, checks)
        assert nonce is not None
        assert (nonce.since, nonce.expire) == (since, expire)
        assert nonces.is_ours(nonce)
        assert nonces.is_for(nonce, checks, MESSAGE) or not checks
        if flags is not None:
            assert (nonce.number, nonce.flags) == (number, flags)
        assert not Nonces("another secret", "other").is_ours(nonce)


@given(st.text(st.characters(max_codepoint=255), max_size=100), st.booleans())
def test_rubbish_is_no_nonce_of_ours(text: str, checks: bool) -> None:
    nonces = Nonces("secret", "other")
    nonce = nonces.read(text, checks)
    assert nonce is None or not nonces.is_ours(nonce)


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_credentials_are_read_or_refused(text: str) -> None:
    try:
        digest.parse_credentials(f"Digest {text}")
    except BadMessage:
        return


def test_a_nonce_number_is_good_until_the_array_went_round() -> None:
    with segment() as shm:
        flying = InFlight(shm, random.Random(1), pools=2, counts=16, once=64)
        first = flying.new(1)
        assert flying.check_count(first, 1, 1) is Verdict.OK
        assert flying.check_count(first, 1, 1) is Verdict.STALE
        assert flying.check_count(first, 1, 255) is Verdict.OK
        assert flying.check_count(first, 1, 256) is Verdict.STALE
        assert flying.check_count(first, 2, 1) is Verdict.STALE, "there is no such pool"
        assert flying.check_once(first, 1) is Verdict.OK
        assert flying.check_once(first, 1) is Verdict.REUSED
        second = flying.new(1)
        for _ in range(7):
            flying.new(1)
        assert flying.check_count(second, 1, 1) is Verdict.OK
        flying.new(1)
        assert flying.check_count(second, 1, 2) is Verdict.STALE, "eight nonces later it is forgotten"
        assert flying.check_count(second + 1, 0, 1) is Verdict.STALE, "never given out by the other pool"


def test_of_many_processes_one_gets_a_one_time_nonce() -> None:
    with segment() as shm:
        flying = InFlight(shm, random.Random(1), pools=1, counts=0, once=64)
        won = shm.reserve("won", "words", 8) >> 3
        lock = shm.lock("won.lock")
        numbers = [flying.new(0) for _ in range(20)]

        def use() -> None:
            for number in numbers:
                if flying.check_once(number, 0) is Verdict.OK:
                    with lock:
                        shm.u64[won] += 1

        all_of(shm, [use] * 4)
        assert shm.u64[won] == 20


def test_sizes_are_powers_of_two() -> None:
    assert power_of_two(0, 0) == 1 << 20
    assert power_of_two(0, 1000) == 512
    assert power_of_two(10, 7) == 1024


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"algorithm": "SHA1"}, "Invalid algorithm"),
        ({"qop": "auth,auth-int"}, "Unsupported qop"),
        ({"challenge_attr": "avp"}, "challenge_attr"),
        ({"one_time_nonce": 1, "otn_in_flight_no": 64, "nid_pool_no": 16}, "nid_pool_no"),
    ],
)
def test_what_stops_the_start(params: dict[str, int | str], complaint: str) -> None:
    lines = [f'modparam("auth", "{name}", {value!r})'.replace("'", '"') for name, value in params.items()]
    cfg = "\n".join(['loadmodule "sl.so"', 'loadmodule "auth.so"', *lines, "request_route { exit; }"])
    with pytest.raises(ModuleError, match=complaint), Local(cfg):
        pass


def test_auth_needs_sl() -> None:
    with pytest.raises(ModuleError, match="sl"), core_with("auth"):
        pass


def test_the_one_who_was_challenged_is_accounted() -> None:
    cfg = """
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "auth.so"
request_route {
    if (!pv_www_authenticate("example.test", "secret", "0")) { www_challenge("example.test", "1"); exit; }
    sl_send_reply("200", ": $Au $AU");
}
"""
    with Local(cfg) as server:
        [reply] = server.inject(request("REGISTER"))
        nonce = reply.split('nonce="')[1].split('"')[0]
        credentials = {"nonce": nonce, "uri": "sip:x", "qop": "auth", "nc": "00000001", "cnonce": "c"}
        proof = digest.response("MD5", digest.ha1("MD5", "bob", "example.test", "secret"), credentials, "REGISTER")
        extra = (
            f'Authorization: Digest username="bob", realm="example.test", nonce="{nonce}", uri="sip:x", qop=auth, '
            f'nc=00000001, cnonce="c", response="{proof}"'
        )
        [reply] = server.inject(request("REGISTER", extra=extra))
        assert reply.startswith("SIP/2.0 200 : bob@example.test bob\r\n")
        server.clock.advance(301)
        [reply] = server.inject(request("REGISTER", extra=extra))
        assert reply.startswith("SIP/2.0 401 ")
