"""The dispatcher: how algorithms share out, what marks and probes do, lists that are bad, the database, memory."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.local import Local
from kit.requests import request
from kit.rpc import invoke
from kit.sip import Sip, build_reply

from kamailio_py.db.tables import create_sqlite
from kamailio_py.engine.addresses import Addresses
from kamailio_py.module import ModuleError
from kamailio_py.modules.dispatcher.order import order_of
from kamailio_py.modules.dispatcher.probing import parse_codes
from kamailio_py.modules.dispatcher.select import string_hash, uri_hash
from kamailio_py.modules.dispatcher.sets import DestinationState, parse_line
from kamailio_py.modules.dispatcher.states import parse_state, state_letters
from kamailio_py.sip.uri import BadUri

MODULES = """
loadmodule "tm"
loadmodule "sl"
loadmodule "pv"
loadmodule "xlog"
loadmodule "textops"
loadmodule "db_sqlite"
loadmodule "dispatcher"
"""
ROUTES = """
request_route { if (ds_select_dst("$rU", "$hdr(X-Alg)")) { append_to_reply("X-Chosen: $du\\r\\n"); }
    sl_send_reply("200", "$xavp(_dsctx_=>cnt)"); }
"""
LIST = """
1 sip:10.0.0.1 0 0 weight=50;rweight=10
1 sip:10.0.0.2 0 0 weight=30;rweight=20
1 sip:10.0.0.3 0 0 weight=20;rweight=10
2 sip:10.0.0.4 0 30
2 sip:10.0.0.5 0 30
2 sip:10.0.0.6 0 20
"""


def started(tmp_path: Path, *params: str, text: str = LIST) -> Local:
    (tmp_path / "list").write_text(text)
    lines = "".join(f'modparam("dispatcher", {param})\n' for param in (f'"list_file", "{tmp_path}/list"', *params))
    return Local(f"{MODULES}{lines}{ROUTES}")


def test_loaded_before_tm(tmp_path: Path) -> None:
    """The order of loadmodule lines is the config's."""
    (tmp_path / "list").write_text(LIST)
    modules = MODULES.replace('loadmodule "tm"\n', "") + 'loadmodule "tm"\n'
    server = Local(f'{modules}modparam("dispatcher", "list_file", "{tmp_path}/list")\n{ROUTES}')
    assert dispatcher(server).probing is not None
    server.close()


def dispatcher(server: Local) -> Any:
    return server.core.module("dispatcher")


def chosen(server: Local, number: int, algorithm: int, call_id: str = "c1") -> str:
    text = request("MESSAGE", f"sip:{number}@127.0.0.1", call_id=call_id, extra=f"X-Alg: {algorithm}")
    [reply] = server.inject(text)
    found = Sip(reply).all("X-Chosen")
    return found[0].removeprefix("sip:") if found else ""


def test_weights(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        assert Counter(chosen(server, 1, 9) for _ in range(200)) == {"10.0.0.1": 100, "10.0.0.2": 60, "10.0.0.3": 40}


def test_relative_weights(tmp_path: Path) -> None:
    """Shares of those that can be used: with one of them down the others get its calls."""
    with started(tmp_path) as server:
        assert Counter(chosen(server, 1, 11) for _ in range(100)) == {"10.0.0.1": 25, "10.0.0.2": 50, "10.0.0.3": 25}
        invoke(server.core, "dispatcher.set_state", "i", 1, "sip:10.0.0.3")
        assert Counter(chosen(server, 1, 11) for _ in range(100)) == {"10.0.0.1": 34, "10.0.0.2": 66}


def test_latency(tmp_path: Path) -> None:
    """In turn among the best; one that has become slow is not among them any more."""
    with started(tmp_path) as server:
        assert Counter(chosen(server, 2, 13) for _ in range(10)) == {"10.0.0.4": 5, "10.0.0.5": 5}
        module = dispatcher(server)
        with module.sets as sets:
            slow = next(one for one in sets[2].destinations if one.uri == "sip:10.0.0.4")
            module.sets.u64[(slow.offset + DestinationState.estimate) >> 3] = 91_000
        assert Counter(chosen(server, 2, 13) for _ in range(10)) == {"10.0.0.5": 10}


def test_random_uses_all(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        assert set(Counter(chosen(server, 1, 6) for _ in range(60))) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}


def test_default_is_last(tmp_path: Path) -> None:
    with started(tmp_path, '"use_default", 1') as server:
        assert set(Counter(chosen(server, 1, 4) for _ in range(10))) == {"10.0.0.3", "10.0.0.2"}
        invoke(server.core, "dispatcher.set_state", "i", 1, "sip:10.0.0.2")
        invoke(server.core, "dispatcher.set_state", "i", 1, "sip:10.0.0.3")
        assert chosen(server, 1, 4) == "10.0.0.1"


def test_nobody_left(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        invoke(server.core, "dispatcher.set_state", "d", 1, "all")
        assert chosen(server, 1, 4) == ""


def test_threshold_of_marks(tmp_path: Path) -> None:
    with started(tmp_path, '"ds_probing_threshold", 3') as server:
        module = dispatcher(server)
        letters = []
        for _ in range(3):
            module.states.change(1, "sip:10.0.0.1", parse_state("tp"))
            with module.sets as sets:
                one = next(one for one in sets[1].destinations if one.uri == "sip:10.0.0.1")
                letters.append(state_letters(module.sets.flags(one)))
        assert letters == ["TP", "TP", "IP"]


def test_latency_statistics(tmp_path: Path) -> None:
    with started(tmp_path, '"ds_ping_interval", 5', '"ds_probing_mode", 1', '"ds_ping_latency_stats", 1',
                 text="1 sip:127.0.0.1:7000") as server:  # fmt: skip
        server.advance(6, step=0.25)
        ping = next(text for text, _ in server.sent if text.startswith("OPTIONS"))
        server.core.clock.advance(0.04)  # type: ignore[attr-defined]
        server.inject(build_reply(Sip(ping), 200, None, "t", "", ""), port=7000)
        [listed] = invoke(server.core, "dispatcher.list")
        [(_, first)] = listed["RECORDS"].items()
        [(_, target)] = first["TARGETS"].items()
        assert target["FLAGS"] == "AX"
        assert target["LATENCY"]["AVG"] == 1040.0  # a second until time stood, and the 40 ms
        assert target["LATENCY"]["MAX"] == target["LATENCY"]["EST"] == target["LATENCY"]["AVG"]


def test_lists_with_mistakes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = "nonsense\n1\nx sip:10.0.0.9\n1 mailto:x\n1 sip:10.0.0.1 # why\n"
    with started(tmp_path, text=text) as server:
        with dispatcher(server).sets as sets:
            assert [one.uri for one in sets[1].destinations] == ["sip:10.0.0.1"]
        assert "bad line 2" in capfd.readouterr().err
    with pytest.raises(ModuleError):
        started(tmp_path, '"ds_load_mode", 1', text="1 mailto:x\n")
    with pytest.raises(ModuleError, match="list file"):
        started(tmp_path, f'"list_file", "{tmp_path}/nowhere"')


def test_a_list_that_cannot_be_read_again_leaves_the_old_one(tmp_path: Path) -> None:
    with started(tmp_path, '"reload_delta", 0') as server:
        (tmp_path / "list").unlink()
        with pytest.raises(Exception, match="Reload Failed"):
            invoke(server.core, "dispatcher.reload")
        assert chosen(server, 1, 8) == "10.0.0.3"


def test_reloading_gives_memory_back(tmp_path: Path) -> None:
    with started(tmp_path, '"reload_delta", 0') as server:
        used = server.core.shm.arena.used
        for _ in range(3):
            invoke(server.core, "dispatcher.reload")
            invoke(server.core, "dispatcher.add", 9, "sip:10.9.9.9")
            invoke(server.core, "dispatcher.remove", 9, "sip:10.9.9.9")
        assert server.core.shm.arena.used == used


def test_from_the_database(tmp_path: Path) -> None:
    create_sqlite(str(tmp_path / "d.db"))
    with sqlite3.connect(tmp_path / "d.db") as made:
        made.execute("alter table dispatcher add column room varchar(16)")
        made.execute(
            "insert into dispatcher (setid, destination, flags, priority, attrs, room) values"
            " (3, 'sip:10.0.0.1', 0, 5, 'duid=x', 'green'), (3, 'sip:10.0.0.2', 1, 9, '', '')"
        )
    url = f'"db_url", "sqlite:///{tmp_path}/d.db"'
    with started(tmp_path, url, '"ds_db_extra_attrs", "where=room"') as server:
        with dispatcher(server).sets as sets:
            found = [(one.uri, one.attrs) for one in sets[3].destinations]
        assert found == [("sip:10.0.0.2", ""), ("sip:10.0.0.1", "duid=x;where=green")]
        assert chosen(server, 3, 8) == "10.0.0.1"


def test_reply_codes() -> None:
    assert parse_codes("code=202;class=4") == [(202, 202), (400, 499)]
    assert parse_codes("class=400") == [(400, 499)]
    assert parse_codes("") == []
    for bad in ("code=x", "kind=2"):
        with pytest.raises(ValueError, match=r"ds_ping_reply_codes|invalid literal"):
            parse_codes(bad)


@pytest.mark.parametrize(("text", "letters"), [("a", "AX"), ("IP", "IP"), ("tp", "TP"), ("d", "DX"), ("dp", "DX")])
def test_states(text: str, letters: str) -> None:
    assert state_letters(parse_state(text)) == letters


@pytest.mark.parametrize("text", ["", "x", "ap2", "i p"])
def test_states_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="unknown state"):
        parse_state(text)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60))
def test_no_line_of_a_list_is_a_traceback(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_line(text)


@given(st.from_regex(r"sip:[a-z0-9]{0,8}@?[a-z]{1,9}(:50[0-9]{2})?", fullmatch=True))
def test_hashes_of_uris(text: str) -> None:
    """The port counts unless it is the usual one; with flag 1 only the user does."""
    try:
        found = uri_hash(text, 0)
    except BadUri:
        return
    assert found
    user = text.removeprefix("sip:").partition("@")[0] if "@" in text else ""
    assert uri_hash(text, 1) == string_hash(user)
    if ":50" not in text:
        assert uri_hash(f"{text}:5060", 0) == found
        assert uri_hash(f"{text}:5070", 0) != found


@pytest.mark.parametrize(
    ("mode", "at_once", "later"), [(1, False, False), (2, True, True), (4, False, True), (6, True, True)]
)
def test_when_names_of_destinations_are_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, at_once: bool, later: bool
) -> None:
    names = {"a.test": "10.0.0.1", "b.test": "10.0.0.2", "never.test": "10.0.0.8"}
    monkeypatch.setattr(Addresses, "resolve", lambda addresses, host: names.get(host, host))
    routes = 'request_route { ds_is_from_list("1"); sl_send_reply("200", "$rc"); }'
    (tmp_path / "list").write_text("1 sip:a.test\n1 sip:b.test:5070\n1 sip:never.test 16\n")
    params = f'''
modparam("dispatcher", "list_file", "{tmp_path}/list")
modparam("dispatcher", "ds_dns_mode", {mode})
modparam("dispatcher", "ds_dns_interval", 100)
'''
    with Local(f"{MODULES}{params}{routes}") as server:

        def is_from(host: str) -> bool:
            [reply] = server.inject(request("OPTIONS", call_id=host), host=host, port=5060)
            return " 1\r\n" in reply

        assert is_from("10.0.0.1")
        names["a.test"] = "10.0.0.9"
        assert is_from("10.0.0.9") is at_once
        assert is_from("10.0.0.1") is not at_once
        server.advance(101, step=1)
        assert is_from("10.0.0.9") is later
        assert not is_from("10.0.0.8")
        assert server.core.shm.check() == []


@given(st.lists(st.integers(0, 1000), unique=True, max_size=200))
def test_order_of_sets(numbers: list[int]) -> None:
    """It has all of them, a set never before what is below it, and what is below is never deep."""
    order = order_of(numbers)
    assert sorted(order) == sorted(numbers)
    if numbers:
        assert _depth(order) <= 1.45 * math.log2(len(numbers) + 2)


def _depth(order: list[int]) -> int:
    """How deep the tree is whose sets are visited so: the last one is on top of those smaller and those larger."""
    if not order:
        return 0
    *below, top = order
    smaller = [number for number in below if number < top]
    assert below[: len(smaller)] == smaller
    return 1 + max(_depth(smaller), _depth(below[len(smaller) :]))
