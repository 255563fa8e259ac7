"""Routes as Python: what is called with what, where scripts end, lines of tracebacks, suspension, errors at load."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any

import pytest
from kit.script import Script, ScriptHost

from kamailio_py.config.arguments import (
    CONTINUATION,
    FORMAT,
    INT,
    POSITION,
    PVAR,
    RAW,
    REGEX,
    REGEX_FORMAT,
    ROUTE,
    STR,
    Fixup,
)
from kamailio_py.config.errors import CfgErrors
from kamailio_py.config.nodes import RouteKind
from kamailio_py.config.program import source
from kamailio_py.script.variables import VARS


def functions(host: ScriptHost) -> None:
    host.add("good")
    host.add("here")
    host.add("bad", result=-1)
    host.add("end", result=0)
    host.add("rc", result=lambda ctx: ctx.rc or 7)
    host.add("note", STR)
    host.add("sleep", INT, CONTINUATION, result=0)
    for kind in (STR, INT, RAW, PVAR, REGEX, REGEX_FORMAT, ROUTE, FORMAT, POSITION):
        host.add(f"take_{kind.name.replace('-', '_')}", kind)
    host.add("take_fixed", Fixup("number of letters", prepare=_letters))
    host.add("take_level", Fixup("level", prepare=len, pvar=True))


def _letters(text: str) -> int:
    if not text.isalpha():
        raise ValueError("letters expected")
    return len(text)


@pytest.fixture
def compile(tmp_path: Path) -> Any:
    return lambda text: Script(tmp_path, text, functions)


@pytest.fixture
def refused(tmp_path: Path) -> Any:
    def load(text: str) -> list[str]:
        with pytest.raises(CfgErrors) as caught:
            Script(tmp_path, text, functions)
        return [str(error) for error in caught.value.errors]

    return load


# arguments


@pytest.mark.parametrize(
    ("call", "given"),
    [
        ('take_str("a$rU-$sp")', "abob-5062"),
        ('take_str("$avp(none)")', "<null>"),
        ("take_str($avp(none))", ""),
        ("take_str($rU)", "bob"),
        ('take_str("a" + $rU + 1)', "abob1"),
        ("take_str(5)", "5"),
        ("take_str(1 + 2)", "3"),
        ('take_str("$$x")', "$x"),
        ('take_int("12")', 12),
        ("take_int(1 + 2)", 3),
        ("take_int($sp)", 5062),
        ('take_int("$sp")', 5062),
        ('take_int("$var(n)")', 42),
        ('take_int("1$var(n)")', 142),
        ("take_int($var(n) + 1)", 421),
        ('take_raw("a$rU")', "a$rU"),
        ('take_route("R")', "R"),
        ('take_fixed("abc")', 3),
        ('take_level("abc")', 3),
    ],
)
def test_arguments_are_prepared(compile: Any, call: str, given: int | str) -> None:
    script = compile(f'request_route {{ $var(n) = "42"; {call}; }} route[R] {{ exit; }}')
    script.run()
    assert script.calls == [(call.partition("(")[0], given)]


def test_pseudo_variable_arguments(compile: Any) -> None:
    script = compile('request_route { take_pvar("$rU"); take_pvar("$avp(x)"); take_level("$sp"); }')
    ctx = script.context()
    script.run(ctx=ctx)
    (_, user), (_, x), (_, port) = script.calls
    assert (user.get(ctx), port.get(ctx)) == ("bob", 5062)
    assert x.set(ctx, "new")
    assert ctx.avps == {"x": ["new"]}


def test_regex_arguments(compile: Any) -> None:
    script = compile('request_route { take_regex("^B.b$"); take_regex_format("x$rU"); take_format("<$rU>"); }')
    ctx = script.context()
    script.run(ctx=ctx)
    (_, constant), (_, evaluated), (_, text) = script.calls
    assert constant.search("bob")
    assert evaluated.search("XBOB")
    assert text.evaluate(ctx) == "<bob>"


def test_position_argument(compile: Any) -> None:
    script = compile("request_route {\n\n take_position(); }")
    script.run()
    assert script.calls == [("take_position", (str(script.path), 3))]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("take_raw($rU)", "function take_raw: parameter 1 is not constant"),
        ('take_int("x")', 'function take_int: parameter 1: "x" is not a number'),
        ('take_fixed("1")', "letters expected"),
        ('take_pvar("x")', "function take_pvar: parameter 1 must be a pseudo-variable"),
        ('take_regex("a(")', ""),
        ('take_str("$nosuch(x)")', 'error searching pvar "nosuch"'),
        ('if ($rU =~ "a(") exit', 'Bad regular expression "a("'),
        ('$var(x) = 1 + "a"', "bad expression: type mismatch: str instead of int at (2,31)"),
        ('$var(x) = !"a"', "bad expression: type mismatch (str instead of int)"),
        ('return "5"', "bad type, integer expected"),
        ("route(NOSUCH)", 'route "NOSUCH" not found'),
        ("switch ($var(x)) { case 1: exit; case 1: exit; }", "duplicate case"),
    ],
)
def test_errors_have_places(refused: Any, call: str, message: str) -> None:
    (error,) = refused(f"#!KAMAILIO\nrequest_route {{\n{call};\n}}".replace("{\n", "{ ", 1))
    assert "line 2, column" in error
    assert message in error


def test_all_errors_are_found(refused: Any) -> None:
    errors = refused('request_route {\n route(A);\n return "5";\n good();\n}\nroute[X] {\n route(B); }')
    assert [re.search(r"line (\d+)", error)[1] for error in errors] == ["2", "3", "7"]  # type: ignore[index]


def test_unknown_route_has_a_hint(refused: Any) -> None:
    (error,) = refused("request_route { route(RELAI); } route[RELAY] { exit; }")
    assert "did you mean route[RELAY]?" in error


# results and ends


def test_function_that_returns_0_ends_the_script(compile: Any) -> None:
    script = compile("request_route { route(A); good(); } route[A] { if (good() && end()) { good(); } bad(); }")
    assert script.run() == 0
    assert script.calls == [("good",), ("end",)]


def test_calls_leave_rc(compile: Any) -> None:
    script = compile("request_route { bad(); note($rc); $var(x) = bad(); note($rc); if (!bad()) note($rc); }")
    script.run()
    notes = [call[1] for call in script.calls if call[0] == "note"]
    # note() itself is a function, and its result the new $rc
    assert notes == ["-1", "-1", "-1"]


def test_drop_is_seen(compile: Any) -> None:
    script = compile("request_route { route(A); } route[A] { drop; }")
    ctx = script.context()
    assert script.run(ctx=ctx) == 0
    assert ctx.dropped


def test_unnamed_blocks_are_one(compile: Any) -> None:
    script = compile('request_route { note("1"); } route[A] { good(); } request_route { note("2"); }')
    script.run()
    assert script.calls == [("note", "1"), ("note", "2")]


def test_max_while_loops_zero_is_no_limit(compile: Any) -> None:
    script = compile("request_route { while ($var(i) < 1000) { $var(i) = $var(i) + 1; } }")
    script.core.cfg.max_while_loops = 0
    script.run()
    assert VARS["i"] == 1000


def test_main_route_that_is_called_can_exit(compile: Any) -> None:
    script = compile('request_route { if ($var(x) == 1) { exit; } $var(x) = 1; route("0"); note("not here"); }')
    script.run()
    assert script.calls == []


def test_error_in_a_function_has_the_line_of_the_cfg(compile: Any, tmp_path: Path) -> None:
    script = compile(
        "request_route {\n good();\n route(A);\n}\nroute[A] {\n if (good() &&\n   bad()) exit;\n}".replace(
            "boom", "bad"
        )
    )
    script.host._functions["bad", 0].call  # noqa: B018
    entry = script.program.find(RouteKind.REQUEST, "0")

    def boom(ctx: Any) -> int:
        raise RuntimeError("boom")

    script.program.namespace["bad"] = boom
    with pytest.raises(RuntimeError) as caught:
        entry.call(script.context())
    frames = [(f.filename, f.lineno, f.name) for f in traceback.extract_tb(caught.tb) if f.filename.endswith(".cfg")]
    assert frames == [(str(script.path), 3, "request_route"), (str(script.path), 7, "route_A")]


def test_included_statements_keep_their_file(compile: Any, tmp_path: Path) -> None:
    inner = tmp_path / "inner.cfg"
    inner.write_text('good();\nif ($rU == "bob") {\n  bad();\n}\n')
    script = compile(f'request_route {{\n note("1");\ninclude_file "{inner}"\n note("2"); }}')
    script.run()
    assert script.calls == [("note", "1"), ("good",), ("bad",), ("note", "2")]

    def boom(ctx: Any) -> int:
        raise RuntimeError("boom")

    script.program.namespace["bad"] = boom
    entry = script.program.find(RouteKind.REQUEST, "0")
    with pytest.raises(RuntimeError) as caught:
        entry.call(script.context())
    frames = [(f.filename, f.lineno) for f in traceback.extract_tb(caught.tb) if f.filename.endswith(".cfg")]
    assert frames[-1] == (str(inner), 3)


@pytest.mark.parametrize(
    ("included", "result", "calls"),
    [
        ("return 5;", 5, []),
        ("exit;", 1, []),
        ('if ($rU == "x") exit;', -1, [("good",), ("bad",)]),
        ("sleep(1);", 0, [("sleep", 1, 2)]),
    ],
)
def test_included_statements_end_the_script(
    compile: Any, tmp_path: Path, included: str, result: int, calls: list[Any]
) -> None:
    inner = tmp_path / "inner.cfg"
    inner.write_text(included)
    script = compile(f'request_route {{\ninclude_file "{inner}"\n good();\n bad(); }}')
    assert script.run() == result
    assert script.calls == calls
    if calls and calls[0][0] == "sleep":
        assert resume(script, 2) == [("good",), ("bad",)]


def test_source_is_python_with_places(compile: Any) -> None:
    script = compile('request_route {\n if ($rU == "bob") route(A);\n}\nroute[A] { setflag(3); }')
    text = source(script.program)
    assert f"# request_route: {script.path}:1\ndef request_route(ctx):" in text
    assert "ctx.rc = route_A(ctx)" in text
    assert "ctx.msg.flags |= 1 << 3" in text
    compile_again = __builtins__["compile"] if isinstance(__builtins__, dict) else __builtins__.compile
    compile_again(text, "source", "exec")


def test_where_the_script_is_can_be_seen_from_outside(compile: Any, tmp_path: Path) -> None:
    inner = tmp_path / "inner.cfg"
    inner.write_text("\n\n here();\n")
    script = compile(
        f"""request_route {{
            $var(x) = 1;
            here();
            if ($var(x) == 1) {{
                $avp(a) = 2;
            }}
            if (!bad()) here();
            if ($var(x) == 1
                && here()) {{ good(); }}
            include_file "{inner}"
            here();
        }}"""
    )
    places: list[Any] = []

    def here(ctx: Any) -> int:
        places.append(script.program.namespace["HERE"][0])
        return 1

    script.program.namespace["here"] = here
    script.run()
    described = script.program.describe()
    seen = [(described["files"][place >> 20].rpartition("/")[2], place & 0xFFFFF) for place in places]
    assert seen == [("test.cfg", 3), ("test.cfg", 7), ("test.cfg", 8), ("inner.cfg", 3), ("test.cfg", 11)]
    assert script.program.namespace["HERE"][0] == places[-1]
    assert described["routes"][1] == ["request_route", str(script.path), 1]


# suspension


def resume(script: Script, number: int) -> list[tuple[Any, ...]]:
    """What runs when the call is resumed."""
    script.calls.clear()
    script.core.run(script.program.entries[number], script.context(), 1)
    return script.calls


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ('sleep(1); note("a"); note("b");', ["a", "b"]),
        ('if (good()) { sleep(1); note("a"); } note("b");', ["a"]),
        ('while (good()) { note("a"); sleep(1); note("b"); } note("c");', ["b"]),
        ('route(R); note("x");', ["in route"]),
        ('$var(x) = { sleep(1); note("in block"); return 3; }; note("x");', ["in block"]),
        ('switch ($rU) { case "bob": sleep(1); note("a"); case "x": note("b"); break; default: note("c"); } note("d");',
         ["a", "b"]),
        ('switch ($rU) { case "bob": sleep(1); note("a"); break; default: note("c"); } note("d");', ["a"]),
        ('switch ($rU) { case "bob": sleep(1); break; } note("d");', []),
    ],
)  # fmt: skip
def test_what_follows_in_the_innermost_block_is_resumed(compile: Any, body: str, after: list[str]) -> None:
    script = compile(f'request_route {{ {body} }} route[R] {{ sleep(1); note("in route"); return 1; }}')
    assert script.run() == 0
    name, seconds, number = script.calls[-1]
    assert (name, seconds) == ("sleep", 1)
    assert number > 0
    assert [call[1] for call in resume(script, number)] == after


@pytest.mark.parametrize(
    "body",
    [
        "if (sleep(1)) good();",
        "$var(x) = sleep(1); good();",
        "if (good()) { sleep(1); } good();",
        "if (good() && sleep(1)) good();",
    ],
)
def test_nothing_follows(compile: Any, body: str) -> None:
    script = compile(f"request_route {{ {body} }}")
    script.run()
    assert script.calls[-1] == ("sleep", 1, 0)


def test_resumed_twice(compile: Any) -> None:
    script = compile('request_route { sleep(1); note("a"); sleep(2); note("b"); }')
    script.run()
    first = script.calls[-1][2]
    resumed = resume(script, first)
    assert resumed[0] == ("note", "a")
    assert [call[1] for call in resume(script, resumed[1][2])] == ["b"]


def test_entries_are_numbered_and_titled(compile: Any) -> None:
    script = compile(
        "request_route {\n sleep(1);\n good(); }\nfailure_route[F] { good(); }\nevent_route[a:b] { good(); }"
    )
    entries = script.program.entries
    assert [entry.number for entry in entries] == list(range(len(entries)))
    assert [entry.title for entry in entries[1:]] == [
        "request_route", "failure_route[F]", "event_route[a:b]", "request_route after line 2",
    ]  # fmt: skip


def test_a_bare_variable_is_its_value_and_no_variable(compile: Any) -> None:
    script = compile("request_route { $var(r) = take_pvar($avp(x)); }")
    script.run(ctx=script.context())
    assert not script.calls
    assert VARS["r"] == -5
    [warning] = script.config.warnings
    assert (warning.line, warning.hint) == (1, 'write "$avp(x)" in quotes')
