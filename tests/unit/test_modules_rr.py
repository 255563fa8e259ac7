"""The rr module: Record-Routes as they go out, Routes as they are followed; results observed on Kamailio 5.6.3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kit.local import Local
from kit.requests import request

from kamailio_py.config.host import RouteType
from kamailio_py.module import ModuleError
from kamailio_py.script.context import Context
from kamailio_py.script.regex import compile_posix
from kamailio_py.sip.message import Message

LISTEN = 'listen=udp:127.0.0.1:5070 name "s1"\nlisten=udp:127.0.0.1:5080 name "s2"\nlisten=udp:127.0.0.1:5060 name "s3"'
ME, ME2 = "127.0.0.1:5070", "127.0.0.1:5080"


class Router:
    """The module with some parameters, and requests that came in on the first socket."""

    def __init__(self, **params: int | str) -> None:
        lines = []
        for name, value in params.items():
            text = f'"{value}"' if isinstance(value, str) else value
            lines.append(f'modparam("rr", "{name}", {text})')
        self.server = Local("\n".join([LISTEN, 'loadmodule "pv"', 'loadmodule "rr"', *lines, "request_route { ; }"]))
        self.rr: Any = self.server.core.module("rr")
        self._id = 0

    def __enter__(self) -> Router:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()

    def context(self, text: str, route_type: RouteType = RouteType.REQUEST) -> Context:
        msg = Message(text, "127.0.0.1", 40000, self.server.core.sockets[0])
        self._id += 1
        msg.id = self._id
        return Context(self.server.core, msg, route_type)

    def invite(self, uri: str = "sip:bob@10.0.0.9", **parts: str) -> Context:
        return self.context(request("INVITE", uri, **parts))

    def bye(self, *routes: str, uri: str = "sip:bob@10.0.0.9", to_tag: str = "t1") -> Context:
        extra = "\n".join(f"Route: {route}" for route in routes)
        return self.context(request("BYE", uri, to_tag=to_tag, extra=extra))

    def sent(self, ctx: Context, socket: int = 0) -> str:
        """The request's text when it leaves from that socket."""
        sockets = self.server.core.sockets
        return ctx.msg.lumps.apply(ctx.msg.text, sockets[socket], sockets[0])

    def headers(self, ctx: Context, name: str, socket: int = 0) -> list[str]:
        return [line for line in self.sent(ctx, socket).split("\r\n") if line.startswith(f"{name}:")]


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    with Router() as made:
        yield made


# Record-Route


def test_record_route_is_put_before_the_first_header(router: Router) -> None:
    ctx = router.invite()
    assert router.rr.record_route(ctx) == 1
    assert router.sent(ctx).split("\r\n")[1] == f"Record-Route: <sip:{ME};lr;ftag=f1>"


def test_record_route_twice_is_an_error(router: Router) -> None:
    ctx = router.invite()
    assert router.rr.record_route(ctx) == 1
    assert router.rr.record_route(ctx) == -1
    assert router.rr.record_route_preset(ctx, "h") == -1
    assert router.rr.remove_record_route(ctx) == 1
    assert router.headers(ctx, "Record-Route") == []
    assert router.rr.record_route(ctx) == -1


@pytest.mark.parametrize(
    ("add", "left", "elsewhere"),
    [
        (lambda rr, ctx: rr.record_route(ctx, ";a=b"), [";lr;ftag=f1;a=b>"], [";lr;ftag=f1;a=b>"] * 2),
        (lambda rr, ctx: rr.record_route_preset(ctx, "1.2.3.4", "5.6.7.8"), [";lr>"] * 2, [";lr>"] * 2),
        (lambda rr, ctx: rr.record_route_advertised_address(ctx, "1.2.3.4"), [";ftag=f1;lr>"], [";ftag=f1;lr>"]),
    ],
)
def test_removing_leaves_the_ends(router: Router, add: Any, left: list[str], elsewhere: list[str]) -> None:
    ctx = router.invite()
    assert add(router.rr, ctx) == 1
    assert router.rr.remove_record_route(ctx) == 1
    assert router.sent(ctx).split("\r\n")[1 : 1 + len(left)] == left
    assert router.sent(ctx, 1).split("\r\n")[1 : 1 + len(elsewhere)] == elsewhere
    assert router.sent(ctx).split("\r\n")[1 + len(left)].startswith("Via:")


def test_each_branch_may_have_its_own() -> None:
    with Router() as router:
        ctx = router.context(request("INVITE"), RouteType.BRANCH)
        assert router.rr.record_route(ctx) == 1
        assert not ctx.msg.rr_added


def test_parameters_before_with_and_after(router: Router) -> None:
    ctx = router.invite()
    router.rr.add_rr_param(ctx, ";x=1")
    router.rr.record_route(ctx, ";a=b")
    router.rr.add_rr_param(ctx, ";y=2")
    assert router.rr.add_rr_param(ctx, ";z=INVITE") == 1
    assert router.headers(ctx, "Record-Route") == [f"Record-Route: <sip:{ME};lr;ftag=f1;a=b;x=1;y=2;z=INVITE>"]
    other = router.invite(call_id="other")
    router.rr.record_route(other)
    assert router.headers(other, "Record-Route") == [f"Record-Route: <sip:{ME};lr;ftag=f1>"]


def test_parameters_have_their_limit(router: Router) -> None:
    ctx = router.invite()
    assert router.rr.add_rr_param(ctx, ";" + "x" * 511) == 1
    assert router.rr.add_rr_param(ctx, ";") == -1


def test_second_record_route_where_it_leaves_elsewhere(router: Router) -> None:
    ctx = router.invite()
    router.rr.record_route(ctx)
    router.rr.add_rr_param(ctx, ";y=2")
    assert router.headers(ctx, "Record-Route", 1) == [
        f"Record-Route: <sip:{ME2};r2=on;lr;ftag=f1;y=2>", f"Record-Route: <sip:{ME};r2=on;lr;ftag=f1;y=2>"
    ]  # fmt: skip
    assert router.headers(ctx, "Record-Route", 2)[0] == "Record-Route: <sip:127.0.0.1;r2=on;lr;ftag=f1;y=2>"
    assert router.headers(ctx, "Record-Route", 0) == [f"Record-Route: <sip:{ME};lr;ftag=f1;y=2>"]


@pytest.mark.parametrize(
    ("params", "socket", "expected"),
    [
        ({"enable_double_rr": 0}, 1, [f"<sip:{ME};lr;ftag=f1>"]),
        ({"enable_double_rr": 2}, 0, [f"<sip:{ME};r2=on;lr;ftag=f1>"] * 2),
        ({"enable_full_lr": 1, "append_fromtag": 0}, 0, [f"<sip:{ME};lr=on>"]),
        ({"add_username": 1}, 0, [f"<sip:bob@{ME};lr;ftag=f1>"]),
        ({"sockname_mode": 1}, 1, [f"<sip:{ME2};sn=s2;r2=on;lr;ftag=f1>", f"<sip:{ME};sn=s1;r2=on;lr;ftag=f1>"]),
    ],
)
def test_parameters_of_the_module(params: dict[str, int], socket: int, expected: list[str]) -> None:
    with Router(**params) as router:
        ctx = router.invite()
        router.rr.record_route(ctx)
        assert router.headers(ctx, "Record-Route", socket) == [f"Record-Route: {value}" for value in expected]


def test_user_from_an_avp() -> None:
    with Router(add_username=1, custom_user_avp="$avp(u)") as router:
        ctx = router.invite()
        ctx.avps["u"] = ["me"]
        router.rr.record_route(ctx)
        assert router.headers(ctx, "Record-Route") == [f"Record-Route: <sip:me@{ME};lr;ftag=f1>"]
    with pytest.raises(ModuleError, match="malformed or non AVP custom_user"):
        Router(custom_user_avp="$ci")


@pytest.mark.parametrize(("ignore", "scheme"), [(0, "sips"), (1, "sip")])
def test_sips(ignore: int, scheme: str) -> None:
    with Router(ignore_sips=ignore) as router:
        ctx = router.invite()
        ctx.msg.new_uri = "sips:bob@1.2.3.4"
        router.rr.record_route(ctx)
        assert router.headers(ctx, "Record-Route") == [f"Record-Route: <{scheme}:{ME};lr;ftag=f1>"]


def test_preset_addresses(router: Router) -> None:
    ctx = router.invite()
    router.rr.add_rr_param(ctx, ";q=1")
    assert router.rr.record_route_preset(ctx, "1.2.3.4:5090;x=y", "5.6.7.8") == 1
    assert router.rr.add_rr_param(ctx, ";k=1") == 1
    assert router.headers(ctx, "Record-Route") == [
        "Record-Route: <sip:1.2.3.4:5090;x=y;ftag=f1;q=1;lr;k=1>", "Record-Route: <sip:5.6.7.8;ftag=f1;q=1;lr;k=1>"
    ]  # fmt: skip
    single = router.invite()
    router.rr.record_route_preset(single, "1.2.3.4")
    assert router.rr.add_rr_param(single, ";k=1") == -1  # the second one is missed
    assert router.headers(single, "Record-Route") == ["Record-Route: <sip:1.2.3.4;ftag=f1;lr;k=1>"]


def test_advertised_address(router: Router) -> None:
    ctx = router.invite()
    assert router.rr.record_route_advertised_address(ctx, "1.2.3.4:5090") == 1
    assert router.headers(ctx, "Record-Route") == ["Record-Route: <sip:1.2.3.4:5090;ftag=f1;lr>"]
    with Router(enable_double_rr=2) as always:
        ctx = always.invite()
        always.rr.record_route_advertised_address(ctx, "1.2.3.4:5090")
        expected = "Record-Route: <sip:1.2.3.4:5090;transport=udp;r2=on;ftag=f1;lr>"
        assert always.headers(ctx, "Record-Route") == [expected, expected]


def test_ftag_is_that_of_the_caller_in_both_directions(router: Router) -> None:
    ctx = router.bye(f"<sip:{ME};lr;ftag=other>")
    router.rr.loose_route(ctx)
    router.rr.record_route(ctx)
    assert router.headers(ctx, "Record-Route") == [f"Record-Route: <sip:{ME};lr;ftag=t1>"]


# Route

LOOSE, LOOSE2, STRICT = "<sip:1.2.3.4;lr>", "<sip:5.6.7.8;lr>", "<sip:1.2.3.4>"
MINE, MINE2 = f"<sip:{ME};r2=on;lr;ftag=f1>", f"<sip:{ME2};r2=on;lr;ftag=f1>"


class Case:
    def __init__(
        self, routes: list[str], result: int, left: list[str], *, ruri: str = "sip:bob@10.0.0.9", became: str = "",
        du: str | None = None, socket: int | None = None, next_hop: bool = False, to_tag: str = "t1",
    ) -> None:  # fmt: skip
        self.routes, self.result, self.left = routes, result, left
        self.ruri, self.became, self.du = ruri, became or ruri, du
        self.socket, self.next_hop, self.to_tag = socket, next_hop, to_tag


SELF = f"sip:{ME};lr;ftag=f1"
CASES = {
    "no route": Case([], -1, []),
    "mine alone": Case([f"<{SELF}>"], 1, []),
    "mine alone, new dialog": Case([f"<{SELF}>"], -3, [], to_tag=""),
    "mine and loose": Case([f"<{SELF}>", LOOSE], 1, [LOOSE], du="sip:1.2.3.4;lr", next_hop=True),
    "mine and loose, new dialog": Case([f"<{SELF}>", LOOSE], 1, [LOOSE], du="sip:1.2.3.4;lr", next_hop=True, to_tag=""),
    "one header": Case(
        [f"<{SELF}>, {LOOSE},{LOOSE2}"], 1, [f"{LOOSE},{LOOSE2}"], du="sip:1.2.3.4;lr", next_hop=True
    ),
    "mine and strict": Case(
        [f"<{SELF}>", STRICT, LOOSE2], 1, [LOOSE2, "<sip:bob@10.0.0.9>"], became="sip:1.2.3.4", next_hop=True
    ),
    "mine and strict in one header": Case(
        [f"<{SELF}>,{STRICT},{LOOSE2}"], 1, [LOOSE2, "<sip:bob@10.0.0.9>"], became="sip:1.2.3.4", next_hop=True
    ),
    "another's, loose": Case([LOOSE], 1, [LOOSE], du="sip:1.2.3.4;lr"),
    "another's, strict": Case([STRICT, LOOSE2], 1, [LOOSE2, "<sip:bob@10.0.0.9>"], became="sip:1.2.3.4"),
    "double": Case([MINE, MINE2, LOOSE], 1, [LOOSE], du="sip:1.2.3.4;lr", socket=1, next_hop=True),
    "double in one header": Case(
        [f"{MINE},{MINE2}, {LOOSE}"], 1, [LOOSE], du="sip:1.2.3.4;lr", socket=1, next_hop=True
    ),
    "double alone": Case([f"{MINE},{MINE2}"], 1, [], socket=1),
    "double alone, two headers": Case([MINE, MINE2], 1, [], socket=1),
    "double, second unknown": Case(
        [f"{MINE},<sip:127.0.0.9:9;r2=on;lr>,{LOOSE}"], 1, [LOOSE], du="sip:1.2.3.4;lr", next_hop=True
    ),
    "after strict, loose": Case(
        [LOOSE, "<sip:bob@5.6.7.8>"], 1, [LOOSE], ruri=SELF, became="sip:bob@5.6.7.8", du="sip:1.2.3.4;lr"
    ),
    "after strict, strict": Case(
        ["<sip:bob@1.2.3.4>", "<sip:bob@5.6.7.8>"], 1, ["<sip:bob@5.6.7.8>"], ruri=SELF, became="sip:bob@1.2.3.4"
    ),
    "after strict, the end": Case(["<sip:bob@1.2.3.4;x=y>"], 1, [], ruri=SELF, became="sip:bob@1.2.3.4;x=y"),
    "after strict, double": Case(
        [MINE2, "<sip:bob@5.6.7.8>"], 1, [], ruri=SELF, became="sip:bob@5.6.7.8", socket=1
    ),
    "after strict, double in one header": Case(
        [f"{MINE2},{LOOSE},<sip:bob@5.6.7.8>"], 1, [LOOSE], ruri=SELF, became="sip:bob@5.6.7.8",
        du="sip:1.2.3.4;lr", socket=1,
    ),
    "R-URI and Route are mine": Case([f"<{SELF}>"], 1, [], ruri=f"sip:bob@{ME}", became=SELF, du=SELF),
    "maddr": Case(
        [f"<{SELF}>", "<sip:1.2.3.4:7;maddr=9.9.9.9;lr>"], 1, ["<sip:1.2.3.4:7;maddr=9.9.9.9;lr>"],
        du="sip:9.9.9.9:7", next_hop=True,
    ),
    "maddr, strict": Case(
        [f"<{SELF}>", "<sip:1.2.3.4:7;maddr=9.9.9.9>"], 1, ["<sip:bob@10.0.0.9>"], became="sip:9.9.9.9:7",
        next_hop=True,
    ),
    "names and parameters": Case(
        [f'"A, b" <{SELF}>;x=y', ' "B" <sip:1.2.3.4;lr>;k'], 1, [' "B" <sip:1.2.3.4;lr>;k'], du="sip:1.2.3.4;lr",
        next_hop=True,
    ),
    "lr in other spellings": Case(
        [f"<sip:{ME};LR=on>", "<sip:1.2.3.4;x=y;lr=no>"], 1, ["<sip:1.2.3.4;x=y;lr=no>"],
        du="sip:1.2.3.4;x=y;lr=no", next_hop=True,
    ),
    "no address": Case(["<sip:1.2.3.4;lr"], -1, ["<sip:1.2.3.4;lr"]),
    "no SIP URI": Case(["<foo:1.2.3.4;lr>"], -1, ["<foo:1.2.3.4;lr>"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_loose_route(router: Router, case: Case) -> None:
    ctx = router.bye(*case.routes, uri=case.ruri, to_tag=case.to_tag)
    assert router.rr.loose_route(ctx) == case.result
    assert router.headers(ctx, "Route") == [f"Route: {left}" for left in case.left]
    assert ctx.msg.uri == case.became
    assert ctx.msg.dst_uri == case.du
    assert ctx.msg.force_socket is (None if case.socket is None else router.server.core.sockets[case.socket])
    assert router.rr.rr_next_hop_route(ctx) == (1 if case.next_hop else -1)


def test_missing_socket_of_a_double_route_is_logged(router: Router, capfd: pytest.CaptureFixture[str]) -> None:
    router.rr.loose_route(router.bye(f"{MINE},<sip:127.0.0.9:9;r2=on;lr>,{LOOSE}"))
    err = capfd.readouterr().err
    assert "no socket found to match second RR (sip:127.0.0.9:9;r2=on;lr)" in err
    assert "second RR uri is not myself (sip:127.0.0.9:9;r2=on;lr)" in err


def test_loose_only_mode_ignores_strict_routers_before(router: Router) -> None:
    ctx = router.bye(LOOSE, "<sip:bob@5.6.7.8>", uri=SELF)
    assert router.rr.loose_route_mode(ctx, 1) == 1
    assert (ctx.msg.uri, ctx.msg.dst_uri) == (SELF, "sip:1.2.3.4;lr")


def test_preloaded(router: Router) -> None:
    assert router.rr.loose_route_preloaded(router.bye(f"<{SELF}>", to_tag="")) == 1
    assert router.rr.loose_route_preloaded(router.bye(f"<{SELF}>")) == -1


@pytest.mark.parametrize(("force", "socket"), [(0, None), (1, 1)])
def test_sending_from_the_socket_of_the_route(force: int, socket: int | None) -> None:
    with Router(force_send_socket=force) as router:
        ctx = router.bye(f"<sip:{ME2};lr>", LOOSE)
        router.rr.loose_route(ctx)
        assert ctx.msg.force_socket is (None if socket is None else router.server.core.sockets[socket])


def test_socket_by_its_name() -> None:
    with Router(sockname_mode=1) as router:
        ctx = router.bye(f"{MINE},<sip:{ME2};sn=s3;r2=on;lr>", LOOSE)
        router.rr.loose_route(ctx)
        assert ctx.msg.force_socket is router.server.core.sockets[2]


# direction and parameters


@pytest.mark.parametrize(
    ("route", "direction", "from_tag", "to_tag"),
    [(f"<sip:{ME};lr;ftag=f1>", "downstream", "f1", "t1"), (f"<sip:{ME};lr;ftag=t1>", "upstream", "t1", "f1"),
     (f"<sip:{ME};lr;ftag>", "downstream", "f1", "t1"), (f"<sip:{ME};lr>", "downstream", "f1", "t1"),
     ("<sip:1.2.3.4;lr;ftag=t1>", "downstream", "f1", "t1")],
)  # fmt: skip
def test_direction(router: Router, route: str, direction: str, from_tag: str, to_tag: str) -> None:
    ctx = router.bye(route)
    router.rr.loose_route(ctx)
    value = router.server.core.registry.pvar
    assert value("$rdir(name)", True).get(ctx) == direction
    assert value("$rdir(id)", True).get(ctx) == {"downstream": 1, "upstream": 2}[direction]
    assert value("$fti", True).get(ctx) == from_tag
    assert value("$tti", True).get(ctx) == to_tag
    assert router.rr.is_direction(ctx, 2) == (1 if direction == "upstream" else -1)


def test_parameters_of_our_route(router: Router) -> None:
    ctx = router.bye(f"<sip:{ME};lr;ftag=f1;vsf=abc>")
    for _ in range(2):  # before loose_route() and after it
        assert router.rr.check_route_param(ctx, compile_posix(";vsf=.b")) == 1
        assert router.rr.check_route_param(ctx, compile_posix("^;lr;")) == 1
        assert router.rr.check_route_param(ctx, compile_posix("nat")) == -1
        router.rr.loose_route(ctx)
    assert router.rr.check_route_param(router.bye(LOOSE), compile_posix("lr")) == -1


def test_route_uri(router: Router) -> None:
    pv = router.server.core.registry.pvar("$route_uri", True)
    assert pv.get(router.bye(f'"x, y" <{SELF}>, {LOOSE}')) == SELF
    assert pv.get(router.bye()) is None
    assert pv.get(router.bye("<sip:x")) is None


def test_names_that_do_not_exist(router: Router) -> None:
    with pytest.raises(ValueError, match='"rdir" has an invalid name param'):
        router.server.core.registry.pvar("$rdir(x)", True)
