"""The kex module: what Kamailio 5.6.3 was observed to do."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from kit.requests import request
from kit.scripts import Scripts

from kamailio_py import log

CASES = {
    "sflag": ('$var(a) = setsflag("3"); $var(b) = issflagset("3"); $var(c) = issflagset("4"); $var(f) = $sf;'
              ' $var(d) = resetsflag("3"); $var(e) = setsflag("32");'
              ' $var(out) = $_s($var(a) $var(b) $var(c) $var(f) $var(d) $var(e) $sf);',
              "1 1 -1 8 1 -1 0"),
    "sflagno": ('$var(a) = setsflag("-1"); $var(b) = issflagset("33"); $var(c) = resetsflag("32");'
                ' $var(out) = $_s($var(a) $var(b) $var(c));', "-1 -1 -1"),
    "bflag": ('$var(a) = setbflag("3"); $var(b) = isbflagset("3"); $var(c) = isbflagset("3", "0");'
              ' $var(d) = isbflagset("3", "1");'
              ' $var(e) = setbflag("5", "1"); $var(f) = $bf; $var(g) = resetbflag("3");'
              ' $var(out) = $_s($var(a) $var(b) $var(c) $var(d) $var(e) $var(f) $var(g) $bf);', "1 1 1 -1 -1 8 1 0"),
    "bbranch": ('append_branch("sip:q@127.0.0.1"); $var(a) = setbflag("5", "1"); $var(b) = isbflagset("5", "1");'
                ' $var(f) = $(branch(flags)[0]); $var(c) = resetbflag("5", "1"); $var(d) = isbflagset("5", "1");'
                ' $var(out) = $_s($var(a) $var(b) $var(f) $var(c) $var(d) $bf);', "1 1 32 1 -1 0"),
    "bflagno": ('$var(a) = setbflag("40"); $var(b) = isbflagset("33"); $var(c) = isbflagset("1", "55"); $var(n) = 2;'
                ' $var(d) = setbflag("$var(n)");'
                ' $var(out) = $_s($var(a) $var(b) $var(c) $var(d) $bf);', "-1 -1 -1 1 4"),
    "dsturi": ('$var(a) = isdsturiset(); $var(b) = setdsturi("sip:1.2.3.4:5060"); $var(c) = isdsturiset();'
               ' $var(u) = $du;'
               ' $var(d) = resetdsturi(); $var(out) = $_s($var(a) $var(b) $var(c) $var(u) $var(d) $du);',
               "-1 1 1 sip:1.2.3.4:5060 1 <null>"),
    "printf": ('$var(a) = pv_printf("$var(x)", "abc $rU"); $var(b) = avp_printf("$avp(x)", "x $rd");'
               ' pv_printf("$ru", "sip:new@x");'
               ' $var(out) = $_s($var(a) $var(x) $var(b) $avp(x) $ru);', "1 abc printf 1 x 127.0.0.1 sip:new@x"),
    "stats": ('$var(out) = $_s($stat(rcv_requests_message) $stat(total_size));', None),
}  # fmt: skip

MYSELF = {
    "sip:127.0.0.1": 1, "sip:127.0.0.1:5060": 1, "127.0.0.1": 1, "sip:x@9.9.9.9": -1, "sip:127.0.0.1:5061": -1,
    "tcp:127.0.0.1:5060": -1, "udp:127.0.0.1": -1, "127.0.0.1:5060": -1, "sip:127.0.0.1:5060;transport=tcp": -1,
    "sips:127.0.0.1:5060": 1, "sip:": -1, "": -1, "tel:123": -1,
}  # fmt: skip


@pytest.fixture(scope="module")
def scripts() -> Iterator[Scripts]:
    cases = {name: script for name, (script, _) in CASES.items()}
    cases["myself"] = '$var(r) = is_myself("$hdr(X)"); $var(out) = $var(r);'
    cases["sruid"] = "$var(out) = $_s($sruid $sruid);"
    cases["debug"] = '$var(a) = setdebug("2"); $var(out) = $var(a);'
    cases["nodebug"] = "$var(a) = resetdebug(); $var(out) = $var(a);"
    with Scripts(cases, modules="kex corex textops") as made:
        yield made


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][1]])
def test_script(scripts: Scripts, name: str) -> None:
    assert scripts.run(name) == CASES[name][1]


@pytest.mark.parametrize("uri", MYSELF)
def test_is_myself(scripts: Scripts, uri: str) -> None:
    assert scripts.run("myself", extra=f"X: {uri}\r\n") == str(MYSELF[uri])


def test_sruid_differs_each_time(scripts: Scripts) -> None:
    answer = scripts.run("sruid")
    assert answer
    first, second = answer.split(" ")
    assert re.fullmatch(r"srid-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+", first)
    assert first.rpartition("-")[0] == second.rpartition("-")[0]
    assert first != second


def test_debug_level_of_this_process(scripts: Scripts) -> None:
    before = log.settings.level
    assert scripts.run("debug") == "1"
    assert log.settings.level == 2
    assert scripts.run("nodebug") == "1"
    assert log.settings.level == before == scripts.server.core.cfg.debug


def test_requests_and_replies_are_counted(scripts: Scripts) -> None:
    counters = scripts.server.core.shm.counters

    def count(name: str) -> int:
        return counters.total(counters.ids["core", name])

    before = count("rcv_requests_message"), count("rcv_requests_invite")
    scripts.run("stats", method="MESSAGE")
    assert (count("rcv_requests_message"), count("rcv_requests_invite")) == (before[0] + 1, before[1])
    text = request("BYE").replace("BYE sip:bob@127.0.0.1 SIP/2.0", "SIP/2.0 486 Busy")
    scripts.server.inject(text)
    assert [count(f"rcv_replies_{name}") for name in ("4xx", "486", "404", "4xx_bye", "4xx_invite")] == [1, 1, 0, 1, 0]
    scripts.server.inject(request("INVITE").replace("INVITE sip:bob@127.0.0.1 SIP/2.0", "SIP/2.0 183 Ringing"))
    assert [count(f"rcv_replies_{name}") for name in ("1xx", "18x", "1xx_invite")] == [1, 1, 1]


def test_memory_is_a_statistic(scripts: Scripts) -> None:
    answer = scripts.run("stats")
    assert answer
    arena = scripts.server.core.shm.arena
    assert int(answer.split(" ")[1]) == arena.total
    computed = {name: read() for name, read in scripts.server.core.module("kex").computed_statistics().items()}
    assert computed["free_size"] + computed["used_size"] == computed["total_size"]
    assert computed["used_size"] <= computed["real_used_size"] <= computed["total_size"]
