"""The dialog module: timeouts, keepalives, what cleans up, the database across a restart, memory, properties."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit.local import Local
from kit.requests import request
from kit.rpc import invoke
from kit.sip import Sip, build_reply

from kamailio_py.db.tables import create_sqlite
from kamailio_py.engine.boot import ConfigRejected
from kamailio_py.module import ModuleError
from kamailio_py.modules.dialog.cseq import CseqTracking
from kamailio_py.modules.dialog.record import NEXT_STATE, NOT_OURS, Event, Inner, State
from kamailio_py.modules.dialog.tracking import _did
from kamailio_py.sip.hash import reverse_hex

MODULES = """
loadmodule "tm"
loadmodule "sl"
loadmodule "rr"
loadmodule "pv"
loadmodule "xlog"
loadmodule "textops"
loadmodule "siputils"
loadmodule "db_sqlite"
loadmodule "dialog"
"""
ROUTES = """
request_route {
    if (has_totag()) { loose_route(); t_relay(); exit; }
    record_route();
    dlg_manage();
    $dlg_var(who) = $fU;
    set_dlg_profile("calls", "$fU");
    dlg_set_property("ka-dst");
    $du = "sip:127.0.0.1:7000";
    t_relay();
}
event_route[dialog:end] { xlog("end of $dlg(callid) $dlg_var(who)\\n"); }
event_route[dialog:failed] { xlog("failed $dlg(callid)\\n"); }
"""
PARAMS = ('"profiles_with_value", "calls"', '"default_timeout", 60', '"hash_size", 64')


def started(*params: str, routes: str = ROUTES, **more: Any) -> Local:
    lines = "".join(f'modparam("dialog", {param})\n' for param in (*PARAMS, *params))
    return Local(f"{MODULES}{lines}{routes}", **more)


@pytest.fixture
def server() -> Iterator[Local]:
    with started('"ka_timer", 5', '"ka_interval", 30') as made:
        yield made


def dialogs(server: Local) -> Any:
    return server.core.module("dialog")


def answer(server: Local, text: str, code: int, tag: str = "b1") -> list[str]:
    """The callee's reply to what was sent to it."""
    contact = "Contact: <sip:bob@127.0.0.1:7000>" if 200 <= code < 300 else ""
    return server.inject(build_reply(Sip(text), code, None, tag, contact, ""), port=7000)


def call(server: Local, call_id: str = "c1", code: int = 200, ack: bool = True) -> str:
    """A call; the INVITE as the callee got it."""
    contact = "Contact: <sip:alice@127.0.0.1:40000>"
    sent = server.inject(request("INVITE", call_id=call_id, branch=f"z9hG4bK{call_id}", extra=contact))
    invite = next(text for text in sent if text.startswith("INVITE"))
    answer(server, invite, code)
    if ack and code < 300:
        route = f"Route: {Sip(invite).all('Record-Route')[0]}"
        text = request(
            "ACK", "sip:bob@127.0.0.1:7000", call_id=call_id, branch=f"z9hG4bKa{call_id}", to_tag="b1", extra=route
        )
        server.inject(text)
    return invite


def states(server: Local) -> list[int]:
    return [view.state for view in dialogs(server).table.all()]


def test_states_and_counts(server: Local) -> None:
    invite = call(server)
    module = dialogs(server)
    total = server.core.shm.counters.total
    assert states(server) == [State.CONFIRMED]
    assert [total(module.counted[name]) for name in ("active", "early", "processed", "failed")] == [1, 0, 1, 0]
    assert module.profiles.size("calls", "alice") == module.profiles.size("calls", None) == 1
    route = f"Route: {Sip(invite).all('Record-Route')[0]}"
    server.inject(request("BYE", "sip:bob@127.0.0.1:7000", branch="z9hG4bKb", cseq=2, to_tag="b1", extra=route))
    assert states(server) == [State.DELETED]
    assert [total(module.counted[name]) for name in ("active", "processed", "failed")] == [0, 1, 0]
    assert module.profiles.size("calls", "alice") == module.profiles.size("calls", None) == 0
    server.advance(8, step=0.25)
    assert states(server) == []


def test_timeout_ends_it(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    call(server)
    server.advance(59, step=0.25)
    assert states(server) == [State.CONFIRMED]
    server.advance(3, step=0.25)
    assert states(server) == [State.DELETED]
    assert "end of c1 alice" in capfd.readouterr().err
    assert server.core.shm.counters.total(dialogs(server).counted["expired"]) == 1
    server.advance(8, step=0.25)
    assert states(server) == []


def test_requests_within_begin_the_lifetime_anew(server: Local) -> None:
    invite = call(server)
    server.advance(50, step=0.25)
    route = f"Route: {Sip(invite).all('Record-Route')[0]}"
    server.inject(request("INFO", "sip:bob@127.0.0.1:7000", branch="z9hG4bKi", cseq=2, to_tag="b1", extra=route))
    server.advance(50, step=0.25)
    assert states(server) == [State.CONFIRMED]
    server.advance(20, step=0.25)
    assert states(server) != [State.CONFIRMED]


def test_send_bye_at_the_timeout() -> None:
    with started('"send_bye", 1') as server:
        call(server)
        before = len(server.sent)
        server.advance(62, step=0.25)
        byes = [text for text, _ in server.sent[before:] if text.startswith("BYE")]
        assert {text.split(" ")[1] for text in byes} == {"sip:bob@127.0.0.1:7000", "sip:alice@127.0.0.1:40000"}
        for text in byes:
            answer(server, text, 200)
        assert states(server) in ([State.DELETED], [])


def test_failed_call(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    call(server, code=486)
    assert states(server) == [State.DELETED]
    assert "failed c1" in capfd.readouterr().err
    assert server.core.shm.counters.total(dialogs(server).counted["failed"]) == 1


def test_no_ack(server: Local) -> None:
    """Without the ACK it lives for noack_timeout, and ten seconds more."""
    with started('"noack_timeout", 20') as own:
        call(own, ack=False)
        assert states(own) == [State.CONFIRMED_NA]
        own.advance(25, step=0.25)
        dialogs(own).clean()
        own.advance(12, step=0.25)
        assert states(own) in ([State.DELETED], [])


def test_early_too_long() -> None:
    with started('"early_timeout", 10') as server:
        server.inject(request("INVITE", extra="Contact: <sip:alice@127.0.0.1:40000>"))
        assert states(server) == [State.UNCONFIRMED]
        server.core.clock.advance(11)  # type: ignore[attr-defined]
        dialogs(server).clean()
        assert states(server) == [State.DELETED]


def test_keepalives(server: Local) -> None:
    call(server)
    module = dialogs(server)
    server.advance(31, step=0.25)
    before = len(server.sent)
    module.requests.keep_alive()
    options = [text for text, _ in server.sent[before:] if text.startswith("OPTIONS")]
    assert [text.split(" ")[1] for text in options] == ["sip:bob@127.0.0.1:7000"]
    answer(server, options[0], 200)
    module.requests.keep_alive()
    assert len([text for text, _ in server.sent[before:] if text.startswith("OPTIONS")]) == 1
    server.advance(28, step=0.25)
    server.inject(request("INFO", "sip:x@127.0.0.1", call_id="other", branch="z9hG4bKx"))
    before = len(server.sent)
    server.core.clock.advance(3)  # type: ignore[attr-defined]
    module.requests.keep_alive()
    options = [text for text, _ in server.sent[before:] if text.startswith("OPTIONS")]
    answer(server, options[0], 481)
    [view] = module.table.all()
    assert (view.ka_failed, view.lifetime) == (1, 10)


def test_memory_is_given_back() -> None:
    with started() as server:
        call(server, "warm")
        server.advance(80, step=0.25)
        used = server.core.shm.arena.used
        for number in range(5):
            call(server, f"m{number}", code=200 if number % 2 else 486)
        assert len(states(server)) == 5
        server.advance(120, step=0.25)
        assert states(server) == []
        assert server.core.shm.arena.used == used


def test_a_restart(tmp_path: Path) -> None:
    """What was answered when the server stopped is there again: variables, profiles, the lifetime that is left."""
    create_sqlite(str(tmp_path / "d.db"))
    url = f'"db_url", "sqlite:///{tmp_path}/d.db"'
    with started(url, '"db_mode", 1') as server:
        call(server, "kept")
        call(server, "failed", code=486)
        [before] = [view for view in dialogs(server).table.all() if view.state == State.CONFIRMED]
    with started(url, '"db_mode", 1') as server:
        module = dialogs(server)
        [view] = module.table.all()
        assert (view.ident, view.call_id, view.to_tag, view.variables) == (before.ident, "kept", "b1", {"who": "alice"})
        assert view.profiles == [("calls", "alice")]
        assert module.profiles.size("calls", "alice") == 1
        assert server.core.shm.counters.total(module.counted["active"]) == 1


def test_shutdown_mode(tmp_path: Path) -> None:
    create_sqlite(str(tmp_path / "d.db"))
    url = f'"db_url", "sqlite:///{tmp_path}/d.db"'
    with started(url, '"db_mode", 3') as server:
        call(server, "kept")
        dialogs(server).destroy()
    with started(url, '"db_mode", 3') as server:
        assert [view.call_id for view in dialogs(server).table.all()] == ["kept"]


def test_rpc_of_one_dialog(server: Local) -> None:
    call(server)
    [listed] = invoke(server.core, "dlg.dlg_list", "c1")
    assert (listed["state"], listed["variables"], listed["caller"]["tag"]) == (4, [{"who": "alice"}], "f1")
    before = len(server.sent)
    invoke(server.core, "dlg.end_dlg", listed["h_entry"], listed["h_id"], "X-Why: because\r\n")
    byes = [text for text, _ in server.sent[before:]]
    assert len(byes) == 2
    assert all("X-Why: because\r\n" in text for text in byes)


@pytest.mark.parametrize(
    "param", ['"rr_param", ""', '"dlg_match_mode", 7', '"default_timeout", 0', '"timeout_avp", "$ru"']
)
def test_bad_parameters_stop_the_start(param: str) -> None:
    with pytest.raises(ModuleError):
        started(param)


def test_a_profile_that_is_not_defined_is_an_error_at_load() -> None:
    with pytest.raises(ConfigRejected) as rejected:
        started(routes='request_route { set_dlg_profile("nope", "x"); }')
    assert "profile <nope> not defined" in str(rejected.value.errors[0])


@settings(max_examples=200)
@given(st.lists(st.integers(0, 6), max_size=20))
def test_states_never_go_back(events: list[int]) -> None:
    """Whatever comes in whatever order: a state never becomes a smaller one, and deleted is the end."""
    state = State.UNCONFIRMED
    for event in events:
        new = NEXT_STATE[event].get(state, state)
        assert new >= state
        if event == Event.BYE and state in (State.UNCONFIRMED, State.EARLY):
            assert new == state
        state = new


@given(st.integers(0, 4095), st.integers(0, 2**32 - 1))
def test_cookies(entry: int, number: int) -> None:
    assert _did(f"lr;ftag=x;did={reverse_hex(entry)}.{reverse_hex(number)}", "did") == (entry, number)


@example("1-.5")
@example("1_0.5")
@example("aF0.9")
@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40))
def test_cookies_that_are_none(text: str) -> None:
    """Bytes from the network never raise, and are no numbers unless they are all hex digits."""
    found = _did(f"lr;did={text}", "did")
    assert (found is not None) == bool(re.fullmatch(r"[0-9a-fA-F]+\.[0-9a-fA-F]+", text.partition(";")[0].strip()))


# parameters that are rarely set


def test_without_wait_ack_a_refused_call_is_gone_at_once() -> None:
    with started('"wait_ack", 0') as server:
        call(server, code=486)
        server.advance(0.02)
        assert states(server) == []
        call(server, "c2")
        server.advance(1)
        assert states(server) == [State.CONFIRMED]


@pytest.mark.parametrize("inscript", [1, 0])
def test_when_the_beginning_of_a_dialog_is_told(inscript: int) -> None:
    """With initial_cbs_inscript within dlg_manage(), before the variable that is set after it; without, after that."""
    with started(f'"initial_cbs_inscript", {inscript}') as server:
        told: list[dict[str, str]] = []
        dialogs(server).api.on("created", lambda view, msg, ctx: told.append(view.variables))
        call(server)
        assert told == [{} if inscript else {"who": "alice"}]


def test_a_process_of_its_own_for_timeouts() -> None:
    with started('"timer_procs", 1') as server:
        assert [spec.description for spec in server.core.processes] == ["Dialog Main Timer", "Dialog Clean Timer"]
        call(server)
        server.clock.advance(61)
        server.core.shm.wheel.run(server.clock.ms())
        assert states(server) == [State.CONFIRMED], "the timer process only hands it over"
        server.settle()
        assert states(server) == [State.DELETED]


@pytest.mark.parametrize("mode", [0, 1])
def test_dialogs_of_other_servers_may_be_left_alone(mode: int) -> None:
    with started(f'"dlg_filter_mode", {mode}') as server:
        call(server)
        [view] = dialogs(server).table.all()
        dialogs(server).table.change(view.ident, caller_socket=NOT_OURS)
        server.advance(62, step=0.25)
        assert states(server) == [State.CONFIRMED if mode else State.DELETED]
        shown = invoke(server.core, "dlg.list")[0]
        assert (shown["timeout"], shown["caller"]["socket"]) == (0, None)


def test_members_of_profiles_that_other_servers_follow() -> None:
    with started() as server:
        module, now = dialogs(server), int(server.clock.now())
        for uid, expires in (("a", now + 100), ("a", 0), ("b", now + 10), ("c", 0)):
            assert module.remote_profiles.add("calls", "alice", uid, expires)
        size = module.profiles.size
        assert (size("calls", "alice"), size("calls", None)) == (4, 4)
        module.remote_profiles.remove("calls", "bob", "a")
        module.remote_profiles.remove("calls", "alice", "a")
        assert size("calls", "alice") == 3
        server.clock.advance(11)
        module.clean()
        assert size("calls", "alice") == 2
        server.clock.advance(1000)
        module.clean()
        module.remote_profiles.remove("calls", "alice", "c")
        module.remote_profiles.remove("calls", "alice", "a")
        assert size("calls", "alice") == 0
        assert not [name for name in server.core.shm.arena.by_owner() if "remote" in name]
        assert server.core.shm.check() == []


def test_hop_acks_have_the_numbers_that_the_callee_knows() -> None:
    """Real 5.6 acknowledges a refused re-INVITE with the caller's CSeq, which the callee does not know."""
    with started('"track_cseq_updates", 1') as server:
        invite = call(server)
        [view] = dialogs(server).table.all()
        dialogs(server).table.set_variable(view.ident, "cseq_diff", "2")
        dialogs(server).table.set_bits(view.ident, "iflags", Inner.CSEQ_DIFF)
        route = f"Route: {Sip(invite).all('Record-Route')[0]}\nContact: <sip:alice@127.0.0.1:40000>"
        within = {"branch": "z9hG4bKi", "cseq": 2, "to_tag": "b1"}
        sent = [Sip(text) for text in server.inject(request("INVITE", "sip:bob@127.0.0.1:7000", extra=route, **within))]
        again = next(one for one in sent if one.method == "INVITE" and not one.status)
        assert (again.cseq, again.branch[-4:]) == (4, ".cs2")
        answers = [Sip(text) for text in answer(server, again.text, 488)]
        ack = next(one for one in answers if one.method == "ACK")
        assert (ack.cseq, ack.branch) == (4, again.branch)
        assert next(one for one in answers if one.status == 488).cseq == 2


@given(st.text(st.characters(min_codepoint=10, max_codepoint=255), max_size=80))
def test_replies_without_a_cookie_stay_as_they_are(text: str) -> None:
    reply = f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{text}\r\nCSeq: 12 INFO\r\n\r\n"
    assert ".cs" in text or CseqTracking._received(reply) == reply
