"""textops, textopsx and siputils, function by function: what real Kamailio returned and sent (functions.json)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.local import Local

sys.path.insert(0, str(Path(__file__).parent.parent))

from wire.functions import CLIENT, Call, calls, cfg

TABLE = calls()


@pytest.fixture(scope="module")
def server() -> Iterator[Local]:
    with Local(cfg(TABLE)) as local:
        yield local


@pytest.mark.parametrize("call", TABLE, ids=[call.name for call in TABLE])
def test_call_sends_what_kamailio_sent(server: Local, call: Call) -> None:
    sent = server.inject(call.request, "127.0.0.1", CLIENT)
    assert (sent[0] if sent else None) == call.sent


def test_content_length_is_right_after_a_text_is_replaced_in_the_body(server: Local) -> None:
    """Kamailio leaves the old length there when nothing has read the headers to their end before."""
    with Local(
        'listen=udp:127.0.0.1:5070\nloadmodule "textops"\nloadmodule "pv"\nrequest_route {\n'
        ' replace_str("hello", "bye", "a"); forward(); }'
    ) as local:
        [sent] = local.inject(TABLE[0].request.replace("last hello", "and hello"), "127.0.0.1", CLIENT)
    head, _, body = sent.partition("\r\n\r\n")
    assert "and bye" in body
    assert f"Content-Length: {len(body)}" in head
