"""Statements without control flow: calls and assignments, and what becomes of their results.

The result of a block is the result of its last executed statement (BEHAVIOUR: statement results), and is written only
where somebody reads it: a statement is emitted for one of three Modes.
"""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Sequence

from kamailio_py.config import nodes
from kamailio_py.config.emitter_ast import (
    assign,
    binary,
    call,
    choice,
    const,
    ctx,
    do,
    give,
    guarded,
    name,
    place,
    statements,
    throw,
    unless_none,
    when,
)
from kamailio_py.config.emitter_expressions import Expressions
from kamailio_py.config.emitter_values import reject, short
from kamailio_py.config.errors import Position
from kamailio_py.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Mode:
    """What becomes of a statement's result: nothing, the function's return value, or a variable."""

    returns: bool = False
    variable: str = ""


DISCARD = Mode()
RETURN = Mode(returns=True)


class SimpleStatements(Expressions):
    """Writes calls and assignments.

    top       exit may return: no other function of the script is waiting for this one
    leveled   the function counts how deep routes are nested, because a route can come to call itself
    depth     how many blocks stand around the statement being written
    """

    top: bool
    leveled: bool
    depth: int

    @abstractmethod
    def inner(
        self, body: Sequence[nodes.Statement], mode: Mode, following: Sequence[nodes.Statement] = ()
    ) -> list[ast.stmt]:
        """A block inside another one."""

    def result(self, mode: Mode, value: ast.expr) -> list[ast.stmt]:
        """What to do with a result."""
        if mode.returns:
            return [give(value)]
        return [assign(mode.variable, value)] if mode.variable else []

    # calls

    def leave(self, value: int) -> ast.stmt:
        """`exit` with a constant value."""
        return give(value) if self.top else throw("ScriptExit", const(value))

    def run_function(self, made: ast.expr, at: Position) -> list[ast.stmt]:
        """Call a module function: `rc` is its result, and 0 ends the script."""
        rc = ast.Assign([ast.Name("rc", ast.Store()), ast.Attribute(ctx(), "rc", ast.Store())], made)
        ends = when(ast.UnaryOp(ast.Not(), name("rc")), [self.leave(0)])
        place(rc, at)
        place(ends, at)
        return [rc, ends]

    def deeper(self, made: ast.expr, inside: bool = False) -> ast.expr:
        """Tell a function that counts nesting how deep it is called; inside an expression counting starts anew."""
        assert isinstance(made, ast.Call)
        assert isinstance(made.func, ast.Name)
        if self.unit.is_leveled(made.func.id):
            deep = 2 if inside else self.depth + 1
            made.args.append(binary(name("level"), "+", const(deep)) if self.leveled and not inside else const(deep))
        return made

    def _expression(self, s: nodes.ExpressionStatement, mode: Mode) -> list[ast.stmt]:
        e = s.value
        match e:
            case nodes.Call():
                made = self.run_function(self.function_call(e), e.at)
                return self.tried(made, s.at) + self.result(mode, name("rc"))
            case nodes.RouteCall():
                return self._route(e, s, mode)
            case nodes.CoreCall():
                return self._core(e, mode)
            case nodes.BlockExpression():
                return self.inner(e.body.statements, mode)
        evaluated = self.value(e)
        made = [] if isinstance(evaluated.node, ast.Constant) else [do(evaluated.node)]
        return self.tried(made, s.at) + self.result(mode, const(1))

    def _route(self, e: nodes.RouteCall, s: nodes.Statement, mode: Mode) -> list[ast.stmt]:
        made = self.route_call(e)
        if isinstance(made, ast.Call) and isinstance(made.func, ast.Name) and made.func.id == "run_route":
            # sets $rc itself, because a route that does not exist leaves it alone
            return [do(made)] if mode is DISCARD else self.result(mode, made)
        if mode is DISCARD:
            return [ast.Assign([ast.Attribute(ctx(), "rc", ast.Store())], made)]
        return [
            ast.Assign([ast.Name("rc", ast.Store()), ast.Attribute(ctx(), "rc", ast.Store())], made),
            *self.result(mode, name("rc")),
        ]

    def _core(self, e: nodes.CoreCall, mode: Mode) -> list[ast.stmt]:
        """A core function leaves $rc alone; it may say itself which statement does the same."""
        spec = self.find(e)
        template = getattr(spec, "statement", "")
        if template:
            args = [ast.unparse(a) for a in self.arguments.prepare(spec, e)]
            return statements(template.format(*args)) + self.result(mode, const(1))
        made = self.function_call(e)
        return [do(made)] if mode is DISCARD else self.result(mode, made)

    # assignments

    def _assign(self, s: nodes.Assign, mode: Mode) -> list[ast.stmt]:
        target = s.target
        if not isinstance(target, (nodes.PVariable, nodes.Attribute)):
            raise reject(target.at, "invalid left side of an assignment")
        pvar = self.pvar(target)
        if pvar.transformed:
            raise reject(target.at, "pvar with transformations in assignment left side")
        if not pvar.writable:
            raise reject(target.at, "read only pvar in assignment left side")
        value, null = self._raw(s.value)
        if pvar.static is not None:
            if null:
                value = unless_none(value, 0)
            target_node = ast.Subscript(name("VARS"), const(pvar.static), ast.Store())
            made: list[ast.stmt] = [*self.prelude, ast.Assign([target_node], value)]
            return self._assigned(made, s, mode, const(1))
        done = self.names.write(pvar, value)
        if mode is DISCARD:
            return self._assigned([*self.prelude, do(done)], s, mode, const(1))
        if self.fails:
            return self._assigned([*self.prelude, *self.result(mode, choice(done, const(1), const(-1)))], s, mode, None)
        return [*self.prelude, *self.result(mode, choice(done, const(1), const(-1)))]

    def _assigned(self, made: list[ast.stmt], s: nodes.Assign, mode: Mode, value: ast.expr | None) -> list[ast.stmt]:
        if value is not None:
            made += self.result(mode, value)
        if not self.fails:
            return made
        handler: list[ast.stmt] = [do(call("assign_failed", const(short(s.value.at)))), *self.result(mode, const(-1))]
        return [guarded(made, handler)]

    def _raw(self, e: nodes.Expression) -> tuple[ast.expr, bool]:
        """The assigned value; the result of a call is taken as it is, whatever its sign."""
        match e:
            case nodes.Call():
                self.prelude += self.traced_before(e) + self.run_function(self.function_call(e), e.at)
                return name("rc"), False
            case nodes.RouteCall():
                made = self.route_call(e, inside=True)
                if isinstance(made, ast.Call) and isinstance(made.func, ast.Name) and made.func.id == "run_route":
                    return self.traced(e, made), False
                self.prelude += self.traced_before(e)
                self.prelude.append(
                    ast.Assign([ast.Name("rc", ast.Store()), ast.Attribute(ctx(), "rc", ast.Store())], made)
                )
                return name("rc"), False
            case nodes.CoreCall():
                return self.traced(e, self.function_call(e)), False
            case nodes.BlockExpression():
                return self.block_call(e), False
        value = self.value(e)
        return value.node, value.null

    def tried(self, made: list[ast.stmt], at: Position) -> list[ast.stmt]:
        """A call, and what happens when an argument has no value."""
        if not self.fails:
            return made
        return [guarded(made, [assign("rc", call("call_failed", const(self.end_of(at))))])]

    @staticmethod
    def end_of(at: Position) -> str:
        """Where a statement ends, as messages about it say."""
        return f"{at.path}:{at.end_line or at.line}"
