"""rtpengine: what both servers ask of the same stand-in, and what becomes of SDP bodies; RPC; Debian's daemon."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from kit.relays import Relays
from kit.room import Room
from kit.rtpengine import RtpEngine
from kit.scene import Scene
from kit.sdp import SDP, SHOW, offer_and_answer, sdp

MODULES = "ctl cfg_rpc rtpengine"
LAST = 'sl_send_reply("200", "done");'
BODY = sdp()

PARTS = ("", "_packetloss", "_jitter", "_roundtrip", "_roundtrip_leg")
SCORES = [
    f"mos_{score}{part}{side}_pv"
    for score, last in (("min", "_at"), ("max", "_at"), ("average", "_samples"))
    for part in (*PARTS, last)
    for side in ("", "_A", "_B")
    if part != "_roundtrip_leg" or score != "average" or side != "_A"
]

engines = Relays(RtpEngine)


@pytest.fixture(scope="module", autouse=True)
def _no_engines_left() -> Iterator[None]:
    yield
    engines.close()


room = Room("rtpengine", modules=MODULES, last=LAST, prepare=engines.prepare, params="""
modparam("rtpengine", "rtpengine_sock", "udp:127.0.0.1:@RELAY@")
modparam("rtpengine", "rtpengine_sock", "7 == udp:127.0.0.1:@RELAY@=2")
modparam("rtpengine", "extra_id_pv", "$avp(extra)")
modparam("rtpengine", "force_send_interface", "127.0.0.9")
modparam("rtpengine", "mos_A_label_pv", "$hdr(X-A)")
modparam("rtpengine", "mos_B_label_pv", "Bob")
""" + "".join(f'modparam("rtpengine", "{name}", "$avp({name})")\n' for name in SCORES))  # fmt: skip


def asked(s: Scene) -> None:
    """Note what the stand-in was asked since the last time."""
    engine = engines[s.server.name]
    for request in engine.asked:
        s.note(json.dumps(request, sort_keys=True, indent=1))
    engine.asked.clear()


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
    offer_and_answer(s, BODY, asked)


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
    url = f"udp:127.0.0.1:{engines[s.server.name].port}"
    s.mask(rf"(?<=:){engines[s.server.name].port}\b")
    alice = s.agent("alice")
    for words in (
        "rtpengine.show all", "rtpengine.show nosuch", "rtpengine.show", "rtpengine.ping all", f"rtpengine.ping {url}",
        "rtpengine.ping nosuch", f"rtpengine.enable {url} 0", "rtpengine.show all", "rtpengine.reload",
    ):  # fmt: skip
        s.tell(words)
    alice.request("INFO", headers=SDP, body=BODY, call_id="rpc")
    alice.expect(200)
    s.tell(f"rtpengine.enable {url} 1", "rtpengine.show all")
    alice.request("INFO", headers=SDP, body=BODY, call_id="rpc")
    alice.expect(200)
    asked(s)


FINISH = """route[{0}] {{
    switch ($hdr(X-Do)) {{
        case "offer": rtpengine_offer(); break;
        case "answer": rtpengine_answer(); break;
        case "query": rtpengine_query(); break;
        case "delete": rtpengine_delete(); break;
    }}
    xlog("L_NOTICE", "$hdr(X-Do) $rc\\n");
}}"""


def finish(s: Scene) -> None:
    """A call whose proxy is taken out of service meanwhile, and a new one."""
    alice = s.agent("alice")
    engine = engines[s.server.name]
    url = f"udp:127.0.0.1:{engine.port}"
    s.mask(rf"(?<=:){engine.port}\b")

    def do(call: str, *commands: str) -> None:
        for command in commands:
            alice.request("INFO", headers=f"X-Do: {command}\n{SDP}", body=BODY, call_id=call)
            alice.expect(200)
        s.note(f"{call}: {[request['command'] for request in engine.asked]}")
        engine.asked.clear()

    do("old", "offer")
    do("gone", "offer")
    s.tell(f"rtpengine.enable {url} 0")
    do("old", "answer", "query", "offer")
    do("new", "offer", "delete")
    do("old", "delete", "query")
    s.tell(f"rtpengine.enable {url} 1")
    do("gone", "answer", "delete")


@room.case(FINISH.format("not_finished"))
def test_not_finished(s: Scene) -> None:
    finish(s)


lenient = Room("rtpengine_lenient", modules=MODULES, last=LAST, prepare=engines.prepare, params="""
modparam("rtpengine", "rtpengine_sock", "udp:127.0.0.1:@RELAY@")
modparam("rtpengine", "rtpengine_allow_op", 1)
""")  # fmt: skip


@lenient.case(FINISH.format("finished"))
def test_finished(s: Scene) -> None:
    """With rtpengine_allow_op what concerns a call that is known still goes to its proxy."""
    finish(s)


def score(mos: int, **more: int) -> dict[str, int]:
    names = {"loss": "packet loss", "at": "reported at", "rtt": "round-trip time", "leg": "round-trip time leg"}
    return {"MOS": mos, **{names.get(name, name): value for name, value in more.items()}}


def tag(label: str, *ssrcs: int) -> dict[str, Any]:
    return {"label": label, "medias": [{"streams": [{"SSRC": ssrc}, {"SSRC": 99}]} for ssrc in ssrcs]}


FULL = {"loss": 1, "jitter": 7, "rtt": 20, "leg": 11, "samples": 9}
ANSWERS: tuple[dict[str, Any], ...] = (
    {},
    {"SSRC": {}},
    {"created": 1000, "SSRC": {
        "5": {"average MOS": score(43, **FULL), "highest MOS": score(44, at=1070, **FULL),
              "lowest MOS": score(12, at=1005, **FULL)},
        "6": {"average MOS": score(30, loss=4, jitter=1, samples=4), "highest MOS": score(44, at=1300, jitter=2),
              "lowest MOS": score(9, at=900)},
        "7": {},
    }},
    {"created": 5, "tags": {"a": tag("Alice", 5), "b": tag("Bob", 6, 7)}, "SSRC": {
        "5": {"average MOS": score(43, **FULL), "lowest MOS": score(120, at=9)},
        "6": {"average MOS": score(31), "highest MOS": score(-1, at=2)},
        "7": {"average MOS": score(34, loss=0, at=3), "lowest MOS": {"at": 4}},
    }},
    {"tags": {"a": tag("Nobody", 5), "b": tag("Bob")}, "SSRC": {"5": {"average MOS": score(7, **FULL)}}},
    {"tags": {"b": tag("Bob", 1, 2, 3, 4, 5)}, "SSRC": {n: {"average MOS": score(int(n))} for n in "45"}},
    {"SSRC": {"5": {"average MOS": {"jitter": 3}, "lowest MOS": {"jitter": 2}, "highest MOS": {"jitter": 2}}}},
    {"SSRC": {"5": {"average MOS": score(40), "lowest MOS": score(-1), "highest MOS": score(0)},
              "6": {"average MOS": {"jitter": 5}, "lowest MOS": score(0)}}},
    {"SSRC": {"5": {"average MOS": score(-25, jitter=-9), "lowest MOS": score(-25), "highest MOS": score(-2)},
              "6": {"average MOS": score(-28, jitter=-8)}}},
    {"SSRC": {"5": {"lowest MOS": score(100)}, "6": {"average MOS": score(0)}, "7": {"average MOS": score(40)}}},
    {"SSRC": "none"},
)  # fmt: skip
SHOWN = " ".join(f"$avp({name})" for name in SCORES)


@room.case(f"""
route[scores] {{
    $avp(asked) = $hdr(X-Ask);
    if ($avp(asked) == "query") rtpengine_query();
    else if ($avp(asked) == "delete") rtpengine_delete();
    else if ($avp(asked) == "v") {{
        rtpengine_query_v("r", "$var(x)");
        xlog("L_NOTICE", "$rc [$var(x)]\\n");
        rtpengine_query_v("j", "$var(x)");
        xlog("L_NOTICE", "$rc [$var(x)]\\n");
        rtpengine_query_v("x", "$var(x)");
        xlog("L_NOTICE", "$rc [$var(x)]\\n");
    }}
    else if ($avp(asked) == "pv") $var(x) = $rtpestat;
    else rtpengine_manage();
    xlog("L_NOTICE", "$avp(asked) {SHOWN}\\n");
}}
""")
def test_scores(s: Scene) -> None:
    """What the answers to query and delete say of the media's quality."""
    alice = s.agent("alice")
    engine = engines[s.server.name]
    for method, how in (("INFO", "query"), ("INFO", "delete"), ("BYE", "manage"), ("INFO", "v"), ("INFO", "pv")):
        for answer in ANSWERS if how == "query" else ANSWERS[2:4]:
            engine.said = answer
            alice.request(method, headers=f"X-Ask: {how}\nX-A: Alice", to_tag="t9", call_id="scores")
            alice.expect(200)
        s.note(f"{how} asked {[request['command'] for request in engine.asked]}")
        engine.asked.clear()
    engine.said = {}
    s.note(f"asked from {sorted(engine.sources)}")


@room.case("route[changed_while_running] { return; }")
def test_changed_while_running(s: Scene) -> None:
    """Its variables in the cfg framework."""
    s.tell("cfg.list rtpengine")
    for name, values in (
        ("rtpengine_disable_tout", (0, 61)), ("aggressive_redetection", (2, 0, 1)), ("rtpengine_tout_ms", (1001,)),
        ("queried_nodes_limit", (31, 29)), ("rtpengine_retr", (0, 5)),
    ):  # fmt: skip
        s.tell(f"cfg.help rtpengine {name}")
        for value in values:
            s.tell(f"cfg.set rtpengine {name} {value}", f"cfg.get rtpengine {name}")
