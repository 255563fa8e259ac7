"""The tmx module: suspending by hand, ending, flags, which request is worked on, pseudo-variables on transactions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.local import Local
from kit.requests import request
from kit.sip import Sip

from kamailio_py.module import ModuleError

MODULES = """
loadmodule "tm"
loadmodule "tmx"
loadmodule "sl"
loadmodule "pv"
loadmodule "xlog"
loadmodule "textops"
loadmodule "htable"
modparam("htable", "htable", "a=>size=4;")
"""
ROUTES = """
request_route {
    if ($rm == "ACK") exit;
    switch ($hdr(X-Do)) {
        case "suspend":
            $var(r) = t_suspend();
            $sht(a=>i) = $T(id_index); $sht(a=>l) = $T(id_label);
            xlog("suspended $var(r)\\n");
            exit;
        case "continue":
            $var(r) = t_continue("$sht(a=>i)", "$sht(a=>l)", "RESUMED");
            xlog("continued $var(r) [$T(id_index)]\\n");
            break;
        case "nothing": $var(r) = t_continue("1", "2", "RESUMED"); xlog("continued $var(r)\\n"); break;
        case "no route": $var(r) = t_continue("$sht(a=>i)", "$sht(a=>l)", "NOPE"); xlog("continued $var(r)\\n"); break;
        case "drop": t_newtran(); t_drop(); xlog("not reached\\n"); break;
        case "drop code": t_newtran(); t_drop("404"); xlog("not reached\\n"); break;
        case "drop nothing": $var(r) = t_drop(); xlog("dropped $var(r)\\n"); break;
        case "new ident": xlog("[$T(id_index)] $T(id_index_n):$T(id_label_n) $T(id_index):$T(id_label)\\n"); break;
        case "flags":
            $var(a) = t_flush_flags(); $var(b) = t_flush_xflags();
            t_newtran(); setflag(5);
            $var(c) = t_flush_flags(); $var(d) = t_flush_xflags();
            xlog("flushed $var(a) $var(b) $var(c) $var(d)\\n");
            break;
        case "callid":
            $var(a) = t_cancel_callid("nope", "1", "3"); $var(b) = t_cancel_callid("nope", "1", "3", "487");
            $var(c) = t_reply_callid("nope", "1", "404", "x");
            xlog("by callid $var(a) $var(b) $var(c)\\n");
            break;
        case "reply callid":
            $var(a) = t_reply_callid("$rU", "1", "480", "From elsewhere");
            xlog("by callid $var(a)\\n");
            break;
        case "kind":
            $var(a) = t_is_request_route(); $var(b) = t_is_failure_route();
            $var(c) = t_is_branch_route(); $var(d) = t_is_reply_route();
            xlog("kind $var(a) $var(b) $var(c) $var(d)\\n");
            break;
        case "variables":
            xlog("[$T(id_index)] $T_reply_code $T_branch_idx <$T_reply_reason> $T(reply_type) $T_branch(flags)\\n");
            xlog("<$T_reply_ruid> <$T_reply_last> $T_req($rm) $T_rpl($rs) $T_inv($rm)\\n");
            t_newtran(); t_reply("202", "Seen");
            xlog("$T_reply_code $T(reply_code) $T(branch_index) $T(reply_type)\\n");
            exit;
        case "reuse": $var(r) = t_reuse_branch(); xlog("reused $var(r)\\n"); break;
        case "precheck": $var(r) = t_precheck_trans(); xlog("precheck $var(r)\\n"); break;
        case "relay":
            $du = "sip:127.0.0.1:7000";
            t_on_failure("FAILED"); t_on_reply("REPLY"); t_on_branch("BRANCH");
            $bf = 4;
            t_relay();
            exit;
    }
    send_reply("500", "End");
}
route[RESUMED] {
    $var(a) = t_is_request_route(); $var(b) = t_is_failure_route();
    xlog("resumed $rm $var(a) $var(b) $T_branch_idx $T_reply_code <$T_reply_reason> $T(reply_type)\\n");
    t_reply("202", "Resumed");
}
branch_route[BRANCH] { $var(a) = t_is_branch_route(); xlog("branch $var(a) $T_branch_idx\\n"); }
onreply_route[REPLY] {
    $var(a) = t_is_reply_route();
    xlog("reply $var(a) $T_reply_code $T_reply_reason $T_req($rm) $T_req($fU) $T_branch_idx $T_branch(uri)\\n");
}
failure_route[FAILED] {
    xlog("failed $T_reply_code $T_reply_reason $T(reply_type) $T_rpl($rs) $T_rpl($ua)");
    xlog("$T_branch(flags) $T_branch_idx\\n");
}
"""


@pytest.fixture
def server() -> Iterator[Local]:
    with Local(MODULES + ROUTES) as made:
        yield made
        made.advance(200, 1.0)
        assert [name for name in made.core.shm.arena.by_owner() if name.startswith("tm:")] == []


_numbers = iter(range(10**9))


def send(server: Local, do: str, method: str = "MESSAGE", user: str = "bob", **parts: str) -> list[str]:
    """Start lines of what was sent because of it."""
    number = next(_numbers)
    parts = {"call_id": f"c{number}", "branch": f"z9hG4bK{number}", **parts}
    return starts(server.inject(request(method, f"sip:{user}@127.0.0.1", extra=f"X-Do: {do}", **parts)))


def starts(texts: list[str]) -> list[str]:
    return [Sip(text).start for text in texts]


def script(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [line.split("<script>: ")[1] for line in capfd.readouterr().err.splitlines() if "<script>: " in line]


def answer(server: Local, branch: str, status: str, extra: str = "") -> list[str]:
    """The reply of the next hop to a request that was sent to it."""
    sip = Sip(branch)
    lines = [f"SIP/2.0 {status}"]
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        lines += [f"{name}: {value}" + (";tag=b" if name == "To" else "") for value in sip.all(name)]
    return server.inject("\n".join([*lines, *extra.splitlines(), "Content-Length: 0"]), port=7000)


# suspending


def test_suspended_in_one_request_resumed_in_another(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    assert send(server, "suspend") == []
    assert send(server, "continue") == ["SIP/2.0 202 Resumed", "SIP/2.0 500 End"]
    printed = script(capfd)
    assert printed == ["suspended 1", "resumed MESSAGE -1 1 1 0 <> 0", "continued 1 [<null>]"]


def test_resuming_twice_or_what_is_not_there(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    send(server, "suspend")
    send(server, "continue")
    capfd.readouterr()
    assert send(server, "continue") == ["SIP/2.0 500 End"]
    assert send(server, "nothing") == ["SIP/2.0 500 End"]
    err = capfd.readouterr().err
    assert err.count("active transaction not found") == 2
    assert "resuming the processing of transaction [1:2] failed" in err
    assert err.count("<script>: continued -1") == 2


def test_resuming_with_an_unknown_route_leaves_it_suspended(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    send(server, "suspend")
    assert send(server, "no route") == ["SIP/2.0 500 End"]
    assert "empty action lists in route block [NOPE]" in capfd.readouterr().err
    assert send(server, "continue") == ["SIP/2.0 202 Resumed", "SIP/2.0 500 End"]


# ending


@pytest.mark.parametrize("do", ["drop", "drop code"])
def test_dropped_transaction_gets_no_reply_and_ends_the_script(
    server: Local, capfd: pytest.CaptureFixture[str], do: str
) -> None:
    assert send(server, do) == []
    assert script(capfd) == []


def test_nothing_to_drop(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    assert send(server, "drop nothing") == ["SIP/2.0 500 End"]
    assert "no transaction" in capfd.readouterr().err


def test_by_callid(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    send(server, "callid")
    assert script(capfd) == ["by callid -1 -1 -1"]
    send(server, "suspend", "INVITE", call_id="waiting")
    assert send(server, "reply callid", user="waiting") == ["SIP/2.0 480 From elsewhere", "SIP/2.0 500 End"]
    assert script(capfd) == ["suspended 1", "by callid 1"]


def test_cancelling_other_branches(capfd: pytest.CaptureFixture[str]) -> None:
    routes = """
        loadmodule "corex"
        request_route {
            $du = "sip:127.0.0.1:7000";
            append_branch("sip:two@127.0.0.1:7001");
            t_on_reply("CANCEL_OTHERS");
            t_relay();
        }
        onreply_route[CANCEL_OTHERS] {
            if ($rs == 183) { $var(a) = t_cancel_branches("others"); xlog("cancelled $var(a)\\n"); }
        }
    """
    with Local(MODULES + routes) as server:
        sent = [text for text in server.inject(request("INVITE")) if text.startswith("INVITE")]
        assert len(sent) == 2
        answer(server, sent[1], "180 Ringing")
        out = starts(answer(server, sent[0], "183 Progress"))
        assert "CANCEL sip:two@127.0.0.1:7001 SIP/2.0" in out
        assert not any(start.startswith("CANCEL sip:bob") for start in out)
        assert script(capfd)[-1] == "cancelled 1"


# flags, kinds, identifiers


def test_flags(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    send(server, "flags")
    assert script(capfd) == ["flushed -1 -1 1 1"]


def test_kinds_of_route(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    send(server, "kind")
    assert script(capfd) == ["kind 1 -1 -1 -1"]


def test_identifiers_that_make_a_transaction(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    send(server, "new ident")
    [line] = script(capfd)
    before, made, known = line.split(" ")
    assert before == "[<null>]"
    assert made == known


def test_reusing_a_branch_elsewhere(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    send(server, "reuse")
    assert script(capfd) == ["reused -1"]


# pseudo-variables


def test_variables_of_a_request(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    assert send(server, "variables") == ["SIP/2.0 202 Seen"]
    assert script(capfd) == [
        "[<null>] 0 0 <> <null> <null>", "<> <> <null> <null> <null>", "202 202 0 0"
    ]  # fmt: skip


def test_variables_of_branch_reply_and_failure(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    number = next(_numbers)
    text = request("MESSAGE", call_id=f"c{number}", branch=f"z9hG4bK{number}", extra="X-Do: relay")
    [branch] = server.inject(text)
    assert starts(answer(server, branch, "486 Busy", "User-Agent: there")) == ["SIP/2.0 486 Busy"]
    assert script(capfd) == [
        "branch 1 0", "reply 1 486 Busy MESSAGE alice 0 sip:bob@127.0.0.1", "failed 486 Busy 0 486 there", "4 1"
    ]  # fmt: skip


def test_variables_of_a_timeout(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    send(server, "relay")
    capfd.readouterr()
    server.advance(31, 0.5)
    assert script(capfd) == ["failed 408 Request Timeout 1 <null> <null>", "4 1"]


@pytest.mark.parametrize("name", ["$T(nope)", "$T_branch(nope)", "$T_req($nope)"])
def test_unknown_names(server: Local, name: str) -> None:
    with pytest.raises(ValueError, match="nope"):
        server.core.registry.pvar(name, True)


# what is worked on


def test_precheck_sees_what_other_processes_work_on(server: Local, capfd: pytest.CaptureFixture[str]) -> None:
    from kamailio_py.sip.message import Message

    send(server, "precheck", call_id="same", branch="z9hG4bKsame")
    send(server, "precheck", call_id="same", branch="z9hG4bKsame")
    assert script(capfd) == ["precheck -1"] * 2  # the first is done with
    processes = server.core.shm.processes
    processes.slot = 3
    pretran = server.core.module("tmx")._pretran
    text = request("MESSAGE", "sip:bob@127.0.0.1", call_id="same", branch="z9hG4bKsame", extra="X-Do: precheck")
    assert not pretran.enter(Message(text))
    processes.slot = 0
    server.inject(text)
    server.inject(text.replace("z9hG4bKsame", "z9hG4bKother"))
    server.inject(text.replace("CSeq: 1", "CSeq: 2"))
    processes.slot = 3
    pretran.leave()
    processes.slot = 0
    server.inject(text)
    assert script(capfd) == ["precheck 1", "precheck -1", "precheck -1", "precheck -1"]


def test_precheck_of_what_is_not_tracked(capfd: pytest.CaptureFixture[str]) -> None:
    routes = 'request_route { $var(r) = t_precheck_trans(); xlog("precheck $var(r)\\n"); }'
    with Local(MODULES + routes) as server:
        server.inject(request("ACK"))
        assert script(capfd) == ["precheck -2"]
    with Local(MODULES + 'modparam("tmx", "precheck_trans", 0)\n' + routes) as server:
        server.inject(request("MESSAGE"))
        assert "pretran hash table not initialized yet" in capfd.readouterr().err


# statistics and start


def test_statistics(server: Local) -> None:
    def values() -> dict[str, int]:
        return {name: value() for name, value in server.core.module("tmx").computed_statistics().items()}

    assert set(values().values()) == {0}
    send(server, "variables")
    send(server, "suspend")
    now = {name: value for name, value in values().items() if value}
    assert now == {
        "UAS_transactions": 2, "2xx_transactions": 1, "inuse_transactions": 2, "active_transactions": 1,
        "rpl_generated": 1, "rpl_sent": 1,
    }  # fmt: skip


def test_tm_must_be_loaded_before() -> None:
    with pytest.raises(ModuleError, match="can't load TM API"):
        Local('loadmodule "tmx"\nrequest_route { ; }')
