"""RPC commands over jsonrpcs on both servers after the same traffic: answers byte for byte, where they are not sizes.

tests/wire/rpc_*.txt have one command a line: words as a shell has them, `#5` for a number.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.kit.jsonrpc import Datagrams, request
from tests.kit.room import Room
from tests.kit.scene import Scene

WIRE = Path(__file__).parent.parent / "wire"

room = Room(
    "jsonrpcs",
    modules="jsonrpcs async cfg_rpc counters statistics",
    globals_="""async_workers=1
mine.num = 5 desc "a number"
mine.str = "text" desc "a text"
mine.nodesc = 7
mine[1].num = 50
mine[2].str = "two"
""",
    params="""
modparam("cfgutils", "initial_probability", 30)
modparam("counters", "script_counter", "one")
modparam("counters", "script_counter", "grp.two a described counter")
modparam("statistics", "variable", "mystat")
modparam("statistics", "variable", "othergrp:reset/no_reset")
modparam("htable", "htable", "a=>size=4;autoexpire=100;")
modparam("htable", "htable", "b=>size=2;initval=0")
modparam("pv", "shvset", "count=i:3")
modparam("pv", "shvset", "name=s:bob")
""",
    children=2,
)


def caller(scene: Scene) -> Datagrams:
    return Datagrams(scene.server.directory / "run" / "kamailio_rpc.sock")


def play(scene: Scene, lines: list[str], shown: Callable[[str], str] = lambda text: text) -> None:
    """Note the answer to each command."""
    ask = caller(scene)
    for line in lines:
        method, *words = shlex.split(line)
        arguments = [int(word[1:]) if word.startswith("#") else word for word in words]
        answer = ask.raw(request(method, *arguments)) or b"no answer"
        scene.note(f"{line}: {shown(answer.decode('latin-1'))}")
    ask.close()


def commands(name: str) -> list[str]:
    return (WIRE / f"rpc_{name}.txt").read_text().splitlines()


@room.case('route[variables] { sl_send_reply("200", "OK"); }')
def test_variables(scene: Scene) -> None:
    play(scene, commands("cfg"))


@room.case("""
route[modules] {
    cnt_inc("one");
    cnt_add("grp.two", "3");
    update_stat("mystat", "+2");
    sl_send_reply("200", "OK");
}
""")
def test_modules(scene: Scene) -> None:
    alice = scene.agent("alice")
    for _ in range(2):
        alice.request("MESSAGE", call_id=f"m{_}")
        alice.expect(200)
    # what the cases before did is not there any more
    play(scene, [line for line in commands("modules") if " sl" not in line and "tmx" not in line])


@room.case("route[transactions] { t_set_fr(0, 20000); t_newtran(); t_suspend(); }")
def test_transactions(scene: Scene) -> None:
    alice = scene.agent("alice")
    invite = alice.request("INVITE", call_id="rpc-invite")
    alice.expect(100)
    scene.server.settle()
    ask = caller(scene)
    rows = [row for row in ask("tm.list") if row["callid"].endswith("rpc-invite\r\n")]
    for row in rows:
        shown = {name: row[name] for name in row if name not in ("cell", "tlabel", "lifetime")}
        scene.note(json.dumps(shown))
        scene.note(f"{list(row)}")
    cseq = re.sub(r"\D", "", rows[0]["cseq"])
    scene.note(str(ask("tm.reply_callid", 486, "Not now", "rpc-invite", cseq, "mytag", "X-Rpc: 1\r\n", "")))
    alice.ack(invite, alice.expect(486))
    play(scene, ["tm.cancel nope 1", "tm.cancel x", "tm.reply #200 OK 1 tag", "tm.reply #200 OK 1:1 tag h b"])
    play(scene, ["tm.reply_callid #200 OK nope 1 tag", "tm.reply #200", "tm.reply_callid", "tm.hash_stats", "tm.clean"])
    ask.close()


@room.case("""
route[behaviour] {
    if (is_method("INFO")) { async_task_route("WORKER"); exit; }
    sl_send_reply("200", "$sel(cfg_get.mine.num)");
}
route[WORKER] { t_reply("200", "worker $sel(cfg_get.mine.num)"); }
""")
def test_behaviour(scene: Scene) -> None:
    """What cfg.set changes is seen by every receiver and by the async worker."""
    alice = scene.agent("alice")
    ask = caller(scene)
    for number in (6, 7):
        ask("cfg.set", "mine", "num", number)
        for n in range(6):
            alice.request("OPTIONS", call_id=f"b{number}{n}")
            scene.note(alice.expect(200).start)
        alice.request("INFO", call_id=f"i{number}")
        scene.note(alice.expect(200).start)
    ask("cfg.set", "mine", "num", 5)
    ask.close()


@room.case(
    """
route[timeout] { $ru = "sip:nobody@127.0.0.1:9"; t_relay(); }
""",
    tolerance=0.6,
)
def test_timeout(scene: Scene) -> None:
    """fr_timer changed for the next transaction."""
    alice = scene.agent("alice")
    ask = caller(scene)
    ask("cfg.set", "tm", "fr_timer", 700)
    alice.request("MESSAGE")
    alice.expect(408)
    ask("cfg.set", "tm", "fr_timer", 1500)
    ask.close()


DOCUMENTS: list[Any] = [
    b"{}", b"[]", b"null", b'{"jsonrpc":"2.0"}', b'{"jsonrpc":"2.0","method":"core.echo"}',
    b'{"jsonrpc":"1.0","method":"core.echo","id":1}', b'{"jsonrpc":"2.0","method":"core.echo","id":"x"}',
    b'{"jsonrpc":"2.0","method":"core.echo","id":1.5}', b'{"jsonrpc":"2.0","method":"core.echo","id":null}',
    b'{"jsonrpc":"2.0","method":"core.echo","id":true}', b'{"jsonrpc":"2.0","method":"core.echo","id":12345678901234}',
    b'{"jsonrpc":"2.0","method":"core.echo","params":{"a":1,"b":"x"},"id":1}',
    b'{"jsonrpc":"2.0","method":"core.echo","params":[1,"a",2.5,true,null],"id":1}',
    b'{"jsonrpc":"2.0","method":"core.echo","params":["q\\"b\\\\c\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\x7f\xc3\xa9"],"id":1}',
    b'{"jsonrpc":"2.0","method":"core.echo","params":["\\u0001\xff\xfe"],"id":1}',
    b'[{"jsonrpc":"2.0","method":"core.echo","params":["a"],"id":1}]',
    b'{"jsonrpc":"2.0","method":"core.echo","params":["a"],"id":1}{"jsonrpc":"2.0","method":"core.echo","id":2}',
    b'{"jsonrpc":"2.0","method":"","id":1}', b'{"jsonrpc":"2.0","method":"core.printi","params":["5",2.7,true],"id":1}',
    b'{"jsonrpc":"2.0","method":"core.prints","params":[5],"id":1}',
    b'{"jsonrpc":"2.0","method":"jsonrpc.echo","params":["a",7,5],"id":1}',
]  # fmt: skip


@room.case("""
route[documents] {
    jsonrpc_exec('{"jsonrpc":"2.0","method":"core.echo","params":["a",1],"id":1}');
    xlog("L_ERR", "$rc $jsonrpl(code) $jsonrpl(text) $jsonrpl(body)\n");
    jsonrpc_exec('{"jsonrpc":"2.0","method":"cfg.get","params":["nope","x"],"id":"$rU"}');
    xlog("L_ERR", "$rc $jsonrpl(code) $jsonrpl(text) $jsonrpl(body)\n");
    jsonrpc_exec('garbage');
    xlog("L_ERR", "$rc $jsonrpl(code)\n");
    sl_send_reply("200", "OK");
}
""")
def test_documents(scene: Scene) -> None:
    ask = caller(scene)
    for document in DOCUMENTS:
        scene.note(f"{document!r}: {ask.raw(document)!r}")
    scene.note(f"garbage: {ask.raw(b'garbage', 0.3)!r}")
    ask.close()
    alice = scene.agent("alice")
    alice.request("OPTIONS")
    alice.expect(200)


SIZES = ("shm.info", "shm.stats", "shm.report", "pkg.info", "pkg.stats index #1", "core.shmmem")


@room.case('route[shapes] { sl_send_reply("200", "OK"); }')
def test_shapes(scene: Scene) -> None:
    """Of what is about memory and processes, the names of all members."""
    play(scene, [*SIZES, "tm.stats", "sl.stats"], lambda text: str(re.findall(r'"([^"]*)":', text)))
    play(scene, ["mod.stats", "mod.stats tm", "mod.mem_stats nope shm", "mod.mem_stats tm bad", "mod.stats nope all"])
    play(scene, ["pkg.stats pid 1", "pkg.stats nope #1", "pkg.stats index", "corex.pkg_summary", "corex.list_aliases"])
    play(scene, ["corex.pkg_summary idx #99", "corex.pkg_summary foo #1", "corex.debug"])
