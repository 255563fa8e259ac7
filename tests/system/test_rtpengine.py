"""Ours with Debian's rtpengine daemon, both on loopback: a call's SDP goes through it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from kit.agent import Agent
from kit.kamcmd import kamcmd
from kit.relays import RtpEngineDaemon
from kit.sdp import SDP, sdp
from kit.server import Server, our_command

CFG = """
debug=2
log_stderror=yes
children=1
disable_tcp=yes
loadmodule "ctl.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "textops.so"
loadmodule "rtpengine.so"
modparam("rtpengine", "rtpengine_sock", "udp:127.0.0.1:PORT")
request_route {
    rtpengine_manage("replace-origin replace-session-connection");
    xlog("L_NOTICE", "$rm: $rc [$rtpestat]\\n");
    if (is_method("BYE")) { sl_send_reply("200", "OK"); exit; }
    t_on_reply("BACK");
    t_relay();
}
onreply_route[BACK] { rtpengine_manage("replace-origin replace-session-connection"); }
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[int]:
    """The port of a running daemon's control protocol."""
    relay = RtpEngineDaemon()
    yield relay.port
    relay.close()


def media_port(body: str) -> int:
    match = re.search(r"m=audio (\d+)", body)
    assert match is not None
    return int(match[1])


def test_a_call_through_the_daemon(daemon: int) -> None:
    server = Server("rtpengine", our_command(), CFG.replace("PORT", str(daemon))).start()
    try:
        alice, bob = Agent("alice", "call", server.address), Agent("bob", "call", server.address)
        alice.request("INVITE", bob, headers=SDP, body=sdp("127.0.0.1"), call_id="daemon")
        offered = bob.expect("INVITE")
        assert 31000 <= media_port(offered.body) <= 31999
        bob.reply(offered, 200, headers=SDP, body=sdp("127.0.0.1", 5000))
        answer = alice.expect(200)
        assert 31000 <= media_port(answer.body) <= 31999
        assert media_port(answer.body) != media_port(offered.body)
        assert "success" in kamcmd(server.ctl, "rtpengine.ping", "all")
        assert kamcmd(server.ctl, "rtpengine.get_hash_total").strip() == "1"
        alice.request("BYE", call_id="daemon", cseq=2, to_tag=answer.to_tag)
        alice.expect(200, "BYE")
        assert server.wait_log("BYE: 1")
        assert "INVITE: 1 [RTP: 0 bytes, 0 packets, 0 errors; RTCP: 0 bytes, 0 packets, 0 errors]" in server.log()
        assert kamcmd(server.ctl, "rtpengine.get_hash_total").strip() in ("0", "1")
        alice.close()
        bob.close()
    finally:
        server.stop()
