"""Dispatcher: which destination each algorithm chooses, failing over, marking, probing, the source list, RPC."""

from __future__ import annotations

import re
from pathlib import Path

from kit.kamcmd import kamcmd
from kit.room import Room
from kit.scene import Scene, ask

LIST = """
# a comment
1 sip:127.0.0.1:7001 0 0 name=one
1 sip:127.0.0.1:7002
1 sip:127.0.0.1:7003;transport=udp 0 0 name=three;x=y
1 sip:127.0.0.1:7004 0 0
2 sip:127.0.0.1:7011 0 1
2 sip:127.0.0.1:7012 0 10
2 sip:127.0.0.1:7013 0 5 attr=low
3 sip:127.0.0.1:7021 0 0 weight=50;rweight=10
3 sip:127.0.0.1:7022 0 0 weight=30;rweight=20
3 sip:127.0.0.1:7023 0 0 weight=20;rweight=10
4 sip:127.0.0.1:7031 1
4 sip:127.0.0.1:7032 4
4 sip:127.0.0.1:7033 2
4 sip:127.0.0.1:7034 9
5 sip:127.0.0.1:7041 0 0 duid=a;maxload=2
5 sip:127.0.0.1:7042 0 0 duid=b;maxload=1
6 sip:127.0.0.1:7051 1
6 sip:127.0.0.1:7052 1
7 sip:127.0.0.2
7 sip:127.0.0.3;transport=tcp
7 sip:127.0.0.4:5060
11 sip:127.0.0.66
12 sip:127.0.0.66
13 sip:127.0.0.66
8 sip:127.0.0.1:7061 0 0 socket=udp:127.0.0.1:@PORT@
"""


def destinations(directory: Path) -> None:
    """The list of one server, which has its own port in it."""
    port = re.search(r"# port (\d+)", (directory / "test.cfg").read_text())
    (directory / "list").write_text(LIST.replace("@PORT@", port[1] if port else "5060").replace("8 sip", "#8 sip"))


ALL = """
route[LIST] {
    $var(i) = 0; $var(text) = "";
    while ($xavp(_dsdst_[$var(i)]) != $null) {
        $var(text) = $var(text) + " " + $xavp(_dsdst_[$var(i)]=>grp) + "/" + $xavp(_dsdst_[$var(i)]=>uri)
            + "/" + $xavp(_dsdst_[$var(i)]=>attrs);
        $var(i) = $var(i) + 1;
    }
    xlog("L_NOTICE", "$rc du $du ru $ru cnt $xavp(_dsctx_=>cnt):$var(text)\\n");
}
"""

room = Room(
    "dispatcher",
    modules="jsonrpcs ctl dispatcher",
    params="""
modparam("ctl", "binrpc", "unix:@DIR@/ctl")
modparam("dispatcher", "list_file", "@DIR@/list")
modparam("dispatcher", "flags", 2)
modparam("dispatcher", "hash_pvar", "$hdr(X-Key)$hdr(X-Other)")
modparam("dispatcher", "setid_pvname", "$var(setid)")
modparam("dispatcher", "attrs_pvname", "$var(attrs)")
modparam("dispatcher", "ds_hash_size", 4)
modparam("dispatcher", "reload_delta", 0)
""",
    cfg=ALL,
    last='sl_send_reply("200", "done");',
    prepare=destinations,
)


def rpc(s: Scene, *words: str) -> None:
    s.fence()
    s.server.settle()
    text = kamcmd(f"unix:{s.server.directory}/ctl", *words)
    s.note(f"{' '.join(words)}:\n{text}")


@room.case("""
route[round_robin] {
    $var(n) = 0;
    while ($var(n) < 6) { ds_select_dst("1", "4"); route(LIST); $var(n) = $var(n) + 1; $xavp(_dsdst_[*]) = $null; }
    ds_select_dst("1", "4", "2"); route(LIST);
}
""")
def test_round_robin(s: Scene) -> None:
    ask(s)


@room.case("""
route[hashes] {
    ds_select_dst("1", "0"); route(LIST); $xavp(_dsdst_[*]) = $null;
    ds_select_dst("1", "1"); route(LIST); $xavp(_dsdst_[*]) = $null;
    ds_select_dst("1", "2"); route(LIST); $xavp(_dsdst_[*]) = $null;
    ds_select_dst("1", "3"); route(LIST); $xavp(_dsdst_[*]) = $null;
    ds_select_dst("1", "7"); route(LIST); $xavp(_dsdst_[*]) = $null;
    ds_select_dst("1", "5"); route(LIST); $xavp(_dsdst_[*]) = $null;
    ds_select_dst("1", "99"); route(LIST); $xavp(_dsdst_[*]) = $null;
}
""")
def test_hashes(s: Scene) -> None:
    alice = s.agent("alice")
    for number in range(6):
        auth = f'Proxy-Authorization: Digest username="u{number}", realm="x", nonce="n", uri="sip:x", response="r"'
        headers = f"X-Key: key{number}\nX-Other: o\n{auth}"
        alice.request("OPTIONS", headers=headers, call_id=f"hash-{number}", uri="sip:hashes@example.test")
        alice.expect(200)


@room.case("""
route[priority] {
    ds_select_dst("2", "8"); route(LIST); $xavp(_dsdst_[*]) = $null;
    ds_select_domain("2", "8", "2"); route(LIST); $xavp(_dsdst_[*]) = $null;
    ds_select("2", "8"); route(LIST);
    ds_next_dst(); route(LIST);
    ds_next_domain(); route(LIST);
    ds_set_dst(); route(LIST);
    ds_set_domain(); route(LIST);
    ds_next_dst(); route(LIST);
    ds_next_dst(); route(LIST);
}
""")
def test_priority(s: Scene) -> None:
    ask(s)


@room.case("""
route[twice] { ds_select_dst("1", "8"); ds_select_dst("2", "8"); route(LIST); }
""")
def test_twice(s: Scene) -> None:
    ask(s)


@room.case("""
route[states] {
    ds_select_dst("4", "4"); route(LIST); $xavp(_dsdst_[*]) = $null;
    ds_select_dst("4", "4"); route(LIST); $xavp(_dsdst_[*]) = $null;
    ds_select_dst("6", "4"); route(LIST); $xavp(_dsdst_[*]) = $null;
    ds_select_dst("77", "4"); route(LIST);
    ds_is_active("4"); xlog("L_NOTICE", "$rc\\n");
    ds_is_active("6"); xlog("L_NOTICE", "$rc\\n");
    ds_is_active("77"); xlog("L_NOTICE", "$rc\\n");
    ds_is_active("4", "sip:127.0.0.1:7033"); xlog("L_NOTICE", "$rc\\n");
    ds_is_active("4", "sip:127.0.0.1:7031"); xlog("L_NOTICE", "$rc\\n");
    ds_list_exists("4"); xlog("L_NOTICE", "$rc\\n");
    ds_list_exists("77"); xlog("L_NOTICE", "$rc\\n");
    ds_list_exist("4"); xlog("L_NOTICE", "$rc\\n");
}
""")
def test_states(s: Scene) -> None:
    ask(s)


@room.case("""
route[routes] {
    ds_select_routes("2=8;1=8", "ruri", "5"); route(LIST); $xavp(_dsdst_[*]) = $null;
    ds_select_routes("6=4;2=8", "d"); route(LIST); $xavp(_dsdst_[*]) = $null;
    ds_select_routes("6=4", "x"); route(LIST);
}
""")
def test_routes(s: Scene) -> None:
    ask(s)


@room.case("""
route[from_list] {
    ds_is_from_list(); xlog("L_NOTICE", "$rc $var(setid) $var(attrs)\\n");
    ds_is_from_list("1", "0", "sip:127.0.0.1:7003"); xlog("L_NOTICE", "$rc $var(setid) $var(attrs)\\n");
    ds_is_from_list("-1", "0", "sip:127.0.0.1:7013"); xlog("L_NOTICE", "$rc $var(setid) $var(attrs)\\n");
    ds_is_from_list("2", "0", "sip:127.0.0.1:7003"); xlog("L_NOTICE", "$rc\\n");
    ds_is_from_list("2", "1", "sip:127.0.0.1:7003"); xlog("L_NOTICE", "$rc\\n");
    ds_is_from_list("4", "0", "sip:127.0.0.1:7031"); xlog("L_NOTICE", "$rc\\n");
    ds_is_from_list("4", "4", "sip:127.0.0.1:7031"); xlog("L_NOTICE", "$rc\\n");
    ds_is_from_list("1", "0", "sip:127.0.0.1:7003;transport=tcp"); xlog("L_NOTICE", "$rc\\n");
    ds_is_from_list("1", "2", "sip:127.0.0.1:7003;transport=tcp"); xlog("L_NOTICE", "$rc\\n");
    ds_is_from_list("1", "1"); xlog("L_NOTICE", "$rc\\n");
    ds_is_from_list("77"); xlog("L_NOTICE", "$rc\\n");
    ds_is_from_list("-1", "3", "sip:127.0.0.66"); xlog("L_NOTICE", "$rc $var(setid)\\n");
}
""")
def test_from_list(s: Scene) -> None:
    ask(s)


def looks(*uris: str) -> str:
    return "".join(
        f'ds_is_from_list("7", "{mode}", "sip:{uri}"); xlog("L_NOTICE", "{mode} {uri} $rc\\n");'
        for uri in uris
        for mode in range(4)
    )


@room.case(f"""
route[places] {{
    {looks("127.0.0.2", "127.0.0.2:5060", "127.0.0.2:7000;transport=udp", "127.0.0.3;transport=TCP", "127.0.0.3")}
    {looks("127.0.0.4", "127.0.0.4:5060", "127.0.0.4:5061", "127.0.0.4;transport=tcp", "127.0.0.5", "")}
}}
""")
def test_places(s: Scene) -> None:
    """A destination without a port is on all ports, one without a transport on none that is named."""
    ask(s)


@room.case("""
route[lists] {
    ds_select_dst("9", "4"); route(LIST);
}
""")
def test_lists(s: Scene) -> None:
    """RPC: adding, states, removing, reading again."""
    for words in (
        ("dispatcher.add", "9", "sip:127.0.0.1:7091"),
        ("dispatcher.add", "9", "sip:127.0.0.1:7092", "8", "5", "duid=xyz;a=b"),
        ("dispatcher.add", "9", "not an uri"),
        ("dispatcher.add",),
        ("dispatcher.list",),
        ("dispatcher.list", "short"),
        ("dispatcher.list", "full"),
        ("dispatcher.set_state", "ip", "9", "sip:127.0.0.1:7091"),
        ("dispatcher.set_duid_state", "t", "9", "xyz"),
        ("dispatcher.set_state", "x", "9", "sip:127.0.0.1:7091"),
        ("dispatcher.set_state", "a", "99", "sip:127.0.0.1:7091"),
        ("dispatcher.set_state", "a"),
        ("dispatcher.list",),
        ("dispatcher.set_state", "d", "9", "all"),
        ("dispatcher.remove", "9", "sip:127.0.0.1:7091"),
        ("dispatcher.remove", "9", "sip:127.0.0.1:7091"),
        ("dispatcher.remove",),
        ("dispatcher.list",),
        ("dispatcher.hash", "4", "alice"),
        ("dispatcher.hash", "0", "alice", "example.org"),
        ("dispatcher.hash",),
        ("dispatcher.ping_active",),
        ("dispatcher.ping_active", "0"),
        ("dispatcher.ping_active", "1"),
        ("dispatcher.reload",),
        ("dispatcher.list", "short"),
    ):
        rpc(s, *words)
    ask(s)


@room.case("""
route[marking] {
    ds_select_dst("1", "8"); ds_mark_dst(); xlog("L_NOTICE", "mark $rc\\n"); route(LIST); $xavp(_dsdst_[*]) = $null;
    ds_select_dst("1", "8"); ds_mark_dst("tp"); xlog("L_NOTICE", "mark $rc\\n"); route(LIST);
    ds_next_dst(); ds_mark_dst("ip"); xlog("L_NOTICE", "mark $rc\\n"); $xavp(_dsdst_[*]) = $null;
    ds_select_dst("1", "8"); route(LIST);
    $xavp(_dsdst_[*]) = $null;
    ds_mark_dst("a"); xlog("L_NOTICE", "mark $rc\\n");
}
event_route[dispatcher:dst-down] { xlog("L_NOTICE", "down $ru $rm $du [$dsv(code)] [$dsv(reason)] [$dsv(flags)]\\n"); }
event_route[dispatcher:dst-up] { xlog("L_NOTICE", "up $ru $rm $du [$dsv(code)] [$dsv(reason)] [$dsv(flags)]\\n"); }
""")
def test_marking(s: Scene) -> None:
    ask(s)
    rpc(s, "dispatcher.list")
    rpc(s, "dispatcher.set_state", "a", "1", "all")
    rpc(s, "dispatcher.reload")


@room.case("""
route[failover] {
    ds_select_routes("1=8", "d"); $du = $hdr(X-First); t_on_failure("NEXT"); t_relay(); exit;
}
failure_route[NEXT] {
    xlog("L_NOTICE", "failed $T_reply_code $du\\n");
    ds_mark_dst("t");
    if (ds_next_dst()) { xlog("L_NOTICE", "next $du\\n"); $du = $hdr(X-Second); t_relay(); exit; }
}
""")
def test_failover(s: Scene) -> None:
    """The second destination is tried when the first fails."""
    alice, bob, carol = s.agents("alice", "bob", "carol")
    sent = alice.request("INVITE", headers=f"X-First: sip:{bob.host}\nX-Second: sip:{carol.host}")
    bob.reply(bob.expect("INVITE"), 500)
    bob.expect("ACK")
    carol.reply(carol.expect("INVITE"), 200)
    final = alice.expect(200)
    assert sent.call_id == final.call_id


@room.case("""
route[parallel] {
    ds_select_dst("2", "12");
    xlog("L_NOTICE", "$rc $du $ru $br $(branch(uri)[0]) $(branch(dst_uri)[0]) $(branch(count))\\n");
}
""")
def test_parallel(s: Scene) -> None:
    ask(s)


@room.case("""
route[load] {
    if (is_method("BYE")) { ds_load_update(); xlog("L_NOTICE", "update $rc\\n"); }
    else { ds_select_dst("5", "10"); route(LIST); }
}
""")
def test_load(s: Scene) -> None:
    """Least calls first, up to the limit; a BYE gives the place back."""
    alice = s.agent("alice")
    for number in range(4):
        alice.request("INVITE", call_id=f"load-{number}", user="load")
        alice.expect(200)
    alice.request("BYE", call_id="load-1", user="load", cseq=2)
    alice.expect(200)
    alice.request("INVITE", call_id="load-5", user="load")
    alice.expect(200)
    for number in (0, 2, 5):
        alice.request("BYE", call_id=f"load-{number}", user="load", cseq=2)
        alice.expect(200)


def probed(directory: Path) -> None:
    """The list is given to the servers when the agents' ports are known."""
    (directory / "list").write_text("1 sip:127.0.0.1:9 4\n")


probing = Room(
    "dispatcher_probing",
    modules="jsonrpcs ctl dispatcher",
    params="""
modparam("ctl", "binrpc", "unix:@DIR@/ctl")
modparam("dispatcher", "list_file", "@DIR@/list")
modparam("dispatcher", "flags", 2)
modparam("dispatcher", "ds_ping_interval", 1)
modparam("dispatcher", "ds_probing_mode", 1)
modparam("dispatcher", "ds_probing_threshold", 2)
modparam("dispatcher", "ds_inactive_threshold", 2)
modparam("dispatcher", "ds_ping_from", "sip:prober@example.test")
modparam("dispatcher", "ds_ping_reply_codes", "code=404")
modparam("dispatcher", "reload_delta", 0)
""",
    cfg="""
event_route[dispatcher:dst-down] { xlog("L_NOTICE", "down $rm $ru $du [$dsv(code)] [$dsv(reason)]\\n"); }
event_route[dispatcher:dst-up] { xlog("L_NOTICE", "up $rm $ru $du [$dsv(code)] [$dsv(reason)]\\n"); }
""",
    last='sl_send_reply("200", "done");',
    prepare=probed,
)


@probing.case("""
route[probed] { ds_select_dst("1", "4"); xlog("L_NOTICE", "$rc $du\\n"); }
""")
def test_probed(s: Scene) -> None:
    """A destination goes down after two bad answers, and up after two good ones."""
    alice, bob = s.agents("alice", "bob")
    s.mask(r"Call-ID: .*")
    s.mask(r"z9hG4bK[0-9a-f]+\.")
    (s.server.directory / "list").write_text(f"1 sip:127.0.0.1:{bob.port} 0 0 name=up\n")
    rpc(s, "dispatcher.reload")
    bob.reply(bob.expect("OPTIONS"), 404)
    for code in (500, 500):
        bob.reply(bob.expect("OPTIONS"), code)
    s.wait_log("down OPTIONS")
    rpc(s, "dispatcher.list")
    alice.request("OPTIONS", user="probed")
    alice.expect(200)
    for code in (200, 200):
        bob.reply(bob.expect("OPTIONS"), code)
    s.wait_log("up OPTIONS")
    rpc(s, "dispatcher.list")
    rpc(s, "dispatcher.ping_active", "0")
