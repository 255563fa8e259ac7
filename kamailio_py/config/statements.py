"""Statements: assignments, if, while, switch, return and its kin, and the blocks they stand in.

A statement that is wrong is skipped up to its `;`, and reading goes on behind it, so that one run finds all mistakes.
"""

from __future__ import annotations

from kamailio_py.config import nodes, tokens
from kamailio_py.config.core_calls import CoreCalls
from kamailio_py.config.expressions import is_constant
from kamailio_py.config.nodes import Assign, Block, Case, End, Expression, If, Statement, Switch, While
from kamailio_py.config.stream import RouteInside, Unexpected
from kamailio_py.config.tokens import Token
from kamailio_py.config.types import Type, static_type

_ENDS = {"return": End.RETURN, "exit": End.EXIT, "drop": End.DROP}
_TARGETS = frozenset((tokens.PVAR, tokens.AVP_OR_PVAR, tokens.ATTR))
_CALLS = frozenset(tokens.CORE_FUNCTIONS) | {"route", tokens.ID}


class Statements(CoreCalls):
    """Parsing of statements."""

    def block_of_actions(self, name: str) -> Block:
        """`{ statements }`, at least one of them (a `;` is one); `name` is for messages."""
        brace = self.expect("{")
        self.blocks.append((name, brace))
        statements: list[Statement] = []
        try:
            if self.tok.kind == "}":
                self.fail("", f"unexpected '}}': {name} is empty, it needs at least one statement (a lone ';' will do)")
            self.actions(statements, ("}",))
            self.expect("}")
        except RouteInside:
            raise
        except Unexpected:
            # an empty block, or the end of the file
            if self.tok.kind != "}":
                raise
            self.advance()
        finally:
            self.blocks.pop()
        return Block(self.since(brace.position), statements)

    def actions(self, statements: list[Statement], ends: tuple[str, ...]) -> None:
        """Statements up to one of `ends`."""
        first = True
        while self.tok.kind not in ends:
            if self.tok.kind == tokens.EOF:
                self.fail()
            start = self.tok
            try:
                statement = self.statement()
                if statement is not None:
                    statements.append(statement)
            except Unexpected as failure:
                if self.tok.kind == tokens.EOF:
                    raise
                self.name_failure(failure, "" if first else "bad command")
                if self.tok is start or self.tok.kind not in (";", "}"):
                    self._recover(start)
                else:
                    self.skip_if(";")
            first = False

    def _recover(self, start: Token) -> None:
        if self.route_begins():
            self._route_inside()
        if self.tok is start and self.tok.kind == "{":
            self.skip_block()
            return
        self.skip_statement()
        if self.tok is start:
            self.advance()

    def _route_inside(self) -> None:
        raise RouteInside

    def statement(self) -> Statement | None:
        """One statement with its `;`; None for a lone `;`."""
        tok = self.tok
        kind = tok.kind
        if kind == ";":
            self.advance()
            return None
        if kind in _TARGETS:
            made: Statement = self.assignment()
            if self.tok.kind != ";":
                self.fail("';'")
            self.advance()
            return made
        if kind in _CALLS:
            return self._call_statement()
        if kind == "if":
            return self._if()
        if kind == "while":
            return self._while()
        if kind == "switch":
            return self._switch()
        if kind in _ENDS:
            return self._terminator()
        if kind == "break":
            self.advance()
            self._semicolon()
            return nodes.Break(tok.position)
        self._no_statement()
        return None

    def _no_statement(self) -> None:
        if self.route_begins() and self.blocks:
            name, brace = self.blocks[-1]
            hint = f"a route cannot begin inside another block: the '{{' of {name} on line {brace.line} is not closed"
            self.fail("", hint, self.peek() if self.tok.kind == "route" else None)
        if self.tok.kind == "{":
            self.fail("", "a block needs an if, while or else before it")
        self.fail()

    def _semicolon(self) -> None:
        if self.tok.kind != ";":
            self.fail("", self._missing_semicolon())
        self.advance()

    def _missing_semicolon(self) -> str:
        assert self.last is not None  # the statement before
        return f"unexpected {self.tok.describe()}: is a ';' missing at the end of line {self.last.end_line}?"

    def _call_statement(self) -> Statement:
        tok = self.tok
        if self.route_begins():
            self._no_statement()
        value = self.core_call() if tok.kind != tokens.ID else self.call()
        if self.tok.kind != ";":
            try:
                self.fail("", self._missing_semicolon())
            except Unexpected as failure:
                self.name_failure(failure, "bad command: missing ';'?")
                if self._statement_begins():
                    return nodes.ExpressionStatement(value.at, value)
                raise
        self.advance()
        return nodes.ExpressionStatement(value.at, value)

    def _statement_begins(self) -> bool:
        """After a missing `;`: does the next statement stand on a line of its own?"""
        assert self.last is not None  # the statement before
        kind = self.tok.kind
        if kind == "}":
            return True
        starts = kind in _TARGETS or kind in _CALLS or kind in _ENDS or kind in ("if", "while", "switch", "break")
        return starts and self.tok.line > self.last.end_line

    def assignment(self) -> Assign:
        tok = self.tok
        target: Expression
        if tok.kind == tokens.ATTR:
            target = self.attribute(indexed=False)
        else:
            self.advance()
            target = self.variable(tok)
            if isinstance(target, nodes.PVariable):
                spec = self.pvar_spec(tok, target.text, True)
                if spec is not None and not spec.writable:
                    self.error(tok.position, "read only pvar in assignment left side")
                if spec is not None and spec.transformed:
                    self.error(tok.position, "pvar with transformations in assignment left side")
        if self.tok.kind != "=":
            self.fail("'='")
        self.advance()
        value = self.expression()
        return Assign(self.since(tok.position), target, value)

    # control

    def body(self, name: str) -> Block:
        """A block, or one statement alone."""
        if self.tok.kind == "{":
            return self.block_of_actions(name)
        at = self.tok.position
        statement = self.statement()
        return Block(self.since(at), [] if statement is None else [statement])

    def _test(self, word: str) -> Expression:
        test = self.expression()
        if static_type(test) is Type.STR:
            self.warn(test.at, "non-int expression (you might want to use casts)")
        if is_constant(test):
            self.warn(test.at, f"constant value in {word}(...)")
        return test

    def _if(self) -> If:
        word = self.advance()
        test = self._test("if")
        then = self.body("if")
        otherwise = self.body("else") if self.skip_if("else") else None
        return If(self.since(word.position), test, then, otherwise)

    def _while(self) -> While:
        word = self.advance()
        test = self._test("while")
        return While(self.since(word.position), test, self.body("while"))

    def _terminator(self) -> Statement:
        word = self.advance()
        value = None
        if self.tok.kind == "(" and self.peek().kind == ")":
            self.advance()
            self.advance()
        elif self.tok.kind != ";":
            value = self.expression()
        made = nodes.Terminator(self.since(word.position), _ENDS[word.kind], value)
        if self.tok.kind != ";":
            self.fail("", self._missing_semicolon())
        self.advance()
        return made

    # switch

    def _switch(self) -> Switch:
        word = self.advance()
        try:
            subject = self.expression()
        except Unexpected as failure:
            self.name_failure(failure, "bad expression in switch(...)")
            raise
        brace = self.expect("{")
        if self.tok.kind == "}":
            self.advance()
            self.warn(self.since(word.position), "empty switch()")
            return Switch(self.since(word.position), subject, [])
        cases: list[Case] = []
        self.blocks.append(("switch", brace))
        try:
            while self.tok.kind != "}":
                cases.append(self._case())
            self.advance()
        except Unexpected as failure:
            if self.tok.kind != tokens.EOF:
                self.name_failure(failure, "bad switch body")
            raise
        finally:
            self.blocks.pop()
        self._check_cases(subject, cases)
        return Switch(self.since(word.position), subject, cases)

    def _case(self) -> Case:
        word = self.tok
        label: Expression | None = None
        pattern = False
        if word.kind == "case":
            self.advance()
            pattern = self.skip_if("/")
            label = self._label(pattern)
        elif word.kind == "default":
            self.advance()
        else:
            self.fail("'case', 'default' or '}'")
        self.expect(":")
        statements: list[Statement] = []
        start = self.tok.position
        self.actions(statements, ("case", "default", "}"))
        body = Block(self.since(start), statements) if self.last is not None and self.last.kind != ":" else None
        return Case(self.since(word.position), label, body, pattern)

    def _label(self, pattern: bool) -> Expression:
        message = "bad case regex label" if pattern else "bad case label"
        try:
            label = self.expression()
        except Unexpected as failure:
            self.name_failure(failure, message)
            raise
        if not is_constant(label):
            self.error(self.tok.position, "constant expected", 'a label is a number, a string, or /"regex"')
        return label

    def _check_cases(self, subject: Expression, cases: list[Case]) -> None:
        if sum(case.label is None for case in cases) > 1:
            self.error(subject.at, 'bad switch(): too many "default:" labels')
        kinds = [(case, case.pattern or static_type(case.label) is Type.STR) for case in cases if case.label]
        for case, text in kinds:
            if text != kinds[0][1] and case.label is not None:
                self.error(case.label.at, "type mismatch in case")
                self.error(subject.at, "bad switch(): mixed integer and string/RE cases not allowed")
                return
