"""Hashes, branches and tags that Kamailio made for the same input."""

from __future__ import annotations

import pytest

from kamailio_py.sip.endpoint import ListenSocket
from kamailio_py.sip.hash import (
    branch_param,
    char_msg_val,
    core_hash,
    from_reverse_hex,
    parse_branch,
    reverse_hex,
    transaction_index,
)  # fmt: skip
from kamailio_py.sip.message import Message
from kamailio_py.sip.totag import SL_SEPARATOR, SL_SIGNATURE, ToTag, crc_digits

OPTIONS = (
    "OPTIONS sip:bob@127.0.0.1:5064 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bKw1\r\n"
    'From: "Alice" <sip:alice@example.test>;tag=f1\r\nTo: <sip:bob@example.test>\r\nCall-ID: w1@example.test\r\n'
    "CSeq: 1 OPTIONS\r\n\r\n"
)


@pytest.mark.parametrize(("call_id", "cseq", "index"), [("i1", "1", 25693), ("m1", "1", 24797)])
def test_transaction_index(call_id: str, cseq: str, index: int) -> None:
    assert transaction_index(call_id, cseq) == index
    assert core_hash(call_id, cseq, 65536) == index


def test_branch_of_a_forwarded_request() -> None:
    msg = Message(OPTIONS, "127.0.0.1", 5062)
    branch = branch_param(transaction_index(msg.call_id, msg.cseq_number), char_msg_val(msg))
    assert branch == "z9hG4bKbb22.748d21f477f65e625605109fe1b1af35.0"


@pytest.mark.parametrize(("index", "value", "branch"), [(0, "x", 0), (25738, "m", 0), (65535, "a" * 32, 31)])
def test_branch_round_trip(index: int, value: str, branch: int) -> None:
    assert parse_branch(branch_param(index, value, branch)) == (index, value, branch)


@pytest.mark.parametrize(
    "text",
    [None, "", "z9hG4bK", "z9hG4bK1.2", "1.2.3", "z9hG4bKx.2.3", "z9hG4bK1..3", "z9hG4bK00001.a.0", "z9hG4bK1.2.3.4"],
)
def test_foreign_branches(text: str | None) -> None:
    assert parse_branch(text) is None


def test_crc_of_the_usual_check_string() -> None:
    assert crc_digits("123456789") == "e609"


def test_to_tag_as_captured() -> None:
    msg = Message("OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:34180;branch=z9hG4bKo1\r\nCall-ID: o1\r\n\r\n")
    tags = ToTag(SL_SIGNATURE, SL_SEPARATOR, ListenSocket(0, "udp", "127.0.0.1", 5088))
    assert tags.tag(msg) == "8bba6f4db589d063c6f9e40c23cefbe0.e890f9be"


@pytest.mark.parametrize(
    ("data", "slot"),
    [
        (b"\x7f\0\0\1", 98),
        (b"\0\0\0\1", 1),
        (b"\0\1\0\0", 45),
        (b"\x80\0\0\0", 32),
        (b"\xff\xff\xff\xff", 15),
        (b"\x20\x01\x0d\xb8", 37),
        (b"\0\x01\x05\xee", 32),
    ],
)
def test_bytes_above_127_are_negative(data: bytes, slot: int) -> None:
    """Slots that real Kamailio's permissions.addressDump shows for these addresses."""
    assert core_hash(data.decode("latin-1"), "", 128) == slot


@pytest.mark.parametrize("number", [0, 1, 15, 16, 160, 255, 256, 0x648A, 0xFFFF, 0x10000, 0x80000001, 0xFFFFFFFF])
def test_digits_the_other_way_round(number: int) -> None:
    assert reverse_hex(number) == f"{number:x}"[::-1]
    assert from_reverse_hex(reverse_hex(number)) == number


def test_every_index_there_and_back() -> None:
    assert all(from_reverse_hex(reverse_hex(index)) == index for index in range(0x10000))


@pytest.mark.parametrize(("digits", "number"), [("10", 1), ("0010", 256), ("00001", 65536), ("F", 15), ("Ab", 0xBA)])
def test_digits_as_others_write_them(digits: str, number: int) -> None:
    assert from_reverse_hex(digits) == number
