"""Expressions of the language as Python expressions.

Three ways to want one: `value` (as it is), `integer`/`text` (converted), `test` (a condition). Calls inside conditions
go through the run-time's `truth`, which sets `$rc`; the one that is evaluated first is instead put in front of the
statement (`prelude`), where it costs nothing extra.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from kamailio_py.config import nodes
from kamailio_py.config.emitter_arguments import Arguments, Unfit
from kamailio_py.config.emitter_ast import (
    binary,
    both,
    call,
    choice,
    compare,
    const,
    ctx,
    name,
    negated,
    place,
    python,
    text_of,
)
from kamailio_py.config.emitter_operands import comparison
from kamailio_py.config.emitter_traces import action, traced, traced_value
from kamailio_py.config.emitter_values import (
    Rejected,
    Value,
    as_int,
    as_test,
    as_text,
    constant_value,
    equals,
    in_text,
    reject,
    where,
)
from kamailio_py.config.errors import Position
from kamailio_py.config.host import FunctionSpec, PVarSpec
from kamailio_py.config.types import Type, constant, is_operand, wrong_types

if TYPE_CHECKING:
    from kamailio_py.config.compiler import Unit

_BOOLEAN = frozenset(("==", "!=", "=~", "eq", "ne", "ieq", "ine", "<", "<=", ">", ">=", "&&", "||"))
_FUNCTIONS = {"/": "div", "mod": "mod", "<<": "shift_left", ">>": "shift_right"}


class Expressions(ABC):
    """Writes the expressions of one function.

    prelude   statements to go in front of the statement being written
    fails     the expression being written may have no value (a division): its statement must expect ExpressionError
    """

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.names = unit.names
        self.arguments = Arguments(self)
        self.prelude: list[ast.stmt] = []
        self.fails = False

    # what the emitter of statements provides

    route_node: nodes.Route

    @abstractmethod
    def run_function(self, made: ast.expr, at: Position) -> list[ast.stmt]:
        """Statements that call a module function and leave its result in `rc`."""

    @abstractmethod
    def deeper(self, made: ast.expr, inside: bool = False) -> ast.expr:
        """`made` with its nesting level, where the called function counts it."""

    @abstractmethod
    def continuation(self, e: nodes.Call | nodes.CoreCall) -> int:
        """The number of the entry that runs what follows the call."""

    def check_types(self, e: nodes.Expression) -> None:
        """Refuse what Kamailio refuses."""
        error = wrong_types(e)
        if error is not None:
            raise Rejected(error)

    # the four wants

    def value(self, e: nodes.Expression) -> Value:
        """`e` as it is; conditions are 1 or 0."""
        made = self._value(e)
        place(made.node, e.at)
        return made

    def integer(self, e: nodes.Expression) -> ast.expr:
        made = as_int(self.value(e), e.at)
        place(made, e.at)
        return made

    def text(self, e: nodes.Expression) -> ast.expr:
        made = as_text(self.value(e))
        place(made, e.at)
        return made

    def test(self, e: nodes.Expression, first: bool = False) -> ast.expr:
        """`e` as a condition; `first`: nothing is evaluated before it, so a call may go into the prelude."""
        made = self._test(e, first)
        place(made, e.at)
        return made

    # values

    def _value(self, e: nodes.Expression) -> Value:
        self.check_types(e)
        known = constant(e)
        if known is not None:
            return constant_value(known)
        match e:
            case nodes.PVariable():
                return self._pvariable(e)
            case nodes.Attribute(text=plain):
                return self.of_pvar(self._known(e.at, lambda: self.names.pvar(f"%{plain}")))
            case nodes.Select(text=text):
                return self.of_pvar(self._known(e.at, lambda: self.names.select(text)))
            case nodes.Identifier(name=plain):
                return Value(const(plain), Type.STR)
            case nodes.Unary():
                return self._unary(e)
            case nodes.Binary() if e.op not in _BOOLEAN:
                return self._binary(e)
            case nodes.Conditional():
                return self._conditional(e)
            case nodes.Operand(name=plain):
                raise reject(e.at, f"{plain} can only be compared", hint=f"write for example: {plain} == ...")
        return Value(choice(self.test(e), const(1), const(0)), Type.INT)

    def _known(self, at: Position, find: Callable[[], PVarSpec]) -> PVarSpec:
        try:
            return find()
        except ValueError as error:
            raise reject(at, str(error)) from None

    def pvar(self, e: nodes.PVariable | nodes.Attribute) -> PVarSpec:
        text = e.text if isinstance(e, nodes.PVariable) else f"%{e.text}"
        return self._known(e.at, lambda: self.names.pvar(text))

    def _pvariable(self, e: nodes.PVariable) -> Value:
        if e.text == "$null":
            return constant_value(None)
        return self.of_pvar(self.pvar(e))

    def of_pvar(self, pvar: PVarSpec) -> Value:
        return Value(
            self.names.read(pvar), Type(pvar.type), null=pvar.static is None and pvar.source != "ctx.rc",
            number=self.names.read_int(pvar),
        )  # fmt: skip

    def _unary(self, e: nodes.Unary) -> Value:
        op, operand = e.op, e.operand
        match op:
            case "-":
                return Value(call("wrap32", ast.UnaryOp(ast.USub(), self.integer(operand))), Type.INT)
            case "~":
                return Value(ast.UnaryOp(ast.Invert(), self.integer(operand)), Type.INT)
            case "(int)":
                return Value(self.integer(operand), Type.INT)
            case "(str)":
                return Value(self.text(operand), Type.STR)
            case "strlen":
                return Value(call("len", self.text(operand)), Type.INT)
        return Value(choice(self.test(e), const(1), const(0)), Type.INT)

    def _binary(self, e: nodes.Binary) -> Value:
        op = e.op
        if op == "+":
            return self._plus(e)
        left, right = self.integer(e.left), self.integer(e.right)
        if op in _FUNCTIONS:
            if op in ("/", "mod") and not (isinstance(right, ast.Constant) and right.value):
                self.fails = True
            return Value(call(_FUNCTIONS[op], left, right), Type.INT)
        made = binary(left, op, right)
        return Value(made if op in "&|^" else call("wrap32", made), Type.INT)

    def _plus(self, e: nodes.Binary) -> Value:
        left, right = self.value(e.left), self.value(e.right)
        if left.type is Type.INT and not left.null:
            return Value(call("wrap32", binary(left.node, "+", as_int(right, e.right.at))), Type.INT)
        if left.type is Type.STR:
            return Value(text_of([in_text(left), in_text(right)]), Type.STR)
        return Value(call("add", left.node, right.node, const(where(e.right.at))), Type.ANY)

    def _conditional(self, e: nodes.Conditional) -> Value:
        yes, no = self.value(e.yes), self.value(e.no)
        test = compare(self.integer(e.test), ">", const(0))
        kind = yes.type if yes.type is no.type else Type.ANY
        return Value(choice(test, yes.node, no.node), kind, null=yes.null or no.null)

    # conditions

    def _test(self, e: nodes.Expression, first: bool) -> ast.expr:
        match e:
            case nodes.Unary(op="!"):
                self.check_types(e)
                inner = e.operand
                if isinstance(inner, nodes.Binary) and inner.op == "==" and _compares_myself(inner):
                    return self.test(nodes.Binary(inner.at, "!=", inner.left, inner.right))
                return negated(self.test(inner, first))
            case nodes.Unary(op="defined"):
                return self.defined(e.operand)
            case nodes.Unary(op="strempty"):
                self.check_types(e)
                return negated(self.text(e.operand))
            case nodes.Binary(op=op) if op in _BOOLEAN:
                return self._boolean(e, first)
            case nodes.Call():
                return self._call_test(e, first)
            case nodes.CoreCall():
                return self.core_test(e)
            case nodes.RouteCall():
                made = self.route_call(e, inside=True)
                dynamic = isinstance(made, ast.Call) and isinstance(made.func, ast.Name) and made.func.id == "run_route"
                made = self.traced(e, made)
                return compare(made, ">", const(0)) if dynamic else call("route_truth", ctx(), made)
            case nodes.BlockExpression():
                return compare(self.block_call(e), ">", const(0))
            case nodes.Conditional():
                yes, no = self.test(e.yes), self.test(e.no)
                return choice(compare(self.integer(e.test), ">", const(0)), yes, no)
        return as_test(self.value(e), e.at)

    def defined(self, e: nodes.Expression) -> ast.expr:
        """`defined e`: only a single value can be undefined."""
        if isinstance(e, (nodes.PVariable, nodes.Select, nodes.Attribute)):
            value = self.value(e)
            if value.is_null:
                return const(False)
            return compare(value.node, "is not", const(None)) if value.null else const(True)
        self.check_types(nodes.Unary(e.at, "defined", e))
        return const(True)

    def _boolean(self, e: nodes.Binary, first: bool) -> ast.expr:
        if is_operand(e.left) or is_operand(e.right):
            return comparison(self, e)
        self.check_types(e)
        op, left, right = e.op, e.left, e.right
        match op:
            case "&&" | "||":
                return both(self.test(left, first), self.test(right), disjunction=op == "||")
            case "==" | "!=":
                made = self._equality(left, right)
                return made if op == "==" else negated(made)
            case "eq" | "ne":
                return compare(self.text(left), "==" if op == "eq" else "!=", self.text(right))
            case "ieq" | "ine":
                return compare(self.integer(left), "==" if op == "ieq" else "!=", self.integer(right))
            case "=~":
                return self.match(self.text(left), right)
        return compare(self.integer(left), op, self.integer(right))

    def _equality(self, left: nodes.Expression, right: nodes.Expression) -> ast.expr:
        if isinstance(right, nodes.PVariable) and right.text == "$null":
            return negated(self.defined(left))
        return equals(self.value(left), self.value(right), right.at)

    def match(self, subject: ast.expr, pattern: nodes.Expression) -> ast.expr:
        """`subject =~ pattern`."""
        known = constant(pattern)
        if known is not None:
            try:
                regex = self.names.regex(str(known))
            except ValueError as error:
                raise reject(pattern.at, f'Bad regular expression "{known}"', str(error)) from None
            return ast.Call(ast.Attribute(name(regex), "search", ast.Load()), [subject], [])
        self.fails = True
        return call("match", subject, self.text(pattern))

    # calls

    def find(self, e: nodes.Call | nodes.CoreCall) -> FunctionSpec:
        host = self.unit.host
        find = host.find_function if isinstance(e, nodes.Call) else host.find_core_function
        spec = find(e.name, len(e.args))
        if spec is None:
            raise reject(e.at, f"unknown command {e.name}, missing loadmodule?")
        return spec

    def function_call(self, e: nodes.Call | nodes.CoreCall) -> ast.expr:
        """The bare call, as `f(ctx, ...)`."""
        spec = self.find(e)
        try:
            args = self.arguments.prepare(spec, e)
        except Unfit as unfit:
            made = call("unfit_argument", const(e.name), const(unfit.number), const(f"{e.at.path}:{e.at.line}"))
        else:
            made = call(self.names.bind(spec.name, spec.call), ctx(), *args)
        place(made, e.at)
        return made

    def traced(self, e: nodes.Expression, made: ast.expr) -> ast.expr:
        """A call inside an expression, and its trace before it."""
        found = action(e, self.route_node) if self.unit.traced else None
        return made if found is None else traced_value(found, made)

    def traced_before(self, e: nodes.Node) -> list[ast.stmt]:
        """The trace of an action that is not written as a statement of its own."""
        found = action(e, self.route_node) if self.unit.traced else None
        if found is None:
            return []
        made = traced(found)
        place(made, e.at)
        return [made]

    def _call_test(self, e: nodes.Call, first: bool) -> ast.expr:
        made = self.function_call(e)
        if not first:
            return call("truth", ctx(), self.traced(e, made))
        self.prelude += self.traced_before(e) + self.run_function(made, e.at)
        return compare(name("rc"), ">", const(0))

    def core_test(self, e: nodes.CoreCall) -> ast.expr:
        """A core function in a condition; it may say itself which expression does the same."""
        spec = self.find(e)
        template = getattr(spec, "test", "")
        if template:
            return self.traced(e, python(template.format(*(node_text(a) for a in self.arguments.prepare(spec, e)))))
        return compare(self.traced(e, self.function_call(e)), ">", const(0))

    def route_call(self, e: nodes.RouteCall, inside: bool = False) -> ast.expr:
        """The bare call of a route, static or dynamic; `inside`: as a part of an expression."""
        known = constant(e.name) if not isinstance(e.name, nodes.Identifier) else e.name.name
        if known is None:
            where_it_is = f"{e.at.path}:{e.at.end_line or e.at.line}"
            made = call("run_route", ctx(), self.text(e.name), const(where_it_is))
        else:
            made = self.unit.route(str(known), e.at)
        made = self.deeper(made, inside)
        place(made, e.at)
        return made

    def block_call(self, e: nodes.BlockExpression) -> ast.expr:
        made = call(self.unit.block_function(self, e), ctx())
        place(made, e.at)
        return made


def node_text(node: ast.expr) -> str:
    return ast.unparse(node)


def _compares_myself(e: nodes.Binary) -> bool:
    return any(isinstance(side, nodes.Operand) and side.name == "myself" for side in (e.left, e.right))
