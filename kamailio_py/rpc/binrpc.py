"""binrpc, the protocol of `kamcmd`: packets and the values in them, as bytes. Seen on the wire of real Kamailio's ctl.

A packet is `a1`, a byte (type << 4 | bytes of the length - 1 << 2 | bytes of the cookie - 1), the length of the body,
the cookie, the body. A value is one byte (long << 7 | size << 4 | type) and its content; with `long` the size counts
the bytes of the length that follows. A struct is open (`03`), named values, close (`83`). Numbers are big-endian
without leading zero bytes, negative ones as 32 bits; a double is an int of thousandths; strings end in NUL, which
counts.

Knows no socket and no command; what cannot be read raises BinrpcError with Kamailio's words.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple

from kamailio_py.rpc.values import Struct

MAGIC = 0xA1
"""Magic (a) and version (1)."""
NULL_STRING = "<null string>"


class PacketType(IntEnum):
    REQUEST = 0
    REPLY = 1
    FAULT = 3


class Kind(IntEnum):
    """Types of values; NAMES has Kamailio's words for them."""

    INT = 0
    STR = 1
    DOUBLE = 2
    STRUCT = 3
    ARRAY = 4
    AVP = 5
    BYTES = 6


NAMES = {
    Kind.INT: "integer", Kind.STR: "string", Kind.DOUBLE: "float", Kind.STRUCT: "structure", Kind.ARRAY: "array",
    Kind.AVP: "structure member", Kind.BYTES: "bytes array",
}  # fmt: skip


class BinrpcError(Exception):
    """Bytes that are no binrpc; `more` says that they may become some when more of them have come."""

    def __init__(self, text: str, *, more: bool = False) -> None:
        super().__init__(text)
        self.more = more


CORRUPTED = "corrupted packet"
MORE_NEEDED = "more data needed"
END_OF_PACKET = "end of packet encountered"
BAD_RECORD = "bad record"


# packets


class Header(NamedTuple):
    """What stands before a body: its type, cookie, where it begins and its length."""

    type: int
    cookie: bytes
    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


def read_header(data: bytes | bytearray) -> Header:
    """The header at the beginning of `data`; BinrpcError with `more` while it is not complete."""
    if data and data[0] != MAGIC:
        raise BinrpcError(CORRUPTED)
    if len(data) < 2:
        raise BinrpcError(MORE_NEEDED, more=True)
    flags = data[1]
    cookie_at = 2 + (flags >> 2 & 3) + 1
    start = cookie_at + (flags & 3) + 1
    if len(data) < start:
        raise BinrpcError(MORE_NEEDED, more=True)
    return Header(flags >> 4, bytes(data[cookie_at:start]), start, int.from_bytes(data[2:cookie_at], "big"))


def packet(kind: PacketType, cookie: bytes, body: bytes | bytearray) -> bytes:
    """A whole packet; the cookie has one to four bytes."""
    length = _number(len(body)) or b"\0"
    return bytes((MAGIC, kind << 4 | (len(length) - 1) << 2 | (len(cookie) - 1))) + length + cookie + body


def fault_packet(cookie: bytes, code: int, text: str) -> bytes:
    body = bytearray()
    write(body, code)
    write(body, text)
    return packet(PacketType.FAULT, cookie, body)


# writing


def write(body: bytearray, value: Any) -> None:
    """Append one value of an answer (rpc/values.py) to a body."""
    if isinstance(value, str):
        _sized(body, Kind.STR, value.encode("latin-1", "replace") + b"\0")
    elif isinstance(value, int):
        _sized(body, Kind.INT, _number(value & 0xFFFFFFFF))
    elif value is None:
        _sized(body, Kind.STR, NULL_STRING.encode() + b"\0")
    elif isinstance(value, float):
        number = int(value * 1000)
        if number < 0:
            # eight bytes, whose size runs into the bit for long sizes
            body.append(0x80 | Kind.DOUBLE)
            body += (number & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big")
        else:
            _sized(body, Kind.DOUBLE, _number(number & 0xFFFFFFFF))
    elif isinstance(value, (dict, Struct)):
        body.append(Kind.STRUCT)
        for name, member in value.items():
            _sized(body, Kind.AVP, name.encode("latin-1", "replace") + b"\0")
            write(body, member)
        body.append(0x80 | Kind.STRUCT)
    elif isinstance(value, list):
        body.append(Kind.STRUCT)
        for member in value:
            write(body, member)
        body.append(0x80 | Kind.STRUCT)
    else:
        raise TypeError(f"no RPC value: {value!r}")


def _number(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _sized(body: bytearray, kind: int, content: bytes) -> None:
    size = len(content)
    if size < 8:
        body.append(size << 4 | kind)
    else:
        length = _number(size)
        body.append(0x80 | len(length) << 4 | kind)
        body += length
    body += content


# reading


class Token(NamedTuple):
    """One record: its kind, its content (None at the beginning of a struct or array, Close at its end), its end."""

    kind: int
    value: Any
    end: int


class Close:
    """Stands for the end of a struct or array."""


CLOSE = Close()


def token(body: bytes | memoryview, at: int) -> Token:
    """The record at `at`; BinrpcError when the body ends before it or in it, or when it makes no sense."""
    if at >= len(body):
        raise BinrpcError(END_OF_PACKET, more=True)
    first = body[at]
    kind, size, long = first & 0x0F, first >> 4 & 7, first >> 7
    at += 1
    if kind in (Kind.STRUCT, Kind.ARRAY):
        if size:
            raise BinrpcError(BAD_RECORD)
        return Token(kind, CLOSE if long else None, at)
    if long and not size and kind in (Kind.INT, Kind.DOUBLE):
        size = 8
    elif long:
        if size > 4:
            raise BinrpcError(BAD_RECORD)
        length = int.from_bytes(body[at : at + size], "big")
        at, size = at + size, length
    if at + size > len(body):
        raise BinrpcError(MORE_NEEDED, more=True)
    content = bytes(body[at : at + size])
    return Token(kind, _content(kind, content), at + size)


def _content(kind: int, content: bytes) -> Any:
    if kind in (Kind.INT, Kind.DOUBLE):
        number = int.from_bytes(content[-4:], "big")
        number -= (number & 0x80000000) << 1
        return number if kind == Kind.INT else number / 1000
    if kind in (Kind.STR, Kind.AVP):
        return content.removesuffix(b"\0").decode("latin-1")
    return content


def values(body: bytes | memoryview) -> Iterator[Any]:
    """All values of a body: int, float, str, bytes, list, and Struct."""
    at = 0
    while at < len(body):
        value, at = read(body, at)
        yield value


def read(body: bytes | memoryview, at: int) -> tuple[Any, int]:
    """One value with what is in it, and where it ends."""
    outer: list[_Open] = []
    while True:
        found = token(body, at)
        at = found.end
        value = found.value
        if found.kind == Kind.AVP:
            if not outer or outer[-1].name is not None:
                raise BinrpcError(BAD_RECORD)
            outer[-1].name = value
            continue
        if found.kind in (Kind.STRUCT, Kind.ARRAY):
            if value is None:
                outer.append(_Open(found.kind))
                continue
            if not outer or outer[-1].kind != found.kind or outer[-1].name is not None:
                raise BinrpcError(BAD_RECORD)
            value = outer.pop().value()
        if not outer:
            return value, at
        outer[-1].add(value)


class _Open:
    """A struct or an array that is being read."""

    __slots__ = ("kind", "members", "name")

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.name: str | None = None
        self.members: list[tuple[str | None, Any]] = []

    def add(self, value: Any) -> None:
        self.members.append((self.name, value))
        self.name = None

    def value(self) -> list[Any] | Struct:
        """Without any name a list; otherwise a Struct, unnamed values under ""."""
        if (self.members and all(name is None for name, _ in self.members)) or self.kind == Kind.ARRAY:
            return [value for _, value in self.members]
        return Struct((name or "", value) for name, value in self.members)
