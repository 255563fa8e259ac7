"""Lumps: edits, overlaps, pieces that are known only at sending."""

from __future__ import annotations

from kamailio_py.sip.endpoint import ListenSocket
from kamailio_py.sip.lumps import ALWAYS, DIFFERENT_SOCKET, RECEIVE, SEND, Lumps

UDP = ListenSocket(0, "udp", "127.0.0.1", 5070)
TCP = ListenSocket(1, "tcp", "::1", 5060)


def test_untouched() -> None:
    assert Lumps().apply("abc") == "abc"
    assert not Lumps()


def test_insert_order_and_delete() -> None:
    lumps = Lumps()
    lumps.insert(3, "3")
    lumps.insert(0, "1")
    lumps.insert(0, "2")
    lumps.delete(1, 2)
    assert lumps.apply("abc") == "12ac3"
    assert len(lumps) == 4


def test_overlapping_deletions_take_each_character_once() -> None:
    lumps = Lumps()
    lumps.replace(1, 4, "X")
    lumps.replace(2, 6, "Y")
    lumps.insert(3, "Z")
    assert lumps.apply("abcdefgh") == "aXYZgh"


def test_deleted_and_size_change() -> None:
    lumps = Lumps()
    lumps.delete(2, 5)
    lumps.insert(6, "12345")
    assert lumps.deleted(3, 5)
    assert not lumps.deleted(3, 6)
    assert lumps.size_change(0) == 2
    assert lumps.size_change(6) == 5


def test_apply_from_an_offset() -> None:
    lumps = Lumps()
    lumps.replace(1, 2, "X")
    lumps.replace(5, 6, "Y")
    assert lumps.apply("abcdefgh", start=4) == "eYgh"


def test_pieces_resolved_when_sent() -> None:
    lumps = Lumps()
    lumps.insert(0, (DIFFERENT_SOCKET, "<", SEND, ";r2=on", ">"))
    lumps.insert(0, (ALWAYS, "<", RECEIVE, (DIFFERENT_SOCKET, ";r2=on"), ">"))
    assert lumps.apply("", TCP, UDP) == "<[::1];transport=tcp;r2=on><127.0.0.1:5070;r2=on>"
    assert lumps.apply("", UDP, UDP) == "<127.0.0.1:5070>"


def test_copy_is_independent() -> None:
    lumps = Lumps()
    lumps.insert(0, "a")
    copy = lumps.copy()
    copy.insert(0, "b")
    assert (lumps.apply(""), copy.apply("")) == ("a", "ab")
    assert Lumps.load(copy.dump()).apply("") == "ab"
