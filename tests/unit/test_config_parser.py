"""The syntax tree: what becomes of expressions, statements and the lines of the top level."""

from __future__ import annotations

import pytest
from kit.known_host import KnownHost

from kamailio_py.config import nodes
from kamailio_py.config.nodes import Binary, End, Expression, RouteKind, Statement
from kamailio_py.config.parser import CfgErrors, parse_listen, parse_text


def parse(text: str, host: KnownHost | None = None) -> nodes.Config:
    return parse_text(text, host or KnownHost(everything=True), path="/etc/x.cfg")


def body(text: str) -> list[Statement]:
    return parse(f"request_route {{ {text} }}").routes[0].body.statements


def expression(text: str) -> Expression:
    (statement,) = body(f"$var(x) = {text};")
    assert isinstance(statement, nodes.Assign)
    return statement.value


def shape(e: Expression) -> str:
    """An expression with all its parentheses."""
    match e:
        case nodes.Number(value=value):
            return str(value)
        case nodes.String(value=text):
            return f'"{text}"'
        case nodes.PVariable(text=text) | nodes.Attribute(text=text):
            return text
        case nodes.Identifier(name=name) | nodes.Operand(name=name):
            return name
        case nodes.Address(host=host, mask=mask):
            return f"{host}/{mask}" if mask else host
        case nodes.Select(text=text):
            return f"@{text}"
        case Binary(op=op, left=left, right=right):
            return f"({shape(left)} {op} {shape(right)})"
        case nodes.Unary(op=op, operand=operand):
            return f"({op} {shape(operand)})"
        case nodes.Conditional(test=test, yes=yes, no=no):
            return f"({shape(test)} ? {shape(yes)} : {shape(no)})"
        case nodes.Call(name=name, args=args) | nodes.CoreCall(name=name, args=args):
            return f"{name}({', '.join(shape(arg) for arg in args)})"
        case nodes.RouteCall(name=target):
            return f"route({shape(target)})"
        case nodes.BlockExpression():
            return "{...}"
    raise AssertionError(e)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1 << 2 == 4", "(1 << (2 == 4))"),
        ("6 & 3 == 3", "(6 & (3 == 3))"),
        ("1|2^3&1", "(1 | ((2 ^ 3) & 1))"),
        ("!1 + 1", "((! 1) + 1)"),
        ("2+3*4-10/3", "((2 + (3 * 4)) - (10 / 3))"),
        ("1 - 2 - 3", "((1 - 2) - 3)"),
        ("1 || 2 && 3 or not 4", "((1 || (2 && 3)) || (! 4))"),
        ("1 < 2 == 3 > 4", "((1 < 2) == (3 > 4))"),
        ("-7 mod 2", "(-7 mod 2)"),
        ("- -7", "(- -7)"),
        ("5 - -3", "(5 - -3)"),
        ("5 -3", "(5 - 3)"),
        ("~5 * 2", "((~ 5) * 2)"),
        ('(int)"5" + 1', '(((int) "5") + 1)'),
        ("defined $avp(x) == 1", "((defined $avp(x)) == 1)"),
        ("not defined $avp(x)", "(! (defined $avp(x)))"),
        ("$avp(x) == $null", "(! (defined $avp(x)))"),
        ("$avp(x) != $null", "(defined $avp(x))"),
        ("(1 + 2) * 3", "((1 + 2) * 3)"),
        ("selval($rU == 1, 2, 3 + 4)", "(($rU == 1) ? 2 : (3 + 4))"),
        ('strlen("a" + "b") > 3', '((strlen ("a" + "b")) > 3)'),
        ('$rU eq "a" and $rU ne "b"', '(($rU eq "a") && ($rU ne "b"))'),
        ("$rU ieq 1", "($rU ieq 1)"),
        ('method == "A" || method == INVITE', '((method == "A") || (method == INVITE))'),
        ('method == "A" + "b" && 1', '((method == ("A" + "b")) && 1)'),
        ("!method == INVITE", "(! (method == INVITE))"),
        ("src_port > 5 + 5 == 1", "((src_port > (5 + 5)) == 1)"),
        ("src_ip == 10.0.0.0/8 || dst_ip != a-b.example", "((src_ip == 10.0.0.0/8) || (dst_ip != a-b.example))"),
        ("src_ip == 10.0.0.0/255.0.0.0", "(src_ip == 10.0.0.0/255.0.0.0)"),
        ("src_ip == [::1]/64", "(src_ip == ::1/64)"),
        ("src_ip == $var(x)", "(src_ip == $var(x))"),
        ("proto == TCP", "(proto == tcp)"),
        ("uri == myself", "(uri == myself)"),
        ("myself != src_ip", "(src_ip != myself)"),
        ('status =~ "x"', '(uri =~ "x")'),
        ("%a + $f.b", "(a + f.b)"),
        ("%a[2] + %a[-1] + %a[]", "(($(avp(a)[2]) + $(avp(a)[-1])) + $(avp(a)[*]))"),
        ("@ruri.user", "@ruri.user"),
        ('is_method("INVITE")', 'is_method("INVITE")'),
        ("route(A) + route(5)", "(route(A) + route(5))"),
        ('route("A-" + $rU)', 'route(("A-" + $rU))'),
        ("isflagset(5)", "isflagset(5)"),
        ("{ drop; }", "{...}"),
        ("($var(y) = 5)", "{...}"),
        ("2147483648", "-2147483648"),
        ("$nothing_of_this_name", "nothing_of_this_name"),
    ],
)
def test_expressions(text: str, meant: str) -> None:
    assert shape(expression(text)) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("sethost(\"a\");", 'rewritehost("a")'),
        ("add_rport;", "force_rport()"),
        ("log(1, \"a\");", 'log(1, "a")'),
        ("forward(uri:host, uri:port);", "forward(uri:host, uri:port)"),
        ("forward_tcp(1.2.3.4, 5);", "forward_tcp(1.2.3.4, 5)"),
        ("force_send_socket(tcp:[::1]:5060);", 'force_send_socket("tcp:[::1]:5060")'),
        ("remove_branch(-1);", "remove_branch(-1)"),
        ("udp_mtu_try_proto(TLS);", "udp_mtu_try_proto(tls)"),
        ("set_advertised_address(a.b);", 'set_advertised_address("a.b")'),
        ("cfg_select(\"g\", $var(x) + 1);", 'cfg_select("g", ($var(x) + 1))'),
        ("force_tcp_alias(5060);", "force_tcp_alias(5060)"),
    ],
)  # fmt: skip
def test_core_functions(text: str, meant: str) -> None:
    (statement,) = body(text)
    assert isinstance(statement, nodes.ExpressionStatement)
    assert shape(statement.value) == meant


def test_flags_become_numbers() -> None:
    config = parse('flags a:7, b; bool c\nroute { setflag(a); resetflag("b"); isflagset(c); }')
    assert config.flags == {"a": 7, "b": 0, "c": 1}
    shapes = [shape(s.value) for s in config.routes[0].body.statements if isinstance(s, nodes.ExpressionStatement)]
    assert shapes == ["setflag(7)", "resetflag(0)", "isflagset(1)"]


def test_if_chain() -> None:
    (statement,) = body("if ($rU == 1) drop; else if 2 { exit; exit; } else return;")
    assert isinstance(statement, nodes.If)
    assert isinstance(statement.then.statements[0], nodes.Terminator)
    assert statement.otherwise is not None
    (second,) = statement.otherwise.statements
    assert isinstance(second, nodes.If)
    assert len(second.then.statements) == 2
    assert second.otherwise is not None


def test_terminators() -> None:
    made = body("return; return(); return 2; exit(3); drop -1; break; return (1) + 2; ;")
    kinds = [s.kind for s in made if isinstance(s, nodes.Terminator)]
    assert kinds == [End.RETURN, End.RETURN, End.RETURN, End.EXIT, End.DROP, End.RETURN]
    values = [shape(s.value) if s.value else "" for s in made if isinstance(s, nodes.Terminator)]
    assert values == ["", "", "2", "3", "-1", "(1 + 2)"]
    assert isinstance(made[5], nodes.Break)
    assert len(made) == 7


def test_switch() -> None:
    (statement,) = body('switch ($rU) { case "a": case "b": drop; case /"^c": default: exit; break; }')
    assert isinstance(statement, nodes.Switch)
    assert [case.pattern for case in statement.cases] == [False, False, True, False]
    assert [case.body is None for case in statement.cases] == [True, False, True, False]
    assert statement.cases[3].label is None


def test_while() -> None:
    (statement,) = body("while ($var(i) < 3) { $var(i) = $var(i) + 1; }")
    assert isinstance(statement, nodes.While)
    assert len(statement.body.statements) == 1


def test_route_blocks() -> None:
    config = parse(
        "request_route { drop; }\nroute { exit; }\nroute[A] { drop; }\nroute[5] { drop; }\nfailure_route[A] { drop; }\n"
        "reply_route { drop; }\nonreply_route[0] { exit; }\nonreply_route[A] { drop; }\nbranch_route[A] { drop; }\n"
        'onsend_route { drop; }\nevent_route[tm:local-request] { drop; }\nroute["a b"] { drop; }\n'
    )
    assert [(route.kind, route.name, len(route.body.statements)) for route in config.routes] == [
        (RouteKind.REQUEST, "0", 2),
        (RouteKind.REQUEST, "A", 1),
        (RouteKind.REQUEST, "5", 1),
        (RouteKind.FAILURE, "A", 1),
        (RouteKind.REPLY, "0", 2),
        (RouteKind.REPLY, "A", 1),
        (RouteKind.BRANCH, "A", 1),
        (RouteKind.ONSEND, "0", 1),
        (RouteKind.EVENT, "tm:local-request", 1),
        (RouteKind.REQUEST, "a b", 1),
    ]


def test_nodes_know_their_place() -> None:
    config = parse('request_route {\n  if ($rU == "a")\n    xlog("x",\n "y");\n}\n')
    (statement,) = config.routes[0].body.statements
    assert isinstance(statement, nodes.If)
    assert (statement.at.line, statement.at.column) == (2, 3)
    assert (statement.test.at.line, statement.test.at.column, statement.test.at.end_column) == (2, 7, 16)
    call = statement.then.statements[0]
    assert (call.at.line, call.at.column, call.at.end_line) == (3, 5, 4)


# --- top level


def test_global_parameters() -> None:
    host = KnownHost()
    config = parse(
        'debug=-1 children=4;\nmem_log=5\nserver_header="X: y"\nuser=kam\ntos=IPTOS_LOWDELAY\nadvertised_address=a.b\n'
        'udp_mtu_try_proto=TCP\ntcp_source_ipv4=1.2.3.4\nkemi.reply_route_callback="none"\nfork=no\nshm_mem=64\n'
        "route { drop; }",
        host,
    )
    assert host.globals == {
        "debug": -1, "children": 4, "memlog": 5, "server_header": "X: y", "user": "kam", "tos": "IPTOS_LOWDELAY",
        "advertised_address": "a.b", "udp_mtu_try_proto": "tcp", "tcp_source_ipv4": "1.2.3.4",
        "kemi.reply_route_callback": "", "fork": 0, "shm": 64,
    }  # fmt: skip
    assert [parameter.name for parameter in config.globals] == list(host.globals)


def test_listen_and_alias() -> None:
    config = parse(
        "listen=udp:10.0.0.1:5060 tcp:eth0.5\nsocket_workers=3\n"
        'listen=udp:[::1]:5070 advertise 1.2.3.4:5 name "n" virtual\n'
        'listen=tls:(a.b, "c"):*\nalias=x.example.com:5060 udp:y-z\nroute { drop; }'
    )
    first, second, third, fourth = config.listens
    assert (first.endpoint.proto, first.endpoint.hosts, first.endpoint.port) == ("udp", ["10.0.0.1"], 5060)
    assert (second.endpoint.proto, second.endpoint.hosts, second.workers) == ("tcp", ["eth0.5"], 0)
    assert (third.endpoint.hosts, third.name, third.workers, third.virtual) == (["::1"], "n", 3, True)
    assert third.advertise == nodes.Endpoint("", ["1.2.3.4"], 5)
    assert (fourth.endpoint.hosts, fourth.endpoint.port, fourth.workers) == (["a.b", "c"], 0, 0)
    assert [alias.endpoint for alias in config.aliases] == [
        nodes.Endpoint("", ["x.example.com"], 5060),
        nodes.Endpoint("udp", ["y-z"], 0),
    ]


@pytest.mark.parametrize(
    ("text", "proto", "hosts", "port", "advertise"),
    [
        ("127.0.0.1", "", ["127.0.0.1"], 0, None),
        ("udp:127.0.0.1:5060", "udp", ["127.0.0.1"], 5060, None),
        ("TLS:[::1]:5061/a.b:5062", "tls", ["::1"], 5061, ("a.b", 5062)),
        ("(eth0,lo):5060", "", ["eth0", "lo"], 5060, None),
    ],
)
def test_listen_on_the_command_line(
    text: str, proto: str, hosts: list[str], port: int, advertise: tuple[str, int] | None
) -> None:
    made = parse_listen(text)
    assert (made.endpoint.proto, made.endpoint.hosts, made.endpoint.port) == (proto, hosts, port)
    found = (made.advertise.hosts[0], made.advertise.port) if made.advertise else None
    assert found == advertise


@pytest.mark.parametrize("text", ["", "udp:", "a b", "udp:a:b", "a:1/", "[::1"])
def test_bad_listen_on_the_command_line(text: str) -> None:
    with pytest.raises(ValueError, match="invalid address"):
        parse_listen(text)


def test_modules_are_loaded_as_they_are_read() -> None:
    host = KnownHost()
    config = parse(
        'mpath="/a:/b"\nloadmodule "tm.so"\nloadmodule "/x/xlog.so"\n'
        'modparam("tm", "fr_timer", 5)\nroute { drop; }',
        host,
    )  # fmt: skip
    assert host.paths == ["/a:/b"]
    assert host.modules == ["tm", "xlog"]
    assert [module.name for module in config.modules] == ["tm", "xlog"]
    assert host.params == [("tm", "fr_timer", 5)]
    assert [(p.module, p.name, p.value) for p in config.parameters] == [("tm", "fr_timer", 5)]


def test_custom_variables() -> None:
    config = parse('a.b = 5 desc "five"\na.c = "x"\na[3].c = "y"\nroute { drop; }')
    assert [(c.group, c.name, c.value, c.description, c.instance) for c in config.customs] == [
        ("a", "b", 5, "five", None), ("a", "c", "x", "", None), ("a", "c", "y", "", 3),
    ]  # fmt: skip


# --- warnings


def test_warnings_of_constant_conditions() -> None:
    config = parse('route { if (1) drop; while ("a") drop; switch ($rU) { } }')
    assert [warning.message for warning in config.warnings] == [
        "constant value in if(...)",
        "non-int expression (you might want to use casts)",
        "constant value in while(...)",
        "empty switch()",
    ]


def test_strict_makes_errors_of_warnings() -> None:
    with pytest.raises(CfgErrors) as caught:
        parse_text("route { if (1) drop; }", KnownHost(), strict=True)
    assert caught.value.errors[0].message == "constant value in if(...)"


# --- several errors in one run


def test_all_errors_are_found_in_one_run() -> None:
    text = """\
debug=x
children=4
loadmodule "nosuch.so"
flags
log_level=3
request_route {
    nope();
    $var(x) = 1 + ;
    if ($rU == ) { drop; }
    xlog("a")
    xlog("b");
    setflag(99);
}
route[A] {
    }
route[B] {
    $ci = 1;
    bad word;
    exit;
}
fork=maybe
"""
    with pytest.raises(CfgErrors) as caught:
        parse(text)
    lines = sorted({error.line for error in caught.value.errors})
    assert lines == [1, 3, 5, 7, 8, 9, 11, 12, 15, 17, 18, 21]


def test_one_missing_brace_is_one_error_with_the_line_of_the_open_one() -> None:
    with pytest.raises(CfgErrors) as caught:
        parse("request_route {\n  if ($rU == 1) {\n    drop;\n}\nroute[A] {\n  exit;\n}\n")
    errors = [error for error in caught.value.errors if error.message == "syntax error"]
    assert len(errors) == 1
    assert "the '{' of request_route on line 1 is not closed" in errors[0].hint
    assert {error.line for error in caught.value.errors} == {5}


def test_end_of_file_inside_a_block() -> None:
    with pytest.raises(CfgErrors) as caught:
        parse("request_route {\n  if ($rU == 1) {\n    drop;\n")
    assert "the '{' of if on line 2 is not closed" in caught.value.errors[0].hint


def test_nesting_that_is_too_deep_is_an_error() -> None:
    with pytest.raises(CfgErrors) as caught:
        body(f"if {'(' * 5000}1{')' * 5000} drop;")
    assert caught.value.errors[0].message == "memory exhausted"
