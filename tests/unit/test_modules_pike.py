"""pike's tree: IPv6, time that passes, memory."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.local import Local
from kit.memory import all_of, segment
from kit.requests import request

from kamailio_py.modules.pike.tree import Mark, Tree


class Clock:
    seconds = 100

    def __call__(self) -> int:
        return self.seconds


def test_an_ipv6_address_is_blocked_and_let_in_again() -> None:
    with segment() as shm:
        clock = Clock()
        tree = Tree(shm, clock, density=9, latency=20)
        ip = ip_address("2001:db8::1").packed
        marks = [tree.mark(ip) for _ in range(40)]
        assert marks.count(Mark.NEWLY_BLOCKED) == 1
        assert marks.index(Mark.NEWLY_BLOCKED) == 24, "as many as real Kamailio needs for sixteen bytes and nine hits"
        assert set(marks[25:]) == {Mark.BLOCKED}
        [address] = tree.addresses()
        assert address.hot
        assert tree.next_unit() == []
        assert tree.next_unit() == [ip]
        assert tree.mark(ip) is Mark.FINE
        clock.seconds += 20
        used = shm.arena.used
        for _ in range(16):
            tree.clean()
            clock.seconds += 20
        assert tree.addresses() == []
        assert shm.arena.used < used
        assert not any(tree._words[tree._heads + branch] for branch in range(256))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["10.0.0.1", "10.0.0.2", "10.9.0.1", "11.1.1.1", "::1"]), st.integers(1, 30)))
)
def test_who_sends_few_requests_is_never_blocked(floods: list[tuple[str, int]]) -> None:
    with segment(4 << 20) as shm:
        clock = Clock()
        tree = Tree(shm, clock, density=30, latency=5)
        before = shm.arena.used
        sent: dict[str, int] = {}
        for ip, times in floods:
            for _ in range(times):
                mark = tree.mark(ip_address(ip).packed)
                sent[ip] = sent.get(ip, 0) + 1
                assert mark is Mark.FINE or sent[ip] >= 30
        for _ in range(20):
            clock.seconds += 6
            tree.clean()
        assert shm.arena.used == before, "nothing is left"


def test_processes_count_together() -> None:
    with segment() as shm:
        tree = Tree(shm, Clock(), density=10000, latency=100)
        ip = ip_address("10.0.0.1").packed
        while not tree.addresses():
            tree.mark(ip)
        before = tree.addresses()[0].leaf_hits_curr
        all_of(shm, [lambda: [tree.mark(ip) for _ in range(500)]] * 4)
        assert tree.addresses()[0].leaf_hits_curr == before + 2000


def test_a_flood_over_time() -> None:
    cfg = """
loadmodule "sl.so"
loadmodule "pike.so"
modparam("pike", "sampling_time_unit", 2)
modparam("pike", "reqs_density_per_unit", 4)
request_route {
    if (!pike_check_req()) { exit; }
    sl_send_reply("200", "OK");
}
"""
    with Local(cfg) as server:
        answered = [bool(server.inject(request(call_id=f"c{n}"))) for n in range(30)]
        assert answered[:4] == [True] * 4
        assert not any(answered[-10:])
        server.advance(6)
        assert server.inject(request(call_id="later"))
