"""The language there and back: a tree written out as text reads as the same tree; bad text gives errors only."""

from __future__ import annotations

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kit.known_host import KnownHost
from kit.snippets import load

from kamailio_py.config import nodes
from kamailio_py.config.errors import Position
from kamailio_py.config.nodes import Binary, Block, Call, Expression, Number, PVariable, Statement, String, Unary
from kamailio_py.config.parser import CfgErrors, parse_text

AT = Position("", 0, 0)
OPERATORS = ["+", "-", "*", "/", "mod", "==", "!=", "=~", ">", "<", ">=", "<=", "&&", "||", "&", "|", "^", "<<", ">>"]
OPERATORS += ["eq", "ne", "ieq", "ine"]

numbers = st.integers(-(2**31) + 1, 2**31 - 1).map(lambda n: Number(AT, n))
texts = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=8).map(lambda text: String(AT, text))
variables = st.sampled_from(["$var(x)", "$avp(a)", "$(hdr(X)[0])", "$rU", "$rc", "$(ru{s.len})", "$sht(a=>$ci)"]).map(
    lambda text: PVariable(AT, text)
)
calls = st.sampled_from(["t_relay", "is_request"]).map(lambda name: Call(AT, name, []))
leaves: st.SearchStrategy[Expression] = numbers | variables | calls


def branches(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    """Only what has an int type or none, so that every tree passes the type check."""
    binary = st.builds(
        lambda op, a, b: Binary(AT, op, a, b), st.sampled_from(OPERATORS[:5] + OPERATORS[8:19]), inner, inner
    )
    text_test = st.builds(
        lambda op, a, b: Binary(AT, op, a, b), st.sampled_from(["==", "!=", "=~", "eq", "ne"]), variables, texts
    )
    unary = st.builds(lambda op, a: Unary(AT, op, a), st.sampled_from(["!", "~", "(int)"]), inner)
    defined = st.builds(lambda a: Unary(AT, "defined", a), variables)
    choice = st.builds(lambda a, b, c: nodes.Conditional(AT, a, b, c), inner, inner, inner)
    return binary | unary | defined | choice | text_test


expressions = st.recursive(leaves, branches, max_leaves=12)
targets = st.sampled_from(["$var(x)", "$avp(a)", "$rU"]).map(lambda text: PVariable(AT, text))


def bodies(inner: st.SearchStrategy[Statement]) -> st.SearchStrategy[Block]:
    return st.lists(inner, min_size=1, max_size=3).map(lambda statements: Block(AT, statements))


simple: st.SearchStrategy[Statement] = (
    st.builds(lambda target, value: nodes.Assign(AT, target, value), targets, expressions | texts)
    | calls.map(lambda call: nodes.ExpressionStatement(AT, call))
    | st.builds(
        lambda kind, value: nodes.Terminator(AT, kind, value), st.sampled_from(list(nodes.End)), st.none() | expressions
    )
    | st.just(nodes.Break(AT))
)


def compound(inner: st.SearchStrategy[Statement]) -> st.SearchStrategy[Statement]:
    body = bodies(inner)
    return st.builds(lambda test, a, b: nodes.If(AT, test, a, b), expressions, body, st.none() | body) | st.builds(
        lambda test, a: nodes.While(AT, test, a), expressions, body
    )


statements = st.recursive(simple, compound, max_leaves=8)


def quoted(text: str) -> str:
    return '"' + "".join(f"\\x{ord(c):02x}" if c in '"\\\r' or not c.isprintable() else c for c in text) + '"'


def written(node: nodes.Node | None) -> str:
    """The text of a tree, with every parenthesis."""
    match node:
        case None:
            return ""
        case Number(value=value):
            return str(value)
        case String(value=text):
            return quoted(text)
        case PVariable(text=text):
            return text
        case Call(name=name):
            return f"{name}()"
        case Binary(op=op, left=left, right=right):
            return f"({written(left)} {op} {written(right)})"
        case Unary(op=op, operand=operand):
            return f"({op} {written(operand)})"
        case nodes.Conditional(test=test, yes=yes, no=no):
            return f"selval({written(test)}, {written(yes)}, {written(no)})"
        case Block(statements=inner):
            return "{ " + " ".join(written(statement) for statement in inner) + " }"
        case nodes.Assign(target=target, value=value):
            return f"{written(target)} = {written(value)};"
        case nodes.ExpressionStatement(value=value):
            return f"{written(value)};"
        case nodes.Terminator(kind=kind, value=value):
            return f"{kind} {written(value)};"
        case nodes.Break():
            return "break;"
        case nodes.If(test=test, then=then, otherwise=otherwise):
            rest = f" else {written(otherwise)}" if otherwise else ""
            return f"if ({written(test)}) {written(then)}{rest}"
        case nodes.While(test=test, body=body):
            return f"while ({written(test)}) {written(body)}"
    raise AssertionError(node)


def meaning(node: object) -> object:
    """A tree without its places."""
    if isinstance(node, list):
        return [meaning(item) for item in node]
    if isinstance(node, nodes.Node):
        fields = {name: meaning(getattr(node, name)) for name in node.__match_args__ if name != "at"}
        return (type(node).__name__, fields)
    return node


def parsed(text: str) -> Block:
    return parse_text(text, KnownHost(everything=True)).routes[0].body


@given(statements)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_a_tree_written_out_reads_as_the_same_tree(statement: Statement) -> None:
    body = parsed(f"request_route {{ {written(statement)} }}")
    assert meaning(body.statements) == meaning([statement])


@given(st.lists(st.sampled_from(OPERATORS[:5] + OPERATORS[8:19]), min_size=1, max_size=6))
def test_operators_without_parentheses_bind_by_precedence(operators: list[str]) -> None:
    """Written with the parentheses that the parser understood, the same tree comes back."""
    text = "$var(a)" + "".join(f" {op} $var(b)" for op in operators)
    (first,) = parsed(f"route {{ $var(x) = {text}; }}").statements
    (second,) = parsed(f"route {{ {written(first)} }}").statements
    assert meaning(first) == meaning(second)


@given(st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=30))
@example("\\")
@example('\\"')
@example("\\x4")
def test_any_text_survives_quoting(text: str) -> None:
    (statement,) = parsed(f"route {{ $var(x) = {quoted(text)}; }}").statements
    assert isinstance(statement, nodes.Assign)
    assert statement.value == String(statement.value.at, text)


def read_or_refused(text: str) -> bool:
    """Anything but a tree or a list of errors is a failure."""
    try:
        config = parse_text(text, KnownHost(), path="/nowhere/x.cfg")
    except CfgErrors as caught:
        return len(caught.errors) > 0 and all(str(error) for error in caught.errors)
    return config.path == "/nowhere/x.cfg"


FRAGMENTS = sorted({word for snippet in load() for word in snippet.text.split()})


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30), st.sampled_from([" ", "\n", ""]))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_any_words_are_read_or_refused(words: list[str], between: str) -> None:
    assert read_or_refused(between.join(words))


@given(st.text(st.characters(max_codepoint=255), max_size=60))
@settings(max_examples=200)
def test_any_bytes_are_read_or_refused(text: str) -> None:
    assert read_or_refused(text)
