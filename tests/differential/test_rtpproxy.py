"""rtpproxy: what both servers ask of the same stand-in, and what they make of SDP bodies; RPC."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from kit.relays import Relays
from kit.room import Room
from kit.rtpproxy import RtpProxy
from kit.scene import Scene
from kit.sdp import SDP, SHOW, offer_and_answer, sdp

LAST = 'sl_send_reply("200", "done");'
BODY = sdp(formats="0 8 101", more="a=rtpmap:0 PCMU/8000\r\n")
VIDEO = f"{BODY}m=video 4002 RTP/AVP 31\r\nc=IN IP4 10.2.2.2\r\na=rtcp:4003\r\nm=audio 0 RTP/AVP 0\r\n"

proxies = Relays(RtpProxy)


@pytest.fixture(scope="module", autouse=True)
def _no_proxies_left() -> Iterator[None]:
    yield
    proxies.close()


room = Room("rtpproxy", modules="ctl rtpproxy", last=LAST, prepare=proxies.prepare, params="""
modparam("rtpproxy", "rtpproxy_sock", "udp:127.0.0.1:@RELAY@")
modparam("rtpproxy", "rtpproxy_sock", "7 == udp:127.0.0.1:@RELAY@=2")
modparam("rtpproxy", "extra_id_pv", "$avp(extra)")
modparam("rtpproxy", "ice_candidate_priority_avp", "$avp(ice)")
""")  # fmt: skip


def asked(s: Scene) -> None:
    """Note what the stand-in was asked since the last time."""
    for command in proxies[s.server.name].asked:
        s.note(command)
    proxies[s.server.name].restart()


FLAGS = ("", "a", "f", "r", "i", "e", "x", "w", "c", "o", "1", "2", "3", "b", "1b", "z20", "co", "cow", "l", "s")
BODIES = (
    VIDEO,
    BODY.replace("s=-", "s=-\r\na=nortpproxy:yes"),
    BODY.replace("10.1.1.1", "0.0.0.0"),
    BODY.replace("IP4 10.1.1.1", "IP6 2001:db8::1"),
    BODY.replace("c=IN IP4 10.1.1.1\r\n", ""),
    BODY.partition("m=")[0],
)


@room.case("""
route[offer] {
    $avp(extra) = "id";
    if ($hdr(X-IP) != $null) { rtpproxy_offer("$hdr(X-Flags)", "$hdr(X-IP)"); }
    else { rtpproxy_offer("$hdr(X-Flags)"); }
""" + SHOW + "}")  # fmt: skip
def test_offer(s: Scene) -> None:
    alice = s.agent("alice")
    asked(s)
    for header in [*(f"X-Flags: {flags}" for flags in FLAGS), "X-IP: 5.6.7.8"]:
        alice.request("INVITE", headers=f"{header}\n{SDP}", body=BODY)
        alice.expect(200)
        asked(s)
    for body in BODIES:
        for flags in ("", "f", "r"):
            alice.request("INVITE", headers=f"X-Flags: {flags}\n{SDP}", body=body, to_tag="t9")
            alice.expect(200)
            asked(s)


@room.case("route[no_port] { rtpproxy_offer();" + SHOW + "}")
def test_no_port(s: Scene) -> None:
    alice = s.agent("alice")
    proxies[s.server.name].answer = "E7"
    alice.request("INVITE", headers=SDP, body=BODY)
    alice.expect(200)
    proxies[s.server.name].answer = ""
    alice.request("INVITE")
    alice.expect(200)
    asked(s)


@room.case("""
route[commands] {
    rtpproxy_answer(); xlog("L_NOTICE", "$rc\\n");
    rtpproxy_destroy(); xlog("L_NOTICE", "$rc\\n");
    rtpproxy_destroy("1"); xlog("L_NOTICE", "$rc\\n");
    unforce_rtp_proxy(); xlog("L_NOTICE", "$rc\\n");
    start_recording(); xlog("L_NOTICE", "$rc\\n");
    rtpproxy_stream2uac("/x/y", "3"); xlog("L_NOTICE", "$rc\\n");
    rtpproxy_stream2uas("/x/y", "-1"); xlog("L_NOTICE", "$rc\\n");
    rtpproxy_stop_stream2uac(); xlog("L_NOTICE", "$rc\\n");
    rtpproxy_stop_stream2uas(); xlog("L_NOTICE", "$rc\\n");
    set_rtp_proxy_set("7"); xlog("L_NOTICE", "$rc\\n");
    xlog("L_NOTICE", "[$rtppstat]\\n");
}
""")
def test_commands(s: Scene) -> None:
    alice = s.agent("alice")
    asked(s)
    alice.request("INFO", to_tag="t9")
    alice.expect(200)
    asked(s)


@room.case("""
route[call] {
    rtpproxy_manage("co");
    t_on_reply("CALL_REPLY");
    t_relay();
    exit;
}
onreply_route[CALL_REPLY] {
    rtpproxy_manage("co");
}
""")
def test_call(s: Scene) -> None:
    asked(s)
    offer_and_answer(s, BODY, asked)


@room.case("route[manage] { rtpproxy_manage();" + SHOW + "}")
def test_manage(s: Scene) -> None:
    alice = s.agent("alice")
    asked(s)
    for method, body in (("BYE", ""), ("INVITE", ""), ("PRACK", BODY), ("UPDATE", BODY), ("CANCEL", "")):
        alice.request(method, to_tag="t9", headers=SDP if body else "", body=body)
        if method != "CANCEL":
            alice.expect(200)
        s.fence()
        asked(s)


@room.case('route[rpc] { rtpproxy_offer(); xlog("L_NOTICE", "$rc\\n"); }')
def test_rpc(s: Scene) -> None:
    s.mask(r"recheck: -?\d+")
    url = f"udp:127.0.0.1:{proxies[s.server.name].port}"
    s.mask(rf"(?<=:){proxies[s.server.name].port}\b")
    alice = s.agent("alice")
    s.tell(
        "rtpproxy.list", f"rtpproxy.enable {url} 0", "rtpproxy.enable nosuch 0", "rtpproxy.enable", "rtpproxy.list"
    )  # fmt: skip
    alice.request("INVITE", headers=SDP, body=BODY)
    alice.expect(200)
    s.tell(f"rtpproxy.enable {url} 1")
    alice.request("INVITE", headers=SDP, body=BODY)
    alice.expect(200)
    asked(s)


def candidates(*lines: str, more: str = "") -> str:
    return f"{BODY}" + "".join(f"a=candidate:{line}\r\n" for line in lines) + more


HOST = "1 1 UDP 2130706431 10.1.1.1 4000 typ host", "1 2 UDP 2130706430 10.1.1.1 4001 typ host"
ICE = (
    BODY,
    candidates(*HOST),
    candidates(HOST[0]),
    candidates(*HOST, "2 1 UDP 100 10.9.9.9 5000 typ relay raddr 10.1.1.1 rport 4000"),
    candidates(*HOST, "Rabc 1 udp 7 10.3.3.3 4000 typ srflx raddr 10.1.1.1 rport 4000",
               more="a=sendrecv\r\nm=video 4002 RTP/AVP 31\r\na=candidate:3 1 UDP 5 10.1.1.1 4002 typ host\r\n"),
    candidates("1 1 TCP 2130706431 10.1.1.1 9 typ host tcptype active"),
    candidates(*HOST, more="m=video 4002 RTP/AVP 31\r\n"),
    candidates("1 1 UDP 0 10.1.1.1 4000 typ host"),
    candidates("4294967295 1 UDP 9 10.1.1.1 4000 typ host", "x"),
    candidates(*HOST).replace("10.1.1.1", "2001:db8::1").replace("IP4", "IP6"),
)  # fmt: skip


@room.case("""
route[ice] {
    if ($hdr(X-Ice) != $null) $avp(ice) = $(hdr(X-Ice){s.int});
    rtpproxy_offer("$hdr(X-Flags)");
""" + SHOW + "}")  # fmt: skip
def test_ice(s: Scene) -> None:
    """The proxy as a candidate of its own."""
    alice = s.agent("alice")
    for ice in ("", "1", "2", "3"):
        for body, number in zip(ICE, itertools.count()):
            headers = f"{SDP}\nX-Flags: {'' if number % 2 else 'x'}" + (f"\nX-Ice: {ice}" if ice else "")
            alice.request("INFO", headers=headers, body=body, call_id=f"ice{ice}-{number}")
            alice.expect(200)
            asked(s)
