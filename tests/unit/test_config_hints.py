"""What is said of how to mend a mistake."""

from __future__ import annotations

import pytest
from kit.known_host import KnownHost

from kamailio_py.config.errors import CfgError
from kamailio_py.config.known import known_exports, modules_exporting
from kamailio_py.config.parser import CfgErrors, parse_text

MODULES = 'loadmodule "pv.so"\nloadmodule "xlog.so"\nloadmodule "tm.so"\n'


def first_error(text: str) -> CfgError:
    with pytest.raises(CfgErrors) as caught:
        parse_text(text, KnownHost(), path="/etc/x.cfg")
    return caught.value.errors[0]


def in_route(text: str) -> CfgError:
    return first_error(f"{MODULES}request_route {{\n{text}\n}}\n")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('xlgo("a");', "there is no function xlgo: did you mean xlog?"),
        ('XLOG("a");', "there is no function XLOG: did you mean xlog?"),
        ("t_relai();", "there is no function t_relai: did you mean t_relay?"),
        ("setflags(1);", "there is no function setflags: did you mean setflag?"),
        ("zzzzz();", "there is no function zzzzz"),
        ('t_relay("a");', "t_relay takes 0 or 2 arguments, not 1"),
        ('is_method("INVITE");', 'is_method is a function of a module that is not loaded: loadmodule "textops.so"'),
        ("mf_process_maxfwd_header(10);", 'loadmodule "maxfwd.so"'),
        ("setflag(nope);", "flags nope;"),
        ("els;", "els is no keyword and no define"),
        ("$sht(a=>b) = 1;", '$sht needs loadmodule "htable.so"'),
        ("$(vra(x)) = 1;", "did you mean var?"),
        ('$var(x) = "a" . "b";', "strings are joined with +"),
        ("$var(x) = 5 % 2;", "the remainder is written mod"),
        ("$var(x) = 1 ? 2 : 3;", "a choice is written selval(test, yes, no)"),
        ("$var(x) += 1;", "there is no +="),
        ('xlog("a") xlog("b");', "is a ';' missing at the end of line 5?"),
        ("if (1) { }", "if is empty"),
        ("{ drop; }", "a block needs an if, while or else before it"),
        ("xlog(t_relay());", "store the result of t_relay() in a $var() first"),
        ('$var(x) = "a" - 1;', "a cast helps"),
    ],
)
def test_hints_in_routes(text: str, hint: str) -> None:
    error = in_route(text)
    assert hint in error.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("log_level=3", "there is no parameter log_level"),
        ("childrn=3", "did you mean children?"),
        ('loadmodule "tmm.so"', "did you mean tm?"),
        ('loadmodule "tm.so"\nloadmodule "tm.so"', "tm is loaded already"),
        ('modparam("tm", "fr_timer", 5)', 'a line loadmodule "tm.so" must come before'),
        ('loadmodule "tm.so"\nmodparam("tm", "fr_time", 5)', "did you mean fr_timer?"),
        ("log_facility=LOG_LOCAL9", "did you mean LOG_LOCAL"),
        ("route[log] { drop; }", 'put it in quotes ("log")'),
        ("route[a-b] { drop; }", 'a name with a hyphen needs quotes: route["a-b"]'),
        ("event_route[foo] { drop; }", "it needs a colon"),
        ("reply_route[x] { drop; }", "onreply_route[NAME] has one"),
        ('log_name=foo', "a quoted string expected, not 'foo'"),
        ('cfgengine "lua"', "only the native language runs here"),
    ],
)  # fmt: skip
def test_hints_at_top_level(text: str, hint: str) -> None:
    assert hint in first_error(f"{text}\nroute[Z] {{ drop; }}\n").hint


def test_hint_of_a_duplicate_route_names_the_first() -> None:
    error = first_error("route[A] { drop; }\n\nroute[A] { drop; }\n")
    assert error.message == "duplicate route"
    assert error.hint == "request_route[A] stands in /etc/x.cfg, line 1 already"


def test_hint_of_a_function_in_the_wrong_block_names_the_right_ones() -> None:
    error = first_error(f"{MODULES}branch_route[a] {{ t_relay(); }}")
    assert error.message == "Command cannot be used in the block"
    assert error.hint == "t_relay works in request_route, failure_route"


def test_wording_is_kamailios_with_the_hint_behind_it() -> None:
    assert str(in_route('$ci = "x";')) == (
        "parse error in config file /etc/x.cfg, line 5, column 1-3: read only pvar in assignment left side"
    )
    assert str(first_error("debgu=1")) == (
        "parse error in config file /etc/x.cfg, line 1, column 6: syntax error "
        "(there is no parameter debgu: did you mean debug?)"
    )


def test_known_exports() -> None:
    assert len(known_exports()) > 240
    assert modules_exporting("t_relay") == ["tm"]
    assert modules_exporting("nope") == []
    assert known_exports()["tm"]["params"]["fr_timer"] == "i"
