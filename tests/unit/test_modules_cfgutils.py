"""The cfgutils module: what Kamailio 5.6.3 was observed to do."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.local import Local
from kit.memory import fork, wait
from kit.rpc import invoke
from kit.scripts import Scripts

from kamailio_py.engine.boot import ConfigRejected
from kamailio_py.module import ModuleError, RpcFault

HEAD = """
modparam("cfgutils", "initial_probability", 0)
modparam("cfgutils", "initial_gflags", 5)
modparam("cfgutils", "lock_set_size", 4)
route[FIVE] { return 5; }
route[MINUS] { return -3; }
route[ENDS] { exit; }
"""

CASES = {
    "event": ('$var(a) = rand_event(); rand_set_prob("100"); $var(b) = rand_event(); $var(c) = rand_get_prob();'
              ' $var(d) = rand_set_prob("3"); $var(out) = $_s($var(a) $var(b) $var(c) $var(d));', "-1 1 100 1"),
    "reset_prob": ('rand_reset_prob(); $var(out) = rand_event();', "-1"),
    "prob0": ('rand_set_prob("0"); rand_get_prob();', None),
    "random": ('if ($RANDOM >= 0 && $RANDOM != $RANDOM) $var(out) = "differs";', "differs"),
    "gflags": ('$var(a) = is_gflag("0"); $var(b) = is_gflag("1"); $var(c) = set_gflag("31");'
               ' $var(d) = is_gflag("31");'
               ' reset_gflag("31"); $var(e) = is_gflag("31");'
               ' $var(out) = $_s($var(a) $var(b) $var(c) $var(d) $var(e));',
               "1 -1 1 1 -1"),
    "hash": ('$var(a) = core_hash("bob", "", "8"); $var(b) = core_hash("bob", "a", 8);'
             ' $var(c) = core_hash("abc", "def", "0");'
             ' $var(d) = core_hash("abc", "", "1"); $var(e) = core_hash("abc", "", "16");'
             ' $var(f) = core_hash("a", "a", "-1");'
             ' $var(g) = core_hash("a", "a", "100"); $var(h) = core_hash("", "a", "4");'
             ' $var(out) = $_s($var(a) $var(b) $var(c) $var(d) $var(e) $var(f) $var(g) $var(h));',
             "196 49 2 1 24387 1 11 14"),
    "exists": ('$var(a) = check_route_exists("FIVE"); $var(b) = check_route_exists("NONE");'
               ' $var(c) = check_route_exists("");'
               ' $var(out) = $_s($var(a) $var(b) $var(c));', "1 -1 -1"),
    "if_exists": ('$var(n) = "FIVE"; $var(a) = route_if_exists("$var(n)"); $var(b) = route_if_exists("MINUS");'
                  ' $var(c) = route_if_exists("NONE"); $var(out) = $_s($var(a) $var(b) $var(c));', "5 -3 -1"),
    "if_ends": ('route_if_exists("ENDS");', None),
    "locks": ('$var(a) = lock("abc"); $var(b) = unlock("abc"); $var(c) = trylock("$rU"); $var(d) = trylock("locks");'
              ' $var(e) = unlock("$rU"); $var(f) = unlock("$rU");'
              ' $var(out) = $_s($var(a) $var(b) $var(c) $var(d) $var(e) $var(f));',
              "1 1 1 -1 1 1"),
    "waits": ('$var(a) = sleep("0"); $var(b) = usleep("10"); $var(out) = $_s($var(a) $var(b));', "1 1"),
    "status": ('$var(a) = shm_status(); $var(b) = shm_summary(); $var(c) = pkg_status(); $var(d) = pkg_summary();'
               ' $var(out) = $_s($var(a) $var(b) $var(c) $var(d));', "1 1 1 1"),
}  # fmt: skip


@pytest.fixture(scope="module")
def scripts() -> Iterator[Scripts]:
    with Scripts({name: script for name, (script, _) in CASES.items()}, modules="cfgutils", head=HEAD) as made:
        yield made


@pytest.mark.parametrize("name", CASES)
def test_script(scripts: Scripts, name: str) -> None:
    assert scripts.run(name) == CASES[name][1]
    assert scripts.server.core.shm.held() == {}


def test_lock_keeps_other_processes_out(scripts: Scripts) -> None:
    core = scripts.server.core
    module = core.module("cfgutils")
    ctx = core.faked_context()
    assert module.lock(ctx, "key") == 1
    go = core.shm.queue("go", 2)

    def other() -> None:
        assert module.trylock(ctx, "key") == -1
        go.put(1)
        assert module.lock(ctx, "key") == 1
        assert module.unlock(ctx, "key") == 1

    pid = fork(core.shm, 1, other)
    assert go.get(20)
    assert module.unlock(ctx, "key") == 1
    assert wait(pid) == 0


def test_flags_are_seen_by_all_processes(scripts: Scripts) -> None:
    core = scripts.server.core
    module = core.module("cfgutils")
    ctx = core.faked_context()
    assert wait(fork(core.shm, 1, lambda: module.set_gflag(ctx, 1 << 9))) == 0
    assert module.is_gflag(ctx, 1 << 9) == 1


def test_abort_ends_the_process(scripts: Scripts, capfd: pytest.CaptureFixture[str]) -> None:
    core = scripts.server.core
    pid = fork(core.shm, 1, lambda: core.module("cfgutils").abort(core.faked_context()))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGABRT
    assert "abort called" in capfd.readouterr().err


def test_without_lock_set(capfd: pytest.CaptureFixture[str]) -> None:
    with Scripts({"x": '$var(out) = lock("k");'}, modules="cfgutils") as scripts:
        assert scripts.run("x") == "-1"
    assert "lock set not initialized (attempt to do op: 0 on: k) - see param lock_set_size" in capfd.readouterr().err


def test_hash_file(tmp_path: Path) -> None:
    file = tmp_path / "hashed"
    file.write_text("abc")
    head = f'loadmodule "cfgutils"\nmodparam("cfgutils", "hash_file", "{file}")\nrequest_route {{ ; }}'
    with Local(head) as server:
        assert server.core.module("cfgutils").config_hash == "900150983cd24fb0d6963f7d28e17f72"
    file.unlink()
    with pytest.raises(ModuleError, match="could not hash the config file"):
        Local(head)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ('set_gflag("32");', "out of range"),
        ('set_gflag("x");', "bad number"),
        ('rand_set_prob("101");', "invalid probability"),
    ],
)
def test_wrong_at_load(statement: str, words: str) -> None:
    with pytest.raises(ConfigRejected) as caught:
        Local(f'loadmodule "cfgutils"\nrequest_route {{ {statement} }}')
    assert words in str(caught.value.errors[0])


def test_probability_is_a_percentage() -> None:
    with pytest.raises(ModuleError, match="invalid probability <101>"):
        Local('loadmodule "cfgutils"\nmodparam("cfgutils", "initial_probability", 101)\nrequest_route { ; }')


def test_the_hash_over_rpc(tmp_path: Path) -> None:
    hashed = tmp_path / "hashed"
    hashed.write_text("x")
    with Local(
        f'loadmodule "cfgutils"\nmodparam("cfgutils", "hash_file", "{hashed}")\nrequest_route {{ drop; }}'
    ) as server:
        assert invoke(server.core, "cfgutils.get_config_hash") == ["9dd4e461268c8034f5c8564e155c67a6"]
        assert invoke(server.core, "cfgutils.check_config_hash") == ["Identical hash"]
        hashed.write_text("y")
        assert invoke(server.core, "cfgutils.check_config_hash") == ["Different hash"]
        hashed.unlink()
        with pytest.raises(RpcFault, match="Failed to hash the file"):
            invoke(server.core, "cfgutils.check_config_hash")
