"""The table: chains under striped locks, sound when a process is killed in them."""

from __future__ import annotations

from kit.memory import all_of, killed_at, segment


def test_insert_walk_remove() -> None:
    with segment() as memory:
        table = memory.table("t", 8, 4)
        owner = memory.arena.owner("test", "x")
        a, b, c = (memory.arena.alloc(64, owner) for _ in range(3))
        table.insert(3, a)
        table.insert(3, b)
        table.insert(3, c, after=b)
        assert list(table.walk(3)) == [b, c, a]
        assert table.head(3) == b
        assert list(table.filled()) == [3]
        assert len(table) == 3
        assert table.check() == []
        for offset in table.walk(3):
            table.remove(3, offset)
            memory.arena.free(offset)
        assert (table.head(3), len(table)) == (0, 0)
        assert memory.check() == []


def test_processes_in_all_buckets() -> None:
    with segment() as memory:
        table = memory.table("t", 16, 4)
        owner = memory.arena.owner("test", "x")

        def work(seed: int) -> None:
            mine = []
            for number in range(600):
                bucket = (number * 7 + seed) % 16
                cell = memory.arena.alloc(32, owner)
                with table.lock_of(bucket):
                    table.insert(bucket, cell)
                mine.append((bucket, cell))
                if number % 2:
                    bucket, cell = mine.pop(number % len(mine))
                    with table.lock_of(bucket):
                        table.remove(bucket, cell)
                    memory.arena.free(cell)

        all_of(memory, [lambda seed=seed: work(seed) for seed in range(4)])
        assert memory.check() == []
        assert len(table) == sum(1 for b in range(16) for _ in table.walk(b)) == 1200


def test_killed_at_any_step_the_chain_is_mended() -> None:
    with segment() as memory:
        table = memory.table("t", 4, 2)
        owner = memory.arena.owner("test", "x")
        kept = [memory.arena.alloc(32, owner) for _ in range(3)]
        mine = [memory.arena.alloc(32, owner) for _ in range(2)]

        def act() -> None:
            with table.lock_of(1):
                table.insert(1, mine[0])
                table.insert(1, mine[1], after=kept[2])
                table.remove(1, mine[1])
                table.remove(1, kept[1])
                table.remove(1, mine[0])

        step = 0
        while True:
            for cell in kept:
                table.insert(1, cell)
            killed = killed_at(memory, 1, step, act)
            memory.release_dead(1)
            assert memory.check() == [], f"killed at step {step}"
            assert [c for c in table.walk(1) if c in (kept[0], kept[2])] == [kept[2], kept[0]]
            for cell in table.walk(1):
                table.remove(1, cell)
            if not killed:
                break
            step += 2
        assert step > 250


def test_broken_chain_is_found() -> None:
    with segment() as memory:
        table = memory.table("t", 4, 2)
        owner = memory.arena.owner("test", "x")
        a, b = memory.arena.alloc(32, owner), memory.arena.alloc(32, owner)
        table.insert(0, a)
        table.insert(0, b)
        memory.u64[a >> 3] = b
        assert "does not point back" in table.check()[0]
        memory.u64[a >> 3] = 1 << 40
        assert any("leads to 1099511627776" in fault for fault in table.check())
        memory.u64[a >> 3] = 0
        table.remove(0, b)
        table.remove(0, a)
        memory.u64[a >> 3] = 0
        assert memory.check() == []
