"""rtpengine: what both servers ask of the same stand-in, and what becomes of SDP bodies; RPC; Debian's daemon."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest
from kit.kamcmd import kamcmd
from kit.relays import Relays
from kit.room import Room
from kit.rtpengine import RtpEngine
from kit.scene import Scene

MODULES = "ctl rtpengine"
LAST = 'sl_send_reply("200", "done");'
BODY = "v=0\r\no=- 1 1 IN IP4 10.1.1.1\r\ns=-\r\nc=IN IP4 10.1.1.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"

engines = Relays(RtpEngine)


@pytest.fixture(scope="module", autouse=True)
def _no_engines_left() -> Iterator[None]:
    yield
    engines.close()


room = Room("rtpengine", modules=MODULES, last=LAST, prepare=engines.prepare, params="""
modparam("rtpengine", "rtpengine_sock", "udp:127.0.0.1:@RELAY@")
modparam("rtpengine", "rtpengine_sock", "7 == udp:127.0.0.1:@RELAY@=2")
modparam("rtpengine", "extra_id_pv", "$avp(extra)")
""")  # fmt: skip


def asked(s: Scene) -> None:
    """Note what the stand-in was asked since the last time."""
    engine = engines[s.server.name]
    for request in engine.asked:
        s.note(json.dumps(request, sort_keys=True, indent=1))
    engine.asked.clear()


SHOW = """
    xlog("L_NOTICE", "$rm $hdr(X-Flags): $rc\\n");
    msg_apply_changes();
    xlog("L_NOTICE", "[$rb]\\n");
"""
SDP = "Content-Type: application/sdp"

FLAGS = (
    "",
    "replace-origin replace-session-connection ICE=remove RTP/AVP",
    "trust-address symmetric SIP-source-address RTP/SAVPF DTLS=passive SDES-off rtcp-mux-offer loop-protect",
    "direction=priv direction=pub via-branch=1 address-family=IP6",
    "codec-strip-PCMU codec-mask-all transcode-opus codec-transcode-PCMA",
    "TOS=184 media-address=1.2.3.4 label=x record-call=yes metadata=foo",
    "asymmetric strict-source media-handover reset port-latching full-rtcp-attribute generate-mid pad-crypto",
    "repacketize=20 ptime=30 xmlrpc-callback=1.1.1.1 internal external auto-bridge unidirectional whatever foo=bar",
    "call-id=other from-tag=ff to-tag=tt",
    "via-branch=auto", "via-branch=extra", "via-branch=2", "1", "to-tag", "SRTP AVPF", "AVP", "RTP/SAVP", "directional",
)  # fmt: skip


@room.case('route[offer] { $avp(extra) = "id"; rtpengine_offer("$hdr(X-Flags)");' + SHOW + "}")
def test_offer(s: Scene) -> None:
    alice = s.agent("alice")
    for flags, number in zip(FLAGS, itertools.count()):
        alice.request("INFO", headers=f"X-Flags: {flags}\n{SDP}", body=BODY, call_id=f"offer-{number}")
        alice.expect(200)
        asked(s)


@room.case("route[no_sdp] { rtpengine_offer();" + SHOW + 'rtpengine_answer(); xlog("L_NOTICE", "$rc\\n"); }')
def test_no_sdp(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("INFO")
    alice.expect(200)
    asked(s)


@room.case("route[refused] { rtpengine_offer();" + SHOW + "}")
def test_refused(s: Scene) -> None:
    alice = s.agent("alice")
    engines[s.server.name].refusing = True
    alice.request("INFO", headers=SDP, body=BODY)
    alice.expect(200)
    engines[s.server.name].refusing = False
    asked(s)


@room.case("""
route[commands] {
    rtpengine_delete(); xlog("L_NOTICE", "$rc\\n");
    rtpengine_delete("via-branch=1 to-tag"); xlog("L_NOTICE", "$rc\\n");
    rtpengine_query(); xlog("L_NOTICE", "$rc\\n");
    start_recording(); xlog("L_NOTICE", "$rc\\n");
    stop_recording(); xlog("L_NOTICE", "$rc\\n");
    block_media(); unblock_media(); silence_media("directional"); unsilence_media("label=a");
    block_dtmf(); unblock_dtmf(); start_forwarding(); stop_forwarding();
    play_media("file=x.wav"); stop_media(); play_dtmf("code=1");
    xlog("L_NOTICE", "$rc\\n");
}
""")
def test_commands(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("INFO", to_tag="t9", call_id="commands")
    alice.expect(200)
    asked(s)


@room.case('route[manage] { rtpengine_manage("$hdr(X-Flags)");' + SHOW + "}")
def test_manage(s: Scene) -> None:
    alice = s.agent("alice")
    for method, to_tag, body in (
        ("INVITE", "", BODY), ("UPDATE", "t9", BODY), ("BYE", "t9", ""), ("INVITE", "", ""), ("PRACK", "t9", BODY),
    ):  # fmt: skip
        headers = f"X-Flags: replace-origin\n{SDP if body else ''}"
        alice.request(method, to_tag=to_tag, headers=headers, body=body, call_id=f"manage-{method}")
        alice.expect(200)
        asked(s)


@room.case("""
route[call] {
    rtpengine_manage("replace-origin");
    t_on_reply("CALL_REPLY");
    t_relay();
    exit;
}
onreply_route[CALL_REPLY] {
    rtpengine_manage("replace-origin");
}
""")
def test_call(s: Scene) -> None:
    """Offer and answer of a call, with SDP in the INVITE and without."""
    alice, bob = s.agents("alice", "bob")
    for body in (BODY, ""):
        invite = alice.request("INVITE", bob, headers=SDP if body else "", body=body, call_id=f"call-{bool(body)}")
        offered = bob.expect("INVITE")
        bob.reply(offered, 200, headers=SDP, body=BODY)
        alice.ack(invite, alice.expect(200))
        asked(s)
    alice.request("INVITE", bob, headers=SDP, body=BODY, call_id="call-busy")
    bob.reply(bob.expect("INVITE"), 486)
    alice.expect(486)
    asked(s)


@room.case("""
route[sets] {
    set_rtpengine_set("7"); xlog("L_NOTICE", "$rc\\n");
    rtpengine_offer();
    xlog("L_NOTICE", "$rc\\n");
}
""")
def test_sets(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("INFO", headers=SDP, body=BODY, call_id="sets")
    alice.expect(200)
    asked(s)


@room.case('route[rpc] { rtpengine_offer(); xlog("L_NOTICE", "$rc\\n"); }')
def test_rpc(s: Scene) -> None:
    s.mask(r"recheck_ticks: \d+")
    port = engines[s.server.name].port

    def told(*words: str) -> None:
        said = kamcmd(str(s.server.directory / "run" / "kamailio_ctl"), *words)
        s.note(f"$ {' '.join(words)}\n{said}".replace(str(port), "ENGINE"))

    alice = s.agent("alice")
    url = f"udp:127.0.0.1:{port}"
    for words in (
        "rtpengine.show all", "rtpengine.show nosuch", "rtpengine.show", "rtpengine.ping all", f"rtpengine.ping {url}",
        "rtpengine.ping nosuch", f"rtpengine.enable {url} 0", "rtpengine.show all", "rtpengine.reload",
    ):  # fmt: skip
        told(*words.split())
    alice.request("INFO", headers=SDP, body=BODY, call_id="rpc")
    alice.expect(200)
    told("rtpengine.enable", url, "1")
    told("rtpengine.show", "all")
    alice.request("INFO", headers=SDP, body=BODY, call_id="rpc")
    alice.expect(200)
    asked(s)
