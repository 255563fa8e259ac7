"""The segment: made, found by name, read from outside, replaced when its server is dead."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest
from kit.memory import all_of, segment

from kamailio_py.shm import instances, layout
from kamailio_py.shm.errors import InstanceRunning, SharedMemoryError
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.records import Record, text, u32, u64


class Cell(Record):
    """A record of the test."""

    next = u64("next")
    prev = u64("previous")
    number = u32("a number")
    name = text(12, "a name")


def test_object_belongs_to_its_user_alone() -> None:
    with segment() as memory:
        found = os.stat(f"/dev/shm/kamailio_py.{memory.instance}")
        assert stat.S_IMODE(found.st_mode) == 0o600
        assert found.st_blocks * 512 < 2 << 20, "only what was written takes memory"


def test_no_semaphore_is_left_in_the_file_system() -> None:
    with segment() as memory:
        memory.locks("some", 5)
        memory.queue("jobs", 4)
        assert not [name for name in os.listdir("/dev/shm") if name.startswith(f"sem.kamailio_py.{os.getpid()}.")]


def test_two_masters_cannot_have_one_name() -> None:
    with segment() as memory, pytest.raises(InstanceRunning, match=f"running with pid {os.getpid()}"):
        SharedMemory.create(memory.instance)


def test_live_instance_is_not_removed() -> None:
    with segment() as memory:
        with pytest.raises(InstanceRunning):
            instances.remove(memory.instance)
        assert instances.find(memory.instance).live


def test_reserved_room_is_zero_separate_and_listed() -> None:
    with segment() as memory:
        places = {}
        for number, size in enumerate((10, 64, 100_000, 65536, 3, 200_000, 40)):
            places[f"room {number}"] = memory.reserve(f"room {number}", "records", size, Cell), size
        for name, (at, size) in places.items():
            assert at % 64 == 0
            assert memory.memory[at : at + size] == bytes(size)
            memory.memory[at : at + size] = name[-1].encode() * size
        for name, (at, size) in places.items():
            assert memory.memory[at : at + size] == name[-1].encode() * size
        assert not memory.check()
        listed = {s.name: s for s in layout.read_entries(memory.memory)}
        assert (listed["room 3"].offset, listed["room 3"].size) == places["room 3"]
        assert listed["room 3"].description["layout"] == {
            "name": "Cell",
            "size": 40,
            "fields": [
                ["next", 0, "Q", "next"], ["prev", 8, "Q", "previous"], ["number", 16, "I", "a number"],
                ["name", 24, "12s", "a name"],
            ],
        }  # fmt: skip


def test_name_is_reserved_once() -> None:
    with segment() as memory:
        memory.reserve("a", "records", 10)
        with pytest.raises(SharedMemoryError, match="exists already"):
            memory.reserve("a", "records", 10)


def test_too_much_is_refused_at_the_start() -> None:
    with segment() as memory, pytest.raises(SharedMemoryError, match="no room for big"):
        memory.reserve("big", "records", 9 << 20)
    with pytest.raises(SharedMemoryError, match="too small"):
        SharedMemory.create("tiny", 1000)


def test_outside_reader_decodes_everything_and_writes_nothing() -> None:
    with segment() as memory:
        table = memory.table("cells", 64, 8, Cell)
        owner = memory.arena.owner("test", "cell", Cell)
        for number in range(5):
            cell = memory.arena.alloc(Cell.SIZE, owner)
            Cell.STRUCT.pack_into(memory.memory, cell, 0, 0, number, b"n%d" % number)
            table.insert(number * 8, cell)
        memory.queue("jobs", 10).put(1, 2, 3, 4)
        kind = memory.wheel.kind("test.timer", print)
        node = memory.arena.store(bytes(32), owner)
        memory.wheel.add(node, 12345, kind)
        counter = memory.counters.counter("core", "rcv_requests")
        memory.counters.add(counter, 7)
        memory.processes.enter(0, "main process - attendant", 5)

        outside = SharedMemory.attach(memory.instance)
        cells = [Cell.unpack(outside.memory, c) for b in range(64) for c in outside.tables["cells"].walk(b)]
        assert [(c.number, layout.as_text(c.name)) for c in cells] == [(n, f"n{n}") for n in range(5)]
        assert outside.queues["jobs"].waiting() == [(1, 2, 3, 4)]
        assert [(n, d, outside.wheel.kinds.name(k)) for n, d, k in outside.wheel.nodes()] == [
            (node, 12345, "test.timer")
        ]
        assert outside.counters.total(outside.counters.ids["core", "rcv_requests"]) == 7
        assert [(s, r.description) for s, r in outside.processes.rows()] == [(0, "main process - attendant")]
        assert outside.arena.by_owner() == {"test:cell": (6, 6 * 48)}
        assert outside.structures["test:cell"].description["layout"]["name"] == "Cell"
        assert outside.live
        assert outside.check() == []
        with pytest.raises(TypeError):
            outside.u64[0] = 1
        with pytest.raises(TypeError):
            outside.memory[0] = 1
        outside.close()


def test_foreign_object_is_not_attached() -> None:
    name = f"test.foreign.{os.getpid()}"
    path = f"/dev/shm/kamailio_py.{name}"
    with open(path, "wb") as file:
        file.write(bytes(1 << 20))
    try:
        with pytest.raises(SharedMemoryError, match="not a shared memory segment"):
            SharedMemory.attach(name)
        assert instances.find(name) == instances.Instance(name, 0, 0.0, 1 << 20, False)
        assert instances.remove(name)
        assert not instances.remove(name)
    finally:
        if os.path.exists(path):
            os.unlink(path)
    with pytest.raises(SharedMemoryError, match="no instance"):
        SharedMemory.attach(name)


def test_killed_server_leaves_what_can_be_read_and_is_replaced() -> None:
    name = f"test.killed.{os.getpid()}"
    program = (
        "import os, sys, signal\n"
        "from kamailio_py.shm.memory import SharedMemory\n"
        f"memory = SharedMemory.create({name!r}, 8 << 20)\n"
        "memory.arena.store(b'what it knew', memory.arena.owner('test', 'text'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    [found] = [i for i in instances.instances() if i.name == name]
    assert not found.live
    dead = SharedMemory.attach(name)
    assert not dead.live
    assert [dead.arena.load(block.offset) for block in dead.arena.walk()] == [b"what it knew"]
    assert dead.check() == []
    dead.close()

    kept = instances.keep(name, f"{name}.crash")
    assert SharedMemory.attach(kept).header.master == found.master
    assert instances.remove(kept)

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    again = SharedMemory.create(name, 8 << 20)
    try:
        assert list(again.arena.walk()) == []
        assert again.live
    finally:
        again.unlink()
        again.close()
    assert instances.find(name) is None


def test_pid_given_to_somebody_else_does_not_look_alive() -> None:
    assert instances.is_live(os.getpid(), instances.process_start(os.getpid()))
    assert not instances.is_live(os.getpid(), instances.process_start(os.getpid()) - 1)
    assert not instances.is_live(0, 0)


def test_children_count_in_rows_of_their_own() -> None:
    with segment() as memory:
        counter = memory.counters.counter("core", "n")
        other = memory.counters.counter("core", "m")
        assert memory.counters.counter("core", "n") == counter != other
        all_of(memory, [lambda: [memory.counters.add(counter) for _ in range(2000)]] * 4)
        memory.counters.add(other, -3)
        assert memory.counters.total(counter) == 8000
        assert memory.counters.by_process(counter)[:6] == [0, 2000, 2000, 2000, 2000, 0]
        memory.counters.reset(counter)
        memory.counters.add(counter, 5)
        assert memory.counters.total(counter) == 5
        memory.counters.reset(counter)
        assert (memory.counters.total(counter), memory.counters.total(other)) == (0, -3)
        assert list(memory.counters.names()) == [("core", "n", counter), ("core", "m", other)]


def test_rows_say_who_does_what() -> None:
    with segment() as memory:

        def work() -> None:
            memory.processes.enter(-1, "slow timer", 1000)
            memory.processes.begin(b"call-id 1 " + b"x" * 200)
            memory.u32[memory.identity.place] = 42
            assert memory.processes.row(1).since == memory.processes.row(1).heartbeat > 2_000_000_000
            memory.processes.finish()
            memory.processes.beat(2000)

        all_of(memory, [work])
        [(slot, row)] = memory.processes.rows()
        assert (slot, row.rank, row.description, row.doing) == (1, -1, "slow timer", "call-id 1 ".ljust(96, "x"))
        assert (row.started, row.heartbeat, row.since, row.place) == (1000, 2_000_000_000, 0, 42)
        with pytest.raises(ValueError, match="slot 16"):
            memory.processes.slot = 16
