"""debugger: what is traced, when it costs nothing, levels of single modules, refused parameters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kamailio_py import log as output
from kamailio_py.config.program import source
from kamailio_py.engine.boot import ConfigRejected
from kamailio_py.module import RpcFault
from tests.kit.local import Local
from tests.kit.requests import request
from tests.kit.rpc import invoke

CFG = """
debug=0
loadmodule "sl"
loadmodule "pv"
loadmodule "textops"
{load}
request_route {{
    if (is_method("OPTIONS") && $rU != "x") $var(a) = 1;
    sl_send_reply("200", "OK");
}}
"""
DEBUGGER = """
loadmodule "debugger"
modparam("debugger", "log_level", 0)
modparam("debugger", "mod_hash_size", 4)
modparam("debugger", "mod_level_mode", 1)
modparam("debugger", "mod_level", "sl=2")
"""


@pytest.fixture
def server() -> Iterator[Local]:
    with Local(CFG.format(load=DEBUGGER)) as made:
        yield made
        made.core.module("debugger").destroy()


def actions(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [line.rpartition("n=")[2] for line in capfd.readouterr().err.splitlines() if "dbg_cfg_trace" in line]


def test_without_the_module_nothing_is_compiled_for_it() -> None:
    with Local(CFG.format(load="")) as plain:
        assert "TRACE" not in source(plain.core.program)


def test_on_and_off(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    assert server.inject(request("OPTIONS"))[0].startswith("SIP/2.0 200")
    assert actions(capfd) == []
    server.core.module("debugger").child_init(1)
    server.inject(request("OPTIONS"))
    assert actions(capfd) == []
    slot = server.core.shm.processes.slot
    server.core.shm.processes.enter(0, "main", 0)
    assert invoke(server.core, "dbg.trace", "on") == ["200 ok"]
    server.inject(request("OPTIONS"))
    assert actions(capfd) == ["if", "is_method", "assign", "sl_send_reply"]
    assert [row["set"] for row in invoke(server.core, "dbg.ls") if row["entry"] == slot] == [1]
    invoke(server.core, "dbg.trace", "off")
    server.inject(request("OPTIONS"))
    assert actions(capfd) == []


def test_a_module_of_its_own_level(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    sl, tm = output.get_logger("sl"), output.get_logger("tm")
    server.core.module("debugger").cfg_changed()
    assert (sl.enabled(2), tm.enabled(2), sl.enabled(3)) == (True, False, False)
    invoke(server.core, "dbg.set_mod_level", "tm", 3)
    assert tm.enabled(3)
    with pytest.raises(RpcFault, match="invalid parameters"):
        invoke(server.core, "dbg.set_mod_level", "tm")
    server.core.module("debugger").destroy()
    assert not tm.enabled(3)


@pytest.mark.parametrize("line", ['"mod_level", "tm"', '"mod_level", "tm=x"', '"mod_facility", "tm=nope"'])
def test_refused_parameters(line: str) -> None:
    with pytest.raises(ConfigRejected) as refused:
        Local(CFG.format(load=f'loadmodule "debugger"\nmodparam("debugger", {line})'))
    assert "Can't set module parameter" in str(refused.value.errors[0])
