"""counters and statistics: counting from the script; the RPC commands of kex and corex on what is counted and used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kamailio_py.module import RpcFault
from tests.kit.local import Local
from tests.kit.requests import request
from tests.kit.rpc import invoke

CFG = """
debug=-3
loadmodule "tm"
loadmodule "sl"
loadmodule "pv"
loadmodule "kex"
loadmodule "corex"
loadmodule "counters"
loadmodule "statistics"
modparam("counters", "script_counter", "one")
modparam("counters", "script_counter", "grp.two what it counts")
modparam("statistics", "variable", "stat")
modparam("statistics", "variable", "kept/no_reset")
request_route {
    $var(a) = cnt_inc("one") + cnt_add("grp.two", 3) + update_stat("stat", "+2") + update_stat("kept", "4");
    $var(b) = cnt_inc("grp.nope") + update_stat("nope", "1") + update_stat("stat", "x");
    if ($rU == "reset") { cnt_reset("grp.two"); reset_stat("stat"); reset_stat("kept"); }
    sl_send_reply("200", ": $var(a) $var(b) $stat(one) $stat(stat)");
}
"""


@pytest.fixture
def server() -> Iterator[Local]:
    with Local(CFG) as made:
        yield made


def counted(server: Local) -> dict[str, Any]:
    return {name: invoke(server.core, "cnt.get", name)[0] for name in ("script", "grp")}


def test_the_script_counts(server: Local) -> None:
    [reply] = server.inject(request("OPTIONS"))
    assert reply.startswith("SIP/2.0 200 : 4 0 1 2\r\n")
    assert counted(server) == {"script": {"kept": 4, "one": 1, "stat": 2}, "grp": {"two": 3}}
    server.inject(request("OPTIONS", "sip:reset@127.0.0.1"))
    assert counted(server) == {"script": {"kept": 8, "one": 2, "stat": 0}, "grp": {"two": 0}}


def test_helps(server: Local) -> None:
    keys = (("script", "one"), ("grp", "two"), ("sl", "failures"))
    helps = [invoke(server.core, "cnt.help", *key)[0] for key in keys]
    assert helps == ["custom script counter.", "what it counts", "kamailio statistic (no description)"]


def test_groups_are_kamailios(server: Local) -> None:
    assert invoke(server.core, "cnt.list_groups") == ["core", "dns", "grp", "script", "shmem", "sl"]
    assert "restarted_processes" not in invoke(server.core, "cnt.list_vars", "core")


def test_clearing_tells_what_was_there(server: Local) -> None:
    server.inject(request("OPTIONS"))
    assert invoke(server.core, "stats.clear_statistics", "one", "kept", "nope") == [
        "script:one = 0 (1)", "script:kept = 4",
    ]  # fmt: skip
    assert invoke(server.core, "stats.get_statistics", "script:") == [
        "script:kept = 4", "script:one = 0", "script:stat = 2",
    ]  # fmt: skip


def test_memory_by_module_adds_up(server: Local) -> None:
    """A block that a module takes is in its sum, and in that of the whole."""
    arena = server.core.shm.arena
    used = invoke(server.core, "shm.stats")[0]["used"]
    arena.alloc(1000, arena.owner("tm", "for this test"))
    _, struct, _ = invoke(server.core, "mod.mem_statsx", "tm", "shm")
    size, count = struct["for this test"].split()
    assert count == "(1)"
    assert int(size) >= 1000
    assert invoke(server.core, "shm.stats")[0]["used"] >= used + 1000
    report = invoke(server.core, "shm.report")[0]
    assert report["used_frags"] == sum(blocks for blocks, _ in arena.by_owner().values())
    assert report["max_used_frag_size"] >= 1000


@pytest.mark.parametrize(
    ("command", "arguments", "code", "text"),
    [
        ("cnt.get", ("nope", "x"), 400, "non-existent counter nope.x\n"),
        ("stats.fetch", (), 400, "Please provide which stats to retrieve"),
        ("stats.clear_statistics", (), 400, "Please provide stats name"),
        ("mod.stats", (), 500, 'Module name or "all" needed'),
        ("mod.stats", ("tm",), 500, '"pkg" or "shm" or "all" needed'),
        ("pkg.stats", ("nope", 1), 500, "Invalid filter type"),
        ("pkg.stats", ("pid", 1), 500, "No such pid"),
        ("corex.pkg_summary", ("idx", 99), 500, "Index value out of range"),
        ("tm.t_uac_start", ("OPTIONS",), 400, "too few parameters (1/5)"),
        ("tm.t_uac_start", ("OPTIONS", "sip:a@127.0.0.1", ".", "x", "From: <sip:a@b>\r\n"), 400, "No local socket"),
    ],
)
def test_faults(server: Local, command: str, arguments: tuple[Any, ...], code: int, text: str) -> None:
    with pytest.raises(RpcFault) as caught:
        invoke(server.core, command, *arguments)
    assert caught.value.code == code
    assert caught.value.text.startswith(text)
