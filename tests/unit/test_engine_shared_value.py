"""A value that all processes see: replaced by one, read by others, sound when somebody dies."""

from __future__ import annotations

import itertools

from kit.memory import all_of, fork, killed_at, segment, wait

from kamailio_py.engine.shared_value import SharedValue


def test_other_processes_see_the_new_value_and_old_ones_are_freed() -> None:
    with segment() as shm:
        value: SharedValue[dict[str, int]] = SharedValue(shm, "test", "value", dict, {})
        assert value.get() == {}
        assert value.set({"a": 1})
        assert value.get() == {"a": 1}
        assert value.get() is value.get(), "it is read once"
        used = shm.arena.used

        def other() -> None:
            assert value.get() == {"a": 1}
            assert value.set({"b": 2})

        assert wait(fork(shm, 1, other)) == 0
        assert value.get() == {"b": 2}
        assert shm.arena.used == used


def test_no_memory_is_an_answer() -> None:
    with segment(4 << 20) as shm:
        value: SharedValue[str] = SharedValue(shm, "test", "value", str, "")
        assert value.set("small")
        assert not value.set("x" * (8 << 20))
        assert value.get() == "small"


def test_readers_and_writers_at_the_same_time() -> None:
    with segment() as shm:
        value: SharedValue[list[int]] = SharedValue(shm, "test", "value", list, [0] * 3)

        def write() -> None:
            for number in range(200):
                value.set([number] * (3 + number % 400))

        def read() -> None:
            for _ in range(2000):
                assert len(set(value.get())) == 1

        all_of(shm, [write, write, read, read])


def test_a_writer_may_die_anywhere() -> None:
    with segment() as shm:
        value: SharedValue[str] = SharedValue(shm, "test", "value", str, "")
        value.set("old")
        for step in itertools.count(0, 7):
            died = killed_at(shm, 1, step, lambda: value.set("new"), also="shared_value")
            shm.release_dead(1)
            assert value.get() in ("old", "new")
            assert value.set("old")
            assert value.get() == "old"
            if not died:
                break
