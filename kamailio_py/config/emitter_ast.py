"""Short ways to write Python's syntax tree, and how a place in the cfg becomes one in Python.

Knows nothing of the language; nodes made here have no place until `place()` gives them that of the cfg.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from kamailio_py.config.errors import Position

LOAD = ast.Load()
STORE = ast.Store()


def const(value: object) -> ast.expr:
    return ast.Constant(value)  # type: ignore[arg-type]


def name(id: str) -> ast.expr:
    return ast.Name(id, LOAD)


def call(function: str, *args: ast.expr) -> ast.expr:
    return ast.Call(name(function), list(args), [])


def attribute(value: ast.expr, attr: str) -> ast.expr:
    return ast.Attribute(value, attr, LOAD)


def ctx() -> ast.expr:
    return name("ctx")


def python(source: str) -> ast.expr:
    """The expression that `source` is."""
    tree = ast.parse(source, mode="eval").body
    for node in ast.walk(tree):
        for field in ("lineno", "col_offset", "end_lineno", "end_col_offset"):
            if hasattr(node, field):
                delattr(node, field)
    return tree


def statements(source: str) -> list[ast.stmt]:
    """The statements that `source` has."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for field in ("lineno", "col_offset", "end_lineno", "end_col_offset"):
            if hasattr(node, field):
                delattr(node, field)
    return tree.body


_COMPARE: dict[str, type[ast.cmpop]] = {
    "==": ast.Eq, "!=": ast.NotEq, "<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE, "in": ast.In,
    "not in": ast.NotIn, "is": ast.Is, "is not": ast.IsNot,
}  # fmt: skip
_OPERATORS: dict[str, type[ast.operator]] = {
    "+": ast.Add, "-": ast.Sub, "*": ast.Mult, "&": ast.BitAnd, "|": ast.BitOr, "^": ast.BitXor,
}  # fmt: skip
_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


def compare(left: ast.expr, op: str, right: ast.expr) -> ast.expr:
    return ast.Compare(left, [_COMPARE[op]()], [right])


def binary(left: ast.expr, op: str, right: ast.expr) -> ast.expr:
    return ast.BinOp(left, _OPERATORS[op](), right)


def both(left: ast.expr, right: ast.expr, disjunction: bool = False) -> ast.expr:
    """`left and right` (or `left or right`), flat where the left side is one already."""
    kind = ast.Or if disjunction else ast.And
    if isinstance(left, ast.BoolOp) and isinstance(left.op, kind):
        return ast.BoolOp(kind(), [*left.values, right])
    return ast.BoolOp(kind(), [left, right])


def negated(value: ast.expr) -> ast.expr:
    """`not value`, with the opposite comparison where there is one."""
    if isinstance(value, ast.Compare) and isinstance(value.left, ast.Name) and value.left.id == "rc":
        # a function's result in front of the statement: 0 has ended the script there
        return ast.Compare(value.left, [ast.Lt()], value.comparators)
    if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not):
        return value.operand
    if isinstance(value, ast.Compare) and len(value.ops) == 1 and type(value.ops[0]) in _OPPOSITE:
        return ast.Compare(value.left, [_OPPOSITE[type(value.ops[0])]()], value.comparators)
    return ast.UnaryOp(ast.Not(), value)


def choice(test: ast.expr, yes: ast.expr, no: ast.expr) -> ast.expr:
    return ast.IfExp(test, yes, no)


def unless_none(value: ast.expr, otherwise: str | int) -> ast.expr:
    """`value`, or a constant in place of None."""
    if isinstance(value, ast.Constant):
        return const(otherwise) if value.value is None else value
    kept = ast.NamedExpr(ast.Name("value", STORE), value)
    return choice(compare(kept, "is", const(None)), const(otherwise), name("value"))


def text_of(parts: Sequence[ast.expr]) -> ast.expr:
    """An f-string of `parts`, with neighbouring constants made one."""
    values: list[ast.expr] = []
    flat: list[ast.expr] = []
    for part in parts:
        if isinstance(part, ast.JoinedStr):
            flat.extend(v.value if isinstance(v, ast.FormattedValue) else v for v in part.values)
        else:
            flat.append(part)
    for part in flat:
        if isinstance(part, ast.Constant):
            text = str(part.value)
            if values and isinstance(values[-1], ast.Constant):
                values[-1] = const(str(values[-1].value) + text)
            elif text:
                values.append(const(text))
        else:
            values.append(ast.FormattedValue(part, -1, None))
    if not values:
        return const("")
    if len(values) == 1 and isinstance(values[0], ast.Constant):
        return values[0]
    return ast.JoinedStr(values)


def assign(target: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(target, STORE)], value)


def give(value: ast.expr | int) -> ast.stmt:
    return ast.Return(const(value) if isinstance(value, int) else value)


def do(value: ast.expr) -> ast.stmt:
    return ast.Expr(value)


def when(test: ast.expr, body: Iterable[ast.stmt], orelse: Iterable[ast.stmt] = ()) -> ast.stmt:
    return ast.If(test, list(body) or [ast.Pass()], list(orelse))


def guarded(body: list[ast.stmt], handler: list[ast.stmt]) -> ast.stmt:
    """`body`, and what to do when an expression in it has no value."""
    return ast.Try(body, [ast.ExceptHandler(name("ExpressionError"), None, handler or [ast.Pass()])], [], [])


def throw(exception: str, value: ast.expr) -> ast.stmt:
    return ast.Raise(call(exception, value), None)


def place(node: ast.AST, at: Position) -> None:
    """Give `node` and all below it that have no place yet the place `at`."""
    line = max(at.line, 1)
    end_line = max(at.end_line, line)
    column = max(at.column - 1, 0)
    end_column = at.end_column if at.end_line >= line else column + 1
    if end_line == line and end_column <= column:
        end_column = column + 1
    _place(node, line, column, end_line, end_column)


def _place(node: ast.AST, line: int, column: int, end_line: int, end_column: int) -> None:
    if isinstance(node, (ast.expr, ast.stmt, ast.excepthandler)):
        if hasattr(node, "lineno"):
            return
        node.lineno, node.col_offset = line, column
        node.end_lineno, node.end_col_offset = end_line, end_column
    for name in node._fields:
        child = getattr(node, name, None)
        if isinstance(child, ast.AST):
            _place(child, line, column, end_line, end_column)
        elif isinstance(child, list):
            for part in child:
                if isinstance(part, ast.AST):
                    _place(part, line, column, end_line, end_column)
