"""What a script changed is told alike by what the object has of its own, as on CPython, and by name, as on PyPy."""

from __future__ import annotations

from typing import Any

import pytest

from kamailio_py.sip.changes import collector, detector
from kamailio_py.sip.message import STATE, Message

OPTIONS = "OPTIONS sip:b@c SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n"
FRESH = {name: getattr(Message, name) for name in STATE}


@pytest.mark.parametrize("by_name", [False, True], ids=["own", "by name"])
@pytest.mark.parametrize(
    ("values", "changed"),
    [
        ({}, {}),
        ({"new_uri": "sip:x"}, {"new_uri": "sip:x"}),
        ({"q": 0, "flags": 5, "otcpid": 3}, {"q": 0, "flags": 5, "otcpid": 3}),
        ({"force_rport": True, "reply_body": ""}, {"force_rport": True, "reply_body": ""}),
        ({"dst_uri": None, "flags": 0, "rr_added": False}, {}),  # set, to what they were
        ({"id": 7, "time": 1.5}, {}),  # not asked for
    ],
)
def test_both_tell_the_same(by_name: bool, values: dict[str, Any], changed: dict[str, Any]) -> None:
    msg = Message(OPTIONS)
    for name, value in values.items():
        setattr(msg, name, value)
    assert detector(FRESH, by_name)(msg) is bool(changed)
    assert collector(FRESH, by_name)(msg) == changed


@pytest.mark.parametrize("part", ["branches", "lumps", "reply_headers", "xflags"])
def test_a_part_that_was_asked_for_may_have_changed(part: str) -> None:
    msg = Message(OPTIONS)
    assert not msg.is_changed
    getattr(msg, part)
    assert msg.is_changed


def test_script_flags_alone_are_no_change() -> None:
    msg = Message(OPTIONS)
    msg.script_flags = 4
    assert not msg.is_changed
    assert msg.state()[0] == {"script_flags": 4}


def test_state_is_put_back() -> None:
    msg, other = Message(OPTIONS), Message(OPTIONS)
    msg.dst_uri, msg.flags = "sip:d", 3
    msg.lumps.insert(0, "x")
    msg.reply_headers.append("X: y\r\n")
    other.path, other.flags = "<sip:p>", 1
    other.restore(msg.state(), [])
    assert other.state() == msg.state()
    assert other.path is None
