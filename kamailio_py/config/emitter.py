"""Statements of the language as Python statements: one function for each route, rest of a block, or block expression.

`break` leaves the innermost `while` or `switch`, or ends the function. Where nothing can run after it (`top`), `exit`
is a plain return. Calls and assignments are in emitter_statements, expressions in emitter_expressions.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kamailio_py.config import nodes
from kamailio_py.config.emitter_ast import (
    assign,
    attribute,
    both,
    call,
    compare,
    const,
    ctx,
    do,
    give,
    guarded,
    name,
    negated,
    place,
    statements,
    throw,
    when,
)
from kamailio_py.config.emitter_included import runs
from kamailio_py.config.emitter_statements import DISCARD, RETURN, Mode, SimpleStatements
from kamailio_py.config.emitter_switch import SwitchEmitter
from kamailio_py.config.emitter_traces import action, timed, traced
from kamailio_py.config.emitter_values import Rejected, reject, short
from kamailio_py.config.errors import Position
from kamailio_py.config.nodes import End
from kamailio_py.config.types import Type, constant, static_type
from kamailio_py.config.walk import calls_out

if TYPE_CHECKING:
    from kamailio_py.config.compiler import Unit


class FunctionEmitter(SimpleStatements):
    """Writes one function.

    top       exit may return: no other function of the script is waiting for this one
    leveled   the function counts how deep routes are nested, because a route can come to call itself
    path      the file whose lines the function has
    """

    nothing = DISCARD

    def __init__(self, unit: Unit, route: nodes.Route, top: bool, leveled: bool) -> None:
        super().__init__(unit)
        self.route_node = route
        self.top = top
        self.leveled = leveled
        self.path = route.at.path
        self.depth = 0
        self._loops: list[Mode] = []  # the loops and switches around the statement being written
        self._followers: dict[int, list[nodes.Statement]] = {}  # call -> what follows its statement
        self._variables: dict[str, int] = {}

    def function(
        self,
        id: str,
        body: Sequence[nodes.Statement],
        at: Position,
        mode: Mode = RETURN,
        following: Sequence[nodes.Statement] = (),
    ) -> ast.FunctionDef:
        """The whole function."""
        self.path = at.path
        made = self.block(body, mode, following)
        args = [ast.arg("ctx")]
        defaults: list[ast.expr] = []
        if self.leveled:
            args.append(ast.arg("level"))
            defaults.append(const(1))
            guard = "if level > ctx.core.cfg.max_recursive_level:\n    return too_deep(level)"
            made = statements(guard) + made
        define = ast.FunctionDef(id, ast.arguments([], args, None, [], [], None, defaults), made, [], None)
        head = Position(at.path, at.line, at.column)
        place(define, head)
        for arg in args:
            arg.lineno, arg.col_offset = define.lineno, define.col_offset
            arg.end_lineno, arg.end_col_offset = define.end_lineno, define.end_col_offset
        return define

    # blocks

    def block(
        self, body: Sequence[nodes.Statement], mode: Mode, following: Sequence[nodes.Statement] = ()
    ) -> list[ast.stmt]:
        """A list of statements, of which the last one executed gives the result; `following` are run after them."""
        made: list[ast.stmt] = []
        for start, end, elsewhere in runs(body, self.path):
            last = end == len(body)
            part, rest = body[start:end], [*body[end:], *following]
            if elsewhere and not (last and mode.variable):
                made += self._included(part, mode if last else DISCARD, rest)
            else:
                made += self._part(part, mode if last else DISCARD, rest)
            if any(isinstance(statement, (nodes.Terminator, nodes.Break)) for statement in part):
                return made
        if not body:
            made += self.result(mode, const(1))
        return made or [ast.Pass()]

    def _part(self, body: Sequence[nodes.Statement], mode: Mode, following: list[nodes.Statement]) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for index, statement in enumerate(body):
            self._follow(statement, [*body[index + 1 :], *following])
            made += self.statement(statement, mode if index == len(body) - 1 else DISCARD)
            if isinstance(statement, (nodes.Terminator, nodes.Break)):
                break
        return made

    def _included(
        self, body: Sequence[nodes.Statement], mode: Mode, following: list[nodes.Statement]
    ) -> list[ast.stmt]:
        """Statements of another file, in a function that gives None where the script goes on behind them."""
        id = self.unit.included(self, body, mode, following)
        made = call(id, ctx(), *([name("level")] if self.leveled else []))
        if mode.returns:
            nodes_made: list[ast.stmt] = [give(made)]
        else:
            ended = self.variable("ended")
            nodes_made = [assign(ended, made), when(compare(name(ended), "is not", const(None)), [give(name(ended))])]
        for node in nodes_made:
            place(node, Position(self.path, self.route_node.at.line, 1))
        return nodes_made

    def inner(
        self, body: Sequence[nodes.Statement], mode: Mode, following: Sequence[nodes.Statement] = ()
    ) -> list[ast.stmt]:
        """A block inside another one."""
        self.depth += 1
        made = self.block(body, mode, following)
        self.depth -= 1
        return made

    def absorbing(self, mode: Mode, write: Callable[[], list[ast.stmt]]) -> list[ast.stmt]:
        """What `write` gives, with `break` leaving the loop or switch that is being written."""
        self._loops.append(mode)
        made = write()
        self._loops.pop()
        return made

    def statement(self, s: nodes.Statement, mode: Mode) -> list[ast.stmt]:
        """One statement; what is wrong with it is noted, and the next one goes on."""
        self.prelude, self.fails = [], False
        try:
            made = self._statement(s, mode)
        except Rejected as rejected:
            self.unit.errors.append(rejected.error)
            made = [ast.Pass()]
        if calls_out(s):
            made.insert(0, self.here(s.at))
        found = action(s, self.route_node) if self.unit.traced or self.unit.timed else None
        if found is not None:
            if self.unit.timed is not None:
                names = self.unit.names
                made = timed(found, made, self.variable("begun"), names.bind("took", self.unit.timed), names)
            if self.unit.traced:
                made.insert(0, traced(found))
        for node in made:
            place(node, s.at)
        return made

    def here(self, at: Position) -> ast.stmt:
        """Tell those who look on where the script is: before whatever may take time or suspend it."""
        target = ast.Subscript(name("HERE"), const(0), ast.Store())
        return ast.Assign([target], const(self.unit.program.place(at.path, at.line)))

    def variable(self, hint: str) -> str:
        """A local name not used before in this function."""
        count = self._variables[hint] = self._variables.get(hint, 0) + 1
        return hint if count == 1 else f"{hint}_{count}"

    def _follow(self, statement: nodes.Statement, rest: list[nodes.Statement]) -> None:
        """Remember what follows a statement that is itself a call: its suspension resumes there."""
        if isinstance(statement, nodes.ExpressionStatement) and isinstance(statement.value, nodes.Call):
            self._followers[id(statement.value)] = rest

    def continuation(self, e: nodes.Call | nodes.CoreCall) -> int:
        """The number of the entry that runs what follows this call in its block; 0 when nothing does."""
        rest = self._followers.get(id(e))
        return self.unit.continuation(self.route_node, e, rest) if rest else 0

    def _statement(self, s: nodes.Statement, mode: Mode) -> list[ast.stmt]:
        match s:
            case nodes.ExpressionStatement():
                return self._expression(s, mode)
            case nodes.Assign():
                return self._assign(s, mode)
            case nodes.If():
                return self._if(s, mode)
            case nodes.While():
                return self._while(s, mode)
            case nodes.Switch():
                return SwitchEmitter(self, s, mode).emit()
            case nodes.Block():
                return self.inner(s.statements, mode)
            case nodes.Break():
                return self._break()
            case nodes.Terminator():
                return self._terminator(s)
        raise reject(s.at, f"{type(s).__name__} cannot stand here")

    # control

    def condition(self, e: nodes.Expression, complain: str) -> tuple[list[ast.stmt], ast.expr]:
        """Statements to go before, and the test. `complain` is the helper that logs a condition without a value."""
        test = self.test(e, first=True)
        if not self.fails:
            return self.prelude, test
        target = self.variable("true")
        tried = [*self.prelude, assign(target, test)]
        handler = [assign(target, call(complain, const(short(e.at))))]
        made = [guarded(tried, handler)]
        place(made[0], e.at)
        return made, name(target)

    def _if(self, s: nodes.If, mode: Mode) -> list[ast.stmt]:
        before, test = self.condition(s.test, "if_failed")
        place(test, s.test.at)
        head = Position(s.at.path, s.at.line, s.at.column)
        then = self.inner(s.then.statements, mode)
        if s.otherwise is not None:
            otherwise = self.inner(s.otherwise.statements, mode)
        else:
            otherwise = self.result(mode, const(1))
        if mode.returns:
            made = when(test, then)
            after = otherwise
        else:
            made = when(test, then, otherwise)
            after = []
        place(made, head)
        return [*before, made, *after]

    def _while(self, s: nodes.While, mode: Mode) -> list[ast.stmt]:
        """A loop, with Kamailio's guard against running away."""
        kept = Mode(variable=mode.variable or self.variable("result")) if mode is not DISCARD else DISCARD
        left = self.variable("loops")
        e = s.test
        test = self.test(e)
        fails = self.fails
        body = self.absorbing(kept, lambda: self.inner(s.body.statements, kept))
        line = max(s.at.line, s.at.end_line, s.body.at.end_line)
        complain = call("runaway_while", ctx(), *map(const, (e.at.line, e.at.column, s.at.path, line)))
        runaway = [do(complain), *self.result(kept, const(-1)), ast.Break()]
        guard = [
            when(ast.UnaryOp(ast.Not(), name(left)), runaway),
            ast.AugAssign(ast.Name(left, ast.Store()), ast.Sub(), const(1)),
        ]
        loop: list[ast.stmt]
        if fails:
            # a condition without a value ends the loop
            checked = guarded([when(negated(test), [ast.Break()])], [ast.Break()])
            loop = [ast.While(const(True), [checked, *guard, *body], [])]
        else:
            loop = [ast.While(test, [*guard, *body], [])]
        begin = self.result(kept, const(1))
        limit = attribute(attribute(attribute(ctx(), "core"), "cfg"), "max_while_loops")
        # 0 is no limit: counted down from -1 it never comes to 0
        made = [assign(left, both(limit, const(-1), disjunction=True)), *begin, *loop]
        if mode.returns:
            made.append(give(name(kept.variable)))
        head = Position(s.at.path, s.at.line, s.at.column)
        for node in made:
            place(node, head)
        return made

    def _break(self) -> list[ast.stmt]:
        """Leave the innermost loop or switch with the result 0; outside of them, the function."""
        if not self._loops or self._loops[-1].returns:
            return [give(0)]
        return [*self.result(self._loops[-1], const(0)), ast.Break()]

    def _terminator(self, s: nodes.Terminator) -> list[ast.stmt]:
        known: int | str | None = {End.RETURN: 1, End.EXIT: 1, End.DROP: 0}[s.kind]
        value: ast.expr = const(known)
        if s.value is not None:
            if static_type(s.value) is Type.STR:
                raise reject(s.value.at, "bad type, integer expected", "a cast helps: (int)")
            known = constant(s.value)
            value = self.integer(s.value) if known is None else const(known)
        if not self.fails:
            return self._ended(s.kind, known, value)
        # without a value it still ends, with an error
        failed = call("return_failed", const(self.end_of(s.at)))
        handler = [give(failed)] if s.kind is End.RETURN else self._ended(s.kind, None, failed)
        return [guarded(self._ended(s.kind, known, value), handler)]

    def _ended(self, kind: End, known: int | str | None, value: ast.expr) -> list[ast.stmt]:
        if kind is End.DROP:
            return [throw("ScriptDrop", value)]
        if self.top:
            return [give(value)]
        if kind is End.EXIT or known == 0:
            return [throw("ScriptExit", value)]
        return [give(value if known is not None else call("returned", value))]
