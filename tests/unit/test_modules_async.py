"""The async module: what is put off, for how long, where it goes on, and what is undone when it cannot be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.local import Local
from kit.requests import request
from kit.sip import Sip

from kamailio_py.module import ModuleError

GLOBALS = """
async_workers=1
async_workers_group="name=fast;workers=2;nonblock=0;usleep=0"
"""
MODULES = """
loadmodule "tm"
loadmodule "tmx"
loadmodule "sl"
loadmodule "pv"
loadmodule "xlog"
loadmodule "textops"
loadmodule "async"
"""
ROUTES = """
request_route {
    if ($rm == "ACK") exit;
    if ($rm == "CANCEL") { t_relay_cancel(); exit; }
    $var(n) = 0;
    if ($rU =~ "^-?[0-9]+$") $var(n) = $(rU{s.int});
    switch ($hdr(X-Do)) {
        case "route": async_route("RESUMED", "$var(n)"); break;
        case "named": async_route("$rU", "1"); break;
        case "ms": async_ms_route("RESUMED", "$var(n)"); break;
        case "sleep": async_sleep("$var(n)"); send_reply("202", "Slept"); exit;
        case "ms sleep": async_ms_sleep("$var(n)"); send_reply("202", "Slept"); exit;
        case "nested":
            if ($var(n) > 0) { async_sleep("$var(n)"); xlog("inner\\n"); }
            xlog("outer\\n"); exit;
        case "last": if ($var(n) > 0) { async_sleep("$var(n)"); } break;
        case "again": $avp(rounds) = 0; async_route("AGAIN", "1"); break;
        case "replied": t_newtran(); t_reply("200", "OK"); async_route("RESUMED", "1"); exit;
        case "task": async_task_route("RESUMED"); break;
        case "group": async_task_group_route("RESUMED", "$rU"); break;
        case "data": async_task_data("DATA", "from $rU"); break;
        case "group data": async_task_group_data("DATA", "$rU", "for $rU"); break;
    }
    send_reply("500", "Not async $rc");
}
route[RESUMED] { send_reply("404", "Resumed $async(gname) $async(data)"); }
route[AGAIN] {
    $avp(rounds) = $avp(rounds) + 1;
    if ($avp(rounds) < 3) async_route("AGAIN", "1");
    send_reply("200", "Rounds $avp(rounds)");
}
route[DATA] {
    xlog("data [$async(data)] group [$async(gname)] $rm\\n");
    $var(a) = async_route("RESUMED", "1");
    $var(b) = async_task_route("RESUMED");
    xlog("in vain $var(a) $var(b)\\n");
}
"""


def server_with(params: str = "", global_lines: str = GLOBALS, routes: str = ROUTES) -> Local:
    return Local(f"{global_lines}{MODULES}{params}{routes}")


@pytest.fixture
def server() -> Iterator[Local]:
    with server_with('modparam("async", "ms_timer", 10)\n') as made:
        yield made
        assert_nothing_left(made)


def assert_nothing_left(server: Local) -> None:
    """All transactions end, and with them everything of theirs in shared memory."""
    server.advance(60, 1.0)
    assert server.core.shm.arena.by_owner() == {}
    assert list(server.core.shm.wheel.nodes()) == []


_branches = iter(range(10**9))


def send(server: Local, do: str, user: str | int = "x", method: str = "MESSAGE", **parts: str) -> list[str]:
    number = next(_branches)
    text = request(
        method, f"sip:{user}@127.0.0.1", call_id=f"c{number}", branch=f"z9hG4bK{number}", extra=f"X-Do: {do}", **parts
    )
    return [Sip(sent).start for sent in server.inject(text)]


def starts(texts: list[str]) -> list[str]:
    return [Sip(text).start for text in texts]


# sleeping


@pytest.mark.parametrize("seconds", [1, 4, 30 - 1])
def test_route_goes_on_when_the_seconds_have_passed(server: Local, seconds: int) -> None:
    assert send(server, "route", seconds) == []
    assert server.advance(seconds - 0.01) == []
    assert starts(server.advance(0.02)) == ["SIP/2.0 404 Resumed <null> <null>"]


@pytest.mark.parametrize("milliseconds", [1, 10, 120, 2999])
def test_milliseconds_are_kept_to_ten(server: Local, milliseconds: int) -> None:
    assert send(server, "ms", milliseconds) == []
    if milliseconds > 1:
        assert server.advance((milliseconds - 1) / 1000, 0.001) == []
    assert starts(server.advance(0.011, 0.001)) == ["SIP/2.0 404 Resumed default <null>"]


def test_sleep_goes_on_with_the_next_action(server: Local) -> None:
    assert send(server, "sleep", 4) == []
    assert starts(server.advance(4.01)) == ["SIP/2.0 202 Slept"]
    assert send(server, "ms sleep", 250) == []
    assert starts(server.advance(0.26)) == ["SIP/2.0 202 Slept"]


def test_sleep_ends_with_its_block(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    send(server, "nested", 1)
    capfd.readouterr()
    answered = starts(server.advance(1.01))
    err = capfd.readouterr().err
    assert "<script>: inner" in err
    assert "<script>: outer" not in err
    assert answered == ["SIP/2.0 500 I'm terribly sorry, server error occurred (1/TM)"]


def test_resumed_route_may_be_put_off_again(server: Local) -> None:
    assert send(server, "again") == []
    assert server.advance(2.9) == []
    assert starts(server.advance(0.2)) == ["SIP/2.0 200 Rounds 3"]


def test_name_of_the_route_from_a_variable(server: Local) -> None:
    assert send(server, "named", "RESUMED") == []
    assert starts(server.advance(1.01)) == ["SIP/2.0 404 Resumed <null> <null>"]


def test_invite_is_kept_quiet_with_a_100(server: Local) -> None:
    assert send(server, "route", 2, "INVITE") == ["SIP/2.0 100 trying -- your call is important to us"]
    assert starts(server.advance(2.01))[0] == "SIP/2.0 404 Resumed <null> <null>"


def test_retransmission_while_it_sleeps_changes_nothing(server: Local) -> None:
    parts = {"call_id": "again", "branch": "z9hG4bKagain", "extra": "X-Do: route"}
    text = request("MESSAGE", "sip:2@127.0.0.1", **parts)
    assert server.inject(text) == []
    server.advance(1.0)
    assert server.inject(text) == []
    assert len(server.advance(1.1)) == 1
    assert server.advance(1.0) == []
    assert starts(server.inject(text)) == ["SIP/2.0 404 Resumed <null> <null>"]


def test_many_wake_in_the_order_of_their_times(server: Local) -> None:
    for milliseconds in (300, 100, 200):
        send(server, "ms", milliseconds)
    times = []
    for _ in range(40):
        times += [server.clock.ms()] * len(server.advance(0.01, 0.005))
    assert [t - times[0] for t in times] == [0, 100, 200]


def test_timeout_of_the_transaction_comes_first() -> None:
    with server_with('modparam("tm", "fr_timer", 1000)\n') as server:
        assert send(server, "route", 5) == []
        assert starts(server.advance(1.2)) == ["SIP/2.0 408 Request Timeout"]
        assert server.advance(5.0, 0.1) == []  # resumed in vain
        assert_nothing_left(server)


def test_cancelled_while_it_sleeps(server: Local) -> None:
    parts = {"call_id": "gone", "branch": "z9hG4bKgone"}
    server.inject(request("INVITE", "sip:2@127.0.0.1", extra="X-Do: route", **parts))
    cancel = request("CANCEL", "sip:2@127.0.0.1", **parts)
    assert starts(server.inject(cancel)) == [
        "SIP/2.0 487 Request canceled", "SIP/2.0 200 ok -- no more pending branches"
    ]  # fmt: skip
    assert not any("404" in start for start in starts(server.advance(3.0, 0.05)))


# what cannot be put off


@pytest.mark.parametrize(
    ("do", "user", "complaint"),
    [
        ("route", 0, "negative or zero sleep time (0)"),
        ("route", -1, "negative or zero sleep time (-1)"),
        ("route", 100, "max sleep time is 100 sec (100)"),
        ("route", 101, "max sleep time is 100 sec (101)"),
        ("ms", 0, "negative or zero sleep time (0)"),
        ("ms", -5, "negative or zero sleep time (-5)"),
        ("ms", 30000, "max sleep time is 30000 msec"),
        ("named", "NOPE", "route block not found: NOPE"),
        ("group", "nobody", "group [nobody] not found"),
    ],
)
def test_refused(server: Local, capfd: pytest.CaptureFixture[str], do: str, user: str | int, complaint: str) -> None:
    assert send(server, do, user) == ["SIP/2.0 500 Not async -1"]
    assert complaint in capfd.readouterr().err


def test_longest_times() -> None:
    params = """
        modparam("tm", "fr_timer", 200000)
        modparam("tm", "max_noninv_lifetime", 200000)
        modparam("async", "ms_timer", 10)
    """
    with server_with(params) as server:
        assert send(server, "route", 99) == []
        assert send(server, "ms", 29999) == []
        assert server.advance(29.9, 0.1) == []
        assert starts(server.advance(0.11)) == ["SIP/2.0 404 Resumed default <null>"]
        assert server.advance(68.9, 0.1) == []
        assert starts(server.advance(0.11)) == ["SIP/2.0 404 Resumed <null> <null>"]


def test_sleep_as_the_last_action_is_refused(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    assert send(server, "last", 1) == ["SIP/2.0 500 Not async -1"]
    assert "cannot be executed as last action in a route block" in capfd.readouterr().err


def test_answered_request_is_refused(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    assert send(server, "replied") == ["SIP/2.0 200 OK"]
    assert "failed to suspend the processing" in capfd.readouterr().err


def test_without_ms_timer(capfd: pytest.CaptureFixture[str]) -> None:
    with server_with() as server:
        assert send(server, "ms", 10) == ["SIP/2.0 500 Not async -1"]
    assert "async timer list not initialized - check modparams" in capfd.readouterr().err


def test_without_workers(capfd: pytest.CaptureFixture[str]) -> None:
    with server_with('modparam("async", "workers", 0)\n') as server:
        assert send(server, "route", 1) == ["SIP/2.0 500 Not async -1"]
        assert send(server, "sleep", 1) == ["SIP/2.0 202 Slept"]
    err = capfd.readouterr().err
    assert "no async mod timer workers" in err
    assert "no async mod timer workers (modparam missing?)" in err


def test_result_can_be_chosen() -> None:
    with server_with('modparam("async", "return", 1)\n') as server:
        assert send(server, "route", 1) == ["SIP/2.0 500 Not async 1"]
        assert server.advance(2.0, 0.1) == []


@pytest.mark.parametrize(
    ("modules", "start"),
    [('loadmodule "async"\n', "no tm"), ('loadmodule "async"\nloadmodule "tm"\n', "tm after async")],
)
def test_tm_must_be_loaded_before(modules: str, start: str) -> None:
    with pytest.raises(ModuleError, match=r"cannot load the TM-functions. Missing TM module\?"):
        Local(f"{modules}request_route {{ ; }}")


def test_tasks_need_workers_of_the_core() -> None:
    with pytest.raises(ModuleError, match="framework was not initialized - set async_workers parameter in core"):
        server_with(global_lines="")
    with server_with(global_lines="", routes='request_route { async_route("R", "1"); }\nroute[R] { ; }') as server:
        assert server.inject(request("MESSAGE")) == []


# tasks


def test_task_goes_on_at_once_in_the_first_group(server: Local) -> None:
    assert send(server, "task") == ["SIP/2.0 404 Resumed default <null>"]


@pytest.mark.parametrize(("name", "group"), [("fast", "fast"), ("default", "default"), ("", "default")])
def test_task_of_a_group(server: Local, name: str, group: str) -> None:
    uri = f"sip:{name}@127.0.0.1" if name else "sip:127.0.0.1"
    number = next(_branches)
    text = request("MESSAGE", uri, call_id=f"c{number}", branch=f"z9hG4bK{number}", extra="X-Do: group")
    sent = starts(server.inject(text))
    expected = f"SIP/2.0 404 Resumed {group} <null>"
    assert sent == ([expected] if name else ["SIP/2.0 500 Not async -1"])


def test_data_goes_to_a_route_without_message(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    assert send(server, "data", "joe") == ["SIP/2.0 500 Not async 1"]
    assert send(server, "group data", "fast") == ["SIP/2.0 500 Not async 1"]
    assert send(server, "group data", "nobody") == ["SIP/2.0 500 Not async -1"]
    err = capfd.readouterr().err
    assert "<script>: data [from joe] group [default] OPTIONS" in err
    assert "<script>: data [for fast] group [fast] OPTIONS" in err
    assert "invalid usage for faked message" in err
    assert "<script>: in vain -1 -1" in err


def full(server: Local, name: str) -> None:
    """Let the group of that name have no room left."""
    queue = server.core.tasks.group(name).queue  # type: ignore[union-attr]
    queue._capacity = 0


@pytest.mark.parametrize("group", ["default", "fast"])
def test_full_queue_takes_the_suspension_back(server: Local, capfd: pytest.CaptureFixture[str], group: str) -> None:
    full(server, group)
    assert send(server, "group", group) == ["SIP/2.0 500 Not async -1"]
    assert f"too many tasks wait in group [{group}]" in capfd.readouterr().err
    assert send(server, "group data", group) == ["SIP/2.0 500 Not async -1"]


def test_full_queue_and_no_answer_ends_the_transaction() -> None:
    routes = 'request_route { async_task_route("R"); }\nroute[R] { ; }'
    with server_with(routes=routes) as server:
        full(server, "default")
        server.inject(request("MESSAGE"))
        assert_nothing_left(server)


def test_due_requests_wait_on_the_wheel_while_the_queue_is_full(server: Local) -> None:
    queue = server.core.shm.queues["async"]
    capacity, queue._capacity = queue._capacity, 0
    send(server, "route", 1)
    assert server.advance(1.5) == []
    queue._capacity = capacity
    assert starts(server.advance(0.05)) == ["SIP/2.0 404 Resumed <null> <null>"]


def test_no_shared_memory(server: Local, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    arena = type(server.core.shm.arena)
    alloc = arena.alloc
    module = server.core.module("async")
    monkeypatch.setattr(arena, "alloc", lambda self, size, of: 0 if of == module._owner else alloc(self, size, of))
    assert send(server, "route", 1) == ["SIP/2.0 500 Not async -1"]
    assert "no more shm memory" in capfd.readouterr().err
    monkeypatch.setattr(arena, "store", lambda self, data, owner: 0)
    assert send(server, "data", "joe") == ["SIP/2.0 500 Not async -1"]


# processes


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ("", ["ASYNC MOD TIMER"]),
        ('modparam("async", "workers", 3)\n', ["ASYNC MOD TIMER"] * 3),
        ('modparam("async", "ms_timer", 20)\n', ["ASYNC MOD TIMER", "ASYNC MOD MILLI TIMER"]),
        ('modparam("async", "workers", 0)\n', []),
    ],
)
def test_processes(params: str, expected: list[str]) -> None:
    with server_with(params) as server:
        made = [spec for spec in server.core.processes if spec.description.startswith("ASYNC")]
        assert [spec.description for spec in made] == expected
        assert {spec.rank for spec in made} <= {-1}


def test_milliseconds_without_workers_of_the_core() -> None:
    routes = 'request_route { async_ms_route("R", "50"); }\nroute[R] { send_reply("404", "R $async(gname)"); }'
    with server_with('modparam("async", "ms_timer", 10)\n', "", routes) as server:
        assert server.inject(request("MESSAGE")) == []
        assert starts(server.advance(0.07)) == ["SIP/2.0 404 R <null>"]
