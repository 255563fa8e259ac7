"""failure_route for requests of the server's own: tm's enable_uac_fr and what event_route[tm:local-request] arms."""

from __future__ import annotations

from kit.room import Room
from kit.scene import Scene

SCRIPT = """
route[{name}] {{
    $uac_req(method) = "MESSAGE"; $uac_req(ruri) = "sip:one@" + $hdr(X-One); $uac_req(callid) = $ci + "-own";
    $uac_req(furi) = "sip:a@x.test"; $uac_req(turi) = "sip:c@x.test"; $uac_req(body) = "hello"; $uac_req(evroute) = 1;
    $uac_req(hdrs) = "Content-Type: text/plain\\r\\nX-Two: " + $hdr(X-Two) + "\\r\\n";
    uac_req_send(); sl_send_reply("200", "OK");
}}
"""
ROUTES = r"""
event_route[tm:local-request] { t_on_failure("FIRST"); t_on_branch_failure("one"); t_on_reply("SEEN");
    t_set_fr(0, 400); }
event_route[uac:reply] { xlog("L_NOTICE", "answer $uac_req(evcode) $uac_req(evtype)\n"); }
event_route[tm:branch-failure:one] { xlog("L_NOTICE", "branch failed $T_reply_code\n"); }
onreply_route[SEEN] { xlog("L_NOTICE", "reply $rs\n"); }
failure_route[FIRST] {
    xlog("L_NOTICE", "failed $T_reply_code $rm $ru $rb $si:$sp\n");
    $ru = "sip:two@" + $hdr(X-Two); append_hf("X-Again: 1\r\n"); t_on_failure("SECOND"); t_relay();
}
failure_route[SECOND] { xlog("L_NOTICE", "failed again $T_reply_code\n"); t_reply("500", "No"); }
"""
PARAMS = 'modparam("uac", "restore_mode", "none")\nmodparam("tm", "enable_uac_fr", {})'

room = Room("uac_failure", modules="uac", params=PARAMS.format(1))
off = Room("uac_no_failure", modules="uac", params=PARAMS.format(0))


def own_request(s: Scene, *codes: int) -> None:
    """The server's request gets these replies, 0 for none: the first from bob, the second from carol."""
    alice, *others = s.agents("alice", "bob", "carol")
    alice.request("MESSAGE", headers=f"X-One: {others[0].host}\nX-Two: {others[1].host}")
    alice.expect(200)
    for agent, code in zip(others, codes, strict=False):
        sent = agent.expect("MESSAGE")
        if code:
            agent.reply(sent, code)
    s.wait_log("answer ")


@room.case(SCRIPT.format(name="tried_again") + ROUTES)
def test_tried_again(s: Scene) -> None:
    """The failure route sends the request elsewhere."""
    own_request(s, 486, 200)


@room.case(SCRIPT.format(name="answered"))
def test_answered(s: Scene) -> None:
    """A reply the failure route makes goes to who made the request."""
    own_request(s, 486, 404)


@room.case(SCRIPT.format(name="no_reply"))
def test_no_reply(s: Scene) -> None:
    """Both do not answer."""
    own_request(s, 0, 0)


@off.case(SCRIPT.format(name="not_run") + ROUTES)
def test_not_run(s: Scene) -> None:
    """Without enable_uac_fr only the reply's route is run."""
    own_request(s, 486)
