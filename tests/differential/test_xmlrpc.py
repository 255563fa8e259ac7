"""RPC commands in XML over SIP's TCP socket, on both servers: answers byte for byte."""

from __future__ import annotations

import re
import xmlrpc.client
from typing import Any

from kit.room import Room
from kit.scene import Scene
from kit.stream_agent import StreamAgent

room = Room(
    "xmlrpc",
    listen=("tcp:127.0.0.1",),
    globals_='tcp_children=1\ntcp_accept_no_cl=yes\nmine.num = 5 desc "a <number>"',
    modules="cfg_rpc xmlrpc",
    params="""
modparam("xmlrpc", "route", "XMLRPC")
modparam("xmlrpc", "url_skip", "^/skipped")
modparam("xmlrpc", "url_match", "^/")
modparam("htable", "htable", "b=>size=2;initval=0")
""",
    cfg="""
event_route[htable:mod-init] { $sht(b=>k) = "v"; $sht(b=>k2) = 2; }
route[XMLRPC] {
    if ($hdr(X) != $null) { xlog("L_NOTICE", "$rm $ru $ou $rv $hdr(Host) $si:$sp $hdr(X)\\n"); }
    if ($hdr(X) == "fault") { xmlrpc_reply("403", "No <& $rm"); exit; }
    if ($hdr(X) == "negative") { return -1; }
    if ($hdr(X) == "close") { set_reply_close(); set_reply_no_connect(); }
    if ($hdr(X) == "header") { append_to_reply("X-Test: $rm\\r\\n"); }
    $var(r) = dispatch_rpc();
    if ($hdr(X) != $null) { xlog("L_NOTICE", "$var(r)\\n"); }
}
""",
)


def post(alice: StreamAgent, body: str, path: str = "/RPC2", headers: str = "", method: str = "POST") -> None:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers.splitlines(), f"Content-Length: {len(body)}"]
    alice.send("\r\n".join(lines) + "\r\n\r\n" + body)


def call(alice: StreamAgent, method: str, *arguments: Any) -> str:
    """The body of the answer, which is compared as any message is."""
    post(alice, xmlrpc.client.dumps(arguments, method))
    return alice.expect_http().body


def value(inner: str) -> str:
    return f"<param><value>{inner}</value></param>"


@room.case("route[commands] { exit; }")
def test_commands(s: Scene) -> None:
    """Answers of every shape."""
    alice = s.stream("alice")
    for command in (
        ("core.version",), ("core.echo", "a", 1, 2.5, True, "x<&>\"'y"), ("core.echo",), ("core.prints", "a", 5),
        ("core.printi", 5, 6), ("core.printi", "5"), ("core.printi", 5.5), ("core.echo", {"a": 1}), ("core.echo", [1]),
        ("nope",), ("htable.dump", "b"), ("htable.get", "b", "k"), ("htable.get", "b", "nok"), ("htable.get", "b"),
        ("htable.get", 5), ("htable.listTables",), ("core.sockets_list",), ("core.aliases_list",), ("core.modules",),
        ("cfg.get", "mine", "num"), ("cfg.help", "mine", "num"), ("cfg.get", "mine"), ("cfg.get", 5),
        ("cfg.set_now_int", "mine", "num", 6), ("cfg.set_now_int", "mine", "num", "x"), ("cfg.get",),
        ("system.methodHelp", "core.nope"), ("tm.stats",), ("htable.seti", "b", "n", 7),
        ("htable.sets", "b", "s", "text"), ("htable.delete", "b", "n"), ("htable.seti", "b", "n", "7"),
        ("htable.seti", "b"), ("pv.shvGet", "nope"), ("pv.shvSet", "x", "int", 5),
    ):  # fmt: skip
        call(alice, *command)


@room.case("route[documents] { exit; }")
def test_documents(s: Scene) -> None:
    """What is no document, what is no request, arguments of every kind."""
    alice = s.stream("alice")
    for body in (
        "", "garbage", "<methodCall/>", "<other><methodName>core.version</methodName></other>",
        "<?xml version='1.0'?><methodCall><params/></methodCall>", "<methodCall><methodName>core.version</methodName>",
        "<methodCall><methodName></methodName></methodCall>",
        "<methodCall><methodName>core.version</methodName></methodCall>",
        "<?xml version='1.0' encoding='UTF-8'?>\n<methodCall>\n<methodName>core.echo</methodName>\n<params>\n<param>"
        "\n<value><string>\xc3\xa9&#233;</string></value>\n</param>\n</params>\n</methodCall>\n",
    ):  # fmt: skip
        post(alice, body, headers="Content-Type: text/xml")
        alice.expect_http()
    for inner in (
        "plain", "<i4>7</i4>", "<int> 8 </int>", "<int>x</int>", "<double>1e3</double>", "<boolean>1</boolean>",
        "<base64>YWJj</base64>", "<nil/>", "<string>a\n\nb</string>", "<string>a&#13;&#10;b</string>", "<string/>", "",
        "<string>  s  </string>",
    ):  # fmt: skip
        post(alice, f"<methodCall><methodName>core.echo</methodName><params>{value(inner)}</params></methodCall>")
        alice.expect_http()


@room.case("route[http] { exit; }")
def test_http(s: Scene) -> None:
    """Methods, paths, headers, the connection."""
    alice = s.stream("alice")
    body = xmlrpc.client.dumps((), "core.version")
    for headers in ("X: fault", "X: header", "Content-Type: text/xml"):
        post(alice, body, "/any/path?q", headers)
        alice.expect_http()
    post(alice, body, "/skipped")
    call(alice, "core.version")
    post(alice, body, headers="X: close")
    alice.expect_http()
    alice.expect_closed()
    for method, headers in (("GET", "X: negative"), ("PUT", "")):
        post(alice, body, method=method, headers=headers)
        alice.expect_closed()


@room.case("route[lists] { exit; }")
def test_lists(s: Scene) -> None:
    """Of answers with pids and sizes, the tags."""
    alice = s.stream("alice")
    s.mask(r"(?s)<methodResponse>.*</methodResponse>")
    s.mask(r"Content-Length: \d+")
    for command in (("core.psx",), ("core.ps",), ("core.uptime",), ("core.shmmem",), ("pkg.stats",)):
        s.note(str(re.sub(r">[^<]+<", "><", call(alice, *command)).splitlines()[:8]))


autoconversion = Room(
    "xmlrpc_converted",
    listen=("tcp:127.0.0.1",),
    globals_="tcp_children=1\ntcp_accept_no_cl=yes",
    modules="xhttp xmlrpc",
    params="""
modparam("xmlrpc", "autoconversion", 1)
modparam("xmlrpc", "escape_cr", 0)
modparam("xmlrpc", "double_lf_to_crlf", 1)
modparam("xmlrpc", "mode", 1)
""",
    cfg="""
event_route[xhttp:request] {
    if ($hu =~ "^/RPC") { dispatch_rpc(); exit; }
    xhttp_reply("404", "Not Found", "", "");
}
""",
)


@autoconversion.case("route[converted] { exit; }")
def test_converted(s: Scene) -> None:
    """From xhttp's event route, with arguments of other types than the command wants."""
    alice = s.stream("alice")
    for command in (
        ("core.printi", "5", 6.5, True), ("core.prints", 5, 2.5, "a\n\nb\n", True), ("core.printi", "x"),
        ("core.echo", "a\n\n\nb"),
    ):  # fmt: skip
        call(alice, *command)
    post(alice, "", "/other")
    alice.expect_http()
