"""The table of connections: finding by id and by where it leads, aliases, who has how many, deaths."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
from kit.memory import fork, segment

from kamailio_py.shm.memory import SharedMemory
from kamailio_py.sip.endpoint import ListenSocket
from kamailio_py.transport.connections import MAX_ALIASES, Connections, Found, State

UDP = ListenSocket(0, "udp", "127.0.0.1", 5060)
TCP = ListenSocket(1, "tcp", "127.0.0.1", 5060)
OTHER = ListenSocket(2, "tcp", "127.0.0.1", 5070)
TLS = ListenSocket(3, "tls", "127.0.0.1", 5061)
LOCAL = ("127.0.0.1", 5060)


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with segment() as made:
        yield made


@pytest.fixture
def table(memory: SharedMemory) -> Connections:
    return Connections(memory, [UDP, TCP, OTHER, TLS], 3)


def add(table: Connections, port: int, host: str = "10.0.0.1", socket: ListenSocket = TCP, **more: object) -> Found:
    found = table.add(socket, (host, port), LOCAL, 1000, 5000, **more)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_ids_count_up_and_each_goes_to_who_has_the_fewest(table: Connections) -> None:
    assert [add(table, port) for port in range(4)] == [Found(1, 0), Found(2, 1), Found(3, 2), Found(4, 0)]
    table.remove(2)
    assert add(table, 9) == Found(5, 1)
    assert table.counts() == (4, 0)
    assert add(table, 10, reader=2) == Found(6, 2)


def test_found_by_id_first_then_by_address(table: Connections) -> None:
    one, two = add(table, 40000), add(table, 40001)
    assert table.leading(two.id, "tcp", "10.0.0.1", 40000, TCP.index) == two
    assert table.leading(0, "tcp", "10.0.0.1", 40000, TCP.index) == one
    assert table.leading(99, "tcp", "10.0.0.1", 40001, TCP.index) == two
    assert table.leading(0, "tls", "10.0.0.1", 40000, TCP.index) is None
    assert table.leading(0, "tcp", "10.0.0.2", 40000, TCP.index) is None
    table.set_state(two.id, State.CLOSING)
    assert table.leading(two.id, "tcp", "10.0.0.1", 40001, TCP.index) is None


def test_the_own_socket_is_preferred(table: Connections) -> None:
    other, own = add(table, 5060, socket=OTHER), add(table, 5060)
    assert table.leading(0, "tcp", "10.0.0.1", 5060, TCP.index) == own
    assert table.leading(0, "tcp", "10.0.0.1", 5060, OTHER.index) == other
    table.remove(own.id)
    assert table.leading(0, "tcp", "10.0.0.1", 5060, TCP.index) == other
    assert table.leading(0, "tcp", "10.0.0.1", 5060, TCP.index, only=True) is None


def test_aliases(table: Connections) -> None:
    one, two = add(table, 40000), add(table, 40001)
    assert table.add_alias(one.id, 5060)
    assert table.add_alias(one.id, 5060), "it is its own already"
    assert not table.add_alias(two.id, 5060), "the first one keeps it"
    assert table.id_to("tcp", "10.0.0.1", 5060) == one.id
    assert table.add_alias(two.id, 5060, replace=True)
    assert table.id_to("tcp", "10.0.0.1", 5060) == two.id
    table.remove(two.id)
    assert table.id_to("tcp", "10.0.0.1", 5060) == one.id
    table.remove(one.id)
    assert table.id_to("tcp", "10.0.0.1", 5060) == 0
    assert not table.add_alias(one.id, 5060)


def test_a_connection_has_only_so_many_aliases(table: Connections) -> None:
    one = add(table, 40000)
    assert all(table.add_alias(one.id, port) for port in range(1, MAX_ALIASES))
    assert not table.add_alias(one.id, MAX_ALIASES)


def test_record(table: Connections) -> None:
    found = add(table, 40000, "2001:db8::1", TLS, outgoing=True, state=State.CONNECTING)
    record = table.record(found.id)
    assert (record.src_host, record.src_port, record.dst_host, record.dst_port) == ("2001:db8::1", 40000, *LOCAL)
    assert (record.state, record.outgoing, record.lifetime, record.timeout) == (State.CONNECTING, 1, 5000, 6000)
    assert table.proto(record) == "tls"
    assert table.counts() == (1, 1)
    assert table.record(99) is None
    block = table.place(found.id)
    table.touch(block, 9000)
    assert table.timeout_of(block) == 14000
    assert table.set_lifetime(found.id, 700, 9000)
    assert table.timeout_of(block) == 9700
    assert not table.set_lifetime(99, 700, 9000)


def test_nothing_is_left(memory: SharedMemory, table: Connections) -> None:
    before = memory.arena.used
    numbers = [add(table, port).id for port in range(50)]
    for number in numbers:
        table.add_alias(number, 6000 + number)
    for number in numbers:
        table.remove(number)
        table.remove(number)
    assert memory.arena.used == before
    assert table.counts() == (0, 0)
    assert list(table.all()) == []
    assert memory.check() == []


def test_full_memory_is_an_answer(memory: SharedMemory, table: Connections) -> None:
    added = 0
    while table.add(TCP, ("10.0.0.1", added), LOCAL, 0, 1):
        added += 1
    assert table.counts() == (added, 0)
    assert memory.check() == []
    assert len(list(table.all())) == added


def test_what_a_reader_lost_is_forgotten(table: Connections) -> None:
    numbers = [add(table, port, reader=1).id for port in range(3)]
    add(table, 99, reader=2)
    lost = table.forget_reader(1, {numbers[0]}, 2000)
    assert [record.id for record in lost] == numbers[1:]
    assert table.forget_reader(2, set(), 500) == [], "too young to be lost"
    assert [record.id for record in table.all()] == [numbers[0], 4]


def test_death_at_any_time_leaves_a_sound_table(memory: SharedMemory, table: Connections) -> None:
    for port in range(20):
        add(table, port)
    for round_ in range(30):
        slot = 1 + round_ % 8
        pid = fork(memory, slot, lambda: _work_for_ever(table))
        time.sleep(0.002 + round_ * 0.0005)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        memory.release_dead(slot)
        assert table.leading(0, "tcp", "10.0.0.1", 7, TCP.index) is not None
        for record in list(table.all())[20:]:
            table.remove(record.id)
        assert table.id_to("tcp", "10.0.0.1", 103) == 0
    assert len(list(table.all())) == table.counts()[0] == 20
    assert memory.check() == []


def _work_for_ever(table: Connections) -> None:
    while True:
        found = add(table, 101)
        table.add_alias(found.id, 103)
        table.remove(found.id)
