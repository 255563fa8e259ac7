"""The wheel: when timers fire, what cancelling means, catching up, and deaths."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from kit.memory import all_of, fork, killed_at, segment, wait

from kamailio_py import points
from kamailio_py.shm.errors import SharedMemoryError
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.wheel import GRAIN, REST, SLOTS

LAP = GRAIN * SLOTS


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with segment() as made:
        made.wheel.run(1_000_000)
        yield made


def node(memory: SharedMemory) -> int:
    return memory.arena.store(bytes(32), memory.arena.owner("test", "node"))


def test_fires_at_its_time_and_never_early(memory: SharedMemory) -> None:
    fired: list[int] = []
    kind = memory.wheel.kind("k", fired.append)
    for due in (1_000_001, 1_000_004, 1_000_005, 1_000_006, 1_000_123):
        timer = node(memory)
        memory.wheel.add(timer, due, kind)
        now = 1_000_000
        while memory.wheel.pending(timer):
            now += 1
            memory.wheel.run(now)
        assert due <= now <= due + GRAIN
        assert fired.pop() == timer
        memory.wheel.run(now + 10)
        assert fired == []
        memory.wheel._words[memory.wheel._done] = memory.wheel._words[memory.wheel._horizon] = 200_000


def test_more_than_a_lap_away(memory: SharedMemory) -> None:
    fired: list[int] = []
    kind = memory.wheel.kind("k", fired.append)
    far, near = node(memory), node(memory)
    memory.wheel.add(far, 1_000_100 + 2 * LAP, kind)
    memory.wheel.add(near, 1_000_100, kind)
    memory.wheel.run(1_000_100)
    assert fired == [near]
    memory.wheel.run(1_000_100 + LAP)
    memory.wheel.run(1_000_095 + 2 * LAP)
    assert fired == [near]
    memory.wheel.run(1_000_100 + 2 * LAP)
    assert fired == [near, far]


def test_past_due_fires_in_the_next_run(memory: SharedMemory) -> None:
    fired: list[int] = []
    timer = node(memory)
    memory.wheel.add(timer, 0, memory.wheel.kind("k", fired.append))
    memory.wheel.run(1_000_005)
    assert fired == [timer]


@pytest.mark.parametrize("stall", [40, 1000, LAP - 5, LAP, 3 * LAP + 17])
def test_stall_is_caught_up_once_each_in_order(memory: SharedMemory, stall: int) -> None:
    fired: list[int] = []
    kind = memory.wheel.kind("k", fired.append)
    timers = {}
    for number in range(200):
        due = 1_000_000 + (number * 7919) % (2 * LAP if stall > LAP else 2000)
        timers[node(memory)] = due
    for timer, due in timers.items():
        memory.wheel.add(timer, due, kind)
    memory.wheel.run(1_000_000 + stall)
    expected = [timer for timer, due in timers.items() if due <= 1_000_000 + stall]
    assert sorted(fired) == sorted(expected)
    assert [timers[timer] for timer in fired] == sorted(timers[timer] for timer in fired)
    assert {n for n, _, _ in memory.wheel.nodes()} == set(timers) - set(expected)
    assert memory.wheel.fired == len(expected)


@pytest.mark.parametrize("overdue", [False, True], ids=["in time", "beside one that is long overdue"])
def test_of_those_due_together_the_first_added_is_first(memory: SharedMemory, overdue: bool) -> None:
    fired: list[int] = []
    kind = memory.wheel.kind("k", fired.append)
    timers = [node(memory) for _ in range(12)]
    for number, timer in enumerate(timers):
        memory.wheel.add(timer, 1_000_021 + number % 3, kind)
    if overdue:
        timers.append(node(memory))
        memory.wheel.add(timers[-1], 5, kind)
    memory.wheel.run(1_000_030)
    assert fired == [*timers[12:], *timers[0:12:3], *timers[1:12:3], *timers[2:12:3]]


def test_cancelled_timer_does_not_fire(memory: SharedMemory) -> None:
    fired: list[int] = []
    kind = memory.wheel.kind("k", fired.append)
    first, second, third = timers = [node(memory) for _ in range(3)]
    for timer in timers:
        memory.wheel.add(timer, 1_000_100, kind)
    assert memory.wheel.cancel(second)
    assert not memory.wheel.cancel(second)
    memory.wheel.run(1_000_100)
    assert sorted(fired) == sorted([first, third])
    assert not memory.wheel.cancel(first)
    assert not memory.wheel.cancel(node(memory)), "never added"


def test_handler_cannot_cancel_its_own_timer_but_another_due_one(memory: SharedMemory) -> None:
    answers: list[bool] = []
    first, second = node(memory), node(memory)

    def handler(timer: int) -> None:
        answers.append(memory.wheel.cancel(timer))
        answers.append(memory.wheel.cancel(second))

    kind = memory.wheel.kind("k", handler)
    memory.wheel.add(first, 1_000_010, kind)
    memory.wheel.add(second, 1_000_012, kind)
    memory.wheel.run(1_000_500)
    assert answers == [False, True], "both were due in this run, the second was taken out in time"


def test_handler_adds_its_node_again(memory: SharedMemory) -> None:
    fired: list[int] = []
    now = 1_000_000

    def handler(timer: int) -> None:
        fired.append(now)
        if len(fired) < 4:
            memory.wheel.add(timer, now + (100 if len(fired) < 3 else -50), kind)

    kind = memory.wheel.kind("k", handler)
    timer = node(memory)
    memory.wheel.add(timer, 1_000_100, kind)
    while now < 1_000_600:
        now += 5
        memory.wheel.run(now)
    assert fired == [1_000_100, 1_000_200, 1_000_300, 1_000_305]
    assert not memory.wheel.pending(timer)


def test_failing_handler_does_not_stop_the_others(memory: SharedMemory) -> None:
    fired: list[int] = []

    def handler(timer: int) -> None:
        fired.append(timer)
        if len(fired) == 2:
            raise ValueError("a bug")

    kind = memory.wheel.kind("k", handler)
    for number in range(4):
        memory.wheel.add(node(memory), 1_000_010 + number, kind)
    with pytest.raises(ValueError, match="a bug"):
        memory.wheel.run(1_000_100)
    assert len(fired) == 2
    memory.wheel.run(1_000_101)
    assert len(fired) == len(set(fired)) == 4


def test_kind_is_registered_once(memory: SharedMemory) -> None:
    memory.wheel.kind("k", print)
    with pytest.raises(SharedMemoryError, match="registered twice"):
        memory.wheel.kind("k", print)


def test_adding_and_cancelling_while_the_wheel_runs(memory: SharedMemory) -> None:
    """Every timer is either cancelled or fired, exactly once, whatever overtakes what."""
    report = memory.queue("report", 20_000)
    kind = memory.wheel.kind("k", lambda timer: report.put(1, timer) or None)
    stop = memory.reserve("stop", "records", 16)
    ticking = memory.u64

    def turn() -> None:
        now = 1_000_000
        while not ticking[stop >> 3]:
            now += 5
            ticking[(stop >> 3) + 1] = now
            memory.wheel.run(now)
        memory.wheel.run(now + 10_000)

    def use(seed: int) -> None:
        live = []
        for number in range(1500):
            timer = node(memory)
            memory.wheel.add(timer, ticking[(stop >> 3) + 1] + (number * seed) % 40, kind)
            live.append(timer)
            if number % 2:
                timer = live[number // 2]
                if memory.wheel.cancel(timer):
                    report.put(2, timer)

    memory.arena.owner("test", "node")
    runner = fork(memory, 9, turn)
    all_of(memory, [lambda seed=seed: use(seed) for seed in (3, 7, 11)])
    ticking[stop >> 3] = 1
    assert wait(runner) == 0
    timers = [timer for _, timer, _, _ in report.waiting()]
    assert len(timers) == len(set(timers)) == 4500
    assert list(memory.wheel.nodes()) == []
    assert memory.check() == []
    assert any(how == 2 for how, _, _, _ in report.waiting())


def test_cancel_between_detaching_and_handler_is_false(memory: SharedMemory) -> None:
    answers: list[bool] = []
    timer = node(memory)
    memory.wheel.add(timer, 1_000_010, memory.wheel.kind("k", lambda timer: None))
    points.set_hook(lambda name: answers.append(memory.wheel.cancel(timer)) if name == "shm.wheel.fired" else None)
    try:
        memory.wheel.run(1_000_100)
    finally:
        points.set_hook(None)
    assert answers == [False]


def test_killed_at_any_step_of_adding_and_cancelling(memory: SharedMemory) -> None:
    fired: list[int] = []
    kind = memory.wheel.kind("k", fired.append)
    others = [node(memory) for _ in range(2)]
    mine = node(memory)

    def act() -> None:
        memory.wheel.add(mine, 1_000_100, kind)
        memory.wheel.cancel(mine)

    step = 0
    while True:
        memory.memory[mine : mine + 32] = bytes(32)
        for timer in others:
            memory.wheel.add(timer, 1_000_100, kind)
        killed = killed_at(memory, 1, step, act)
        memory.release_dead(1)
        assert memory.check() == [], f"killed at step {step}"
        assert memory.wheel.pending(mine) == (mine in {n for n, _, _ in memory.wheel.nodes()})
        for timer in others:
            assert memory.wheel.cancel(timer)
        memory.wheel.cancel(mine)
        assert list(memory.wheel.nodes()) == []
        if not killed:
            break
        step += 2
    assert step > 200


@pytest.mark.parametrize("again", [False, True])
def test_killed_at_any_step_of_a_run(memory: SharedMemory, again: bool) -> None:
    """The next timer process fires what the dead one did not; only what was in its handler is in doubt."""
    log = memory.queue("log", 100)
    kind = memory.wheel.kind("k", lambda timer: log.put(timer) or None, again=again)
    timers = [node(memory) for _ in range(2)]
    step, now = 0, 1_000_000
    while True:
        now += 1000
        for number, timer in enumerate(timers):
            memory.memory[timer : timer + 32] = bytes(32)
            memory.wheel.add(timer, now - 500 + number, kind)
        killed = killed_at(memory, 1, step, partial(memory.wheel.run, now))
        memory.release_dead(1)
        assert memory.check() == [], f"killed at step {step}"
        memory.wheel.run(now + 5)
        fired = [item[0] for item in log.waiting()]
        while log.get(0):
            log.done()
        assert not list(memory.wheel.nodes())
        if again:
            assert set(fired) == set(timers), f"killed at step {step}"
            assert len(fired) <= 3
        else:
            assert len(fired) == len(set(fired))
            assert len(fired) >= 1
        if not killed:
            break
        step += 13
    assert fired == timers
    assert step > 700


def test_timer_process_killed_before_a_handler(memory: SharedMemory) -> None:
    log = memory.queue("log", 100)
    timer = node(memory)
    memory.wheel.add(timer, 1_000_010, memory.wheel.kind("k", lambda timer: log.put(timer) or None))

    def die() -> None:
        points.set_hook(lambda name: os.kill(os.getpid(), signal.SIGKILL) if name == "shm.wheel.fired" else None)
        memory.wheel.run(1_000_100)

    assert wait(fork(memory, 1, die)) == -signal.SIGKILL
    memory.release_dead(1)
    assert log.depth == 0
    memory.wheel.run(1_000_105)
    assert [item[0] for item in log.waiting()] == [timer]


# sleeping between runs


def woken(memory: SharedMemory) -> bool:
    return bool(select.select([memory.wheel._bell.fd], (), (), 0)[0])


@pytest.mark.parametrize("ticks", [1, 3, REST, REST + 1, 1000])
def test_it_sleeps_until_something_is_due_and_no_longer_than_it_rests(memory: SharedMemory, ticks: int) -> None:
    kind = memory.wheel.kind("k", lambda timer: None)
    memory.wheel.add(node(memory), 1_000_000 + ticks * GRAIN, kind)
    assert memory.wheel.next() == 1_000_000 + min(ticks, REST) * GRAIN


def test_who_adds_what_is_due_before_wakes_it(memory: SharedMemory) -> None:
    wheel = memory.wheel
    kind = wheel.kind("k", lambda timer: None)
    assert wheel.next() == 1_000_000 + REST * GRAIN
    wheel.add(node(memory), 1_000_000 + REST * GRAIN, kind)
    assert not woken(memory)
    begun = time.monotonic()
    pid = fork(memory, 1, lambda: wheel.add(node(memory), 1_000_007, kind))
    wheel.wait(60)
    assert time.monotonic() - begun < 30
    assert wait(pid) == 0
    assert wheel.next() == 1_000_010
    assert not woken(memory)


def test_who_adds_while_nobody_sleeps_wakes_nobody(memory: SharedMemory) -> None:
    wheel = memory.wheel
    kind = wheel.kind("k", lambda timer: None)
    wheel.add(node(memory), 1_000_005, kind)
    wheel.next()
    wheel.wait(0)
    wheel.add(node(memory), 1_000_005, kind)
    assert not woken(memory)


class Meddled:
    """The words of a segment, with something done before the n-th of them is read or written."""

    def __init__(self, words: memoryview, before: int, meddle: Callable[[], None]) -> None:
        self.words, self.left, self.meddle = words, before, meddle

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0 and self.meddle:
            meddle, self.meddle = self.meddle, lambda: None
            meddle()

    def __getitem__(self, index: int) -> int:
        self._step()
        return self.words[index]

    def __setitem__(self, index: int, value: int) -> None:
        self._step()
        self.words[index] = value


@pytest.mark.parametrize("ticks", [1, 2, REST - 1])
def test_what_is_added_at_any_moment_of_falling_asleep_is_seen_or_wakes(memory: SharedMemory, ticks: int) -> None:
    wheel = memory.wheel
    kind = wheel.kind("k", lambda timer: None)
    words = wheel._words
    moments = 0
    for step in range(100):
        timer = node(memory)

        def meddle(timer: int = timer) -> None:
            nonlocal moments
            moments += 1
            own, wheel._words = wheel._words, words
            wheel.add(timer, 1_000_000 + ticks * GRAIN, kind)
            wheel._words = own

        wheel._words = Meddled(words, step, meddle)
        until = wheel.next()
        wheel._words = words
        if not wheel.pending(timer):
            break
        assert until <= 1_000_000 + ticks * GRAIN or woken(memory), step
        wheel.wait(0)
        assert wheel.cancel(timer)
    assert moments > 4
