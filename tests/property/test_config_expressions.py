"""Compiled expressions against a plain evaluator of Kamailio's rules, which knows no types before it runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.script import ScriptHost

from kamailio_py.config import nodes
from kamailio_py.config.compiler import compile_config
from kamailio_py.config.errors import CfgErrors, Position
from kamailio_py.config.nodes import RouteKind
from kamailio_py.engine.core import Core
from kamailio_py.script.context import Context
from kamailio_py.script.runtime import NAMESPACE
from kamailio_py.script.variables import VARS
from kamailio_py.sip.message import Message

AT = Position("test.cfg", 1, 1, 1, 9)
CORE = Core()
HOST = ScriptHost(CORE)
ARITHMETIC = ("-", "*", "/", "mod", "&", "|", "^", "<<", ">>")
RELATIONS = ("<", "<=", ">", ">=", "ieq", "ine")
EQUALITIES = ("==", "!=", "eq", "ne")

numbers = st.one_of(st.integers(-3, 3), st.integers(-(2**31), 2**31 - 1))
texts = st.sampled_from(["", "a", "0", "7", "007", "-5", "0x1f", "x1", "2147483648"])
variables = st.sampled_from(["$var(a)", "$var(b)", "$avp(c)", "$avp(d)", "$avp(none)"])

leaves = st.one_of(
    numbers.map(lambda n: nodes.Number(AT, n)),
    texts.map(lambda t: nodes.String(AT, t)),
    variables.map(lambda name: nodes.PVariable(AT, name)),
    variables.map(lambda name: nodes.PVariable(AT, name)),
)


def larger(parts: st.SearchStrategy[nodes.Expression]) -> st.SearchStrategy[nodes.Expression]:
    operators = st.sampled_from((*ARITHMETIC, *RELATIONS, *EQUALITIES, "+", "+", "&&", "||", "=="))
    unary = st.sampled_from(("!", "-", "~", "(int)", "(str)", "strlen", "strempty", "defined"))
    return st.one_of(
        st.builds(lambda op, left, right: nodes.Binary(AT, op, left, right), operators, parts, parts),
        st.builds(lambda op, e: nodes.Unary(AT, op, e), unary, parts),
        st.builds(lambda test, yes, no: nodes.Conditional(AT, test, yes, no), parts, parts, parts),
    )


expressions = st.recursive(leaves, larger, max_leaves=8)


class NoValue(Exception):
    """A division by 0."""


class WrongType(Exception):
    """Kamailio refuses the expression at load."""


def wrap(number: int) -> int:
    return (number + 2**31) % 2**32 - 2**31


def integer(value: Any) -> int:
    if isinstance(value, int):
        return value
    text = value or "0"
    try:
        number = int(text, 16) if text.startswith("0x") else int(text)
    except ValueError:
        return 0
    return number if -(2**31) <= number < 2**31 else 0


def text(value: Any) -> str:
    return "" if value is None else str(value)


def static(e: nodes.Expression) -> str:
    """What Kamailio knows of the type; it checks on the way."""
    match e:
        case nodes.Number():
            return "int"
        case nodes.String():
            return "str"
        case nodes.PVariable():
            return "any"
        case nodes.Conditional(test=test, yes=yes, no=no):
            static(test), static(yes), static(no)
            return "any"
        case nodes.Unary(op=op, operand=operand):
            found = static(operand)
            if op in ("!", "-", "~") and found == "str":
                raise WrongType
            if op in ("strlen", "strempty", "defined") and found == "int":
                raise WrongType
            return "str" if op == "(str)" else "int"
        case nodes.Binary(op=op, left=left, right=right):
            first, second = static(left), static(right)
            if op in ("+", *EQUALITIES):
                if first == "int" and second == "str":
                    raise WrongType
                return first if op == "+" else "int"
            if "str" in (first, second):
                raise WrongType
            return "int"
    raise AssertionError(e)


def evaluate(e: nodes.Expression, values: dict[str, Any]) -> Any:
    match e:
        case nodes.Number(value=number):
            return number
        case nodes.String(value=constant):
            return constant
        case nodes.PVariable(text=name):
            return values.get(name)
        case nodes.Conditional(test=test, yes=yes, no=no):
            return evaluate(yes if integer(evaluate(test, values)) > 0 else no, values)
        case nodes.Unary(op=op, operand=operand):
            if op == "defined" and not isinstance(operand, nodes.PVariable):
                return 1
            return unary(op, evaluate(operand, values))
        case nodes.Binary(op="&&", left=left, right=right):
            return int(integer(evaluate(left, values)) != 0 and integer(evaluate(right, values)) != 0)
        case nodes.Binary(op="||", left=left, right=right):
            return int(integer(evaluate(left, values)) != 0 or integer(evaluate(right, values)) != 0)
        case nodes.Binary(op=op, left=left, right=right):
            return binary(op, evaluate(left, values), evaluate(right, values))
    raise AssertionError(e)


def unary(op: str, value: Any) -> Any:
    match op:
        case "!":
            return int(integer(value) == 0)
        case "-":
            return wrap(-integer(value))
        case "~":
            return ~integer(value)
        case "(int)":
            return integer(value)
        case "(str)":
            return text(value)
        case "strlen":
            return len(text(value))
        case "strempty":
            return int(text(value) == "")
    return int(value is not None)


def equal(left: Any, right: Any) -> bool:
    if isinstance(left, int) or (left is None and isinstance(right, int)):
        return integer(left) == integer(right)
    return text(left) == text(right)


def binary(op: str, left: Any, right: Any) -> Any:
    match op:
        case "+":
            return wrap(left + integer(right)) if isinstance(left, int) else text(left) + text(right)
        case "==":
            return int(equal(left, right))
        case "!=":
            return int(not equal(left, right))
        case "eq":
            return int(text(left) == text(right))
        case "ne":
            return int(text(left) != text(right))
    a, b = integer(left), integer(right)
    match op:
        case "/" | "mod":
            if b == 0:
                raise NoValue
            quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
            return wrap(quotient) if op == "/" else a - quotient * b
        case "<<":
            return wrap(a << b % 32)
        case ">>":
            return a >> b % 32
        case "ieq":
            return int(a == b)
        case "ine":
            return int(a != b)
    results = {"-": a - b, "*": a * b, "&": a & b, "|": a | b, "^": a ^ b}
    if op in results:
        return wrap(results[op])
    return int({"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op])


def compiled(e: nodes.Expression, values: dict[str, Any]) -> tuple[Any, int]:
    """What the compiled cfg assigns, and what its `if` decides."""
    body: list[nodes.Statement] = [
        nodes.Assign(AT, nodes.PVariable(AT, "$avp(result)"), e),
        nodes.If(
            AT,
            e,
            nodes.Block(AT, [nodes.Terminator(AT, nodes.End.RETURN, nodes.Number(AT, 2))]),
            nodes.Block(AT, [nodes.Terminator(AT, nodes.End.RETURN, nodes.Number(AT, 3))]),
        ),
    ]
    route = nodes.Route(AT, RouteKind.REQUEST, "0", nodes.Block(AT, body))
    program = compile_config(nodes.Config("test.cfg", routes=[route]), HOST, NAMESPACE)
    entry = program.find(RouteKind.REQUEST, "0")
    assert entry is not None
    ctx = Context(CORE, Message("MESSAGE sip:a@b SIP/2.0\r\n\r\n"))
    VARS.clear()
    for name, value in values.items():
        if name.startswith("$var"):
            VARS[name[5:-1]] = 0 if value is None else value
        elif value is not None:
            ctx.avps[name[5:-1]] = [value]
    result = entry.call(ctx)
    assigned = ctx.avps.get("result")
    return (assigned[0] if assigned else None), result


@settings(deadline=None, max_examples=400)
@given(expressions, st.one_of(numbers, texts), st.one_of(numbers, texts), st.one_of(st.none(), numbers, texts), texts)
def test_compiled_is_evaluated(e: nodes.Expression, a: Any, b: Any, c: Any, d: str) -> None:
    values = {"$var(a)": a, "$var(b)": b, "$avp(c)": c, "$avp(d)": d}
    try:
        static(e)
    except WrongType:
        with pytest.raises(CfgErrors):
            compiled(e, values)
        return
    try:
        expected = evaluate(e, values)
    except NoValue:
        assert compiled(e, values) == (None, 3)
        return
    assert compiled(e, values) == (expected, 2 if integer(expected) else 3)
