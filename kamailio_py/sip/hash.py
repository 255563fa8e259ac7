"""Numbers and texts that identify transactions: Kamailio's hashes over Call-ID and CSeq, and branch parameters.

All of them are part of what goes over the wire or of what tools show, so they are Kamailio's bit for bit.
"""

from __future__ import annotations

import re
from struct import Struct, unpack_from
from typing import TYPE_CHECKING

from kamailio_py.sip.md5 import md5
from kamailio_py.sip.remembered import memo

if TYPE_CHECKING:
    from kamailio_py.sip.message import Message

TABLE_ENTRIES = 65536
MAGIC_COOKIE = "z9hG4bK"
_SPACE = " \t\r\n"
_branch = re.compile(rf"{MAGIC_COOKIE}([0-9A-Fa-f]{{1,8}})\.([^.]+)\.([0-9A-Fa-f]{{1,8}})").fullmatch


_UNPACK = [Struct(f">{words}I").unpack_from for words in range(64)]


def _sum(text: str) -> int:
    """Sum of v ^ (v >> 3) over the 4-byte words of `text`, and over the rest of 0 to 3 bytes."""
    if not text.isascii():
        return _sum_signed(text)
    data = text.encode("latin-1")
    size = len(data)
    words, rest = size >> 2, size & 3
    total = 0
    for v in _UNPACK[words](data) if words < 64 else unpack_from(f">{words}I", data):
        total += v ^ (v >> 3)
    if rest:
        v = int.from_bytes(data[-rest:], "big")
        total += v ^ (v >> 3)
    return total


def _sum_signed(text: str) -> int:
    """The same where there are bytes above 127, which Kamailio adds up as negative numbers."""
    signed = [byte - 256 if byte > 127 else byte for byte in text.encode("latin-1")]
    total = 0
    for start in range(0, len(signed), 4):
        v = 0
        for byte in signed[start : start + 4]:
            v = (v << 8) + byte
        v &= 0xFFFFFFFF
        total += v ^ (v >> 3)
    return total


def core_hash(first: str, second: str = "", size: int = 0) -> int:
    """Kamailio's hash of one or two strings, reduced to a table of `size` (a power of two) unless that is 0."""
    h = _sum(first)
    if second:
        h += _sum(second)
    h &= 0xFFFFFFFF
    h = (h + (h >> 11) + (h >> 13) + (h >> 23)) & 0xFFFFFFFF
    return h & (size - 1) if size else h


def case_hash(first: str, second: str = "", size: int = 0) -> int:
    """The same for names that are compared without case."""
    return core_hash(first.lower(), second.lower(), size)


_number_sum = memo(1024)(_sum)


def transaction_index(call_id: str, cseq_number: str) -> int:
    """Slot of tm's table for a request: ("i1", "1") is 25693."""
    h = (_sum(call_id) + _number_sum(cseq_number)) & 0xFFFFFFFF
    return (h + (h >> 11) + (h >> 13) + (h >> 23)) & 0xFFFF


def char_msg_val(msg: Message) -> str:
    """The 32 hex digits that stand for a request in branch parameters."""
    via = msg.via
    to_tag = "" if msg.method in ("INVITE", "ACK", "CANCEL") else msg.to.tag
    text = (
        f"{msg.from_.tag}{to_tag}{msg.call_id.strip(_SPACE)}{msg.ruri}{msg.cseq_number}"
        f"{via.host}{via.port_text}{via.branch or ''}"
    )
    return md5(text.encode("latin-1")).hexdigest()


_DIGITS = [f"{byte:x}"[::-1] for byte in range(256)]
_BOTH_DIGITS = [f"{byte:02x}"[::-1] for byte in range(256)]


def reverse_hex(number: int) -> str:
    """Hex digits, the least significant first: 0x648a is "a846"."""
    if number < 256:
        return _DIGITS[number]
    if number < 65536:
        return _BOTH_DIGITS[number & 0xFF] + _DIGITS[number >> 8]
    return f"{number:x}"[::-1]


def from_reverse_hex(digits: str) -> int:
    """The number that reverse_hex() wrote."""
    missing = 4 - len(digits)
    if missing < 0:
        return int(digits[::-1], 16)
    number = int(digits, 16) << 4 * missing
    return (number & 0xF) << 12 | (number & 0xF0) << 4 | number >> 4 & 0xF0 | number >> 12


def branch_param(index: int, value: str, branch: int = 0, extra: str = "") -> str:
    """Branch parameter of an outgoing request; `value` is its md5, or the label of a request of our own."""
    middle = f"{value}.{extra}" if extra else value
    return f"{MAGIC_COOKIE}{reverse_hex(index)}.{middle}.{reverse_hex(branch)}"


def parse_branch(text: str | None) -> tuple[int, str, int] | None:
    """(index, value, branch) of a branch parameter that this server may have made, else None."""
    match = _branch(text) if text else None
    if match is None:
        return None
    index, value, branch = match.groups()
    number = from_reverse_hex(index)
    return (number, value, from_reverse_hex(branch)) if number < TABLE_ENTRIES else None
