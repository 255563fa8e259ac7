"""rtpengine: bencode, flags, and proxies that do not answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.local import Local
from kit.requests import request
from kit.rpc import invoke
from kit.rtpengine import RtpEngine
from kit.rtpengine import decode as their_decode
from kit.rtpengine import encode as their_encode

from kamailio_py.modules.rtpengine.bencode import BadBencode, decode, encode
from kamailio_py.modules.rtpengine.flags import parse
from kamailio_py.modules.rtpengine.nodes import address_of, parse_sets

TEXT = st.text(st.characters(max_codepoint=255), max_size=20)
VALUES = st.recursive(
    st.integers() | TEXT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)


@given(VALUES)
def test_what_is_encoded_can_be_decoded(value: object) -> None:
    assert decode(encode(value)) == value
    assert their_decode(encode(value).encode("latin-1")) == value
    assert decode(their_encode(value).decode("latin-1")) == value


@given(st.text(st.sampled_from("dlie0123456789:-x"), max_size=30))
def test_rubbish_is_decoded_or_refused(text: str) -> None:
    try:
        decode(text)
    except BadBencode:
        return


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_any_flags_can_be_encoded(text: str) -> None:
    encode(parse(text).request)


def test_bencode_that_is_nested_too_deep() -> None:
    with pytest.raises(BadBencode):
        decode("l" * 10000)


def test_sets() -> None:
    assert parse_sets("udp:localhost:1 udp6:::1:2=5", 3)[0] == 3
    assert parse_sets("2 == udp:a:1=4 udp:b:2", 0) == (2, [("udp:a:1", 4), ("udp:b:2", 1)])
    for bad in ("x == udp:a:1", "tcp:a:1", "udp:a", "udp:a:b"):
        with pytest.raises(ValueError, match=r"set_id|proxy address"):
            parse_sets(bad, 0)
    assert address_of("udp:127.0.0.1:22222")[1:] == ("127.0.0.1", 22222)
    assert address_of("udp6:[::1]:2")[1:] == ("::1", 2)


CFG = """
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "rtpengine.so"
modparam("rtpengine", "rtpengine_sock", "udp:127.0.0.1:%d udp:127.0.0.1:%d")
modparam("rtpengine", "rtpengine_tout_ms", 50)
modparam("rtpengine", "rtpengine_retr", 1)
request_route {
    if (rtpengine_delete()) { sl_send_reply("200", "OK"); } else { sl_send_reply("500", "Not OK"); }
}
"""


def test_a_proxy_that_does_not_answer_is_left_out() -> None:
    engine, dead = RtpEngine(), RtpEngine()
    dead.close()
    try:
        with Local(CFG % (engine.port, dead.port)) as server:
            for number in range(8):
                [reply] = server.inject(request(call_id=f"c{number}"))
                assert reply.startswith("SIP/2.0 200 ")
            shown = invoke(server.core, "rtpengine.show", "all")
            assert [row["disabled"] for row in shown] == [0, 1]
            server.advance(61)
            assert [row["disabled"] for row in invoke(server.core, "rtpengine.show", "all")] == [0, 0]
    finally:
        engine.close()


def test_no_proxy_at_all_is_an_answer() -> None:
    dead = RtpEngine()
    dead.close()
    with Local(CFG % (dead.port, dead.port)) as server:
        [reply] = server.inject(request())
        assert reply.startswith("SIP/2.0 500 ")


def test_answers_that_are_none() -> None:
    """What is no bencode, or no dictionary, is an error and nothing worse."""
    engine = RtpEngine()
    try:
        with Local(CFG % (engine.port, engine.port)) as server:
            for answer in (["x"], {"result": "what"}, {}):
                engine._answer = lambda asked, answer=answer: answer  # type: ignore[method-assign]
                [reply] = server.inject(request(call_id=f"c{answer}"))
                assert reply.startswith("SIP/2.0 500 ")
                invoke(server.core, "rtpengine.enable", "all", 0)
                for node in server.core.module("rtpengine")._named("all"):
                    server.core.module("rtpengine")._proxies.enable(node)
    finally:
        engine.close()
