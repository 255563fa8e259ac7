"""The htable module: what Kamailio 5.6.3 was observed to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.memory import all_of, fork, killed_at, segment, wait
from kit.scripts import Scripts

from kamailio_py.clock import VirtualClock
from kamailio_py.modules.htable.spec import TableSpec, parse
from kamailio_py.modules.htable.table import HashTable
from kamailio_py.shm.memory import SharedMemory

HEAD = """
modparam("htable", "htable", "a=>size=4;")
modparam("htable", "htable", "e=>size=4;autoexpire=10;")
modparam("htable", "htable", "f=>size=2;autoexpire=10;updateexpire=0;initval=7")
modparam("htable", "timer_interval", 5)
event_route[htable:mod-init] { $sht(a=>boot) = 1; }
event_route[htable:expired:e] {
    $sht(a=>gone::$shtrecord(key)) = $shtrecord(value);
}
"""
FILL = """
    $sht(a=>k1) = "v1"; $sht(a=>k2) = "v2"; $sht(a=>kk) = 3; $sht(a=>v2) = "v2"; $sht(a=>n) = "3"; $sht(a=>m) = -3;
"""

CASES = {
    # values
    "boot": ("$var(out) = $sht(a=>boot);", "1"),
    "unset": ('$var(out) = $_s([$sht(a=>never)]);', "[<null>]"),
    "initval": ("$var(out) = $sht(f=>never);", "7"),
    "text": ('$sht(a=>s) = "text"; $var(out) = $sht(a=>s);', "text"),
    "empty": ('$sht(a=>s) = ""; if ($sht(a=>s) == "") $var(out) = "empty";', "empty"),
    "type": ('$sht(a=>s) = 1; $sht(a=>s) = "t"; $sht(a=>s) = 2; $var(out) = $sht(a=>s) + 1;', "3"),
    "removed": ('$sht(a=>s) = 1; $sht(a=>s) = $null; $var(out) = $_s([$sht(a=>s)]);', "[<null>]"),
    "case": ('$sht(a=>Foo) = 1; $var(out) = $_s([$sht(a=>foo)]);', "[<null>]"),
    "key": ('$var(k) = "x"; $sht(a=>$rU::$var(k)) = 5; $var(out) = $sht(a=>key::x);', "5"),
    "blanks": ('$sht(a => sp) = 4; $var(out) = $_s($sht(a=> sp) $sht(a=>sp));', "4 <null>"),
    "nokey": ('$var(k) = ""; $sht(a=>$var(k)) = 3; $var(out) = $sht(a=>$var(k));', "3"),
    "notable": ('$var(out) = $_s($sht(nix=>x) $shtinc(nix=>x) $shtcn(nix=>x));', "<null> <null> <null>"),
    "longer": ('$sht(a=>s) = "x"; $sht(a=>s) = $_s($(ru{s.md5})$(ru{s.md5}));'
               ' $var(out) = $(sht(a=>s){s.len});', "64"),
    # counting
    "inc": ('$sht(a=>i) = 5; $var(out) = $_s($shtinc(a=>i) $shtinc(a=>i) $shtdec(a=>i));', "6 7 6"),
    "incs": ('$sht(a=>i) = "s"; $var(out) = $_s($shtinc(a=>i) $shtinc(a=>new)'
             ' $sht(a=>new));', "<null> <null> <null>"),
    "inci": ('$var(out) = $_s($shtinc(f=>new) $sht(f=>new));', "8 8"),
    "wraps": ("$sht(a=>i) = 2147483647; $var(out) = $shtinc(a=>i);", "-2147483648"),
    # life
    "ex": ('$sht(e=>x) = 1; $var(out) = $_s($shtex(e=>x) $shtex(a=>boot) $shtex(e=>never));', "10 0 0"),
    "setex": ('$sht(e=>x) = 1; $shtex(e=>x) = 99; $var(out) = $_s($shtex(e=>x));', "99"),
    "setxs": ('$var(r) = sht_setxs("e", "x", "v", "50");'
              ' $var(out) = $_s($var(r) $sht(e=>x) $shtex(e=>x));', "1 v 50"),
    "setxskeep": ('sht_setxs("e", "x", "v", "-1"); $var(out) = $shtex(e=>x);', "10"),
    "setxi": ('$sht(a=>ended) = 0; if (sht_setxi("e", "xi", "44", "60")) { $sht(a=>ended) = 1; }', None),
    "setxi2": ('$var(out) = $_s($sht(e=>xi) $shtex(e=>xi) $sht(a=>ended));', "44 60 0"),
    "setxnone": ('$var(a) = sht_setxs("no", "x", "v", "5"); $var(b) = sht_setxi("no", "x", "1", "5");'
                 ' $var(out) = $var(a) + $var(b);',
                 "-2"),
    # matching; names are k1 k2 kk v2 n m boot...
    "cn": ('sht_reset("a"); ' + FILL + '$var(out) = $_s($shtcn(a=>**) $shtcn(a=>~~^k) $shtcn(a=>%~k)'
           ' $shtcn(a=>~%2) $shtcn(a=>==k) $shtcn(a=>==k1)'
           ' $shtcn(a=>eq3) $shtcn(a=>k.) $shtcn(a=>~~) $shtcn(a=>K1));',
           "6 3 3 2 0 1 0 3 0 1"),
    "cv": ('sht_reset("a"); ' + FILL + '$var(out) = $_s($shtcv(a=>**) $shtcv(a=>~~^v) $shtcv(a=>%~v) $shtcv(a=>~%2)'
           ' $shtcv(a=>==v2) $shtcv(a=>eq3) $shtcv(a=>3) $shtcv(a=>==3) $shtcv(a=>eq-3));', "6 3 3 2 2 1 1 1 1"),
    "rmre": ('sht_reset("a"); ' + FILL + 'sht_rm_name_re("a=>^K"); $var(out) = $shtcn(a=>**);', "3"),
    "rmvre": ('sht_reset("a"); ' + FILL + 'sht_rm_value_re("a=>^V"); $var(out) = $shtcn(a=>**);', "3"),
    "rmsw": ('sht_reset("a"); ' + FILL + 'sht_rm_name("a", "sw", "k"); $var(out) = $shtcn(a=>**);', "3"),
    "rmvsw": ('sht_reset("a"); ' + FILL + 'sht_rm_value("a", "sw", "v2"); $var(out) = $shtcn(a=>**);', "4"),
    "rmop": ('$var(out) = sht_rm_name("a", "eq", "k1");', "-1"),
    "rm": ('$sht(a=>x) = 1; $var(r) = sht_rm("a", "x"); $var(s) = sht_rm("a", "x"); $var(t) = sht_rm("no", "x");'
           ' $var(out) = $_s($var(r) $var(s) $var(t) $sht(a=>x));', "1 1 -1 <null>"),
    "rmempty": ('$var(a) = sht_rm("a", ""); $var(b) = sht_rm_name("a", "re", "");'
                ' $var(out) = $var(a) + $var(b);', "-2"),
    "match": ('sht_reset("a"); $sht(a=>k1) = "v1"; $sht(a=>n) = 11; $var(a) = sht_match_name("a", "eq", "k1");'
              ' $var(b) = sht_match_name("a", "ne", "k1"); $var(c) = sht_has_name("a", "re", "^K");'
              ' $var(d) = sht_has_name("a", "sw", "K"); $var(e) = sht_has_str_value("a", "eq", "11");'
              ' $var(f) = sht_match_str_value("a", "ne", "v1"); $var(g) = sht_match_name("a", "ew", "1");'
              ' $var(out) = $_s($var(a) $var(b) $var(c) $var(d) $var(e) $var(f) $var(g));', "1 1 1 -1 -1 -1 -1"),
    "badre": ('$var(a) = sht_has_name("a", "re", "("); $var(b) = sht_rm_name_re("a=>(");'
              ' $var(out) = $var(a) + $var(b);', "-2"),
    "reset": ('$sht(a=>x) = 1; $var(r) = sht_reset("a"); $var(s) = sht_reset("no");'
              ' $var(r) = $var(r) + $var(s); $var(out) = $_s($var(r) $shtcn(a=>**));', "0 0"),
    # locks and iterators
    "lock": ('sht_lock("a=>$rU"); $sht(a=>$rU) = 1; $var(r) = sht_unlock("a=>$rU");'
             ' $var(out) = $sht(a=>lock) + $var(r);',
             "2"),
    "locknone": ('$var(out) = sht_lock("no=>x");', "-11"),
    "iterate": ('sht_reset("a"); $sht(a=>aa) = 1; $sht(a=>bb) = "two"; $sht(a=>ll) = 3; $var(out) = "";'
                ' sht_iterator_start("i", "a"); while (sht_iterator_next("i")) {'
                ' $var(out) = $var(out) + $_s($shtitkey(i)=$shtitval(i) ); } sht_iterator_end("i");'
                ' $var(out) = $var(out) + $_s($shtitkey(i));', "ll=3 aa=1 bb=two <null>"),
    "iterset": ('sht_reset("a"); $sht(a=>aa) = 1; $sht(a=>bb) = 2; sht_iterator_start("i", "a");'
                ' sht_iterator_next("i");'
                ' sht_iterator_sets("i", "a text longer than any number would be"); sht_iterator_next("i");'
                ' sht_iterator_seti("i", "77"); sht_iterator_end("i"); $var(out) = $_s($sht(a=>aa) $sht(a=>bb));',
                "a text longer than any number would be 77"),
    "iterrm": ('sht_reset("a"); $sht(a=>aa) = 1; $sht(a=>bb) = 2; $sht(a=>cc) = 3; sht_iterator_start("i", "a");'
               ' sht_iterator_next("i"); sht_iterator_rm("i"); $var(out) = $_s($shtitkey(i) $shtcn(a=>**));'
               ' sht_iterator_end("i");', "bb 2"),
    "iterdel": ('sht_reset("a"); $sht(a=>aa) = 1; $sht(a=>bb) = 2; $sht(a=>cc) = 3; sht_iterator_start("i", "a");'
                ' while (sht_iterator_next("i")) { $sht(a=>$shtitkey(i)) = $null; } sht_iterator_end("i");'
                ' $var(out) = $shtcn(a=>**);', "0"),
    "iterwrong": ('$var(a) = sht_iterator_next("x"); $var(b) = sht_iterator_end("x");'
                  ' $var(c) = sht_iterator_start("y", "no");'
                  ' $var(d) = sht_iterator_rm("y"); sht_iterator_end("y"); $var(e) = sht_iterator_start("", "a");'
                  ' $var(out) = $_s($var(a) $var(b) $var(c) $var(d) $var(e));', "-1 -1 -1 -1 -1"),
    "itermany": ('sht_iterator_start("1", "a"); sht_iterator_start("2", "a"); sht_iterator_start("3", "a");'
                 ' sht_iterator_start("4", "a"); $var(out) = sht_iterator_start("5", "a"); sht_iterator_end("1");'
                 ' sht_iterator_end("2"); sht_iterator_end("3"); sht_iterator_end("4");', "-1"),
    "print": ("$var(out) = sht_print();", "1"),
    "record": ('$var(out) = $_s([$shtrecord(key)]);', "[]"),
}  # fmt: skip


@pytest.fixture(scope="module")
def scripts() -> Iterator[Scripts]:
    with Scripts({name: script for name, (script, _) in CASES.items()}, modules="htable", head=HEAD) as made:
        yield made


@pytest.mark.parametrize("name", CASES)
def test_script(scripts: Scripts, name: str) -> None:
    assert scripts.run(name) == CASES[name][1]
    shm = scripts.server.core.shm
    assert shm.check() == []
    assert shm.held() == {}


def test_items_expire_and_their_route_sees_them() -> None:
    cases = {
        "set": '$sht(e=>x) = "v"; $sht(f=>y) = 1; $var(out) = "set";',
        "renew": '$sht(e=>x) = "w"; $sht(f=>y) = 2; $var(out) = $_s($shtex(e=>x) $shtex(f=>y));',
        "look": "$var(out) = $_s($sht(e=>x) $sht(f=>y) $shtcn(e=>**) $sht(a=>gone::x));",
        "inc": "$var(out) = $_s([$shtinc(e=>x)]);",
        "again": "$sht(e=>x) = 5; $var(out) = $_s($sht(e=>x) $shtex(e=>x));",
    }
    with Scripts(cases, modules="htable", head=HEAD) as scripts:
        scripts.run("set")
        scripts.server.clock.advance(6)
        assert scripts.run("renew") == "10 4"
        scripts.server.clock.advance(10)
        assert scripts.run("look") == "w 7 1 <null>", "e's time was renewed, f's was not"
        scripts.server.clock.advance(1)
        assert scripts.run("look") == "<null> 7 1 <null>", "over, but not yet removed"
        assert scripts.run("inc") == "[<null>]"
        scripts.server.advance(6, 1)
        assert scripts.run("look") == "<null> 7 0 w", "removed, after its route"
        assert scripts.run("again") == "5 10"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=>", TableSpec("a")),
        ("a=>size=4;", TableSpec("a", 4)),
        ("a => size = 4 ; autoexpire = 5", TableSpec("a", 4, 5)),
        ("a=>size=0;initval=-3;updateexpire=0", TableSpec("a", 2, 0, 0, -3)),
        ("a=>size=", TableSpec("a", 2)),
        ('a=>dbtable=x;dbmode=1;cols="a,b";dmqreplicate=1',
         TableSpec("a", dbtable="x", dbmode=1, cols="a,b", dmqreplicate=1)),
        ("a=>dbtable=x;cols='a,b'", TableSpec("a", dbtable="x", cols="a,b")),
    ],
)  # fmt: skip
def test_spec(text: str, expected: TableSpec) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text", ["a", "a=>size", "a=>size=x", "a=>foo=1", "a=>autoexpire=-3", "a=>initval=abc", "a=>cols='a,b';colnull=z"]
)
def test_spec_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="invalid htable parameter"):
        parse(text)


def make(memory: SharedMemory, **spec: int) -> HashTable:
    table = HashTable(TableSpec("t", **spec))
    table.create(memory, VirtualClock())
    return table


def test_several_processes_count_together() -> None:
    with segment() as memory:
        table = make(memory, size=3, initval=0)

        def work() -> None:
            for number in range(400):
                assert table.add(f"k{number % 20}", 1) is not None
                assert table.set(f"own{number}", "x" * (number % 90))
                if number % 2:
                    table.remove(f"own{number}")

        all_of(memory, [work] * 4)
        assert [table.get(f"k{n}") for n in range(20)] == [80] * 20
        assert len(table) == 20 + 200
        assert memory.check() == []


def test_a_slot_is_locked_for_others_until_it_is_left() -> None:
    with segment() as memory:
        table = make(memory, size=3)
        report, go = memory.queue("report", 10), memory.queue("go", 10)
        slot = table.slot_of("x")

        def take() -> None:
            assert go.get(10)
            report.put(1)
            table.set("x", 1)
            report.put(2)

        pid = fork(memory, 1, take)
        table.enter(slot)
        table.enter(slot)
        go.put(1)
        assert report.get(10) == (1, 0, 0, 0)
        table.leave(slot)
        assert report.get(0.05) is None
        table.leave(slot)
        assert wait(pid) == 0
        assert table.get("x") == 1
        table.leave(slot)
        assert memory.held() == {}


def test_full_memory_is_an_answer() -> None:
    with segment(4 << 20) as memory:
        table = make(memory, size=8)
        number = 0
        while table.set(f"key {number}", "v" * 5000):
            number += 1
        assert number > 100
        assert table.get(f"key {number - 1}") == "v" * 5000
        assert not table.set("key 0", "w" * 9000), "the old value stays"
        assert table.get("key 0") == "v" * 5000
        assert memory.check() == []


def test_killed_at_any_step_items_are_old_or_new() -> None:
    with segment() as memory:
        table = make(memory, size=2)

        def act() -> None:
            table.set("text", "a new text that is longer than the old one was by far")
            table.set("number", 2)
            table.set("made", 3)
            table.remove("lost")

        step = 0
        while True:
            for name, value in (("text", "old"), ("number", 1), ("lost", 4)):
                assert table.set(name, value)
            killed = killed_at(memory, 1, step, act, also="htable")
            memory.release_dead(1)
            assert memory.check() == [], f"killed at step {step}"
            assert table.get("text") in ("old", "a new text that is longer than the old one was by far")
            assert table.get("number") in (1, 2)
            assert table.get("made") in (None, 3)
            assert table.get("lost") in (None, 4)
            for name in ("text", "made", "text"):
                table.remove(name)
            if not killed:
                break
            step += 11
        assert step > 700
