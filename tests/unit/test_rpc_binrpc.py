"""binrpc as bytes: what real Kamailio's ctl was seen to send for a request, byte for byte, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from kamailio_py.module import RpcFault
from kamailio_py.rpc import binrpc
from kamailio_py.rpc.binrpc import BinrpcError, Header, PacketType
from kamailio_py.rpc.binrpc_call import BinrpcCall
from kamailio_py.rpc.call import ScanFault
from kamailio_py.rpc.values import Members, Struct

COOKIE = b"COOK"


def body(*values: Any) -> bytes:
    made = bytearray()
    for value in values:
        binrpc.write(made, value)
    return bytes(made)


def call_of(request: bytes, **options: Any) -> BinrpcCall:
    return BinrpcCall(Header(0, COOKIE, 0, len(request)), request, **options)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, b"\x00"),
        (1, b"\x10\x01"),
        (300, b"\x20\x01\x2c"),
        (70000, b"\x30\x01\x11\x70"),
        (-1, b"\x40\xff\xff\xff\xff"),
        (4294967297, b"\x10\x01"),
        (True, b"\x10\x01"),
        (3.5, b"\x22\x0d\xac"),
        ("", b"\x11\x00"),
        ("a", b"\x21a\0"),
        ("seven..", b"\x91\x08seven..\0"),
        ("x" * 1000, b"\xa1\x03\xe9" + b"x" * 1000 + b"\0"),
        (None, b"\x91\x0e<null string>\0"),
        ({"name": "x", "value": 3}, b"\x03\x55name\0\x21x\0\x65value\0\x10\x03\x83"),
        ({"real_used": {}}, b"\x03\x95\x0areal_used\0\x03\x83\x83"),
        ([1, [2]], b"\x03\x10\x01\x03\x10\x02\x83\x83"),
        (Struct([("a", 1), ("a", 2)]), b"\x03\x25a\0\x10\x01\x25a\0\x10\x02\x83"),
        (Members([("a", 1)]), b"\x03\x25a\0\x10\x01\x83"),
    ],
)
def test_values_as_kamailio_sends_them(value: Any, encoded: bytes) -> None:
    assert body(value) == encoded


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, b"\xa1\x13\x00COOK"),
        (33, b"\xa1\x13\x21COOK"),
        (1004, b"\xa1\x17\x03\xecCOOK"),
        (94853, b"\xa1\x1b\x01r\x85COOK"),
    ],
)
def test_the_head_of_a_reply(length: int, head: bytes) -> None:
    assert binrpc.packet(PacketType.REPLY, COOKIE, bytes(length)) == head + bytes(length)
    assert binrpc.read_header(head + bytes(length)) == Header(1, COOKIE, len(head), length)


def test_a_fault_is_a_number_and_a_text() -> None:
    seen = b"\xa1\x33\x1eCOOK\x20\x01\xf4\x91\x19command nosuch not found\0"
    assert binrpc.fault_packet(COOKIE, 500, "command nosuch not found") == seen


@pytest.mark.parametrize("data", [b"GET / HTTP/1.0", b"\xa2\x03\x00COOK", b"\xb1\x03"])
def test_what_is_no_packet(data: bytes) -> None:
    with pytest.raises(BinrpcError) as caught:
        binrpc.read_header(data)
    assert not caught.value.more


@pytest.mark.parametrize(
    ("request_body", "method"),
    [(b"\x91\x0dcore.version\0", "core.version"), (b"\x21ab", "ab"), (b"\x31ab\0", "ab")],
)
def test_the_method(request_body: bytes, method: str) -> None:
    assert call_of(request_body).method() == method


@pytest.mark.parametrize(
    ("request_body", "text"),
    [
        (b"", "end of packet encountered"),
        (b"\x10\x01", "record doesn't match type"),
        (b"\x61core.", "more data needed"),
    ],
)
def test_no_method(request_body: bytes, text: str) -> None:
    with pytest.raises(BinrpcError, match=text):
        call_of(request_body).method()


@pytest.mark.parametrize(
    ("arguments", "letters", "text"),
    [
        (b"\x10\x03", "s", "error at parameter 0: expected string type but record doesn't match type"),
        (b"\x21a\0", "d", "error at parameter 0: expected integer type but record doesn't match type"),
        (b"", "d", "error at parameter 0: expected integer type but end of packet encountered"),
        (b"\x21a\0", "sS", "error at parameter 1: expected string type but end of packet encountered"),
        (b"\x22\x0d\xac", "d", "error at parameter 0: expected integer type but record doesn't match type"),
        (b"\x22\x0d\xac", ".s", "error at parameter 0: expected float type but bug -- internal error"),
        (b"\x03\x21a\0\x83", "*.s", "error at parameter 0: expected structure type but record doesn't match type"),
        (b"\x04\x10\x01\x84", "*.s", "error at parameter 0: expected array type but record doesn't match type"),
        (b"\x26ab", "*.s", "error at parameter 0: expected bytes array type but record doesn't match type"),
        (b"\x25a\0", "*.s", "error at parameter 0: expected structure member type but record doesn't match type"),
        (b"\x27a\0", "*.s", "error at parameter 0: expected <unknown/error> type but record doesn't match type"),
        (b"\x83", "*.s", "error at parameter 0: expected structure type but bad record"),
    ],
)
def test_arguments_that_do_not_fit(arguments: bytes, letters: str, text: str) -> None:
    with pytest.raises(ScanFault) as caught:
        call_of(arguments).scan(letters)
    assert (caught.value.code, caught.value.text) == (400, text)


@pytest.mark.parametrize(
    ("arguments", "letters", "scanned"),
    [
        (b"\x21a\0\x10\x05", "sd", ["a", 5]),
        (b"\x40\xff\xff\xff\xf9", "d", [-7]),
        (b"\x50\x01\x02\x03\x04\x05", "d", [0x02030405]),
        (b"\x10\x00", "d", [0]),
        (b"\x01", "s", [""]),
        (b"\x91\x40ab", "*s", []),
        (b"\x10\x01", ".s", ["1"]),
        (b"\x40\xff\xff\xff\xff", ".s", ["18446744073709551615"]),
        (b"\x22\x0d\xac", ".d", [3]),
        (b"\x41-12\0", ".d", [-12]),
        (b"\x11\0", ".d", [0]),
        (b"\x22\x0d\xac", "f", [3.5]),
        (b"\x03\x25a\0\x10\x01\x83\x10\x02", "{d", [Struct([("a", 1)]), 2]),
    ],
)
def test_arguments(arguments: bytes, letters: str, scanned: list[Any]) -> None:
    assert call_of(arguments).scan(letters) == scanned


@pytest.mark.parametrize("text", ["0x10", "010x", " 12", "12 ", "x"])
def test_texts_that_are_no_number(text: str) -> None:
    with pytest.raises(ScanFault):
        call_of(body(text)).scan(".d")


def test_autoconversion_of_everything() -> None:
    assert call_of(body(5, "6"), convert=True).scan("sd") == ["5", 6]


def test_a_fault_of_scanning_does_not_undo_an_answer() -> None:
    call = call_of(body("a", 3))
    call.emit("a")
    call.not_scanned(ScanFault(1, "string", "record doesn't match type", absent=False))
    assert call.packet == b"\xa1\x13\x03COOK\x21a\0"
    call.fail(RpcFault(404, "no"))
    assert call.packet == binrpc.fault_packet(COOKIE, 404, "no")


def test_answers_that_are_too_long_for_ctl() -> None:
    call = call_of(b"")
    for _ in range(300):
        call.emit("x" * 100)
    with pytest.raises(RpcFault, match=r"Internal server error processing 's': buffer too small \(overflow\) \(-2\)"):
        call.emit("x" * 3000)
    with pytest.raises(RpcFault, match="overflow"):
        call_of(b"").emit({"value": "x" * 9000})
    many = call_of(b"")
    for _ in range(50):
        many.emit({"value": "x" * 8000})
    assert len(many.packet) > 400_000
