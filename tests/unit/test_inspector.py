"""What the inspector reads from segments that are made to measure: layouts, faults, snapshots, names, numbers."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.cells import House
from kit.memory import fork, segment, wait

from kamailio_py.inspector import check, memory, prometheus, queues, story, tables, timers, transactions
from kamailio_py.inspector.cells import DEAD, IN_AGONY, METHODS, STATES, Cells, state_of
from kamailio_py.inspector.layouts import Layouts
from kamailio_py.inspector.output import duration, size
from kamailio_py.inspector.script import Script
from kamailio_py.inspector.segment import NotFound, Segment, find
from kamailio_py.modules.tm import cell as tm_cell
from kamailio_py.shm.errors import SharedMemoryError
from kamailio_py.shm.instances import copy
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.records import Record, embedded, text, u32, u64, words
from kamailio_py.shm.wheel import TimerNode


def look_at(shared: SharedMemory) -> Segment:
    """As from outside, but without a second mapping."""
    made = Segment(shared, f"/dev/shm/kamailio_py.{shared.instance}")
    assert made.live
    return made


class Greeted(Record):
    """A record of a module that the inspector has never heard of."""

    next = u64("next")
    prev = u64("previous")
    greeting = u64("leads to the greeting")
    timer = embedded(TimerNode, "when to greet again")
    many = words(3, "numbers")
    count = u32("how often")
    name = text(12, "whom")


def test_a_table_of_tomorrow_is_decoded() -> None:
    with segment() as shared:
        table = shared.table("greet", 8, 2, Greeted)
        owner = shared.arena.owner("greet", "greeted", Greeted)
        words_ = shared.arena.owner("greet", "words")
        kind = shared.wheel.kind("greet.again", print)
        record = shared.arena.alloc(Greeted.SIZE, owner)
        hello = shared.arena.store(b"moin", words_)
        Greeted.STRUCT.pack_into(shared.memory, record, 0, 0, hello, bytes(32), struct.pack("<3Q", 7, 0, 9), 3, b"bob")
        seen = look_at(shared)
        shared.wheel.add(record + Greeted.timer, seen.now_ms + 5000, kind)
        with table.lock_of(5):
            table.insert(5, record)
        [row] = tables.of_table(seen, "greet")
        assert (row["bucket"], row["greeting"], row["many"], row["count"], row["name"]) == (5, "moin", [7, 9], 3, "bob")
        assert row["timer"].startswith("greet.again in ")
        [same] = tables.of_owner(seen, "greet:greeted")
        assert {name: same[name] for name in ("greeting", "count", "name")} == {
            "greeting": "moin",
            "count": 3,
            "name": "bob",
        }
        names = tables.names(seen)
        assert {"table": "greet", "records": 1, "buckets": 8, "record": "Greeted"} in names["tables"]
        assert names["records"][0]["owner"] == "greet:greeted"
        with pytest.raises(NotFound, match="there is no table nix; there are: greet"):
            tables.of_table(seen, "nix")
        [found] = [row for row in timers.collect(seen)["kinds"] if row["kind"] == "greet.again"]
        assert found["pending"] == 1


class Job(Record):
    """What the items of a queue hold."""

    index = u64("index of its transaction")
    label = u64("label of its transaction")
    entry = u32("number of the route")


def test_items_of_queues_by_name() -> None:
    with segment() as shared:
        shared.publish(
            "program",
            {"cfg": "x.cfg", "line_bits": 20, "files": ["x.cfg"], "routes": [["", "", 0], ["route[A]", "x.cfg", 1]]},
        )
        jobs = shared.queue("jobs", 10, Job)
        tasks = shared.queue("async:default", 10)
        shared.kind("job", 4, Job)
        jobs.put(0, 5, 6, 1)
        tasks.put(4, 7, 8, 1)
        tasks.put(9, 1, 2, 3)
        seen = look_at(shared)
        rows = {row["queue"]: row for row in queues.collect(seen, "jobs") + queues.collect(seen, "default")}
        assert [one["task"] for one in rows["jobs"]["waiting"]] == ["jobs 5:6, route[A]"]
        assert [one["task"] for one in rows["async:default"]["waiting"]] == [
            "job 7:8, route[A]",
            "kind 9 kind=9 a=1 b=2 c=3",
        ]
        assert 0 <= rows["jobs"]["oldest_seconds"] < 5
        later = queues.rates(queues.collect(seen), [{"queue": "jobs", "taken": -10}], 2.0)
        assert {row["queue"]: row["per_second"] for row in later}["jobs"] == 5.0


# tm


@pytest.fixture
def house() -> Any:
    made = House()
    yield made
    made.close()


def suspended(house: House) -> tuple[int, int]:
    """A suspended MESSAGE."""
    found: list[Any] = []

    def route(ctx: Any) -> int:
        house.tm.t_newtran(ctx)
        ctx.avps["who"] = ["alice"]
        found.append(house.tm.api.suspend(ctx))
        return 1

    house.main(route)
    house.request("MESSAGE", "sleeper")
    return found[0]


def test_tm_names_its_numbers_as_the_inspector_does() -> None:
    numbers = {number: name.lower() for name, number in vars(tm_cell.State).items() if name.isupper()}
    assert dict(enumerate(STATES)) == numbers
    assert {bit: name for name, bit in tm_cell.METHODS.items()} == METHODS
    assert (tm_cell.Flag.DEAD, tm_cell.Flag.IN_AGONY) == (DEAD, IN_AGONY)
    assert state_of(1, 0, 0) == "suspended"
    assert state_of(3, IN_AGONY, 487) == state_of(0, 0, 200) == "completed"


def test_a_transaction_and_what_it_leads_to(house: House) -> None:
    index, label = suspended(house)
    seen = look_at(house.shm)
    cell = Cells(seen).find(index, label)
    assert cell is not None
    assert (cell.name, cell.state, cell.method, cell.stable) == (f"{index}:{label}", "suspended", "MESSAGE", True)
    assert cell.text.startswith("MESSAGE sip:bob@127.0.0.1:7000 SIP/2.0\r\n")
    assert cell.call_id in cell.text
    assert Cells(seen).find(index, label + 1) is None
    assert transactions.statistics(seen)["states"]["suspended"] == 1
    assert tables.avps(seen)[0]["values"] == ["alice"]
    events = story.collect(seen, cell.call_id)["events"]
    assert [event["event"] for event in events] == ["created", "suspended"]
    # when it is gone its events are still found by the Call-ID
    house.tm.api.resume(index, label, None)
    house.advance(10)
    assert len(house.tm.table.table) == 0
    last = story.collect(seen, cell.call_id)["events"][-1]
    assert last["event"] == "deleted"


def test_sound_memory_has_no_faults(house: House) -> None:
    assert check.faults(look_at(house.shm)) == []
    suspended(house)
    assert check.faults(look_at(house.shm)) == []


def offset_of(house: House) -> int:
    [cell] = Cells(look_at(house.shm)).all()
    return cell.offset


Break = Callable[[House, int], None]


def put(field: int, value: int) -> Break:
    def broken(house: House, at: int) -> None:
        house.shm.u32[(at + field) >> 2] = value

    return broken


def put_word(field: int, value: int) -> Break:
    def broken(house: House, at: int) -> None:
        house.shm.u64[(at + field) >> 3] = value

    return broken


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (put(tm_cell.Cell.index, 7), "is in bucket"),
        (put(tm_cell.Cell.refs, 0), "has 1 timers and 0 references"),
        (put(tm_cell.Cell.flags, DEAD), "is dead and in the table"),
        (put(tm_cell.Cell.suspended, 0), "is suspended without a branch that guards it"),
        (put_word(tm_cell.Cell.attributes, 4096), "its attributes leads to nothing"),
        (lambda h, at: put_word(tm_cell.Cell.reply, at)(h, at), "its reply leads to tm:cell"),
        (lambda h, at: h.shm.arena.free(at), "is in no block that is in use"),
        (
            lambda h, at: h.tm.table.table.remove(Cells(look_at(h.shm)).layout.unpack(h.shm.memory, at)["index"], at),
            "nothing leads to it",
        ),
        (lambda h, at: put_word(8, 99999)(h, at), "does not point back"),
        (lambda h, at: h.shm.locks("test", 1)[0].acquire(), None),
    ],
)
def test_each_fault_is_found(house: House, broken: Break, fault: str | None) -> None:
    suspended(house)
    broken(house, offset_of(house))
    found = check.faults(look_at(house.shm))
    assert (
        (any(fault in line for line in found))
        if fault
        else found == ["lock test is held by slot 0, which has no process"]
    )


def test_a_cycle_or_a_wild_pointer_ends_in_words(house: House) -> None:
    suspended(house)
    at = offset_of(house)
    house.shm.u64[at >> 3] = at
    found = check.faults(look_at(house.shm))
    assert any("leads to" in fault or "cannot be walked" in fault for fault in found)
    house.shm.u64[at >> 3] = 12345
    assert check.faults(look_at(house.shm)) != []


# locks, copies, numbers


def test_a_lock_of_a_dead_process_is_a_fault() -> None:
    with segment() as shared:
        lock = shared.lock("mine")
        assert wait(fork(shared, 3, lock.acquire)) == 0
        [fault] = check.faults(look_at(shared))
        assert fault.startswith("lock mine is held by process ")
        assert fault.endswith("(actor 3), which is dead")


def test_waiting_for_a_lock_is_sampled() -> None:
    with segment() as shared:
        lock, idle = shared.locks("both", 2)
        lock.acquire()
        pid = fork(shared, 2, lock.acquire)
        while shared.processes.intent(2) != lock.offset:
            pass
        for _ in range(3):
            shared.sample_waits()
        assert (lock.waits, idle.waits) == (3, 0)
        lock.release()
        assert wait(pid) == 0


def test_what_grew(tmp_path: Path) -> None:
    with segment() as shared:
        owner = shared.arena.owner("leak", "things")
        shared.arena.store(b"x" * 100, owner)
        seen = look_at(shared)
        path = tmp_path / "copy"
        memory.snapshot(seen, str(path))
        shared.arena.store(b"x" * 100, owner)
        before = find(str(path))
        found = memory.difference(before, seen)
        assert [(row["owner"], row["blocks"], row["bytes"]) for row in found["owners"]] == [("leak:things", 1, 112)]
        assert found["grew"]
        assert not memory.difference(seen, before)["grew"]
        assert before.is_copy
        assert not before.live
        before.close()
        with pytest.raises(NotFound, match="exists already"):
            memory.snapshot(seen, str(path))


def test_lateness_is_counted_by_powers_of_two() -> None:
    with segment() as shared:
        fired: list[int] = []
        kind = shared.wheel.kind("k", fired.append)
        owner = shared.arena.owner("t", "nodes")
        for due in (1000, 1000, 1500):
            node = shared.arena.store(bytes(TimerNode.SIZE), owner)
            shared.wheel.add(node, due, kind)
        shared.wheel.run(1000)
        shared.wheel.run(1600)
        late = timers.collect(look_at(shared))["late"]
        assert {row["below_ms"]: row["timers"] for row in late if row["timers"]} == {1: 2, 128: 1}
        assert shared.wheel.late_ms == 100
        assert timers.percentile(late, 0.5) == 1
        assert timers.percentile(late, 0.99) == 128


def test_metrics_escape_what_they_must() -> None:
    samples = [
        {"name": "a", "labels": {"x": 'say "\\\n'}, "value": 1.0},
        {"name": "a", "labels": {}, "value": 0.5},
    ]
    lines = prometheus.text([{"name": "a", "type": "gauge", "help": "h", "samples": samples}])
    assert lines == '# HELP a h\n# TYPE a gauge\na{x="say \\"\\\\\\n"} 1\na{} 0.5\n'


def test_a_segment_that_is_being_made_or_is_torn_is_refused(tmp_path: Path) -> None:
    with segment() as shared:
        path = tmp_path / "torn"
        copy(f"/dev/shm/kamailio_py.{shared.instance}", str(path))
        data = bytearray(path.read_bytes())
        for cut in (0, 100, 70000, 1 << 20, len(data) - 1):
            path.write_bytes(data[:cut])
            with pytest.raises(SharedMemoryError, match=r"torn: (not a shared memory segment|truncated)"):
                find(str(path))
        path.write_bytes(data)
        find(str(path)).close()


def test_script_places_and_routes() -> None:
    script = Script("a.cfg", 20, ["/etc/kamailio/a.cfg", "b.cfg"], [("", "", 0), ("route[X]", "a.cfg", 3)])
    assert (script.place(12), script.place(1 << 20 | 7), script.place(9 << 20 | 1)) == (
        "a.cfg:12",
        "b.cfg:7",
        "file 9:1",
    )
    assert (script.place(0), script.route(0), script.route(1), script.route(8)) == ("", "", "route[X]", "route 8")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0000123, "12 us"),
        (0.0123, "12 ms"),
        (-1.25, "-1.2 s"),
        (61, "1:01"),
        (3600 * 5 + 120, "5 h 2 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
    assert (size(1023), size(1536), size(64 << 20)) == ("1023 B", "1.5 KiB", "64.0 MiB")


def test_layouts_of_a_segment_are_complete() -> None:
    with segment() as shared:
        found = Layouts(shared.structures)
        assert {"Process", "LockWord", "TraceEvent", "TimerNode", "WheelHead"} <= found.by_record.keys()
        row = found.by_record["Process"].unpack(shared.memory, shared.structures["processes"].offset)
        assert row["pid"] == 0
