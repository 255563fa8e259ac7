"""What every part of the parser stands on: the token at hand, places, errors, and how reading goes on after one.

`tok` is the next token that nobody has used. A rule that finds something else calls `fail`, the only place where a
syntax error comes from: it notes the error and raises `Unexpected`. Whoever can go on catches it, adds Kamailio's words
for what it was reading, and skips to where its next part begins.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import NoReturn

from kamailio_py.config import tokens
from kamailio_py.config.errors import CfgError, CfgWarning, Position
from kamailio_py.config.hints import Hints
from kamailio_py.config.host import Host, RouteType
from kamailio_py.config.lexer import Lexer
from kamailio_py.config.nodes import Config, Expression
from kamailio_py.config.source import Source
from kamailio_py.config.tokens import Token

_FOREIGN = {
    "?": "there is no ?: here, a choice is written selval(test, yes, no)",
    "%": "the remainder is written mod",
    ".": "strings are joined with +",
    "+=": "there is no +=, write $x = $x + ...",
}
_NAMED_BLOCK = re.compile(r"[^]\n]*\]\s*\{")


class Unexpected(Exception):
    """A syntax error that was noted; `named` once somebody has said what was being read."""

    def __init__(self) -> None:
        super().__init__()
        self.named = False


class RouteInside(Exception):
    """A route block begins inside another one: the token at hand is its first."""


class TokenStream(ABC):
    """State of one run of the parser."""

    def __init__(
        self, source: Source, host: Host, defines: list[str] | dict[str, str], substs: list[tuple[str, str]]
    ) -> None:
        self.host = host
        self.config = Config(source.path)
        self.errors: list[CfgError] = []
        self.loaded: list[str] = []  # modules
        self.hints = Hints(host, self.loaded)
        self.lexer = Lexer(source, defines, host.evaluate, self.errors.append, self.config.warnings.append)
        for word, rule in substs:
            self.lexer.add_substitution(word, rule, Position(source.path, 0, 0))
        self.blocks: list[tuple[str, Token]] = []  # what is open, innermost last: its name and its "{"
        self.route_type = RouteType.REQUEST
        self.in_arguments = False
        self._ahead: Token | None = None
        self.last: Token | None = None  # the token used last
        self.tok: Token = Token(tokens.EOF, "", "", source.path, 1, 1, 1, 1)

    # tokens

    def advance(self) -> Token:
        """Use the token at hand and return it."""
        used = self.last = self.tok
        if self._ahead is not None:
            self.tok, self._ahead = self._ahead, None
        else:
            self.tok = self.lexer.next()
        return used

    def peek(self) -> Token:
        """The token after the one at hand."""
        if self._ahead is None:
            self._ahead = self.lexer.next()
        return self._ahead

    def expect(self, kind: str) -> Token:
        if self.tok.kind != kind:
            self.fail(f"'{kind}'" if not kind[0].isupper() else "")
        return self.advance()

    def skip_if(self, kind: str) -> bool:
        if self.tok.kind == kind:
            self.advance()
            return True
        return False

    # places

    @staticmethod
    def span(first: Position, last: Position) -> Position:
        return Position(first.path, first.line, first.column, last.end_line, last.end_column)

    def since(self, first: Position) -> Position:
        """From `first` to the token used last."""
        last = self.last
        if last is None:
            return first
        return Position(first.path, first.line, first.column, last.end_line, last.end_column)

    # errors

    def fail(self, expected: str = "", hint: str = "", tok: Token | None = None) -> NoReturn:
        """The token at hand (or `tok`) cannot stand here; `expected` is for the hint."""
        tok = tok or self.tok
        if tok.kind == tokens.EOF:
            hint = self._end_hint()
        elif not hint:
            hint = (
                f"unexpected {tok.describe()}" + (f", {expected} expected" if expected else "") + self._sign_hint(tok)
            )
        self.error(tok.position, "syntax error", hint)
        raise Unexpected

    def _sign_hint(self, tok: Token) -> str:
        """For operators of other languages."""
        ignored = self.lexer.ignored
        if ignored is not None and ignored[1].line == tok.line and ignored[0] in _FOREIGN:
            return f"; {_FOREIGN[ignored[0]]}"
        sign = tok.text if tok.kind != tokens.ATTR else tok.text[0]
        return f"; {_FOREIGN[sign]}" if sign in _FOREIGN else ""

    def _end_hint(self) -> str:
        hint = "unexpected end of file"
        if self.blocks:
            name, brace = self.blocks[-1]
            hint += f": the '{{' of {name} on line {brace.line} is not closed"
        comment = self.lexer.open_comment
        return f"{hint}; a /* on line {comment.line} is not closed" if comment else hint

    def error(self, at: Position, message: str, hint: str = "") -> None:
        error = CfgError(at, message, hint)
        if not any(str(error) == str(known) for known in self.errors[-3:]):
            self.errors.append(error)

    def name_failure(self, failure: Unexpected, message: str) -> None:
        """Say what was being read when `failure` happened, unless that was said already."""
        if not failure.named and message:
            self.error(self.tok.position, message)
        failure.named = True

    def warn(self, at: Position, message: str, hint: str = "") -> None:
        self.config.warnings.append(CfgWarning(at, message, hint))

    # going on after an error

    def skip_parenthesis(self) -> None:
        """Inside `(`: go behind the `)` that closes it, or stop where a statement ends."""
        depth = 1
        while self.tok.kind not in (";", "{", "}", tokens.EOF):
            if self.tok.kind == "(":
                depth += 1
            elif self.tok.kind == ")":
                depth -= 1
                if depth == 0:
                    self.advance()
                    return
            self.advance()

    def skip_statement(self) -> None:
        """Go behind the `;` of the statement at hand, or stop at the `}` of its block; blocks are skipped whole."""
        while self.tok.kind not in (";", "}", tokens.EOF):
            if self.route_begins():
                return
            if self.tok.kind == "{":
                self.skip_block()
                return
            self.advance()
        self.skip_if(";")

    def skip_block(self) -> None:
        """At a `{`: go behind its `}`."""
        depth = 0
        while self.tok.kind != tokens.EOF:
            kind = self.advance().kind
            if kind == "{":
                depth += 1
            elif kind == "}":
                depth -= 1
                if depth == 0:
                    return

    def route_begins(self) -> bool:
        """A route block can only begin at top level."""
        kind = self.tok.kind
        if kind in tokens.ROUTE_KEYWORDS:
            return True
        if kind != "route":
            return False
        following = self.peek().kind
        source = self.lexer.source
        return following == "{" or (following == "[" and _NAMED_BLOCK.match(source.text, source.at) is not None)

    # what the other parts of the parser give each other

    @abstractmethod
    def expression(self) -> Expression: ...
