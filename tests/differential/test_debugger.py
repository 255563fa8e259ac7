"""The debugger module on both servers: which actions are traced and how, RPC commands, levels of modules, dumps.

Lines of `if`, `while` and `switch` are left out: ours are those where they begin.
"""

from __future__ import annotations

import json
import re

from tests.kit.jsonrpc import Datagrams
from tests.kit.room import Room
from tests.kit.scene import Scene

_TRACED = re.compile(r"^ *\d+\(\d+\) (.*dbg_cfg_trace\(\): (\w+)=\[(\w*)\].* l=(\d+) a=(\d+) n=(\w+))$", re.MULTILINE)
BLOCKS = ("if", "while", "switch")
INSIDE = ("seturi", "case")
"""What real Kamailio traces of its own doing."""

room = Room(
    "debugger",
    modules="jsonrpcs cfg_rpc debugger",
    params="""
modparam("debugger", "cfgtrace", 1)
modparam("debugger", "log_level", 1)
modparam("debugger", "mod_hash_size", 5)
modparam("debugger", "mod_level_mode", 1)
modparam("debugger", "mod_facility_mode", 1)
modparam("debugger", "mod_level", "rr=3")
modparam("debugger", "reset_msgid", 1)
""",
)
off = Room(
    "debugger_off",
    modules="jsonrpcs cfg_rpc debugger",
    params="""
modparam("debugger", "cfgtrace_format", 1)
modparam("debugger", "log_level_name", "exec")
modparam("debugger", "log_prefix", "trace of ")
""",
)


def traced(scene: Scene, since: int, names: tuple[str, ...]) -> None:
    """Note what was traced in these blocks."""
    for line, kind, route, number, action, name in _TRACED.findall(scene.server.log(since)):
        if route in names and name not in INSIDE:
            shown = line.replace(str(scene.server.cfg_path), "CFG")
            scene.note(shown.replace(f"l={number}", "l=") if name in BLOCKS else shown)
            scene.note(f"{kind} {action}")


def asked(scene: Scene, *commands: str) -> None:
    """Note the answers to RPC commands."""
    ask = Datagrams(scene.server.directory / "run" / "kamailio_rpc.sock")
    for command in commands:
        method, *words = command.split()
        answer = ask(method, *[int(word) if word.lstrip("-").isdigit() else word for word in words])
        scene.note(f"{command}: {json.dumps(answer)}")
    ask.close()


def run(scene: Scene, *names: str) -> None:
    since = scene.server.log_size()
    alice = scene.agent("alice")
    alice.request("OPTIONS")
    alice.expect(200)
    scene.fence()
    traced(scene, since, names)


@room.case("""
route[actions] {
    $var(a) = 1;
    if ($var(a) == 1) { xlog("L_DBG", "hi"); } else { xlog("no"); }
    if (!is_method("INVITE|ACK") && $rU == "actions") route(SUB);
    $var(b) = is_method("OPTIONS");
    if ($var(a) == 3 || is_method("INFO") || isflagset(4)) { xlog("x"); }
    while ($var(a) < 3) { $var(a) = $var(a) + 1; }
    switch ($var(a)) { case 3: setflag(3); break; default: setflag(4); }
    append_to_reply("X: 1\\r\\n");
    force_rport();
    add_local_rport();
    sethost("127.0.0.1");
    strip(1);
    prefix("a");
    route(LAST);
}
route[SUB] { return; }
route[LAST] { sl_send_reply("200", "OK"); exit; }
""")
def test_actions(scene: Scene) -> None:
    run(scene, "actions", "SUB", "LAST")


@room.case("""
route[blocks] {
    t_on_branch("BR"); t_on_reply("RE"); t_on_failure("FA");
    $du = "sip:127.0.0.1:" + $sp;
    t_relay();
}
branch_route[BR] { xlog("L_DBG", "branch"); }
onreply_route[RE] { xlog("L_DBG", "reply"); }
failure_route[FA] { t_reply("200", "OK"); }
""")
def test_blocks(scene: Scene) -> None:
    """Each kind of block."""
    since = scene.server.log_size()
    alice = scene.agent("alice")
    alice.request("OPTIONS")
    request = alice.expect("OPTIONS")
    alice.reply(request, 404)
    alice.expect(200)
    scene.fence()
    traced(scene, since, ("blocks", "BR", "RE", "FA"))


@room.case('route[commands] { sl_send_reply("200", "OK"); }')
def test_commands(scene: Scene) -> None:
    asked(
        scene, "dbg.ls 99", "dbg.trace", "dbg.trace foo", "dbg.trace on 1", "dbg.bp", "dbg.bp foo", "dbg.bp keep",
        "dbg.bp show 1", "dbg.bp off", "dbg.get_mod_level", "dbg.get_mod_level rr", "dbg.get_mod_level core",
        "dbg.get_mod_level nope", "dbg.set_mod_level sl 3", "dbg.get_mod_level sl", "dbg.set_mod_level sl",
        "dbg.set_mod_facility sl LOG_LOCAL1", "dbg.set_mod_facility sl nope", "dbg.get_mod_facility sl",
        "dbg.get_mod_facility rr", "dbg.get_mod_facility", "dbg.reset_msgid", "cfg.get dbg mod_level_mode",
        "cfg.help dbg mod_hash_size", "cfg.help dbg mod_level_mode", "cfg.set_now_int dbg mod_level_mode 0",
        "dbg.get_mod_level sl", "cfg.set_now_int dbg mod_level_mode 1", "dbg.get_mod_level sl",
    )  # fmt: skip


@room.case("""
route[dumps] {
    $avp(one) = "a"; $avp(one) = 2; $xavp(x=>y) = 1; $var(z) = "text";
    dbg_pv_dump(2, "L_NOTICE");
    dbg_pv_dump(4, "L_NOTICE");
    dbg_pv_dump(8, "L_NOTICE");
    dbg_pv_dump();
    append_hf("X: 1\\r\\n");
    dbg_sip_msg("L_NOTICE");
    dbg_sip_msg("L_DBG");
    sl_send_reply("200", "OK");
}
""")
def test_dumps(scene: Scene) -> None:
    run(scene)
    log = scene.server.log()
    for text in re.findall(r"dbg_dump_json\(\): (.*)", log):
        found = json.loads(text)
        scene.note(str([found.get(name) for name in ("$avp(one)", "$var(z)", "$xavp(x)")]))
    scene.note(str(re.findall(r"CONFIG LINE|-{5,}[^-]*-{5,}|OPTIONS sip\S* SIP", log)))


@room.case('route[numbers] { sl_send_reply("200", "$mi"); }')
def test_numbers(scene: Scene) -> None:
    """$mi begins again."""
    asked(scene, "dbg.reset_msgid")
    alice = scene.agent("alice")
    for _ in range(2):
        alice.request("OPTIONS")
        scene.note(alice.expect(200).start)


@off.case('route[switched] { $var(x) = 1; sl_send_reply("200", "OK"); }')
def test_switched(scene: Scene) -> None:
    """Off at the start, on, off again."""
    run(scene, "switched")
    for command in ("on", "off"):
        asked(scene, f"dbg.trace {command}")
        run(scene, "switched")
    asked(scene, "dbg.set_mod_level tm 3", "dbg.get_mod_level tm", "dbg.reset_msgid", "dbg.get_mod_facility tm")


@off.case("""
route[steps] { $var(x) = 1; $var(x) = 2; sl_send_reply("200", "$var(x)"); }
""")
def test_steps(scene: Scene) -> None:
    """A process that stops at each action."""
    ask = Datagrams(scene.server.directory / "run" / "kamailio_rpc.sock")
    pid = next(row["PID"] for row in ask("core.psx") if row["DSC"].startswith("udp receiver"))
    scene.note(str(ask("dbg.bp", "on", pid)))
    alice = scene.agent("alice")
    alice.request("OPTIONS")
    while ask("dbg.ls", pid)["state"] != 1:
        pass
    said = ask("dbg.bp", "show", pid)
    while "n=route" not in said:
        ask("dbg.bp", "next", pid)
        said = ask("dbg.bp", "show", pid)
    for words in (("next",), ("show",), ("eval", "$var(x)"), ("next",), ("eval", "$var(x)"), ("eval",), ("move",)):
        answer = str(ask("dbg.bp", words[0], pid, *words[1:])).replace(str(scene.server.cfg_path), "CFG")
        scene.note(re.sub(r":\d+\] a=16", "] a=16", answer))
    scene.note(str(ask("dbg.bp", "off", pid)))
    alice.expect(200)
    ask.close()
