"""The module pv: exports, parameters, XAVPs, shared variables, edits. The tables hold the values against Kamailio."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from kamailio_py.clock import VirtualClock
from kamailio_py.config.errors import Position
from kamailio_py.config.known import known_exports
from kamailio_py.config.nodes import CustomParameter
from kamailio_py.engine.addresses import Addresses
from kamailio_py.engine.cfg_variables import CfgVariables
from kamailio_py.engine.groups import Groups
from kamailio_py.module import Module, RpcFault
from kamailio_py.modules.pv import Pv
from kamailio_py.modules.pv.branches import Static, q_text
from kamailio_py.script import core_pvars
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import PVar
from kamailio_py.script.values import Value
from kamailio_py.script.variables import VARS
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.sip.endpoint import Destination, ListenSocket
from kamailio_py.sip.message import Message
from tests.kit.rpc import invoke

INVITE = (
    "INVITE sip:alice@example.org:5070;x=y SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bKa\r\n"
    'From: "Bob" <sip:bob@example.com>;tag=ft\r\n'
    "To: <sip:alice@example.org>\r\n"
    "Call-ID: c1\r\nCSeq: 7 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


class Server:
    """The core as this module sees it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.shm = SharedMemory.create(f"pv.{os.getpid()}", 8 << 20)
        self.sockets = [ListenSocket(0, "udp", "127.0.0.1", 5060, name="main")]
        self.addresses = Addresses(self)
        self.addresses.sockets = self.sockets
        self.snd: tuple[str, Destination] | None = None
        self.cfg = SimpleNamespace(groups=Groups(), server_id=3, debug=2)
        self.modules: dict[str, Module] = {}
        self.commands = None
        self.variables = CfgVariables(self)
        self.pvars = core_pvars.registry({})
        self.registry = SimpleNamespace(pvars=self.pvars)

    def module(self, name: str) -> Module | None:
        return self.modules.get(name)


class Run:
    """A context with short words for reading and writing."""

    def __init__(self, server: Server, module: Pv, text: str = INVITE) -> None:
        self.server = server
        self.module = module
        self.msg = Message(text, "10.0.0.1", 5062, server.sockets[0])
        self.ctx = Context(server, self.msg)  # type: ignore[arg-type]

    def pvar(self, text: str) -> PVar:
        return self.server.pvars.parse(text)

    def get(self, text: str) -> Value:
        return self.pvar(text).get(self.ctx)

    def set(self, text: str, value: Value) -> bool:
        return self.pvar(text).set(self.ctx, value)

    def show(self, text: str) -> str:
        return self.server.pvars.format(text).evaluate(self.ctx)


@pytest.fixture
def run() -> Iterator[Run]:
    server = Server()
    module = Pv(server)
    server.modules["pv"] = module
    for name, transformation in module.transformations.items():
        server.pvars.add_transformation(name, transformation)
    for export in module.pvars():
        server.pvars.add(export)
    VARS.clear()
    Static.reset()
    module.set_shared("start=i:5")
    module.mod_init()
    yield Run(server, module)
    server.shm.close()
    server.shm.unlink()


def test_variables_of_the_process(run: Run) -> None:
    assert run.get("$var(new)") == 0
    assert run.set("$var(new)", "text")
    assert VARS["new"] == "text"
    assert run.pvar("$var(new)").static == "new"
    assert run.get("$vz(new)") == "text"
    assert run.get("$vn(new)") is None
    assert run.set("$var(new)", None)
    assert run.get("$var(new)") == 0


def test_shared_variables(run: Run) -> None:
    shared = run.module.shared
    used = run.server.shm.arena.used
    assert run.get("$shv(start)") == 5
    assert run.get("$shv(never)") == 0
    assert run.set("$shv(a)", "a text")
    assert run.get("$shv(a)") == "a text"
    assert run.set("$shv(a)", -7)
    assert run.get("$shv(a)") == -7
    assert run.set("$shv(a)", None)
    assert run.get("$shv(a)") == ""
    for number in range(200):
        assert run.set(f"$shv(many{number})", f"value {number}")
    assert all(run.get(f"$shv(many{number})") == f"value {number}" for number in range(200))
    assert shared.items()[0] == ("a", "")
    grown = run.server.shm.arena.used
    for _ in range(50):
        assert run.set("$shv(many0)", "another")
    assert run.server.shm.arena.used == grown > used
    assert run.server.shm.check() == []


def test_shared_variables_when_memory_is_exhausted(run: Run) -> None:
    assert run.set("$shv(a)", "kept")
    assert not run.set("$shv(a)", "x" * (16 << 20))
    assert run.get("$shv(a)") == "kept"


def test_rpc_of_shared_variables(run: Run) -> None:
    run.set("$shv(b)", "x")
    core = run.server
    assert invoke(core, "pv.shvGet", "start") == [{"name": "start", "type": "int", "value": 5}]
    assert invoke(core, "pv.shvSet", "start", "str", "text") == ["Ok. Variable set to new value."]
    assert run.get("$shv(start)") == "text"
    assert [shv["name"] for _, shv in invoke(core, "pv.shvGet")[0]["items"].items()] == ["b", "start"]


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["nope", "int", 1], 404, "Variable not found"),
        (["start"], 500, "Missing parameter type (Parameters: varname type value)"),
        (["start", "float", 1], 500, "Unknown parameter type (Types: int or str)"),
        (["start", "int", "x"], 500, "Missing integer parameter value (Parameters: varname type value)"),
    ],
)
def test_faults_of_the_rpc(run: Run, args: list[str | int], code: int, text: str) -> None:
    with pytest.raises(RpcFault) as caught:
        invoke(run.server, "pv.shvSet", *args)
    assert (caught.value.code, caught.value.text) == (code, text)


@pytest.mark.parametrize("text", ["plain", "a=plain", "a=x:1", "=i:1", "a=i:x"])
def test_bad_first_values(run: Run, text: str) -> None:
    with pytest.raises(ValueError, match=r"shv|integer"):
        run.module.set_variable(text)


def test_aliases_of_avps(run: Run) -> None:
    run.module.set_aliases("al=s:real;n=i:5")
    run.set("$avp(al)", "x")
    run.set("$avp(n)", "y")
    assert run.ctx.avps == {"real": ["x"], 5: ["y"]}


def test_xavps_are_plain_data(run: Run) -> None:
    run.set("$xavp(a=>x)", "1")
    run.set("$xavp(a[0]=>y)", 2)
    run.set("$xavp(a=>x)", "3")
    assert run.ctx.xavps == {"a": [{"x": ["3"]}, {"x": ["1"], "y": [2]}]}
    assert run.get("$xavp(a[1]=>y)") == 2
    assert not run.set("$xavp(a[2]=>y)", 1)
    run.set("$xavp(a[1])", None)
    assert run.ctx.xavps == {"a": [{"x": ["3"]}]}
    run.set("$xavi(Name=>Key)", "v")
    assert run.get("$xavi(nAME=>kEY)") == "v"
    assert run.module.xavp_copy(run.ctx, "a", 0, "b") == 1
    run.set("$xavp(a[0]=>x[0])", "changed")
    assert run.get("$xavp(b=>x)") == "3"


def test_edits_of_from_and_to(run: Run) -> None:
    run.set("$fU", "robert")
    run.set("$fn", "R")
    run.set("$tn", '"Alice"')
    run.set("$td", "other.example")
    text = run.msg.lumps.apply(run.msg.text)
    assert "From: R <sip:robert@example.com>;tag=ft\r\n" in text
    assert 'To: "Alice" <sip:alice@other.example>\r\n' in text
    assert run.get("$fU") == "bob"


def test_the_request_uri(run: Run) -> None:
    run.set("$rU", "carol")
    run.set("$rp", 6000)
    assert run.get("$ru") == "sip:carol@example.org:6000;x=y"
    assert run.get("$ou") == run.msg.ruri
    run.set("$rU", None)
    assert run.get("$ru") == "sip:example.org:6000;x=y"
    assert not run.set("$rd", 5)
    assert run.set("$ru", "junk")
    assert run.get("$ru") is None
    assert run.msg.uri == "junk"
    assert run.get("$rU") is None


def test_flags_are_printed_unsigned(run: Run) -> None:
    run.set("$mf", -1)
    assert run.get("$mf") == -1
    assert run.show("$mf $mF $Mf(31)") == "4294967295 ffffffff 1"
    assert run.msg.flags == 0xFFFFFFFF
    assert not run.set("$mf", "5")


def test_numbers_beside_texts(run: Run) -> None:
    pvar = run.pvar("$rm")
    assert pvar.get(run.ctx) == "INVITE"
    assert pvar.get_int is not None
    assert pvar.get_int(run.ctx) == 1
    assert run.module.is_int(run.ctx, pvar) == 1
    assert run.module.is_int(run.ctx, run.pvar("$rU")) == -1


def test_what_is_being_sent(run: Run) -> None:
    assert run.get("$sndto(ip)") is None
    run.server.snd = ("text", Destination("udp", "10.0.0.9", 5080, run.server.sockets[0]))
    assert run.show("$sndto(ip):$sndto(port) $sndfrom(ip):$sndfrom(port) $sndto(sproto) $snd(len)") == (
        "10.0.0.9:5080 127.0.0.1:5060 udp 4"
    )


def test_the_static_branch_stays(run: Run) -> None:
    assert run.module.sbranch_append(run.ctx) == -1
    run.set("$sbranch(uri)", "sip:b@b")
    run.set("$sbranch(q)", 250)
    assert run.module.sbranch_append(run.ctx) == 1
    run.set("$sbranch(uri)", "sip:c@c")
    assert run.get("$(branch(uri)[0])") == "sip:b@b"
    assert run.get("$ds") == "Contact: <sip:b@b>;q=0.25"
    assert run.module.sbranch_reset(run.ctx) == 1
    assert run.get("$sbranch(count)") == 0


@pytest.mark.parametrize(("q", "text"), [(0, "0"), (1, "0.001"), (300, "0.3"), (750, "0.75"), (1000, "1")])
def test_quality_as_text(q: int, text: str) -> None:
    assert q_text(q) == text


def test_the_time_of_a_message_stands_still(run: Run) -> None:
    first = run.get("$Ts")
    run.server.clock.advance(30)
    assert run.get("$Ts") == first
    assert run.get("$TS") == first + 30  # type: ignore[operator]
    assert run.get("$TV(s)") == first


def test_sockets_by_name(run: Run) -> None:
    assert run.set("$fsn", "main")
    assert run.show("$fs $fsn $fsp") == "udp:127.0.0.1:5060 main 5060"
    assert run.set("$fs", "udp:10.9.9.9:5060")
    assert run.get("$fsn") == "main"
    assert run.set("$fs", None)
    assert run.show("$fs $fsp") == "<null> 0"


def test_evaluated_twice(run: Run) -> None:
    form = run.server.pvars.format("<$$rU>")
    assert run.module.pv_evalx(run.ctx, run.pvar("$var(o)"), form) == 1
    assert run.get("$var(o)") == "<alice>"
    assert run.module.pv_evalx(run.ctx, run.pvar("$var(o)"), run.server.pvars.format("$$nope")) == -1


def test_custom_parameters(run: Run) -> None:
    run.server.cfg.groups.add(CustomParameter(Position("x.cfg", 1, 1), "g", "v", 5))
    assert run.get("$ccp(g.v)") == 5
    assert run.get("$sel(cfg_get.g.v)") == "5"
    assert run.get("$sel(cfg_get.g.no)") is None


def test_exports_are_kamailios(run: Run) -> None:
    known = known_exports()["pv"]
    exports = {export.name: export for export in run.module.pvars()}
    assert set(known["pvs"]) == set(exports)
    for name, marks in known["pvs"].items():
        export = exports[name]
        assert bool(export.bind_set) == ("w" in marks), name
        assert (export.inner is True) == ("n" in marks), name
        assert (export.index is None) == ("i" in marks), name
    functions = {(f.name, len(f.arguments)) for f in run.module.functions()}
    assert functions == {(name, count) for name, forms in known["functions"].items() for count, _ in forms}
    assert set(Pv.params()) == set(known["params"])
