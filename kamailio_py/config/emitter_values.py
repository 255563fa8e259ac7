"""What the emitter knows of a value while it writes the expression for it."""

from __future__ import annotations

import ast

from kamailio_py.config.emitter_ast import both, call, compare, const, unless_none
from kamailio_py.config.errors import CfgError, Position
from kamailio_py.config.types import Type, number_of
from kamailio_py.dataclass import dataclass


class Rejected(Exception):
    """The statement cannot be compiled; `error` says why. Caught per statement, so that all errors are found."""

    def __init__(self, error: CfgError) -> None:
        super().__init__(error.message)
        self.error = error


def reject(at: Position, message: str, hint: str = "") -> Rejected:
    return Rejected(CfgError(at, message, hint))


@dataclass(slots=True)
class Value:
    """An expression with its type; `null`: it may be None; `number`: what to write in int contexts instead."""

    node: ast.expr
    type: Type
    null: bool = False
    number: ast.expr | None = None

    @property
    def constant(self) -> int | str | None:
        """The value where it is constant."""
        return self.node.value if isinstance(self.node, ast.Constant) else None  # type: ignore[return-value]

    @property
    def is_null(self) -> bool:
        return isinstance(self.node, ast.Constant) and self.node.value is None


def constant_value(value: int | str | None) -> Value:
    if value is None:
        return Value(const(None), Type.ANY, null=True)
    return Value(const(value), Type.INT if isinstance(value, int) else Type.STR)


def where(at: Position) -> str:
    """A place as Kamailio's run-time messages have it."""
    if at.end_line > at.line:
        return f"{at.line},{at.column}-{at.end_line},{at.end_column}"
    if at.end_column > at.column:
        return f"{at.line},{at.column}-{at.line},{at.end_column}"
    return f"{at.line},{at.column}-{at.line},{at.column}"


def short(at: Position) -> str:
    """The shorter form, of places within one line: `12,3-9`."""
    if at.end_line > at.line:
        return f"{at.line},{at.column}-{at.end_line},{at.end_column}"
    return f"{at.line},{at.column}-{max(at.end_column, at.column)}"


def as_int(value: Value, at: Position) -> ast.expr:
    """`value` in an int context, with the run-time's warnings for strings that are no numbers."""
    if value.number is not None:
        return value.number
    if value.type is Type.INT:
        return both(value.node, const(0), disjunction=True) if value.null else value.node
    if value.is_null:
        return const(0)
    return call("to_int", value.node, const(where(at)))


def as_text(value: Value) -> ast.expr:
    """`value` in a string context; null is the empty string."""
    if isinstance(value.node, ast.Constant):
        return const("" if value.node.value is None else str(value.node.value))
    if value.type is Type.STR:
        return both(value.node, const(""), disjunction=True) if value.null else value.node
    return call("to_str", value.node)


def in_text(value: Value) -> ast.expr:
    """`value` as a part of an f-string; null is the empty string."""
    if isinstance(value.node, ast.Constant):
        return as_text(value)
    return unless_none(value.node, "") if value.null else value.node


def as_test(value: Value, at: Position) -> ast.expr:
    """`value` as a condition."""
    if value.number is not None:
        return value.number
    if value.type is Type.INT:
        return value.node
    return as_int(value, at)


def shown(value: Value) -> ast.expr:
    """`value` as a part of a format, where null is `<null>`."""
    return unless_none(value.node, "<null>") if value.null else value.node


def equals(left: Value, right: Value, at: Position) -> ast.expr:
    """`left == right`, as specialised as their types allow."""
    constant = right.constant
    if left.is_null and right.is_null:
        return const(True)
    if left.type is Type.INT and left.number is None and not left.null:
        return compare(left.node, "==", as_int(right, at))
    if left.type is Type.STR and not left.null:
        return compare(left.node, "==", as_text(right))
    if constant is not None:
        return _equals_constant(left, constant) or call("eq", left.node, right.node, const(where(at)))
    if left.type is Type.STR and right.type is Type.STR:
        return compare(as_text(left), "==", as_text(right))
    return call("eq", left.node, right.node, const(where(at)))


def _equals_constant(left: Value, constant: int | str) -> ast.expr | None:
    """`left == constant` by listing the values that are equal to it; None when a warning may be due."""
    number = number_of(constant)
    if number is None and left.type is not Type.STR:
        return None
    equal: list[int | str | None] = []
    if left.type is not Type.STR and number is not None:
        equal.append(number)
    if left.type is not Type.INT:
        equal.append(str(constant))
    if left.null and constant in (0, ""):
        equal.append(None)
    if len(equal) == 1:
        return compare(left.node, "==", const(equal[0]))
    return compare(left.node, "in", const(tuple(equal)))
