"""Queues: order, full, waiting, and what happens to an item whose taker dies."""

from __future__ import annotations

import os
import signal

from kit.memory import all_of, fork, killed_at, segment, wait


def test_first_in_first_out() -> None:
    with segment() as memory:
        queue = memory.queue("jobs", 5)
        for number in range(5):
            assert queue.put(number, 1 << 60, 2, 3)
        assert not queue.put(9)
        assert (queue.depth, queue.high_water, queue.rejected) == (5, 5, 1)
        assert queue.waiting()[4] == (4, 1 << 60, 2, 3)
        for number in range(5):
            assert queue.get(0) == (number, 1 << 60, 2, 3)
            queue.done()
        assert queue.get(0) is None
        assert (queue.depth, queue.high_water, queue.taken) == (0, 5, 5)


def test_round_and_round() -> None:
    with segment() as memory:
        queue = memory.queue("jobs", 3)
        for number in range(100):
            queue.put(number)
            queue.put(number + 1000)
            assert queue.get(0)[0] == number
            assert queue.get(0)[0] == number + 1000
        assert queue.check() == []


def test_many_putters_many_takers_each_item_once() -> None:
    with segment() as memory:
        queue, results = memory.queue("jobs", 50), memory.queue("results", 6000)

        def put(first: int) -> None:
            for number in range(first, first + 1000):
                while not queue.put(number):
                    os.sched_yield()

        def take() -> None:
            while (item := queue.get(20)) and item[0] != 999_999:
                assert results.put(item[0])
                queue.done()

        takers = [fork(memory, slot, take) for slot in (8, 9)]
        all_of(memory, [lambda n=n: put(n * 1000) for n in range(3)])
        for _ in takers:
            assert queue.put(999_999)
        assert [wait(pid) for pid in takers] == [0, 0]
        assert sorted(item[0] for item in results.waiting()) == list(range(3000))
        assert memory.check() == []


def test_waiting_taker_gets_what_comes() -> None:
    with segment() as memory:
        queue = memory.queue("jobs", 5)

        def take() -> None:
            assert queue.get() == (7, 1, 2, 3)
            queue.done()

        pid = fork(memory, 1, take)
        queue.put(7, 1, 2, 3)
        assert wait(pid) == 0


def test_signal_and_wake_end_the_wait() -> None:
    with segment() as memory:
        queue, ready = memory.queue("jobs", 5), memory.queue("ready", 5)

        def take() -> None:
            signal.signal(signal.SIGTERM, lambda *_: ready.put(2))
            ready.put(1)
            assert queue.get() is None
            assert queue.get() is None

        pid = fork(memory, 1, take)
        assert ready.get(10)[0] == 1
        queue.wake()
        os.kill(pid, signal.SIGTERM)
        queue.wake()
        assert wait(pid) == 0


def test_item_in_hand_of_a_dead_process_is_given_back_at_the_end() -> None:
    with segment() as memory:
        queue = memory.queue("jobs", 2)
        queue.put(1)
        queue.put(2)

        def die() -> None:
            queue.get(0)
            os.kill(os.getpid(), signal.SIGKILL)

        assert wait(fork(memory, 1, die)) == -signal.SIGKILL
        assert queue.put(3), "its place is free for others"
        memory.release_dead(1)
        assert memory.give_back(1)
        assert not memory.give_back(1)
        assert not queue.put(4)
        assert [queue.get(0)[0] for _ in range(3)] == [2, 3, 1]
        assert (queue.given_back, queue.taken, queue.depth) == (1, 4, 0)


def test_item_that_was_done_is_not_given_back() -> None:
    with segment() as memory:
        queue = memory.queue("jobs", 2)
        queue.put(1)

        def die() -> None:
            queue.get(0)
            queue.done()
            os.kill(os.getpid(), signal.SIGKILL)

        wait(fork(memory, 1, die))
        memory.release_dead(1)
        assert not memory.give_back(1)


def test_killed_at_any_step_of_taking_no_item_is_lost_or_doubled() -> None:
    with segment() as memory:
        queue = memory.queue("jobs", 4)
        step = 0
        while True:
            for number in (1, 2, 3):
                queue.put(number)
            killed = killed_at(memory, 1, step, lambda: queue.get(0))
            memory.release_dead(1)
            memory.give_back(1)
            assert memory.check() == []
            left = []
            while item := queue.get(0):
                left.append(item[0])
                queue.done()
            assert left in ([1, 2, 3], [2, 3, 1]), f"killed at step {step}"
            if not killed:
                break
            step += 2
        assert step > 150


def test_killed_at_any_step_of_putting() -> None:
    with segment() as memory:
        queue = memory.queue("jobs", 4)
        step = 0
        seen = set()
        while True:
            queue.put(1)
            killed = killed_at(memory, 1, step, lambda: queue.put(2))
            memory.release_dead(1)
            assert memory.check() == []
            left = []
            while item := queue.get(0):
                left.append(item[0])
                queue.done()
            assert left in ([1], [1, 2]), f"killed at step {step}"
            seen.add(len(left))
            if not killed:
                break
            step += 2
        assert seen == {1, 2}


def test_killed_at_any_step_of_giving_back() -> None:
    with segment() as memory:
        queue = memory.queue("jobs", 4)

        def take() -> None:
            queue.get(0)
            os.kill(os.getpid(), signal.SIGKILL)

        step = 0
        while True:
            queue.put(1)
            queue.put(2)
            wait(fork(memory, 1, take))
            memory.release_dead(1)
            killed = killed_at(memory, 2, step, lambda: memory.give_back(1))
            memory.release_dead(2)
            memory.give_back(1)
            assert [item[0] for item in queue.waiting()] == [2, 1], f"killed at step {step}"
            while queue.get(0):
                queue.done()
            if not killed:
                break
            step += 3
        assert step > 150
