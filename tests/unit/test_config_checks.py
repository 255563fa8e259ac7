"""Warnings for what Kamailio accepts and would show only at run time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit.script import Script, ScriptHost

from kamailio_py.config.arguments import CONTINUATION, INT, ROUTE, STR
from kamailio_py.config.checks import check


def functions(host: ScriptHost) -> None:
    host.add("good")
    host.add("xlog", STR)
    host.add("t_on_failure", ROUTE)
    host.add("t_on_branch_failure", ROUTE)
    host.add("async_route", ROUTE, INT)
    host.add("async_sleep", INT, CONTINUATION)
    host.add("t_suspend")


@pytest.fixture
def warnings(tmp_path: Path) -> Any:
    def find(text: str) -> list[tuple[int, str, str]]:
        script = Script(tmp_path, text, functions)
        return [(warning.line, warning.message, warning.hint) for warning in check(script.config, script.host)]

    return find


def test_no_warnings(warnings: Any) -> None:
    assert not warnings(
        'request_route { $var(x) = 1; t_on_failure("F"); async_route("R", 3); if (!t_suspend()) exit; }\n'
        'failure_route[F] { exit; } route[R] { $var(x) = 2; xlog("$var(x)"); }'
    )


@pytest.mark.parametrize(
    ("call", "name", "hint"),
    [
        ('t_on_failure("MANAGE_FAILUR")', "MANAGE_FAILUR", "did you mean failure_route[MANAGE_FAILURE]?"),
        ('t_on_failure("R")', "R", "there is no failure_route[R]"),
        ('t_on_branch_failure("f")', "f", "there is no event_route[tm:branch-failure:f]"),
        ('async_route("S", 3)', "S", "there is no route[S]"),
    ],
)
def test_route_that_does_not_exist(warnings: Any, call: str, name: str, hint: str) -> None:
    ((line, message, found),) = warnings(
        f"request_route {{\n {call};\n}} route[R] {{ exit; }} failure_route[MANAGE_FAILURE] {{ exit; }}"
    )
    assert (line, found) == (2, hint)
    assert message == f'{call.partition("(")[0]}(): route block "{name}" not found'


def test_computed_names_are_not_judged(warnings: Any) -> None:
    assert not warnings('request_route { t_on_failure("$var(x)"); async_route($rU, 1); }')


def test_statement_behind_an_end(warnings: Any) -> None:
    found = warnings("request_route {\n if (good()) {\n exit;\n good();\n good(); }\n drop;\n good();\n}")
    assert found == [
        (4, "statement is never reached", "line 3 ends with exit"),
        (7, "statement is never reached", "line 6 ends with drop"),
    ]


def test_unchecked_suspension(warnings: Any) -> None:
    ((line, message, _),) = warnings("request_route {\n t_suspend();\n}")
    assert (line, message) == (2, "result of t_suspend() is not checked")


@pytest.mark.parametrize(
    "text",
    [
        'request_route {\n $var(x) = 1;\n async_sleep(3);\n xlog("$var(x)"); }',
        "request_route {\n $var(x) = 1;\n async_sleep(3);\n $var(y) = $var(x); }",
        'request_route {\n $var(x) = 1;\n async_route("R", 3);\n} route[R] { $var(x) = $var(x) + 1; }',
        'request_route {\n $var(x) = 1;\n if (good()) async_route("R", 3);\n} route[R] { xlog("a$(var(x))"); }',
    ],
)
def test_variable_that_does_not_outlive_the_suspension(warnings: Any, text: str) -> None:
    ((line, message, hint),) = warnings(text)
    assert line == 4
    assert message.startswith("$var(x) is read after async_")
    assert hint == "it was set in line 2; use $avp(x), which goes with the request"


def test_variable_set_again_is_fine(warnings: Any) -> None:
    assert not warnings('request_route { $var(x) = 1; async_sleep(3); $var(x) = 2; xlog("$var(x)"); }')
    assert not warnings('request_route { async_sleep(3); xlog("$var(x)"); $var(x) = 2; }')
