"""Locks: they exclude, say who holds them, and outlive their holders."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from kit.memory import all_of, fork, killed_at, segment, wait

from kamailio_py import points
from kamailio_py.shm.errors import Orphaned, SharedMemoryError


def test_holder_is_recorded() -> None:
    with segment() as memory:
        first, second = memory.locks("pair", 2)
        memory.processes.slot = 3
        assert first.holder == -1
        first.acquire()
        assert first.holder == 3
        assert first.generation % 2 == 1
        with second:
            assert memory.held() == {"pair[0]": 3, "pair[1]": 3}
            assert memory.check() == ["lock pair[0] is held by process 3", "lock pair[1] is held by process 3"]
        first.release()
        assert memory.held() == {}
        assert (first.generation, second.generation) == (2, 2)


def test_only_one_at_a_time() -> None:
    with segment() as memory:
        lock = memory.lock("one")
        at = memory.reserve("word", "records", 8) >> 3

        def work() -> None:
            for _ in range(3000):
                lock.acquire()
                memory.u64[at] = memory.u64[at] + 1
                lock.release()

        all_of(memory, [work] * 4)
        assert memory.u64[at] == 12000
        assert lock.generation == 24000


def test_signal_does_not_break_the_wait_for_a_lock() -> None:
    with segment() as memory:
        lock, started = memory.lock("one"), memory.queue("started", 1)
        lock.acquire()

        def wait_for_it() -> None:
            signals = []
            signal.signal(signal.SIGUSR1, lambda *_: signals.append(1))
            started.put(1)
            lock.acquire()
            assert signals
            lock.release()

        pid = fork(memory, 1, wait_for_it)
        assert started.get(10)
        while memory.processes.intent(1) != lock.offset:
            os.sched_yield()
        os.kill(pid, signal.SIGUSR1)
        while "SigPnd:\t0000000000000000" not in Path(f"/proc/{pid}/status").read_text():
            os.sched_yield()
        lock.release()
        assert wait(pid) == 0


def test_lock_of_a_dead_process_is_freed_after_mending() -> None:
    with segment() as memory:
        first, second, other = memory.locks("some", 3)
        mended = []
        first.mend = lambda: mended.append("first")

        def die() -> None:
            first.acquire()
            second.acquire()
            os.kill(os.getpid(), signal.SIGKILL)

        other.acquire()
        assert wait(fork(memory, 1, die)) == -signal.SIGKILL
        assert memory.held() == {"some[0]": 1, "some[1]": 1, "some[2]": 0}
        assert memory.release_dead(1) == ["some[0]", "some[1]"]
        assert mended == ["first"]
        assert memory.held() == {"some[2]": 0}
        all_of(memory, [lambda: first.__enter__() and second.__enter__() and None])
        assert memory.release_dead(2) == []


def test_killed_at_any_step_of_taking_and_giving() -> None:
    with segment() as memory:
        outer, inner = memory.locks("some", 2)

        def act() -> None:
            outer.acquire()
            inner.acquire()
            inner.release()
            outer.release()

        step = 0
        while killed_at(memory, 1, step, act):
            memory.release_dead(1)
            assert memory.held() == {}
            assert memory.processes.intent(1) == 0
            all_of(memory, [act])
            step += 1
        assert step > (90 if sys.implementation.name == "pypy" else 100)  # each instruction of both


def test_waiter_that_is_killed_leaves_the_lock_to_its_holder() -> None:
    with segment() as memory:
        lock = memory.lock("one")
        lock.acquire()
        pid = fork(memory, 1, lock.acquire)
        while memory.processes.intent(1) != lock.offset:
            os.sched_yield()
        os.kill(pid, signal.SIGKILL)
        wait(pid)
        assert memory.release_dead(1) == []
        assert lock.holder == 0
        lock.release()
        with lock:
            pass


def test_waiter_ends_when_the_main_process_is_gone() -> None:
    with segment() as memory:
        lock = memory.lock("one")
        lock.acquire()
        reader, writer = os.pipe()
        main = os.fork()
        if not main:
            child = os.fork()
            if not child:
                memory.processes.slot = 1
                signal.signal(signal.SIGTERM, lambda *_: None)
                os.write(writer, str(os.getpid()).encode())
                try:
                    lock.acquire()
                except Orphaned:
                    os.write(writer, b" ended")
                os._exit(0)
            signal.pause()
        child = int(os.read(reader, 100))
        while memory.processes.intent(1) != lock.offset:
            os.sched_yield()
        os.kill(main, signal.SIGKILL)
        wait(main)
        os.kill(child, signal.SIGTERM)
        assert os.read(reader, 100) == b" ended"
        lock.release()


def test_reader_without_lock_knows_whether_it_saw_one_state() -> None:
    with segment() as memory:
        lock = memory.lock("one")
        assert lock.stable(lambda: 7) == (7, True)

        seen = []

        def read() -> int:
            if len(seen) < 2:  # somebody writes while we read
                lock.acquire()
                lock.release()
            seen.append(1)
            return len(seen)

        assert lock.stable(read) == (3, True)
        lock.acquire()
        assert lock.stable(lambda: 8, tries=3) == (8, False)


def test_reader_survives_nonsense() -> None:
    with segment() as memory:
        lock = memory.lock("one")

        def follow() -> int:
            return memory.u64[1 << 50]

        assert lock.stable(follow, tries=2) == (None, False)


def test_stripes_are_a_power_of_two() -> None:
    with segment() as memory:
        for buckets, stripes in ((8, 3), (8, 16), (8, 0)):
            with pytest.raises(SharedMemoryError):
                memory.table("t", buckets, stripes)


def test_points_name_places_where_a_process_may_be_stopped() -> None:
    with segment() as memory:
        seen: list[str] = []
        queue = memory.queue("jobs", 3)
        kind = memory.wheel.kind("k", lambda node: None)
        node = memory.arena.store(bytes(32), memory.arena.owner("test", "node"))
        memory.wheel.add(node, 5, kind)
        points.set_hook(seen.append)
        try:
            queue.put(1)
            queue.get(0)
            memory.wheel.run(10)
        finally:
            points.set_hook(None)
        assert seen == ["shm.queue.taken", "shm.wheel.fired"]
