"""The cfg framework: what cfg.set* changes, when, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kamailio_py import log
from kamailio_py.engine.cfg_variables import CfgVariables, ChangeRefused
from kamailio_py.module import RpcFault
from kamailio_py.modules.tm.cell import INVITE, Cell, Flag
from tests.kit.local import Local
from tests.kit.requests import request
from tests.kit.rpc import invoke

CFG = """
debug=0
mine.num = 5 desc "a number"
mine.str = "text"
mine[1].num = 50
loadmodule "tm"
loadmodule "tmx"
loadmodule "sl"
loadmodule "pv"
loadmodule "xlog"
loadmodule "maxfwd"
loadmodule "cfg_rpc"
request_route {
    if ($rU == "one") { cfg_select("mine", 1); }
    if ($rU == "tm") { cfg_select("tm", 3); }
    if ($rU == "ccp") { $ccp(mine.num) = 7; }
    $var(seen) = $sel(cfg_get.mine.num) + "/" + $sel(cfg_get.tm.default_code);
    if ($rU == "new") { t_newtran(); exit; }
    sl_send_reply("200", "$var(seen)");
}
"""


@pytest.fixture
def server() -> Iterator[Local]:
    with Local(CFG) as made:
        yield made


@pytest.fixture
def variables(server: Local) -> CfgVariables:
    return server.core.variables


def seen(server: Local, user: str = "x") -> str:
    [reply] = server.inject(request("MESSAGE", f"sip:{user}@127.0.0.1"))
    return reply.split("\r\n")[0].removeprefix("SIP/2.0 200 ")


def test_a_change_counts_for_the_next_message(server: Local, variables: CfgVariables) -> None:
    assert seen(server) == "5/500"
    variables.set_now("mine", -1, "num", 6)
    variables.set_now("tm", -1, "default_code", 486)
    assert seen(server) == "6/486"
    assert server.core.module("tm").default_code == 486


def test_another_process_takes_it_over_when_it_looks(server: Local, variables: CfgVariables) -> None:
    """A second process: its own objects on the same shared memory."""
    maxfwd = server.core.module("maxfwd")
    variables.set_now("maxfwd", -1, "max_limit", 30)
    maxfwd.max_limit = 70
    variables.version -= 1
    variables.look()
    assert maxfwd.max_limit == 30
    variables.look()  # nothing new: nothing is read
    assert maxfwd.max_limit == 30


def test_what_tm_makes_of_its_parameters(server: Local, variables: CfgVariables) -> None:
    tm = server.core.module("tm")
    variables.set_now("tm", -1, "fr_timer", 1234)
    variables.set_now("tm", -1, "auto_inv_100", 0)
    server.inject(request("MESSAGE", "sip:new@127.0.0.1"))
    [cell] = [offset for bucket in tm.table.table.filled() for offset in tm.table.table.walk(bucket)]
    assert Cell.unpack(server.core.shm.memory, cell).fr == 1234
    server.inject(request("INVITE", "sip:new@127.0.0.1", call_id="c2", branch="z9hG4bKb2"))
    cells = [
        Cell.unpack(server.core.shm.memory, at)
        for bucket in tm.table.table.filled()
        for at in tm.table.table.walk(bucket)
    ]
    [flags] = [values.flags for values in cells if values.method == INVITE]
    assert flags & Flag.INVITE
    assert not flags & Flag.AUTO_INV_100


def test_the_log_level(server: Local, variables: CfgVariables) -> None:
    before = log.settings.level
    try:
        variables.set_now("core", -1, "debug", -3)
        assert log.settings.level == -3
    finally:
        log.settings.level = before


def test_force_rport_of_every_message(server: Local, variables: CfgVariables) -> None:
    variables.set_now("core", -1, "force_rport", 1)
    [reply] = server.inject(request("MESSAGE"))
    assert ";rport=40000" in reply


def test_delayed_changes(server: Local, variables: CfgVariables) -> None:
    variables.set_delayed("mine", -1, "num", 8)
    variables.set_delayed("tm", -1, "default_code", 488)
    variables.set_delayed("mine", 1, "num", 51)
    assert seen(server) == "5/500"
    shown = [(change.group, change.instance, old, new) for change, old, new in variables.difference()]
    assert sorted(shown) == [("mine", -1, 5, 8), ("mine", 1, 50, 51), ("tm", -1, 500, 488)]
    variables.commit()
    assert seen(server) == "8/488"
    assert seen(server, "one") == "51/488"
    assert variables.difference() == []
    variables.set_delayed("mine", -1, "num", 9)
    variables.rollback()
    variables.commit()
    assert seen(server) == "8/488"


def test_no_change_of_a_commit_is_made_when_one_cannot_be(server: Local, variables: CfgVariables) -> None:
    variables.set_delayed("mine", -1, "num", 8)
    variables.set_delayed("mine", 9, "num", 8)
    with pytest.raises(ChangeRefused):
        variables.commit()
    assert seen(server) == "5/500"


def test_instances(server: Local, variables: CfgVariables) -> None:
    assert seen(server, "one") == "50/500"
    variables.set_now("mine", 1, "num", 52)
    assert seen(server, "one") == "52/500"
    variables.delete_now("mine", 1, "num")
    assert seen(server, "one") == "5/500"
    variables.add_instance("mine", 5)
    variables.set_now("mine", 5, "str", "five")
    assert variables.value("mine", "str", 5) == "five"
    assert variables.value("mine", "num", 5) == 5
    variables.delete_instance("mine", 5)
    assert not variables.has_instance("mine", 5)
    variables.delete_instance("mine", 1)
    variables.add_instance("mine", 1)
    assert variables.value("mine", "num", 1) == 5


def test_instances_of_a_modules_group(server: Local, variables: CfgVariables) -> None:
    variables.add_instance("tm", 3)
    variables.set_now("tm", 3, "default_code", 603)
    assert seen(server, "tm") == "5/603"
    assert seen(server) == "5/500"
    assert server.core.module("tm").default_code == 500


def test_a_script_changes_all_processes(server: Local, variables: CfgVariables) -> None:
    seen(server, "ccp")
    assert variables.changes.snapshot()[1][0].value == 7


@pytest.mark.parametrize(
    ("group", "instance", "name", "value", "said"),
    [
        ("mine", -1, "nope", 1, "variable not found: mine.nope"),
        ("nope", -1, "nope", 1, "variable not found: nope.nope"),
        ("mine", 9, "num", 1, "global group instance mine[9] is not found"),
        ("mine", -1, "num", "x9", "cannot convert string to integer 'x9'"),
        ("tcp", -1, "fd_cache", 0, "variable is read-only"),
        ("tcp", -1, "connect_timeout", -5, "integer value is out of range"),
        ("tm", -1, "default_code", 900, "integer value is out of range"),
        ("tm", -1, "retr_timer1", 70000, "fixup failed"),
        ("core", -1, "log_facility", "NONSENSE", "fixup failed"),
        ("maxfwd", -1, "max_limit", 256, "integer value is out of range"),
    ],
)
def test_refused(variables: CfgVariables, group: str, instance: int, name: str, value: Any, said: str) -> None:
    before = variables.version
    with pytest.raises(ChangeRefused, match=said.replace("[", "\\[")):
        variables.set_now(group, instance, name, value)
    assert variables.version == before


def test_numbers_and_texts_are_converted(variables: CfgVariables) -> None:
    variables.set_now("mine", -1, "num", "19")
    variables.set_now("mine", -1, "str", 7)
    assert (variables.value("mine", "num"), variables.value("mine", "str")) == (19, "7")


def test_without_memory_nothing_changes(server: Local, variables: CfgVariables) -> None:
    arena = server.core.shm.arena
    owner = arena.owner("test", "all")
    size = 32768
    while size >= 32:
        while arena.alloc(size, owner):
            pass
        size //= 2
    with pytest.raises(ChangeRefused, match="not enough shm memory"):
        variables.set_now("mine", -1, "num", 6)
    assert seen(server) == "5/500"


def test_order_of_groups(variables: CfgVariables) -> None:
    assert variables.groups() == ["maxfwd", "xlog", "tm", "tcp", "core", "mine"]


def test_reset(server: Local, variables: CfgVariables) -> None:
    """The config's values again; also of a group of the config's own, which Kamailio 5.6.3 does not survive."""
    variables.set_now("maxfwd", -1, "max_limit", 30)
    variables.set_now("mine", -1, "num", 9)
    variables.set_now("mine", -1, "str", "other")
    assert invoke(server.core, "cfg.reset", "maxfwd") == []
    assert invoke(server.core, "cfg.reset", "mine") == []
    keys = (("maxfwd", "max_limit"), ("mine", "num"), ("mine", "str"))
    assert [variables.value(*key) for key in keys] == [70, 5, "text"]
    for group, fault in (("tm", "Unsupported input type"), ("maxfwd[1]", "Reset failed"), ("core", "Reset failed")):
        with pytest.raises(RpcFault, match=fault):
            invoke(server.core, "cfg.reset", group)
