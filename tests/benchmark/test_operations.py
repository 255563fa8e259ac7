"""What the single operations of a request cost: `python -m pytest tests/benchmark` prints times and fails on none.

With xdist, as in `make test`, each runs once and only has to be right.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.local import Local
from kit.memory import segment

from kamailio_py.shm.memory import SharedMemory
from kamailio_py.sip.lumps import apply
from kamailio_py.sip.message import Message
from kamailio_py.sip.reply import build_reply

pytestmark = pytest.mark.benchmark(max_time=0.2, min_rounds=5, disable_gc=True)

Benchmark = Callable[..., Any]

REQUEST = (
    "{method} sip:bob@127.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bK-{number}\r\n"
    'Max-Forwards: 70\r\nFrom: "Alice" <sip:alice@example.test>;tag=f-{number}\r\nTo: <sip:bob@example.test>\r\n'
    "Call-ID: {number}@bench.example.test\r\nCSeq: 1 {method}\r\nContact: <sip:alice@127.0.0.1:40000>\r\n"
    "User-Agent: kambench\r\nAllow: INVITE, ACK, CANCEL, OPTIONS, BYE, INFO, MESSAGE\r\n"
    "Supported: timer, replaces\r\nContent-Length: 0\r\n\r\n"
)

CFG = """
async_workers=1
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "htable.so"
loadmodule "async.so"
loadmodule "rr.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("htable", "htable", "t=>size=8;")
modparam("tm", "wt_timer", 100)
request_route {
    if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
    if (is_method("MESSAGE")) { t_newtran(); t_reply("200", "OK"); exit; }
    if (is_method("INFO")) { async_task_route("RESUME"); exit; }
    if (is_method("REGISTER")) { save("location"); exit; }
    if (is_method("SUBSCRIBE")) { if (!lookup("location")) { sl_send_reply("404", "Not Found"); } exit; }
    if (is_method("INVITE")) { record_route(); t_relay(); exit; }
    if (is_method("PUBLISH")) { $sht(t=>$fU) = $rm; $var(a) = $sht(t=>$fU); exit; }
    if (is_method("NOTIFY") && $fU == "alice" && $rU =~ "^b[a-z]+$") { $var(a) = $fu + "x" + $ci; $avp(b) = $var(a); }
}
route[RESUME] { t_reply("200", "OK"); }
"""


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with segment(32 << 20) as made:
        made.wheel.run(1_000_000)
        yield made


@pytest.fixture(scope="module")
def server() -> Iterator[Local]:
    with Local(CFG) as made:
        yield made


def text(method: str, number: int = 1) -> str:
    return REQUEST.format(method=method, number=f"{number:08d}")


# messages


def test_message_first_line_and_headers(benchmark: Benchmark) -> None:
    data = text("OPTIONS")
    assert benchmark(lambda: Message(data)).method == "OPTIONS"


def test_message_what_a_transaction_is_found_by(benchmark: Benchmark) -> None:
    data = text("OPTIONS")

    def read() -> tuple[Any, ...]:
        msg = Message(data)
        return msg.via.branch, msg.call_id, msg.header("cseq"), msg.header("from"), msg.header("to")

    assert benchmark(read)[1] == "00000001@bench.example.test"


def test_reply_built(benchmark: Benchmark) -> None:
    msg = Message(text("OPTIONS"), "127.0.0.1", 40000)
    assert benchmark(lambda: build_reply(msg, 200, "OK", to_tag="x")).startswith("SIP/2.0 200 OK\r\nVia: ")


def test_edits_applied(benchmark: Benchmark) -> None:
    """A header more and one less, as a relayed request has them."""
    msg = Message(text("INVITE"))
    start, end = msg.span(3)
    edits: list[Any] = [(start, end - start, ""), (msg.headers_end, 0, "X-More: yes\r\n")]
    assert benchmark(lambda: apply(edits, msg.text)).endswith("X-More: yes\r\n\r\n")


# shared memory


def test_lock_taken_and_given(benchmark: Benchmark, memory: SharedMemory) -> None:
    [lock] = memory.locks("one", 1)

    def turn() -> None:
        lock.acquire()
        lock.release()

    benchmark(turn)
    assert lock.generation >= 2
    assert lock.holder == -1


@pytest.mark.parametrize("size", [64, 600, 4000])
def test_block_stored_and_freed(benchmark: Benchmark, memory: SharedMemory, size: int) -> None:
    arena = memory.arena
    owner = arena.owner("test", "blocks")
    data = bytes(size)
    used = arena.used
    benchmark(lambda: arena.free(arena.store(data, owner)))
    assert arena.used == used


def test_record_put_into_a_table_and_taken_out(benchmark: Benchmark, memory: SharedMemory) -> None:
    table = memory.table("t", 8, 4)
    record = memory.arena.alloc(64, memory.arena.owner("test", "record"))
    lock = table.lock_of(3)

    def turn() -> None:
        lock.acquire()
        table.insert(3, record)
        table.remove(3, record)
        lock.release()

    benchmark(turn)
    assert len(table) == 0


def test_queue_put_and_got(benchmark: Benchmark, memory: SharedMemory) -> None:
    queue = memory.queue("jobs", 16)

    def turn() -> Any:
        queue.put(1, 2, 3, 4)
        found = queue.get(0)
        queue.done()
        return found

    assert benchmark(turn) == (1, 2, 3, 4)


@pytest.mark.parametrize("pending", [0, 20_000])
def test_timer_added_and_cancelled(benchmark: Benchmark, memory: SharedMemory, pending: int) -> None:
    owner = memory.arena.owner("test", "node")
    kind = memory.wheel.kind("k", lambda timer: None)
    nodes = [memory.arena.store(bytes(32), owner) for _ in range(pending + 1)]
    for place, node in enumerate(nodes[1:]):
        memory.wheel.add(node, 1_000_000 + 10 * (place % 9000), kind)

    def turn() -> bool:
        memory.wheel.add(nodes[0], 1_005_000, kind)
        return memory.wheel.cancel(nodes[0])

    assert benchmark(turn)


def test_timer_added_and_fired(benchmark: Benchmark, memory: SharedMemory) -> None:
    fired: list[int] = []
    kind = memory.wheel.kind("k", fired.append)
    node = memory.arena.store(bytes(32), memory.arena.owner("test", "node"))
    now = itertools.count(1_000_005, 5)

    def turn() -> int:
        due = next(now)
        memory.wheel.add(node, due, kind)
        return memory.wheel.run(due)

    assert benchmark(turn) == 1


# what modules keep


def test_transaction_made_found_and_freed(benchmark: Benchmark, server: Local) -> None:
    table = server.core.module("tm").table  # type: ignore[union-attr]
    msg = Message(text("MESSAGE"), "127.0.0.1", 40000)
    key = table.key(msg)
    before = server.core.shm.arena.used

    def turn() -> Any:
        lock = table.table.lock_of(5)
        lock.acquire()
        made = table.insert(msg, 5, key, "127.0.0.1", 40000, None)
        lock.release()
        found = table.find_ident(5, made.label)
        table.release(found)
        lock.acquire()
        table.remove(made)
        lock.release()
        table.free(made)
        return found.offset == made.offset

    assert benchmark(turn)
    assert server.core.shm.arena.used == before


def test_hash_table_set_and_got(benchmark: Benchmark, server: Local) -> None:
    table = server.core.module("htable").tables["t"]  # type: ignore[union-attr]

    def turn() -> Any:
        table.set("alice", "here")
        return table.get("alice")

    assert benchmark(turn) == "here"


# routes


def drive(benchmark: Benchmark, server: Local, method: str, answers: int) -> None:
    """Requests one after the other, each of its own; what is over is freed in between, off the clock."""
    numbers = iter(range(1, 10_000_000))

    def prepare() -> tuple[tuple[str], dict[str, Any]]:
        server.advance(0.2, 0.1)
        server.sent.clear()
        return (text(method, next(numbers)),), {}

    def turn(data: str) -> int:
        server.receive(data)
        server.settle()
        return len(server.sent)

    assert benchmark.pedantic(turn, setup=prepare, rounds=100) == answers  # type: ignore[attr-defined]


def test_request_stateless_reply(benchmark: Benchmark, server: Local) -> None:
    drive(benchmark, server, "OPTIONS", 1)


def test_request_transaction_and_reply(benchmark: Benchmark, server: Local) -> None:
    drive(benchmark, server, "MESSAGE", 1)


def test_request_suspended_and_resumed(benchmark: Benchmark, server: Local) -> None:
    drive(benchmark, server, "INFO", 1)


def test_request_relayed_with_record_route(benchmark: Benchmark, server: Local) -> None:
    drive(benchmark, server, "INVITE", 2)


def test_request_registered(benchmark: Benchmark, server: Local) -> None:
    drive(benchmark, server, "REGISTER", 1)


def test_route_lookup_of_a_registered_user(benchmark: Benchmark, server: Local) -> None:
    [reply] = server.inject(text("REGISTER", 9_999_999))
    assert reply.startswith("SIP/2.0 200 ")
    drive(benchmark, server, "SUBSCRIBE", 0)


def test_route_hash_table(benchmark: Benchmark, server: Local) -> None:
    drive(benchmark, server, "PUBLISH", 0)


def test_route_variables_and_conditions(benchmark: Benchmark, server: Local) -> None:
    drive(benchmark, server, "NOTIFY", 0)
