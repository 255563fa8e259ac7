"""Directives: defines, conditions, substitutions, included files, and the text that --cfg-print shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.known_host import KnownHost

from kamailio_py.config import nodes
from kamailio_py.config.cfg_print import cfg_print
from kamailio_py.config.defines import Defines
from kamailio_py.config.nodes import Config
from kamailio_py.config.parser import CfgErrors, parse_file, parse_text

PV = 'loadmodule "pv.so"\n'


def settings(text: str, **options: object) -> dict[str, int | str]:
    """Values of the custom variables x.NAME of a config."""
    config = parse_text(text + "\nroute { drop; }\n", KnownHost(), **options)  # type: ignore[arg-type]
    return {custom.name: custom.value for custom in config.customs}


def refusal(text: str, **options: object) -> CfgErrors:
    with pytest.raises(CfgErrors) as caught:
        parse_text(text, KnownHost(), path="/etc/x.cfg", **options)  # type: ignore[arg-type]
    return caught.value


# --- defines


def test_a_define_replaces_identifiers_and_is_read_again() -> None:
    assert settings('#!define A B\n#!def B 5\nx.a = A\nx.b = "A"') == {"a": 5, "b": "A"}


def test_the_text_of_a_define_goes_to_the_end_of_the_line() -> None:
    assert settings('#!define A "x" \\\n "y"\nx.a = A "z"') == {"a": "xyz"}


def test_kinds_of_defines() -> None:
    assert settings("#!trydef A 1\n#!trydefine A 2\n#!redef A 3\nx.a = A") == {"a": 3}
    assert "already defined: A" in str(refusal("#!define A 1\n#!define A 2\nroute { drop; }").errors[0])


def test_defines_from_the_command_line() -> None:
    assert settings("#!ifdef A\nx.a = A\n#!endif\nx.b = B", defines=["A=7", "B=8"]) == {"a": 7, "b": 8}
    assert settings("#!trydef A 1\nx.a = A", defines=["A=7"]) == {"a": 7}


def test_a_define_that_leads_back_to_itself() -> None:
    for text in ("#!define A A\nA", "#!define A B\n#!define B A\nA", "#!define A 1 A\nx.a = A"):
        assert "expands to itself" in refusal(text).errors[-1].message


def test_a_define_may_be_used_often() -> None:
    assert settings("#!define A 1\n" + "".join(f"x.a{n} = A\n" for n in range(3000))).popitem() == ("a2999", 1)


def test_a_define_named_as_a_keyword_has_no_effect() -> None:
    host = KnownHost()
    config = parse_text("#!define children 3\nchildren=2\nroute { drop; }", host)
    assert host.globals["children"] == 2
    assert "keyword" in config.warnings[0].message


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTING", "12")
    monkeypatch.delenv("MISSING", raising=False)
    assert settings("#!defenv SETTING\nx.a = SETTING") == {"a": 12}
    assert settings("#!defenv S=SETTING\nx.a = S") == {"a": 12}
    assert settings("#!defenvs S=SETTING\nx.a = S") == {"a": "12"}
    assert settings("#!trydefenv MISSING\n#!ifndef MISSING\nx.a = 1\n#!endif") == {"a": 1}
    assert refusal("#!defenv MISSING\n").errors[0].message == "env variable not defined [MISSING]"


def test_config_keeps_its_defines() -> None:
    config = parse_text('#!define A 5\nloadmodule "pv.so"\nroute { drop; }', KnownHost())
    assert config.defines["A"] == "5"
    assert config.defines["MOD_pv"] == ""
    assert config.defines["KAMAILIO_5_6"] == ""


# --- conditions


def test_conditions() -> None:
    text = "#!ifdef A\nx.a = 1\n#!ifdef B\nx.b = 1\n#!else\nx.b = 2\n#!endif\n#!else\nx.a = 2\n#!endif"
    assert settings(text) == {"a": 2}
    assert settings(text, defines=["A"]) == {"a": 1, "b": 2}
    assert settings(text, defines=["A", "B"]) == {"a": 1, "b": 1}


def test_text_left_out_is_not_read() -> None:
    assert settings('#!ifdef A\n"unclosed /* $( \n#!endif\nx.a = 1') == {"a": 1}


def test_an_open_condition_is_named_with_its_line() -> None:
    errors = refusal("debug=1\n#!ifndef A\ndebug=2\n#!ifdef B\n#!endif # B\nroute { drop; }\n").errors
    unbalanced = [error for error in errors if "different number" in error.message]
    assert unbalanced[0].line == 2
    assert "#!ifndef A on line 2 has no #!endif" in unbalanced[0].hint
    assert "the #!endif on line 5 does not count" in unbalanced[0].hint


def test_an_endif_too_many() -> None:
    errors = refusal("route { drop; }\n#!endif\n").errors
    assert errors[0].message == "different number of preprocessor directives: 1 more #!endif as #!if[n]def"
    assert errors[0].line == 2


def test_a_condition_may_span_files(tmp_path: Path) -> None:
    (tmp_path / "open.cfg").write_text("#!ifdef NEVER\n")
    (tmp_path / "main.cfg").write_text('include_file "open.cfg"\nsyntax error\n#!endif\nroute { drop; }\n')
    assert parse_file(str(tmp_path / "main.cfg"), KnownHost()).routes


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("A", 1), ("A == 5", 1), ("A > 4 && NOPE == 0", 1), ("NOPE", 0), ("NOPE || EMPTY", 1), ("!A", 0),
        ('S == "text"', 1), ("S != 'text'", 0), ("(1 + 2) * 3 == 9", 1), ("7 % 4 - 3", 0), ("-1 < 0", 1),
        ("1 << 3 == 8", 1), ("2 ** 3 == 8", 1),
    ],
)  # fmt: skip
def test_ifexp(expression: str, result: int) -> None:
    start = '#!define A 5\n#!define S "text"\n#!define EMPTY\n'
    text = f"{start}#!ifexp {expression}\nx.a = 1\n#!else\nx.a = 0\n#!endif"
    assert settings(text) == {"a": result}


@pytest.mark.parametrize("expression", ["", "1 +", "(1", "1 2", "1 / 0", "$x", "2 ** 1000000", "1 << 100000000"])
def test_bad_expressions_are_errors(expression: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Defines([]).evaluate(expression)


def test_defexp_and_undef() -> None:
    assert settings("#!defexp A 2 * 3\n#!defexps B A + 1\nx.a = A\nx.b = B") == {"a": 6, "b": "7"}
    assert settings("#!define A 1\n#!undef A\n#!define A 2\nx.a = A") == {"a": 2}


# --- substitutions


def test_substitutions_apply_to_strings_and_pseudo_variables_in_order() -> None:
    rules = '#!subst "/a+/b/g"\n#!subst "/b/c/"\n'
    assert settings(rules + 'x.a = "aa a"\nx.aa = 1') == {"a": "c b", "aa": 1}
    config = parse_text(PV + '#!subst "/NAME/x/"\nroute { $var(NAME) = 1; }', KnownHost())
    (statement,) = config.routes[0].body.statements
    assert isinstance(statement, nodes.Assign)
    assert statement.target.text == "$var(x)"  # type: ignore[attr-defined]


def test_substitution_replacements_and_flags() -> None:
    assert settings('#!subst "!([a-z]+)-([0-9]+)!\\\\2-\\\\1!"\nx.a = "ab-12 cd-3"') == {"a": "12-ab cd-3"}
    assert settings('#!subst "/X/y/gi"\nx.a = "xX"') == {"a": "yy"}
    assert settings('#!subst "/[[:digit:]]+/N/g"\nx.a = "a1b22"') == {"a": "aNbN"}


def test_substdef_defines_too() -> None:
    assert settings('#!substdef "!A!5!g"\nx.a = A\nx.b = "<A>"') == {"a": 5, "b": "<5>"}
    assert settings('#!substdefs "!A!5!g"\nx.a = A') == {"a": "5"}


def test_substitutions_from_the_command_line() -> None:
    assert settings('x.a = "A"', substs=[("substdef", "/A/b/")]) == {"a": "b"}
    assert "bad subst expression" in refusal("route { drop; }", substs=[("subst", "/A")]).errors[0].message


# --- included files


def included(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> Config:
    """Parse main.cfg of these files, from another working directory."""
    for name, text in files.items():
        path = tmp_path / f"{name.replace('__', '/')}.cfg"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return parse_file(str(tmp_path / "main.cfg"), KnownHost())


def test_files_are_looked_for_beside_the_including_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = included(
        tmp_path, monkeypatch, main='include_file "sub/a.cfg"\nx.main = 1\nroute { drop; }\n',
        sub__a='x.a = 1\n#!include_file "b.cfg"\nx.c = 1\n', sub__b="x.b = 1",
    )  # fmt: skip
    assert [(custom.name, custom.at.line) for custom in config.customs] == [("a", 1), ("b", 1), ("c", 3), ("main", 2)]
    assert config.customs[1].at.path == str(tmp_path / "sub" / "b.cfg")


def test_the_working_directory_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "main.cfg").write_text('include_file "a.cfg"\nroute { drop; }\n')
    (tmp_path / "etc" / "a.cfg").write_text("x.beside = 1\n")
    (tmp_path / "a.cfg").write_text("x.here = 1\n")
    monkeypatch.chdir(tmp_path)
    assert parse_file(str(tmp_path / "etc" / "main.cfg"), KnownHost()).customs[0].name == "here"


def test_a_statement_may_span_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = included(tmp_path, monkeypatch, main='route { if (1)\ninclude_file "a.cfg"\n; }\n', a="drop")
    (statement,) = config.routes[0].body.statements
    assert isinstance(statement, nodes.If)
    assert statement.then.statements[0].at.path == str(tmp_path / "a.cfg")


def test_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "main.cfg").write_text('import_file "nope.cfg"\ninclude_file "nope.cfg"\n')
    with pytest.raises(CfgErrors) as caught:
        parse_file(str(tmp_path / "main.cfg"), KnownHost())
    (error,) = caught.value.errors
    assert error.line == 2
    assert error.message == f"cannot open included file: nope.cfg ({tmp_path}/nope.cfg)"


def test_files_that_include_themselves_end(tmp_path: Path) -> None:
    (tmp_path / "main.cfg").write_text('include_file "main.cfg"\n')
    with pytest.raises(CfgErrors) as caught:
        parse_file(str(tmp_path / "main.cfg"), KnownHost())
    assert caught.value.errors[0].message == "too many includes"


def test_substitutions_apply_to_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = included(
        tmp_path, monkeypatch, main='#!subst "/NAME/a/"\ninclude_file "NAME.cfg"\nroute { drop; }\n', a="x.a = 1\n"
    )
    assert config.customs[0].name == "a"


def test_a_config_that_is_not_there() -> None:
    with pytest.raises(CfgErrors) as caught:
        parse_file("/nope/x.cfg", KnownHost())
    assert caught.value.errors[0].message == "loading config file(/nope/x.cfg): No such file or directory"


# --- --cfg-print


def test_cfg_print_keeps_everything_but_conditions_and_includes(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text("# in a\nx.a = A\n")
    (tmp_path / "main.cfg").write_text(
        "#!KAMAILIO\n/* text */\n#!define A 5\n#!ifdef A\n  debug=A # c\n#!else\nleft out\n#!endif\n"
        'include_file "a.cfg"\nimport_file "none.cfg"\nx.b = "A" \'b\'\n'
    )
    assert cfg_print(str(tmp_path / "main.cfg"), []) == (
        "#!KAMAILIO\n/* text */\n#!define A 5\n  debug=A # c\n# in a\nx.a = A\n\n\nx.b = \"A\" 'b'\n"
    )


def test_cfg_print_obeys_given_defines(tmp_path: Path) -> None:
    (tmp_path / "main.cfg").write_text("#!ifdef A\nin\n#!else\nout\n#!endif\nroute {")
    assert cfg_print(str(tmp_path / "main.cfg"), ["A"]) == "in\nroute {"
    assert cfg_print(str(tmp_path / "main.cfg"), []) == "out\nroute {"
