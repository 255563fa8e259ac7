"""URIs: the parts real Kamailio found (tests/wire/uris.json: null is a URI that is_uri() refused), and changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kamailio_py.sip.errors import BadUri
from kamailio_py.sip.uri import Uri, with_host, with_port, with_user

SEEN = json.loads((Path(__file__).parent.parent / "wire" / "uris.json").read_text())


@pytest.mark.parametrize(("text", "parts"), SEEN, ids=[text for text, _ in SEEN])
def test_parts_are_kamailios(text: str, parts: dict[str, str] | None) -> None:
    if parts is None:
        with pytest.raises(BadUri):
            Uri.parse(text)
        return
    uri = Uri.parse(text)
    assert {
        "scheme": uri.scheme,
        "user": uri.user,
        "password": uri.password,
        "host": uri.host,
        "port": uri.port_text,
        "params": uri.params,
        "headers": uri.headers,
        "transport": uri.transport,
    } == {**parts, "transport": parts["transport"].lower()}


def test_param() -> None:
    uri = Uri.parse('sip:a@b;lr;x=1;Y="z;w";e=')
    assert [uri.param(name) for name in ("lr", "x", "y", "e", "none")] == ["", "1", "z;w", "", None]


def test_port_is_a_number() -> None:
    assert Uri.parse("sip:a@b:5070").port == 5070
    assert Uri.parse("sip:a@b").port == 0


@pytest.mark.parametrize(
    ("change", "value", "expected"),
    [
        (with_user, "new", "sip:new:p@b:5070;x=y?h=i"),
        (with_user, "", "sip:b:5070;x=y?h=i"),
        (with_host, "h", "sip:a:p@h:5070;x=y?h=i"),
        (with_port, "7", "sip:a:p@b:7;x=y?h=i"),
        (with_port, "", "sip:a:p@b;x=y?h=i"),
    ],
)
def test_one_part_changed(change, value: str, expected: str) -> None:
    assert change("sip:a:p@b:5070;x=y?h=i", value) == expected
