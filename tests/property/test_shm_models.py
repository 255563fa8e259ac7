"""Arena, table, queue and wheel against models of a few lines, whatever is done to them in whatever order."""

from __future__ import annotations

from collections import deque
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule
from kit.memory import segment

from kamailio_py.shm.arena import LARGEST
from kamailio_py.shm.wheel import GRAIN, SLOTS

sizes = st.one_of(st.integers(0, 300), st.integers(0, LARGEST), st.integers(LARGEST, 400_000))


class OnMemory(RuleBasedStateMachine):
    """A machine with a segment of its own."""

    size = 6 << 20

    def __init__(self) -> None:
        super().__init__()
        self.held = segment(self.size)
        self.memory = self.held.__enter__()
        self.arena = self.memory.arena
        self.owner = self.arena.owner("test", "block")

    def teardown(self) -> None:
        assert self.memory.check() == []
        self.held.__exit__(None, None, None)

    def record(self) -> int:
        return self.arena.store(bytes(32), self.owner)


class ArenaMachine(OnMemory):
    """Blocks keep what was written to them, do not overlap, and can be had as long as there is room."""

    blocks = Bundle("blocks")

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[int, bytes] = {}
        self.other = self.arena.owner("test", "other")

    @rule(target=blocks, size=sizes, fill=st.integers(0, 255), other=st.booleans())
    def alloc(self, size: int, fill: int, other: bool) -> int:
        data = bytes((fill,)) * size
        offset = self.arena.store(data, self.other if other else self.owner)
        if not offset:
            assert self.arena.taken + size + 65536 > self.arena.total // 2, "there was room"
            return 0
        assert offset not in self.model
        self.model[offset] = data
        return offset

    @rule(offset=consumes(blocks))
    def free(self, offset: int) -> None:
        if offset:
            assert self.arena.load(offset) == self.model.pop(offset)
            self.arena.free(offset)

    @rule()
    def processes_die_in_every_lock(self) -> None:
        """What mending makes of a sound arena is a sound arena."""
        for lock in self.memory.lock_groups["arena.locks"]:
            assert lock.mend is not None
            lock.mend()

    @invariant()
    def is_as_modelled(self) -> None:
        assert {(b.offset, b.length) for b in self.arena.walk()} == {(o, len(d)) for o, d in self.model.items()}
        for offset, data in self.model.items():
            assert self.arena.load(offset) == data
        assert self.arena.check() == []


class TableMachine(OnMemory):
    """Buckets are lists."""

    records = Bundle("records")

    def __init__(self) -> None:
        super().__init__()
        self.table = self.memory.table("t", 4, 2)
        self.model: list[list[int]] = [[] for _ in range(4)]

    @rule(target=records, bucket=st.integers(0, 3))
    def insert(self, bucket: int) -> tuple[int, int]:
        record = self.record()
        with self.table.lock_of(bucket):
            self.table.insert(bucket, record)
        self.model[bucket].insert(0, record)
        return bucket, record

    @rule(target=records, before=records)
    def insert_after(self, before: tuple[int, int]) -> tuple[int, int]:
        bucket, place = before
        if place not in self.model[bucket]:
            return before
        record = self.record()
        with self.table.lock_of(bucket):
            self.table.insert(bucket, record, after=place)
        self.model[bucket].insert(self.model[bucket].index(place) + 1, record)
        return bucket, record

    @rule(which=consumes(records))
    def remove(self, which: tuple[int, int]) -> None:
        bucket, record = which
        if record in self.model[bucket]:
            with self.table.lock_of(bucket):
                self.table.remove(bucket, record)
            self.arena.free(record)
            self.model[bucket].remove(record)

    @rule()
    def mend(self) -> None:
        for lock in self.table.locks:
            assert lock.mend is not None
            lock.mend()

    @invariant()
    def is_as_modelled(self) -> None:
        assert [list(self.table.walk(bucket)) for bucket in range(4)] == self.model
        assert len(self.table) == sum(map(len, self.model))
        assert self.memory.check() == []


class QueueMachine(OnMemory):
    """A deque of limited length, whose taken items can come back."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = self.memory.queue("q", 4)
        self.model: deque[tuple[int, ...]] = deque()
        self.in_hand: dict[int, tuple[int, ...]] = {}
        self.counts = [0, 0, 0]

    @rule(item=st.tuples(*[st.integers(0, 2**63 - 1)] * 4))
    def put(self, item: tuple[int, int, int, int]) -> None:
        fits = len(self.model) < 4
        assert self.queue.put(*item) is fits
        if fits:
            self.model.append(item)
            self.counts[0] = max(self.counts[0], len(self.model))
        else:
            self.counts[1] += 1

    @rule(slot=st.integers(1, 15))
    def get(self, slot: int) -> None:
        if slot in self.in_hand:
            return
        self.memory.processes.slot = slot
        item = self.queue.get(0)
        assert item == (self.model[0] if self.model else None)
        if item:
            self.in_hand[slot] = self.model.popleft()
            self.counts[2] += 1

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data(), dies=st.booleans())
    def finish(self, data: Any, dies: bool) -> None:
        slot = data.draw(st.sampled_from(sorted(self.in_hand)))
        item = self.in_hand.pop(slot)
        if dies:
            self.memory.processes.slot = 0
            assert self.memory.release_dead(slot) == []
            assert self.memory.give_back(slot)
            self.model.append(item)
        else:
            self.memory.processes.slot = slot
            self.queue.done()
            assert not self.memory.give_back(slot)

    @rule()
    def mend(self) -> None:
        assert self.queue.lock.mend is not None
        self.queue.lock.mend()

    @invariant()
    def is_as_modelled(self) -> None:
        queue = self.queue
        assert queue.waiting() == list(self.model)
        assert [queue.high_water, queue.rejected, queue.taken] == self.counts
        assert queue.check() == []


class WheelMachine(OnMemory):
    """A list of due times."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 10_000_000
        self.fired: list[int] = []
        self.kind = self.memory.wheel.kind("k", self.fire)
        self.wheel = self.memory.wheel
        self.model: dict[int, int] = {}
        self.added: dict[int, int] = {}
        self.idle = [self.record() for _ in range(12)]
        self.again: dict[int, int] = {}
        self.wheel.run(self.now)

    def fire(self, node: int) -> None:
        assert self.model.pop(node) <= self.now
        self.fired.append(node)
        if node in self.again:
            due = self.again.pop(node)
            self.wheel.add(node, due, self.kind)
            self.model[node] = due
            self.added[node] = self.now
        else:
            self.idle.append(node)

    delays = st.one_of(
        st.integers(-20, 60), st.integers(0, 400_000), st.integers(0, 3 * GRAIN * SLOTS)
    )  # fmt: skip

    @precondition(lambda self: self.idle)
    @rule(delay=delays, again=st.one_of(st.none(), delays))
    def add(self, delay: int, again: int | None) -> None:
        node = self.idle.pop()
        self.wheel.add(node, self.now + delay, self.kind)
        self.model[node] = self.now + delay
        self.added[node] = self.now
        if again is not None:
            self.again[node] = self.now + delay + again

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        node = data.draw(st.sampled_from(sorted(self.model)))
        assert self.wheel.cancel(node)
        assert not self.wheel.cancel(node)
        del self.model[node]
        self.again.pop(node, None)
        self.idle.append(node)

    @rule(stall=st.one_of(st.integers(0, 30), st.integers(0, 400_000), st.integers(0, 2 * GRAIN * SLOTS)))
    def run(self, stall: int) -> None:
        self.now += stall
        self.fired.clear()
        before = dict(self.model)
        self.wheel.run(self.now)
        assert [before[node] for node in self.fired] == sorted(before[node] for node in self.fired)
        assert all(max(due, self.added[node]) + 2 * GRAIN > self.now for node, due in self.model.items())

    @rule()
    def mend(self) -> None:
        for lock in self.memory.lock_groups["wheel.locks"]:
            assert lock.mend is not None
            lock.mend()

    @invariant()
    def is_as_modelled(self) -> None:
        assert {(node, due) for node, due, _ in self.wheel.nodes()} == set(self.model.items())
        assert all(self.wheel.pending(node) for node in self.model)
        assert self.wheel.check() == []


few = settings(max_examples=15, stateful_step_count=30, deadline=None)
TestArena = ArenaMachine.TestCase
TestTable = TableMachine.TestCase
TestQueue = QueueMachine.TestCase
TestWheel = WheelMachine.TestCase
TestArena.settings = TestTable.settings = TestQueue.settings = TestWheel.settings = few
