"""The arena: blocks with owners, exhaustion as an answer, soundness when its users are killed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from kit.memory import all_of, killed_at, segment

from kamailio_py.shm.arena import LARGEST, STRIDES
from kamailio_py.shm.slabs import SLAB


def test_block_is_as_large_as_asked_and_aligned() -> None:
    with segment() as memory:
        arena = memory.arena
        owner = arena.owner("test", "blocks")
        blocks = {}
        for size in [0, 1, 8, 24, 25, 100, 4000, LARGEST, LARGEST + 1, 70_000, 200_000]:
            offset = arena.alloc(size, owner)
            assert offset % 8 == 0
            assert arena.size_of(offset) == size
            memory.memory[offset : offset + size] = bytes((size % 251,)) * size
            blocks[offset] = size
        for offset, size in blocks.items():
            assert memory.memory[offset : offset + size] == bytes((size % 251,)) * size
        assert sorted(b.offset for b in arena.walk()) == sorted(blocks)
        assert arena.check() == []
        for offset in blocks:
            arena.free(offset)
        assert list(arena.walk()) == []
        assert arena.check() == []


def test_strides_waste_at_most_a_quarter() -> None:
    assert all(b <= a * 1.5 for a, b in pairwise(STRIDES))
    assert all(b <= a * 1.26 for a, b in pairwise(STRIDES[3:]))


def test_store_and_load() -> None:
    with segment() as memory:
        owner = memory.arena.owner("test", "text")
        offset = memory.arena.store(b"INVITE sip:a", owner)
        assert memory.arena.load(offset) == b"INVITE sip:a"
        assert memory.arena.load(memory.arena.store(b"", owner)) == b""
        assert memory.arena.owners.name(memory.arena.owner_of(offset)) == "test:text"


def test_freeing_twice_is_a_bug() -> None:
    with segment() as memory:
        offset = memory.arena.alloc(10, memory.arena.owner("test", "x"))
        memory.arena.free(offset)
        with pytest.raises(AssertionError, match="not in use"):
            memory.arena.free(offset)


def test_exhaustion_is_zero_and_counted() -> None:
    with segment(4 << 20) as memory:
        arena = memory.arena
        owner = arena.owner("test", "x")
        blocks = []
        while offset := arena.alloc(1000, owner):
            blocks.append(offset)
        assert len(blocks) * 1024 > 2 << 20
        assert arena.exhausted == 1
        assert arena.store(b"x" * 1000, owner) == 0
        assert arena.alloc(100_000, owner) == 0
        assert arena.exhausted == 3
        assert arena.check() == []
        arena.free(blocks.pop())
        assert arena.alloc(1000, owner)


def test_memory_of_one_size_serves_another_later() -> None:
    with segment(4 << 20) as memory:
        arena = memory.arena
        owner = arena.owner("test", "x")
        for size in (100, 3000, 20_000, 500_000, 40):
            blocks = []
            while offset := arena.alloc(size, owner):
                blocks.append(offset)
            assert len(blocks) * size > 1 << 20, size
            for offset in blocks:
                arena.free(offset)
            assert arena.check() == []


def test_slabs_given_back_are_the_machines() -> None:
    with segment(8 << 20) as memory:
        arena = memory.arena
        offset = arena.alloc(3 << 20, arena.owner("test", "x"))
        memory.memory[offset : offset + (3 << 20)] = b"x" * (3 << 20)
        before = arena.taken
        arena.free(offset)
        assert before - arena.taken == (3 << 20) + SLAB
        assert memory.memory[offset : offset + 1000] == bytes(1000)


def test_owners_are_summed() -> None:
    with segment() as memory:
        arena = memory.arena
        cells, texts = arena.owner("tm", "cell"), arena.owner("tm", "text")
        for _ in range(3):
            arena.alloc(500, cells)
        arena.alloc(24, texts)
        arena.alloc(65536, texts)
        assert arena.by_owner() == {"tm:cell": (3, 3 * 512), "tm:text": (2, 32 + 2 * SLAB)}


def test_used_and_peak() -> None:
    with segment() as memory:
        arena = memory.arena
        owner = arena.owner("test", "x")
        base = arena.used
        blocks = [arena.alloc(56, owner) for _ in range(10)]
        assert (arena.used, arena.peak) == (base + 640, base + 640)
        for offset in blocks[:4]:
            arena.free(offset)
        arena.alloc(56, owner)
        assert (arena.used, arena.peak) == (base + 7 * 64, base + 640)


def test_processes_at_the_same_time() -> None:
    with segment(16 << 20) as memory:
        arena = memory.arena
        owner = arena.owner("test", "x")

        def work(seed: int) -> None:
            held = []
            for number in range(1500):
                size = (number * 37 + seed * 101) % 700
                offset = arena.alloc(size, owner)
                memory.memory[offset : offset + size] = bytes((seed,)) * size
                held.append((offset, size))
                if number % 3:
                    offset, size = held.pop(number * 7 % len(held))
                    assert memory.memory[offset : offset + size] == bytes((seed,)) * size
                    arena.free(offset)

        all_of(memory, [lambda seed=seed: work(seed) for seed in range(1, 5)])
        assert arena.check() == []
        assert sum(1 for _ in arena.walk()) == 4 * 500


@pytest.mark.parametrize("size", [100, 100_000])
def test_killed_anywhere_the_arena_is_sound(size: int) -> None:
    """One process dies at every single step of an allocation and a freeing."""
    with segment(8 << 20) as memory:
        arena = memory.arena
        owner = arena.owner("test", "x")
        kept = [arena.alloc(100, owner) for _ in range(3)]
        arena.free(kept.pop(1))

        def act() -> None:
            first, second = arena.alloc(size, owner), arena.alloc(size, owner)
            arena.free(first)
            arena.free(second)

        step = 0
        while killed_at(memory, 1, step, act):
            memory.release_dead(1)
            assert memory.check() == [], f"killed at step {step}"
            blocks = {block.offset for block in arena.walk()}
            assert set(kept) <= blocks
            assert len(blocks) <= 4, "at most the blocks of the dead one are left"
            for offset in blocks - set(kept):
                arena.free(offset)
            assert memory.check() == []
            step += 1 if step < 40 else 5
        assert step > 200


def test_killed_while_making_room() -> None:
    with segment(4 << 20) as memory:
        arena = memory.arena
        owner = arena.owner("test", "x")
        blocks = []
        while offset := arena.alloc(20_000, owner):
            blocks.append(offset)
        step = 0

        def act() -> None:
            assert arena.alloc(500, owner)

        while True:
            for offset in blocks:
                arena.free(offset)
            killed = killed_at(memory, 1, step, act)
            memory.release_dead(1)
            assert memory.check() == [], f"killed at step {step}"
            if not killed:
                break
            for block in list(arena.walk()):
                arena.free(block.offset)
            blocks = []
            while offset := arena.alloc(20_000, owner):
                blocks.append(offset)
            assert len(blocks) > 80
            step += 193
        assert step > 1900
