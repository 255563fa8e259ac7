"""HTTP requests over SIP's TCP socket: event_route[xhttp:request], answers, framing without Content-Length."""

from __future__ import annotations

from kit.room import Room
from kit.scene import Scene
from kit.sip import Sip
from kit.stream_agent import StreamAgent

room = Room(
    "xhttp",
    listen=("tcp:127.0.0.1",),
    globals_="tcp_children=1\ntcp_accept_no_cl=yes",
    modules="xhttp",
    params='modparam("xhttp", "url_skip", "^/skipped")\nmodparam("xhttp", "url_match", "^[/*]")',
    cfg="""
event_route[xhttp:request] {
    xlog("L_NOTICE", "$rm $hu $rv $pr $si:$sp $Ri:$Rp $rb $cT $hdr(Host) $ml\\n");
    if ($hu =~ "^/nothing") { exit; }
    if ($hu =~ "^/drop") { drop; }
    if ($hu =~ "^/negative") { return -1; }
    if ($hu =~ "^/close") { set_reply_close(); set_reply_no_connect(); }
    if ($hu =~ "^/header") {
        append_to_reply("X-Test: $rm\\r\\n");
        xhttp_reply("404", "Not Found", "", "$hu");
        exit;
    }
    if ($hu =~ "^/plain") { xhttp_reply("200", "OK", "text/plain", ""); exit; }
    if ($hu =~ "^/sl") { sl_send_reply("500", "Error"); exit; }
    if ($hu =~ "^/codes") {
        $var(r) = xhttp_reply("$var(none)", "OK", "", "");
        xlog("L_NOTICE", "$var(r)\\n");
        $var(r) = xhttp_reply("99", "OK", "", "");
        xlog("L_NOTICE", "$var(r)\\n");
        $var(r) = xhttp_reply("200", "", "", "");
        xlog("L_NOTICE", "$var(r)\\n");
        xhttp_reply("700", "Odd", "", "");
        exit;
    }
    if ($hu =~ "^/parts") { xhttp_reply("200", "OK", "text/plain", "[$(hu{url.path}) $(hu{url.querystring})]"); exit; }
    if ($hu =~ "^/uri") { xhttp_reply("200", "OK", "text/plain", "$ru $rU $fu $ci $cs $hdr(Via)"); exit; }
    xhttp_reply("200", "OK", "text/html", "<html>$rm</html>\\n");
}
""",
)


def asks(
    alice: StreamAgent, path: str, method: str = "GET", headers: str = "", body: str = "", version: str = "HTTP/1.1"
) -> None:
    lines = [f"{method} {path} {version}", "Host: localhost", *headers.splitlines()]
    alice.send("\r\n".join(lines) + "\r\n\r\n" + body)


def ask(
    alice: StreamAgent, path: str, method: str = "GET", headers: str = "", body: str = "", version: str = "HTTP/1.1"
) -> Sip:
    asks(alice, path, method, headers, body, version)
    return alice.expect_http()


@room.case("route[methods] { exit; }")
def test_methods(s: Scene) -> None:
    alice = s.stream("alice")
    for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"):
        ask(alice, "/a/b", method)


@room.case("route[urls] { exit; }")
def test_urls(s: Scene) -> None:
    """What $hu is, and its path and query."""
    alice = s.stream("alice")
    for url in ("/", "/a?b=c&d", "/a?b?c", "/%41%20?", "*", "/a#b", "/uri?x"):
        ask(alice, url)
    for url in ("/parts", "/parts?", "/parts/a?b=c&d", "/parts?b?c"):
        ask(alice, url)


@room.case("route[bodies] { exit; }")
def test_bodies(s: Scene) -> None:
    """With and without Content-Length; two requests in one segment."""
    alice = s.stream("alice")
    ask(alice, "/b", "POST", "Content-Type: application/json\nContent-Length: 5", "hello")
    ask(alice, "/b", "POST", "Content-Type: text/plain")
    alice.send("GET /1 HTTP/1.1\r\nA: 1\r\n\r\nGET /2 HTTP/1.1\r\nl: 1\r\n\r\nxGET /3 HTTP/1.0\r\nB: 2\r\n\r\n")
    for _ in range(3):
        alice.expect_http()


@room.case("route[answers] { exit; }")
def test_answers(s: Scene) -> None:
    alice = s.stream("alice")
    for path in ("/header", "/plain", "/sl", "/codes"):
        ask(alice, path)
    ask(alice, "/close")
    alice.expect_closed()


@room.case("route[no_answers] { exit; }")
def test_no_answers(s: Scene) -> None:
    """The connection stays unless the route fails."""
    alice = s.stream("alice")
    for path in ("/nothing", "/drop", "/skipped"):
        asks(alice, path)
        ask(alice, "/after")
    asks(alice, "/negative")
    alice.expect_closed()


@room.case("route[expected] { exit; }")
def test_expected(s: Scene) -> None:
    """A client that waits to be asked for its body."""
    alice = s.stream("alice")
    ask(alice, "/b", "POST", "Expect: 100-continue\nContent-Length: 5")
    alice.raw(b"hello")
    alice.expect_http()


@room.case("route[like_sip] { exit; }")
def test_like_sip(s: Scene) -> None:
    """Headers that mean something in SIP."""
    alice = s.stream("alice")
    ask(alice, "/a", headers="From: me\nTo: you\nCall-ID: abc\nCSeq: 1 GET\nRoute: x")
    ask(alice, "/a", headers="Via: 1.1 proxy\nX-Forwarded-For: 1.2.3.4")
    ask(alice, "/a", version="HTTP/2.0")


@room.case('route[sip_as_well] { xlog("L_NOTICE", "$hu $rm\\n"); sl_send_reply("200", "OK"); }')
def test_sip_as_well(s: Scene) -> None:
    """SIP on the same connection, with and without a length."""
    alice = s.stream("alice")
    ask(alice, "/first")
    text = alice.request("OPTIONS", send=False).text
    alice.send(text.replace("Content-Length: 0\r\n", ""))
    alice.expect(200)
    ask(alice, "/last")
