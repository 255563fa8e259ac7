"""sanity: each row was seen on real Kamailio 5.6.3."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.local import Local

DIGEST = 'Digest username="a",realm="b",nonce="c",uri="sip:x",response="d"'

ROWS = [
    ({}, 17895, 7, "200 sane"),
    ({"version": "SIP/2.01"}, 1, 7, "505 Version Not Supported (R-URI)"),
    ({"ruri": "foo:bob@h"}, 2, 7, "400 Bad Request URI"),
    ({"ruri": "urn:service:sos"}, 2, 7, "200 sane"),
    ({"CSeq": "1 INVITE"}, 32, 7, "400 CSeq method does not match request method"),
    ({"CSeq": "4294967296 OPTIONS"}, 64, 7, "200 sane"),
    ({"CSeq": "4294967299 OPTIONS"}, 64, 7, "400 CSeq number is illegal"),
    ({"CSeq": "00000000001 OPTIONS"}, 64, 7, "400 CSeq number is illegal"),
    ({"Content-Length": "5"}, 128, 7, "400 Content-Length mis-match"),
    ({"Content-Length": None}, 128, 7, "200 sane"),
    ({"Expires": "abc"}, 256, 7, "400 Expires value is illegal"),
    ({"Expires": ""}, 256, 7, "400 Bad Expires Header"),
    ({"Proxy-Require": "foo, bar"}, 512, 7, "420 Bad Proxy Require Extension"),
    ({"ruri": "sip:bob@"}, 1024, 1, "400 Bad Request URI"),
    ({"From": "<sip:a@b:xx>;tag=1"}, 1024, 2, "400 Invalid From Header"),
    ({"To": "<foo>"}, 1024, 4, "400 Ivalid To Header"),
    ({"Contact": "<sip:a@b>, <foo>"}, 1024, 8, "400 Bad Contact URI"),
    ({"Contact": "*"}, 1024, 8, "200 sane"),
    ({"Authorization": 'Digest username="a"'}, 2048, 7, "400 Bad Auth Credentials"),
    ({"Authorization": DIGEST}, 2048, 7, "200 sane"),
    ({"Authorization": DIGEST.replace('"a"', '""')}, 2048, 7, "400 Auth Empty User"),
    ({"Authorization": "Basic abc"}, 2048, 7, None),
    ({"Authorization": "Basic abc"}, 8192, 7, "200 sane"),
    ({"From": "<sip:a@b>;tag=1;tag=2"}, 4096, 7, "400 Many From Tag Params"),
    ({"To": "<sip:a@b>;tag=1;tag=2"}, 4096, 7, "400 Many To Tag Params"),
]


def request(changes: dict[str, str | None]) -> str:
    headers = {
        "Via": "SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bK1", "From": "<sip:a@b>;tag=1", "To": "<sip:bob@c>",
        "Call-ID": "x", "CSeq": "1 OPTIONS", "Content-Length": "0",
    }  # fmt: skip
    more = {name: value for name, value in changes.items() if name not in ("ruri", "version")}
    lines = [f"OPTIONS {changes.get('ruri', 'sip:bob@127.0.0.1')} {changes.get('version', 'SIP/2.0')}"]
    lines += [f"{name}: {value}" for name, value in {**headers, **more}.items() if value is not None]
    return "\r\n".join([*lines, "", ""])


@pytest.fixture
def server() -> Iterator[Local]:
    branches = "".join(
        f'if ($hdr(X-Row) == "{n}") {{ sanity_check("{checks}", "{uris}"); sl_send_reply("200", "sane"); exit; }}\n'
        for n, (_, checks, uris, _) in enumerate(ROWS)
    )
    with Local(
        'loadmodule "sl"\nloadmodule "pv"\nloadmodule "sanity"\nrequest_route {\n' + branches + "}\n"
    ) as running:
        yield running


def test_faults_are_those_of_kamailio(server: Local) -> None:
    seen = []
    for n, (changes, _, _, _) in enumerate(ROWS):
        replies = server.inject(request({**changes, "X-Row": str(n)}))
        seen.append(replies[0].split("\r\n")[0].split(" ", 1)[1] if replies else None)
    assert seen == [expected for _, _, _, expected in ROWS]


def test_what_is_not_supported_is_named(server: Local) -> None:
    row = next(n for n, (changes, _, _, _) in enumerate(ROWS) if "Proxy-Require" in changes)
    [reply] = server.inject(request({"Proxy-Require": "foo, bar", "X-Row": str(row)}))
    assert "\r\nUnsupported: foo\r\n" in reply


CFG = """
loadmodule "sl"
loadmodule "sanity"
modparam("sanity", "{param}", {value})
request_route {{
    if (sanity_check("32")) {{ sl_send_reply("200", "sane"); exit; }}
    if (sanity_reply()) exit;
    sl_send_reply("500", "went on");
}}
"""


@pytest.mark.parametrize(("param", "value", "codes"), [("autodrop", 0, ["400"]), ("noreply", 1, [])])
def test_parameters(param: str, value: int, codes: list[str]) -> None:
    with Local(CFG.format(param=param, value=value)) as running:
        replies = running.inject(request({"CSeq": "1 INVITE"}))
    assert [reply.split(" ")[1] for reply in replies][:1] == codes
