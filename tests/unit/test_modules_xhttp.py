"""The xhttp module without a network: which requests reach the event route, what answers look like."""

from __future__ import annotations

import pytest
from kit.local import Local

from kamailio_py.module import ModuleError

CFG = """
loadmodule "sl"
loadmodule "pv"
loadmodule "xhttp"
modparam("xhttp", "url_match", "^/a")
modparam("xhttp", "url_skip", "^/ab")
request_route { sl_send_reply("200", "SIP $hu"); }
event_route[xhttp:request] {
    xhttp_reply("201", "For $rm", "text/plain", "$hu $(hu{url.path}) $(hu{url.querystring})");
}
"""
GET = "GET {url} {version}\r\nHost: here\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("url", "body"), [("/a", "/a /a "), ("/a?b=c", "/a?b=c /a b=c"), ("/a?b?c", "/a?b?c /a b?c"), ("/ac?", "/ac? /ac ")]
)
def test_answers(url: str, body: str) -> None:
    with Local(CFG) as local:
        [sent] = local.inject(GET.format(url=url, version="HTTP/1.1"), "10.0.0.1", 1234)
    assert sent == (
        "HTTP/1.1 201 For GET\r\nSia: SIP/2.0/UDP 10.0.0.1:1234\r\nContent-Type: text/plain\r\n"
        f"Server: kamailio (5.6.3 (x86_64/linux))\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )


@pytest.mark.parametrize(
    ("url", "version"), [("/b", "HTTP/1.1"), ("/ab", "HTTP/1.1"), ("/a", "FTP/1.0"), ("/a", "SIP/3.0")]
)
def test_what_is_not_wanted_is_forgotten(url: str, version: str) -> None:
    with Local(CFG) as local:
        assert local.inject(GET.format(url=url, version=version)) == []


@pytest.mark.parametrize(
    ("cfg", "says"),
    [
        (CFG.replace("event_route[xhttp:request]", "route[unused]"), "failed to find event_route"),
        (CFG.replace('"^/a"', '"[a"'), "bad regular expression in url_match"),
        (CFG.replace('loadmodule "sl"', "").replace("sl_send_reply", "xhttp_reply").replace('"SIP $hu"', '"x", "", ""'),
         "cannot bind to SL API"),
    ],
)  # fmt: skip
def test_what_stops_the_start(cfg: str, says: str) -> None:
    with pytest.raises(ModuleError, match=says):
        Local(cfg)


def test_other_modules_answer_through_the_api() -> None:
    with Local(CFG) as local:
        xhttp = local.core.module("xhttp")
        answered = []
        local.core.not_sip.insert(
            0, lambda msg: answered.append(xhttp.api.reply(_context(local, msg), 200, "OK", "application/json", "{}"))
        )
        local.inject(
            "POST /a HTTP/1.1\r\nVia: SIP/2.0/TCP 10.0.0.1:5\r\nContent-Length: 0\r\n\r\n", "10.0.0.1", 5
        )  # fmt: skip
        assert answered == [1]
        assert local.sent[0][0].endswith(
            "Content-Type: application/json\r\nServer: kamailio (5.6.3 (x86_64/linux))\r\nContent-Length: 2\r\n\r\n{}"
        )


def _context(local: Local, msg: object) -> object:
    from kamailio_py.script.context import Context

    return Context(local.core, msg)
