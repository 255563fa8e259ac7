"""The syntax of pseudo-variables, formats, and what is complained about."""

from __future__ import annotations

import re

import pytest

from kamailio_py.module import PVarExport
from kamailio_py.script import core_pvars
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Inner, PVarRegistry, inline
from kamailio_py.script.transformations.strings import STRINGS
from kamailio_py.sip.message import Message

REQUEST = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nCall-ID: 1\r\n\r\n"


def _seen(inner: Inner):  # type: ignore[no-untyped-def]
    """A getter that says what it was given."""
    name, position = inner.name(), inner.position()

    def get(ctx: Context) -> str:
        index = "*" if inner.all else position(ctx) if inner.has_index else "-"
        return f"<{name(ctx)}|{index}>"

    return get


@pytest.fixture
def registry() -> PVarRegistry:
    made = core_pvars.registry({"PORT": "5062", "NAME": "x"})
    made.add(PVarExport("seen", _seen, None, "str", inner=True))
    made.add(PVarExport("ru", lambda inner: inline("'sip:a@b'"), None, "str", inner=False, index=False))
    made.add(PVarExport("one", lambda inner: inline("1"), None, "int", inner=False))
    made.add(PVarExport("three", lambda inner: lambda ctx: "three", None, "str", inner=False))
    made.add_transformation("s", STRINGS)
    return made


@pytest.fixture
def ctx() -> Context:
    return Context(None, Message(REQUEST))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$seen(a)", "<a|->"),
        ("$(seen(a))", "<a|->"),
        ("$(seen(a)[0])", "<a|0>"),
        ("$(seen(a)[-2])", "<a|-2>"),
        ("$(seen(a)[*])", "<a|*>"),
        ("$(seen(a)[$one])", "<a|1>"),
        ("$(seen(a)[$three])", "<a|None>"),
        ("$seen(a(b)c)", "<a(b)c|->"),
        ("$seen($three)", "<three|->"),
        ("$seen($(three{s.len}))", "<5|->"),
        ("$(seen(a){s.toupper}{s.len})", 5),
        ("$(seen(a){s.toupper} {s.len})", 5),
        ("$(seen(a)[1]{s.select,1,|})", "1>"),
        ("$(three{s.substr,$one,2})", "hr"),
        ("$null", None),
        ("$rc", 7),
        ("$?", 7),
        ("$(retcode)", 7),
        ("$def(NAME)", "x"),
        ("$def(NO)", None),
        ("$defn(PORT)", 5062),
        ("$defn(NAME)", 0),
    ],
)
def test_values(registry: PVarRegistry, ctx: Context, text: str, value: object) -> None:
    ctx.rc = 7
    assert registry.parse(text).get(ctx) == value


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("$nope", 'error searching pvar "nope"'),
        ("$ru(x)", 'pvar "ru" does not get name param'),
        ("$(ru[1])", 'pvar "ru" does not get index param'),
        ("$seen", 'pvar "seen" expects an inner name'),
        ("$seen()", 'pvar "seen" does not get empty name param'),
        ("$(seen(a)[])", 'pvar "seen" does not get empty index param'),
        ("$(seen(a)[x])", "invalid index [x]"),
        ("$(seen(a)[+1])", "invalid index [+1]"),
        ("$(ru", "non-closing name parenthesis [$(ru]"),
        ("$seen(a", "non-closing inner-name parenthesis [$seen(a]"),
        ("$( ru)", "invalid char ' ' in [$( ru)]"),
        ("$(ru{s.nope})", "unknown transformation: nope})/nope/4"),
        ("$(ru{zz.len})", "unknown transformation: [zz] in [{zz.len})]"),
        ("$(ru{s})", "invalid transformation: {s})"),
        ("$(ru{s.len,1})", "invalid transformation: {s.len,1}) | , !!"),
        ("$(ru{s.len}x)", 'bad pvar name "$(ru{s.len}x)" (x)'),
        ("$(ru{s.substr,1,-1})", "substr negative offset"),
        ("$(ru{s.select,1,ab})", "invalid transformation"),
        ("$(ru{s.select,1,\\s})", "unexpected escape char: s"),
        ("$", 'error searching pvar ""'),
        ("$one.", 'error searching pvar "one."'),
    ],
)
def test_complaints(registry: PVarRegistry, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(complaint)}"):
        registry.parse(text)


def test_formats(registry: PVarRegistry, ctx: Context) -> None:
    form = registry.format("a $ru, $(ru{s.len})$$5 [$null] $one,")
    assert form.parts[0] == "a "
    assert form.evaluate(ctx) == "a sip:a@b, 7$5 [<null>] 1,"
    assert registry.format("none").constant == "none"
    assert registry.format("").constant == ""
    assert registry.format("$ru").constant is None


def test_a_failed_transformation_prints_nothing(registry: PVarRegistry, ctx: Context) -> None:
    pvar = registry.parse("$(null{s.len})")
    assert pvar.get(ctx) is None
    assert registry.format("<$(null{s.len})>").evaluate(ctx) == "<>"


def test_numbers_are_printed_as_they_were_written(registry: PVarRegistry, ctx: Context) -> None:
    registry.add(PVarExport("padded", lambda inner: lambda ctx: "007", None, "str", inner=False))
    assert registry.parse("$(padded{s.int})").get(ctx) == 7
    assert registry.format("$(padded{s.int})").evaluate(ctx) == "007"


def test_getters_the_compiler_can_put_into_the_code(registry: PVarRegistry) -> None:
    assert registry.parse("$rc").source == "ctx.rc"
    assert registry.parse("$(rc{s.len})").source == ""
    assert registry.parse("$rc").type == "int"
    assert registry.parse("$(rc{s.len})").type == "int"
    assert registry.parse("$(rc{s.md5})").type == "str"


def test_an_unknown_name_is_an_avp_where_the_dialect_allows_it(
    registry: PVarRegistry, ctx: Context, capfd: pytest.CaptureFixture[str]
) -> None:
    pvar = registry.parse("$mine", strict=False)
    assert 'error searching pvar "mine"' in capfd.readouterr().err
    assert pvar.set(ctx, "a")
    assert pvar.set(ctx, "b")
    assert ctx.avps == {"mine": ["b"]}
    assert registry.parse("%mine").get(ctx) == "b"
    assert registry.parse("$seen", strict=False).get(ctx) is None
    assert pvar.set(ctx, None)
    assert ctx.avps == {}
    with pytest.raises(ValueError, match="does not get name param"):
        registry.parse("$ru(x)", strict=False)


def test_what_cannot_be_written(registry: PVarRegistry, ctx: Context) -> None:
    assert not registry.parse("$ru").writable
    assert registry.parse("$ru").set(ctx, "x") is False


def test_a_name_is_exported_once(registry: PVarRegistry, ctx: Context, capfd: pytest.CaptureFixture[str]) -> None:
    registry.add(PVarExport("one", lambda inner: inline("2"), None))
    assert 'pvar "one" already exists' in capfd.readouterr().err
    assert registry.parse("$one").get(ctx) == 1
