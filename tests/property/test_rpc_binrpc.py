"""What is written is read again, and no bytes do any harm."""

from __future__ import annotations

import contextlib
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kamailio_py.module import commands_of, rpc
from kamailio_py.rpc import binrpc
from kamailio_py.rpc.binrpc import BinrpcError, PacketType
from kamailio_py.rpc.call import Call
from kamailio_py.rpc.values import Struct

texts = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=300)
scalars = st.integers(-(1 << 31), (1 << 31) - 1) | texts | st.integers(-(10**6), 10**6).map(lambda n: n / 1000)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4) | st.lists(st.tuples(texts, inner), min_size=1, max_size=4).map(Struct)
    ),
    max_leaves=12,
)
cookies = st.binary(min_size=1, max_size=4)


def alike(sent: Any, read: Any) -> bool:
    if isinstance(sent, float):
        return abs(sent - read) < 0.0015
    if isinstance(sent, list):
        return len(sent) == len(read) and all(map(alike, sent, read))
    if isinstance(sent, Struct):
        return len(sent.pairs) == len(read.pairs) and all(
            a[0] == b[0] and alike(a[1], b[1]) for a, b in zip(sent.pairs, read.pairs, strict=True)
        )
    return bool(sent == read)


def outcome(body: bytes) -> tuple[list[Any], BinrpcError | None]:
    """The values that could be read, and what stopped the reading."""
    read: list[Any] = []
    try:
        for value in binrpc.values(body):
            read.append(value)
    except BinrpcError as error:
        return read, error
    return read, None


@given(cookies, st.lists(values, max_size=6))
def test_packets_are_read_as_they_were_written(cookie: bytes, answer: list[Any]) -> None:
    body = bytearray()
    for value in answer:
        binrpc.write(body, value)
    packet = binrpc.packet(PacketType.REPLY, cookie, body)
    header = binrpc.read_header(packet + b"more")
    assert (header.type, header.cookie, header.end) == (PacketType.REPLY, cookie, len(packet))
    read = list(binrpc.values(packet[header.start : header.end]))
    assert len(read) == len(answer)
    assert all(map(alike, answer, read))


@given(st.lists(values, min_size=1, max_size=3), st.data())
def test_a_packet_that_is_cut_off_needs_more(answer: list[Any], data: st.DataObject) -> None:
    body = bytearray()
    for value in answer:
        binrpc.write(body, value)
    cut = data.draw(st.integers(0, len(body) - 1))
    read, refused = outcome(bytes(body[:cut]))
    assert len(read) < len(answer)
    assert refused is None or refused.more


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(BinrpcError):
        assert binrpc.read_header(data).start <= len(data)
    assert len(outcome(data)[0]) <= len(data)


class _Demo:
    def rpcs(self) -> Any:
        return commands_of(self)

    @rpc("demo.take", "s*.d.sf{")
    def take(self, call: Call, *arguments: Any) -> list[Any]:
        return [str(argument) for argument in arguments]


@given(st.binary(max_size=60), st.booleans())
def test_any_request_gets_one_answer(arguments: bytes, named: bool) -> None:
    """Through the whole of ctl's answer(), no socket: a packet comes out, whatever went in."""
    from kamailio_py.modules.ctl import Ctl
    from kamailio_py.rpc.commands import Commands

    processes = SimpleNamespace(begin=lambda what: None, doing=lambda what: nullcontext())
    core: Any = SimpleNamespace(modules={"demo": _Demo()}, shm=SimpleNamespace(processes=processes), commands=None)
    ctl = Ctl(core)
    ctl.commands = Commands(core)
    request = (b"\x91\x0ademo.take\0" if named else b"") + arguments
    packet = binrpc.packet(PacketType.REQUEST, b"COOK", request)
    header = binrpc.read_header(packet)
    answer, goes_on = ctl.answer(header, request, None)
    replied = binrpc.read_header(answer)
    assert replied.cookie == b"COOK"
    assert replied.end == len(answer)
    assert replied.type in (PacketType.REPLY, PacketType.FAULT)
    assert goes_on or replied.type == PacketType.FAULT
    list(binrpc.values(answer[replied.start :]))
