"""The corex module: what Kamailio 5.6.3 was observed to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.local import Local
from kit.requests import request
from kit.scripts import Scripts

from kamailio_py.engine.boot import ConfigRejected
from kamailio_py.modules.corex import parse_q
from kamailio_py.modules.corex.sockets import parse_address
from kamailio_py.sip.endpoint import HostPort

HEAD = """
listen=udp:127.0.0.1:5060 name "s1"
listen=udp:127.0.0.1:5070 advertise "1.2.3.4":9999 name "s2"
server_id=5
xavp_via_params="via"
modparam("corex", "alias_subdomains", "example.org")
modparam("corex", "alias_subdomains", "udp:other.org:5062")
modparam("corex", "dns_cache", "type=A;name=known.test;addr=127.0.0.9;ttl=3600")
"""

CASES = {
    "xflags": ('$var(a) = setxflag("3"); $var(b) = isxflagset("3"); $var(c) = isxflagset("4");'
               ' $var(d) = setxflag("63");'
               ' $var(e) = isxflagset("63"); $var(f) = setxflag("64"); $var(g) = isxflagset("64"); resetxflag("3");'
               ' $var(h) = isxflagset("3");'
               ' $var(out) = $_s($var(a) $var(b) $var(c) $var(d) $var(e) $var(f) $var(g) $var(h));',
               "1 1 -1 1 1 -1 -1 -1"),
    "iflags": ('$var(a) = msg_iflag_set("USE_UAC_FROM"); $var(b) = msg_iflag_is_set("USE_UAC_FROM");'
               ' msg_iflag_reset("USE_UAC_FROM");'
               ' $var(c) = msg_iflag_is_set("USE_UAC_FROM"); $var(d) = msg_iflag_is_set("FOO");'
               ' $var(e) = msg_iflag_set("FOO");'
               ' $var(out) = $_s($var(a) $var(b) $var(c) $var(d) $var(e));', "1 1 -2 -1 1"),
    "ownbranch": ('$ru = "sip:r@u.x;a=b"; $du = "sip:9.9.9.9"; $bf = 8; append_branch();'
                  ' $var(out) = $_s($(branch(uri)[0]) $(branch(dst_uri)[0]) $(branch(flags)[0])'
                  ' $(branch(q)[0]) $du $bf $ru);',
                  "sip:r@u.x;a=b sip:9.9.9.9 8 <null> <null> 0 sip:r@u.x;a=b"),
    "otherbranch": ('$du = "sip:9.9.9.9"; $bf = 8; append_branch("sip:a@b.e", "0.25"); append_branch("", "1");'
                    ' $var(out) = $_s($(branch(uri)[0]) $(branch(dst_uri)[0]) $(branch(q)[0]) $(branch(q)[1])'
                    ' $(branch(flags)[1]) $bf);',
                    "sip:a@b.e sip:9.9.9.9 250 1000 8 0"),
    "badq": ('append_branch(); $var(a) = append_branch("sip:a@b", "1.5"); $var(b) = append_branch("sip:a@b", "abc");'
             ' $var(out) = $_s($var(a) $var(b) $branch(count));', "-1 -1 1"),
    "most": ('$var(i) = 0; while ($var(i) < 12) { $var(r) = append_branch("sip:a@b"); $var(i) = $var(i) + 1; }'
             ' $var(out) = $_s($var(r) $branch(count));', "-1 11"),
    "sendsock": ('$var(a) = set_send_socket("udp:127.0.0.1:5070"); $var(b) = set_send_socket("udp:127.0.0.1:9");'
                 ' $var(c) = set_send_socket(""); $var(out) = $_s($var(a) $var(b) $var(c) $fs);',
                 "1 1 -1 udp:127.0.0.1:5070"),
    "sendname": ('$var(a) = set_send_socket_name("s2"); $var(b) = set_send_socket_name("no");'
                 ' $var(out) = $_s($var(a) $var(b) $fs);',
                 "1 1 udp:127.0.0.1:5070"),
    "recvsock": ('$var(a) = set_recv_socket("127.0.0.1:5070"); $var(p) = $Rp; $var(b) = set_recv_socket_name("s1");'
                 ' $var(out) = $_s($var(a) $var(p) $var(b) $Rp);', "1 5070 1 5060"),
    "sockname": ('$var(a) = is_socket_name("s1"); $var(b) = is_socket_name("foo");'
                 ' $var(out) = $_s($var(a) $var(b));', "1 -1"),
    "source": ('$var(a) = set_source_address("udp:1.2.3.4:77"); $var(x) = $_s($si:$sp);'
               ' $var(b) = set_source_address("known.test:78");'
               ' $var(y) = $_s($si:$sp); $var(c) = set_source_address("no.invalid:78");'
               ' $var(d) = set_source_address("");'
               ' $var(out) = $_s($var(a) $var(x) $var(b) $var(y) $var(c) $var(d));',
               "1 1.2.3.4:77 1 127.0.0.9:78 -1 -1"),
    "lsock": ('$var(n) = "s2"; $var(out) = $_s($lsock(n/s1/listen) $lsock(n/$var(n)/advertise)'
              ' $lsock(i/1/name) $lsock(i/-1/index)'
              ' [$lsock(n/s1/advertise)] $lsock(l/udp:127.0.0.1:5070/name) $lsock(a/udp:1.2.3.4:9999/name)'
              ' $lsock(i/7/name)'
              ' [$lsock(n/s1/l)] [$lsock(n/s1)] [$lsock(x/s1/name)]);',
              "udp:127.0.0.1:5060 udp:1.2.3.4:9999 s2 1 [] s2 s2 <null> [] [] []"),
    "sock": ('$var(s) = "udp:1.2.3.4:5061"; $var(t) = "1.2.3.4"; $var(u) = "sip:1.2.3.4:5060";'
             ' $var(out) = $_s($(var(s){sock.host}) $(var(s){sock.port}) $(var(s){sock.proto}) $(var(s){sock.touri})'
             ' $(var(t){sock.host})|$(var(t){sock.port})|$(var(t){sock.proto})|$(var(t){sock.touri})'
             ' [$(var(u){sock.host})]);',
             "1.2.3.4 5061 udp sip:1.2.3.4:5061;transport=udp 1.2.3.4|||sip:1.2.3.4 []"),
    "subdomains": ('$var(out) = ""; if (is_myself("sip:example.org")) $var(out) = $var(out) + "1";'
                   ' if (is_myself("sip:a.b.Example.ORG:5099")) $var(out) = $var(out) + "2";'
                   ' if (is_myself("sip:xexample.org")) $var(out) = $var(out) + "3";'
                   ' if (is_myself("sip:a.other.org:5062;transport=udp")) $var(out) = $var(out) + "4";'
                   ' if (is_myself("sip:a.other.org:5063")) $var(out) = $var(out) + "5";', "124"),
    "faked": ('$var(a) = is_faked_msg(); $var(b) = is_incoming(); $var(out) = $_s($var(a) $var(b));', "-1 -1"),
    "senderror": ('$var(a) = send_data("bad", "x"); $var(b) = send_udp("no.invalid");'
                  ' $var(c) = sendx("bad", "s", "x");'
                  ' $var(d) = send_tcp("127.0.0.1:9");'
                  ' $var(out) = $_s($var(a) $var(b) $var(c) $var(d));', "-1 -1 -1 -1"),
    "emptyfile": ('$var(a) = file_read("", "$var(x)"); $var(b) = file_write("/nonexist/x", "x");'
                  ' $var(c) = file_write("/tmp/x", "");'
                  ' $var(d) = file_read("/nonexist/x", "$var(x)"); $var(out) = $_s($var(a) $var(b) $var(c) $var(d));',
                  "-1 -1 -1 -1"),
    "usevia": ('$var(out) = via_use_xavp_fields("1");', "1"),
}  # fmt: skip


@pytest.fixture(scope="module")
def scripts() -> Iterator[Scripts]:
    with Scripts({name: script for name, (script, _) in CASES.items()}, modules="corex kex", head=HEAD) as made:
        yield made


@pytest.mark.parametrize("name", CASES)
def test_script(scripts: Scripts, name: str) -> None:
    assert scripts.run(name) == CASES[name][1]


@pytest.mark.parametrize(
    ("text", "q"), [("1", 1000), ("0", 0), (".5", 500), ("0.1234", 123), ("1.000", 1000), ("00.5", 500), (" 0.5", 500)]
)
def test_q(text: str, q: int) -> None:
    assert parse_q(text) == q


@pytest.mark.parametrize("text", ["0.", "2", "-1", "0.5x", "1.001", "", "x"])
def test_q_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="no quality"):
        parse_q(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1.2.3.4", ("", "1.2.3.4", 0)),
        ("1.2.3.4:50", ("", "1.2.3.4", 50)),
        ("tls:[::1]:5061", ("tls", "[::1]", 5061)),
        ("[::1]", ("", "[::1]", 0)),
        ("udp:host", ("udp", "host", 0)),
        ("any:host:1", ("", "host", 1)),
        ("sip:1.2.3.4:5060", None),
        ("udp:host:x", None),
        ("udp:host:99999", None),
        ("", None),
    ],
)
def test_address(text: str, parts: tuple[str, str, int] | None) -> None:
    assert parse_address(text) == (None if parts is None else HostPort(*parts))


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    cases = {
        "write": f'$var(a) = file_write("{path}", "hello $rU\\n"); $var(out) = $var(a);',
        "read": f'$var(a) = file_read("{path}", "$var(x)"); $var(out) = $_s($var(a) [$var(x)]);',
    }
    with Scripts(cases, modules="corex") as scripts:
        path.write_text("something longer that was there before")
        assert scripts.run("write") == "1"
        assert path.read_text() == "hello write\n"
        path.write_bytes(b"\xff!")
        assert scripts.run("read") == "1 [\xff!]"


def test_sending_of_whatever_text() -> None:
    cfg = """listen=udp:127.0.0.1:5060
listen=udp:127.0.0.1:5070
loadmodule "corex"
request_route {
    send_data("sip:127.0.0.1:9", "data for $rU");
    sendx("sip:127.0.0.1:9", "udp:127.0.0.1:5070", "more");
    sendx("sip:127.0.0.1:9", "udp:127.0.0.1:9999", "no such socket");
    send_udp("127.0.0.1:7");
    $du = "sip:127.0.0.1:8";
    send_udp();
}
"""
    with Local(cfg.replace('loadmodule "corex"', 'loadmodule "pv"\nloadmodule "corex"')) as server:
        text = request()
        sent = server.inject(text)
        assert sent == ["data for bob", "more", "no such socket", text, text]
        assert [(d.port, d.socket.port) for _, d in server.sent] == [
            (9, 5060),
            (9, 5070),
            (9, 5060),
            (7, 5060),
            (8, 5060),
        ]


def test_parameters_of_our_via() -> None:
    cfg = """listen=udp:127.0.0.1:5060
loadmodule "pv"
loadmodule "corex"
server_id=5
xavp_via_params="via"
request_route {
    $xavp(via=>srv) = "1";
    $xavp(via[0]=>num) = 7;
    via_add_xavp_params("1");
    via_add_srvid("1");
    if ($rU == "without") { via_add_xavp_params("0"); via_add_srvid("0"); }
    $du = "sip:127.0.0.1:9";
    forward();
}
"""
    with Local(cfg) as server:
        [sent] = server.inject(request())
        assert sent.split("\r\n")[1].split(";", 2)[2] == "srvid=5;num=7;srv=1"
        [sent] = server.inject(request(uri="sip:without@127.0.0.1"))
        assert sent.split("\r\n")[1].count(";") == 1


def test_place_in_the_config() -> None:
    with Scripts(
        {"where": "$var(a) = $_s($cfg(line) $cfg(route));\n$var(out) = $_s($var(a) $cfg(line) $cfg(file) $cfg(name));"},
        modules="corex",
        head="event_route[htable:mod-init] { ; }\nonreply_route { $var(place) = $cfg(route); }",
    ) as scripts:
        answer = scripts.run("where")
        assert answer
        first, route, second, path, name = answer.split(" ")
        assert (int(second), route) == (int(first) + 1, "R_where")
        assert path == name == str(scripts.server.path)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("type=A;name=a.test;addr=1.2.3.4;ttl=5x", "invalid ttl: 5x"),
        ("type=SRV;name=a.test;addr=b.test;port=", ""),
        ("type=MX;name=a.test", "invalid dns_cache record"),
    ],
)
def test_records_of_the_dns_cache(record: str, said: str) -> None:
    cfg = f'loadmodule "corex"\nmodparam("corex", "dns_cache", "{record}")\nrequest_route {{ exit; }}\n'
    if said:
        with pytest.raises(ConfigRejected) as caught:
            Local(cfg)
        assert said in str(caught.value.errors[0])
        return
    with Local(cfg) as server:
        assert server.core.dns.find("SRV", "a.test") is None  # its time was over at once


def test_unknown_part_of_the_place_is_an_error_at_load() -> None:
    with pytest.raises(ConfigRejected) as caught:
        Scripts({"x": "$var(out) = $cfg(foo);"}, modules="corex")
    assert "unknown PV af key: foo" in str(caught.value.errors[0])


NETWORK = """listen=udp:127.0.0.1:5060
loadmodule "tm"
loadmodule "sl"
loadmodule "pv"
loadmodule "corex"
modparam("corex", "nio_intercept", 1)
modparam("corex", "nio_min_msg_len", 20)
modparam("corex", "nio_msg_avp", "$avp(msg)")
event_route[network:msg] {
    if (is_incoming()) {
        if ($(mb{s.substr,0,3}) == "XXX") { $avp(msg) = $(mb{s.substr,3,0}); }
        drop;
    }
    if ($rs == 200) { $avp(msg) = "changed " + $ml; }
    if ($rs == 404) { $avp(msg) = ""; }
}
request_route {
    if (is_incoming()) { exit; }
    switch ($rU) {
        case "bob": sl_send_reply("200", "OK"); break;
        case "tm": t_newtran(); t_reply("200", "OK"); break;
        case "silent": sl_send_reply("404", "Nothing"); break;
        default: sl_send_reply("500", "Other");
    }
}
"""


def test_network_data_can_be_replaced(capfd: pytest.CaptureFixture[str]) -> None:
    with Local(NETWORK) as server:
        assert server.inject("XXX" + request())[0].startswith("changed ")
        assert server.inject(request(uri="sip:tm@127.0.0.1", call_id="t"))[0].startswith("changed ")
        assert server.inject(request(uri="sip:silent@127.0.0.1")) == []
        assert "no value set for AVP $avp(msg), using unmodified message" in capfd.readouterr().err
        assert server.inject(request(uri="sip:other@127.0.0.1"))[0].startswith("SIP/2.0 500")
        assert server.inject("\r\n\r\n") == []
        assert server.inject("no SIP but longer than twenty characters") == []


def test_reply_is_forwarded_at_once() -> None:
    cfg = """listen=udp:127.0.0.1:5060
loadmodule "corex"
onreply_route { forward_reply(); drop; }
request_route { ; }
"""
    with Local(cfg) as server:
        reply = request("OPTIONS").replace("OPTIONS sip:bob@127.0.0.1 SIP/2.0", "SIP/2.0 200 OK")
        reply = reply.replace("Via: ", "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx\r\nVia: ", 1)
        [sent] = server.inject(reply)
        assert sent.count("Via: ") == 1
