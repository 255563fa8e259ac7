"""The wire corpus: what real Kamailio did with each message, and what the sip room makes of it.

Messages came from 127.0.0.1:5062. `reply` is what sl_send_reply("200", "OK") sent on a server at 127.0.0.1:5070,
`forward` what forward() to port 5064 sent on one at 127.0.0.1:5071; null is silence. Messages in `invalid` were
discarded before a route of the script ran. tests/wire/record.py makes the files.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kamailio_py.sip.endpoint import ListenSocket
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.hash import branch_param, char_msg_val, transaction_index
from kamailio_py.sip.message import Message
from kamailio_py.sip.reply import build_reply, build_reply_forward, forward_destination, reply_destination
from kamailio_py.sip.request import build_forward, via_line
from kamailio_py.sip.totag import SL_SEPARATOR, SL_SIGNATURE, ToTag

WIRE = Path(__file__).parent.parent / "wire"
REPLIER = ListenSocket(0, "udp", "127.0.0.1", 5070)
FORWARDER = ListenSocket(0, "udp", "127.0.0.1", 5071)
TAGS = ToTag(SL_SIGNATURE, SL_SEPARATOR, REPLIER)
SERVER = "Server: kamailio (5.6.3 (x86_64/linux))\r\n"


def names(kind: str) -> list[str]:
    return sorted(path.stem for path in (WIRE / kind).glob("*.sip"))


def read(kind: str, name: str, socket: ListenSocket) -> Message:
    return Message((WIRE / kind / f"{name}.sip").read_bytes().decode("latin-1"), "127.0.0.1", 5062, socket)


def sent(port: int, text: str) -> dict[str, object]:
    return {"port": port, "text": text}


def replied(msg: Message) -> dict[str, object] | None:
    if msg.method == "ACK":
        return None
    try:
        tag = "" if msg.to.tag else TAGS.tag(msg)
        return sent(reply_destination(msg)[1], build_reply(msg, 200, "OK", to_tag=tag, server=SERVER))
    except BadMessage:
        return None


def forwarded(msg: Message) -> dict[str, object] | None:
    try:
        if not msg.is_request:
            destination = forward_destination(msg)
            return sent(destination[1], build_reply_forward(msg, destination[2])) if destination is not None else None
        branch = branch_param(transaction_index(msg.call_id, msg.cseq_number), char_msg_val(msg))
        return sent(5064, build_forward(msg, via=via_line(FORWARDER, branch)))
    except BadMessage:
        return None


@pytest.mark.parametrize("name", names("valid"))
def test_valid_message_is_answered_and_forwarded_byte_for_byte(name: str) -> None:
    expected = json.loads((WIRE / "valid" / f"{name}.json").read_text())
    msg = read("valid", name, FORWARDER)
    assert msg.is_sip
    msg.check()
    assert forwarded(msg) == expected["forward"]
    if "reply" in expected:
        msg = read("valid", name, REPLIER)
        msg.check()
        assert replied(msg) == expected["reply"]


@pytest.mark.parametrize("name", names("invalid"))
def test_invalid_message_does_not_reach_the_script(name: str) -> None:
    try:
        msg = read("invalid", name, REPLIER)
    except BadMessage:
        return
    if msg.is_sip:
        with pytest.raises(BadMessage):
            msg.check()


def test_corpus_is_there() -> None:
    assert len(names("valid")) > 200
    assert len(names("invalid")) > 80
