"""The same RPC commands through the real kamcmd on both servers, after the same traffic.

What differs between any two servers (pids, times, sizes, versions of compilers) is named before comparing.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from tests.kit.jsonrpc import Datagrams
from tests.kit.jsonrpc import request as json_request
from tests.kit.kamcmd import Wire, kamcmd, request
from tests.kit.server import Server, both, our_command, real_command

pytestmark = pytest.mark.kamailio

CFG = """
debug=2
log_stderror=yes
children=2
disable_tcp=yes
async_workers=1
use_dst_blocklist=yes
alias=foo.example
alias=udp:bar.example:5070
#!define PLAIN
#!define VALUE 12
#!trydefine TRIED "a b"
#!substdef "!SUB!val!g"
loadmodule "jsonrpcs.so"
loadmodule "ctl.so"
loadmodule "cfg_rpc.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "async.so"
loadmodule "cfgutils.so"
modparam("cfgutils", "initial_gflags", 4)
modparam("pv", "shvset", "x=i:3")
modparam("pv", "shvset", "text=s:some text")
modparam("async", "workers", 1)
request_route {
    t_newtran();
    t_reply("200", "OK");
}
"""

COMMANDS = [
    "system.methodSignature a",
    "system.methodHelp",
    "system.methodHelp nosuch",
    "core.version",
    "core.prints",
    "core.prints a b 3",
    "core.prints 3",
    "core.prints 3 a",
    "core.printi",
    "core.printi 1 300 70000 0",
    "core.printi 4294967295",
    "core.printi 4294967296",
    "core.printi a",
    "core.printi 1 a",
    "core.printi 3.5",
    "core.echo",
    "core.echo a 1 s:2",
    "core.echo a 1 s:2 3.5",
    "core.echo 3.5",
    "core.uptime",
    "core.ps",
    "core.psx",
    "core.psa",
    "core.pwd",
    "core.shmmem",
    "core.shmmem k",
    "core.shmmem mb",
    "core.shmmem x",
    "core.shmmem 1",
    "core.shmmem s:",
    "core.tcp_info",
    "core.tcp_options",
    "core.tcp_list",
    "core.udp4_raw_info",
    "core.aliases_list",
    "core.sockets_list",
    "core.modules",
    "core.ppdefines",
    "core.ppdefines_full",
    "core.kil",
    "ctl.who",
    "ctl.who a",
    "ctl.connections",
    "ctl.listen",
    "pv.shvGet",
    "pv.shvGet x",
    "pv.shvGet nosuch",
    "pv.shvSet x int 7",
    "pv.shvGet x",
    "pv.shvSet x str seven",
    "pv.shvGet x",
    "pv.shvSet",
    "pv.shvSet x",
    "pv.shvSet x float 7",
    "pv.shvSet x int seven",
    "pv.shvSet nosuch int 1",
    "dns.view",
    "dns.lookup",
    "dns.lookup A",
    "dns.lookup X x.test",
    "dns.add_a x.test 60 1.2.3.4",
    "dns.add_a x.test s:60 1.2.3.4 0",
    "dns.add_a x.test 60 1.2.3 0",
    "dns.add_aaaa x.test 60 1.2.3.4 0",
    "dns.add_a b.test 60 1.2.3.4 0",
    "dns.add_a b.test 50 1.2.3.5 0",
    "dns.view",
    "dns.debug",
    "dns.debug_all",
    "dns.lookup A b.test",
    "dns.lookup a B.test",
    "dns.delete_a",
    "dns.delete_a nosuch.test",
    "dns.delete_a b.test",
    "dns.view",
    "dns.add_srv _sip._udp.e.test 60 1 2 5070 b.test 0",
    "dns.add_srv _sip._udp.e.test 60 1 3 5071 c.test 0",
    "dns.lookup SRV _sip._udp.e.test",
    "dns.debug_all",
    "dns.delete_srv _sip._udp.e.test",
    "dns.add_aaaa d.test 60 ::1 2",
    "dns.lookup AAAA d.test",
    "dns.delete_all",
    "dns.view",
    "dns.delete_all_force",
    "dns.add_a gone.test 60 1.2.3.4 1",
    "dns.view",
    "dns.debug",
    "dns.mem_info",
    "dns.delete_all",
    "dns.view",
    "dns.delete_txt nosuch.test",
    "dst_blocklist.view",
    "dst_blocklist.add",
    "dst_blocklist.add 1.2.3.4 1",
    "dst_blocklist.add 1.2.3.4 5060 1 4",
    "dst_blocklist.debug",
    "dst_blocklist.view",
    "dst_blocklist.mem_info",
    "dst_blocklist.add 1.2.3.4 5060 1 1",
    "dst_blocklist.add 1.2.3.4 5060 9 2",
    "dst_blocklist.add nosuch 5060 1 2",
    "dst_blocklist.delete_all",
    "dst_blocklist.add ::1 70000 3 300",
    "dst_blocklist.view",
    "dst_blocklist.delete_all",
    "dst_blocklist.view",
    "cfgutils.get_gflags",
    "cfgutils.is_gflag 4",
    "cfgutils.is_gflag 2",
    "cfgutils.set_gflag 26",
    "cfgutils.get_gflags",
    "cfgutils.is_gflag 6",
    "cfgutils.is_gflag 0",
    "cfgutils.reset_gflag 4",
    "cfgutils.get_gflags",
    "cfgutils.is_gflag",
    "cfgutils.set_gflag x",
    "cfgutils.reset_gflag",
    "cfgutils.rand_get_prob",
    "cfgutils.rand_set_prob 50",
    "cfgutils.rand_get_prob",
    "cfgutils.rand_set_prob 101",
    "cfgutils.rand_set_prob",
    "cfgutils.rand_reset_prob",
    "cfgutils.rand_get_prob",
    "cfgutils.get_config_hash",
    "cfgutils.check_config_hash",
    "nosuch",
    "nosuch.command a b",
]

OVER_JSON = [
    command
    for command in COMMANDS
    # ctl.listen leaves the answer empty there; a text for a time to live is 0 there, and what is over is kept as such
    if not command.startswith("ctl.") and " s:60 " not in command
]

NAMED = [
    (r"(?m)^(\s*(?:pid|PID): )\d+$", r"\1PID"),
    (r"(?m)^(\s*(?:now|up_since|time_now|time_started): ).*$", r"\1TIME"),
    (r"(?m)^(\s*(?:uptime|last_used): )\d+$", r"\1SECONDS"),
    (r"(?m)^(\s*(?:expires|rr_expires): )[1-9]\d*$", r"\1SECONDS"),
    (r"(?m)^(\s*expires in \(s\): )\d+$", r"\1SECONDS"),
    (r"(?m)^(\s*(?:free|used|real_used|max_used|fragments|size_bytes): )\d+$", r"\1SIZE"),
]

NAMED_IN_JSON = [
    (r'("(?:pid|PID|uptime|last_used|free|used|real_used|max_used|fragments|size_bytes)":\t)\d+', r"\1N"),
    (r'("(?:expires|rr_expires)":\t)[1-9]\d*', r"\1N"),
    (r'("(?:now|up_since)":\t)"[^"]*"', r"\1TIME"),
    (r'(\[|, )\d+(, ")', r"\1PID\2"),
]


def named(command: str, said: str) -> str:
    """The output with what differs between any two servers named."""
    for pattern, name in NAMED:
        said = re.sub(pattern, name, said)
    if command == "core.ps":
        said = re.sub(r"(?m)^\d+$", "PID", said)
    if command.endswith(".mem_info"):
        said = re.sub(r"^[1-9]\d*$", "SIZE", said, count=1, flags=re.MULTILINE)
    if command in ("dns.debug", "dns.debug_all", "dst_blocklist.debug"):
        said = re.sub(r"(?m)^(?:[3-9]\d|1\d\d|59|60)$", "SIZE OR SECONDS", said)
    return said


def named_json(command: str, answer: str) -> str:
    """The same for an answer over JSON."""
    for pattern, name in NAMED_IN_JSON:
        answer = re.sub(pattern, name, answer)
    if command == "dns.debug_all":
        answer = re.sub(r'("result":\t)[1-9]\d*', r"\1SECONDS", answer)
    return answer


def words(command: str) -> list[str | int | float]:
    """The arguments as kamcmd makes them of words."""
    made: list[str | int | float] = []
    for word in command.split(" ")[1:]:
        if word.isdecimal():
            made.append(int(word))
        elif re.fullmatch(r"\d+\.\d+", word):
            made.append(float(word))
        else:
            made.append(word.removeprefix("s:"))
    return made


def visit(server: Server, number: int) -> None:
    """One OPTIONS that is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.settimeout(5)
        agent.bind(("127.0.0.1", 0))
        via = f"Via: SIP/2.0/UDP 127.0.0.1:{agent.getsockname()[1]};branch=z9hG4bK{number}\r\n"
        head = f"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n{via}From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n"
        agent.sendto(f"{head}Call-ID: {number}\r\nCSeq: 1 OPTIONS\r\n\r\n".encode(), server.address)
        assert agent.recv(4096).startswith(b"SIP/2.0 200")


def said(server: Server, command: str) -> str:
    return named(command, masked(server, kamcmd(server.ctl, *command.split(" "))))


def masked(server: Server, text: str) -> str:
    return text.replace(str(server.directory), "DIRECTORY").replace(str(server.port), "PORT")


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Server]]:
    """Both, their control sockets in their own runtime directories."""
    with both(CFG) as running:
        for server in running:
            for number in range(3):
                visit(server, number)
        yield running


def test_every_command_says_the_same(servers: list[Server]) -> None:
    """One after the other, since they build upon each other; all that differ are listed at once."""
    differing = []
    for command in COMMANDS:
        real, ours = (said(server, command) for server in servers)
        if real != ours:
            differing.append(f"$ kamcmd {command}\n--- Kamailio\n{real}--- kamailio-py\n{ours}")
    assert not differing, "\n" + "\n".join(differing)


def test_every_command_says_the_same_over_json(servers: list[Server]) -> None:
    differing = []
    for command in OVER_JSON:
        answers = []
        for server in servers:
            caller = Datagrams(server.directory / "run" / "kamailio_rpc.sock")
            answer = caller.raw(json_request(command.split(" ")[0], *words(command)))
            caller.close()
            assert answer is not None, f"no answer to {command} by {server.name}"
            answers.append(named_json(command, masked(server, answer.decode())))
        if answers[0] != answers[1]:
            differing.append(f"{command}\n--- Kamailio\n{answers[0]}\n--- kamailio-py\n{answers[1]}")
    assert not differing, "\n" + "\n".join(differing)


def test_ours_has_every_command_of_the_same_modules(servers: list[Server]) -> None:
    real, ours = (set(said(server, "system.listMethods").split()) for server in servers)
    groups = ("core.", "system.", "dns.", "dst_blocklist.", "ctl.", "pv.", "cfgutils.")
    assert {name for name in real if name.startswith(groups)} <= ours


def test_structs_have_the_same_members(servers: list[Server]) -> None:
    for command in ("core.info", "core.runinfo"):
        real, ours = (re.findall(r"(?m)^\t(\w+):", said(server, command)) for server in servers)
        assert real == ours


@pytest.mark.parametrize(
    "values",
    [
        ["core.echo", b"\x01"],
        ["core.echo", b"\x03\x21a\0\x83"],
        ["core.echo", b"\x03\x25a\0\x10\x01\x83"],
        ["core.echo", b"\x04\x10\x01\x84"],
        ["core.echo", b"\x26ab"],
        ["core.echo", b"\x25a\0"],
        ["core.echo", b"\x27a\0"],
        ["core.echo", b"\x83"],
        ["core.echo", b"\x21ab"],
        ["core.echo", b"\x91\x40ab"],
        ["core.echo", -1],
        ["core.echo", "x" * 20000],
        ["core.echo", "x" * 33000],
        ["core.echo", *["x" * 100] * 330],
        ["core.printi", *[70000] * 8200],
        ["core.printi", b"\x50\1\2\3\4\5"],
        ["core.printi", b"\x10\x00"],
        ["core.prints", "", "a\r\nb"],
        [b"\x31ab\0"],
        [b"\x10\x01"],
        [b""],
    ],
    ids=lambda values: repr(values)[:40],
)
def test_requests_that_kamcmd_does_not_send(servers: list[Server], values: list[str | int | bytes]) -> None:
    answers = []
    for server in servers:
        with Wire(server.ctl) as wire:
            answers.append(wire.send(request(*values)).packet())
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.0\r\n\r\n", b"\xa1\x13\x06COOK\x61core.", b"\xa2\x03\x00COOK", b"\xa1\x03\x00COOK"]
)
def test_garbage(servers: list[Server], sent: bytes) -> None:
    answers = []
    for server in servers:
        with Wire(server.ctl) as wire:
            answers.append((wire.send(sent).packet(), wire.closed()))
    assert answers[0] == answers[1]


def test_interactive(servers: list[Server]) -> None:
    lines = "core.echo a b\nctl.who\ncore.nosuch\ncore.prints 'a'\npsx\nversion\nquit\n"
    real, ours = (named("", masked(server, kamcmd(server.ctl, stdin=lines))) for server in servers)
    assert real == ours


def test_connections() -> None:
    """core.tcp_info, tcp_list and psa with a listening TCP socket and a connection that was used."""
    cfg = CFG.replace("disable_tcp=yes\n", "tcp_children=2\n")
    texts = []
    for name, command in (("rpc-tcp-real", real_command()), ("rpc-tcp-ours", our_command())):
        server = Server(name, command, cfg, listen=("tcp:127.0.0.1",))
        try:
            server.start()
            with socket.create_connection(server.address, timeout=5) as agent:
                port = agent.getsockname()[1]
                via = f"Via: SIP/2.0/TCP 127.0.0.1:{port};branch=z9hG4bK1\r\n"
                head = f"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n{via}From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n"
                agent.sendall(f"{head}Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n".encode())
                assert agent.recv(4096).startswith(b"SIP/2.0 200")
                text = "".join(
                    kamcmd(server.ctl, asked)
                    for asked in ("core.tcp_info", "core.tcp_list", "core.psa", "core.sockets_list")
                )
            text = text.replace(str(server.port), "PORT").replace(str(port), "AGENT")
            texts.append(re.sub(r"(ref_count|timeout): \d+", r"\1: N", named("", text)))
        finally:
            server.stop()
    assert texts[0] == texts[1]
