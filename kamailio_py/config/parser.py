"""The top level of a config: parameters, modules, flags, custom variables, addresses, route blocks; and `parse_file`.

Modules are loaded and parameters set as their lines are read, through the Host: what a later line may name depends on
it. Everything wrong is collected; a config with mistakes in it raises CfgErrors with all of them.
"""

from __future__ import annotations

from kamailio_py.config import tokens
from kamailio_py.config.errors import CfgError, CfgErrors, Position
from kamailio_py.config.host import Host, RouteType
from kamailio_py.config.nodes import Config, Listen, Route, RouteKind
from kamailio_py.config.parameter_lines import ParameterLines
from kamailio_py.config.preprocessor import Stop
from kamailio_py.config.sockets import parse_listen_option
from kamailio_py.config.source import Source, read
from kamailio_py.config.stream import RouteInside, Unexpected

_KINDS = {
    "route": RouteKind.REQUEST,
    "request_route": RouteKind.REQUEST,
    "failure_route": RouteKind.FAILURE,
    "onreply_route": RouteKind.REPLY,
    "reply_route": RouteKind.REPLY,
    "branch_route": RouteKind.BRANCH,
    "onsend_route": RouteKind.ONSEND,
    "event_route": RouteKind.EVENT,
}
_TYPES = {
    RouteKind.REQUEST: RouteType.REQUEST,
    RouteKind.FAILURE: RouteType.FAILURE,
    RouteKind.BRANCH: RouteType.BRANCH,
    RouteKind.ONSEND: RouteType.ONSEND,
    RouteKind.EVENT: RouteType.EVENT,
}
_UNNAMED_ONLY = frozenset(("request_route", "reply_route"))
_INVALID = {
    "route": "invalid  route  statement",
    "request_route": "invalid  request_route  statement",
    "reply_route": "invalid onreply_route statement",
}
MAIN = "0"


class Parser(ParameterLines):
    """One config file and what it includes."""

    def __init__(
        self, source: Source, host: Host, defines: list[str] | dict[str, str], substs: list[tuple[str, str]]
    ) -> None:
        super().__init__(source, host, defines, substs)
        self.avp_flags: set[str] = set()
        self._pvars = {}
        self.routes: dict[tuple[RouteKind, str], Route] = {}

    def parse(self) -> Config:
        try:
            self.tok = self.lexer.next()
            empty = self.tok.kind == tokens.EOF
            while self.tok.kind != tokens.EOF:
                self._statement()
            self.lexer.check_balance()
            if empty:
                self.error(self.tok.position, "syntax error", "there is nothing in this config")
        except Stop:
            pass
        except Unexpected:
            self.lexer.check_balance()
        except RecursionError:
            self.error(self.tok.position, "memory exhausted", "parentheses or blocks are nested too deeply")
        if self.errors:
            raise CfgErrors(self.errors)
        self.config.defines = self.lexer.defines.values()
        self.config.define_modes = self.lexer.defines.modes()
        return self.config

    def _statement(self) -> None:
        kind = self.tok.kind
        start = self.tok
        try:
            if kind == ";":
                self.advance()
            elif kind in _KINDS:
                self._route()
            elif not self.top_line():
                self.unknown_line()
        except RouteInside:
            self.blocks.clear()
        except Unexpected as failure:
            self.blocks.clear()
            self.in_arguments = False
            if self.tok.kind == tokens.EOF:
                raise
            failure.named = True
            self._go_on(start is self.tok)

    def _go_on(self, stuck: bool) -> None:
        """Find the next line of the top level after an error: a known first word on a line of its own."""
        if stuck:
            self._skip_one()
        while self.tok.kind != tokens.EOF:
            assert self.last is not None  # the line began with something
            if self.tok.kind in _KINDS or (self.tok.line > self.last.end_line and self.line_begins()):
                return
            self._skip_one()

    def _skip_one(self) -> None:
        if self.tok.kind == "{":
            self.skip_block()
        else:
            self.advance()

    # routes

    def _route(self) -> None:
        word = self.advance()
        kind = _KINDS[word.kind]
        name = MAIN
        named = False
        try:
            if self.tok.kind == "[" and word.kind not in _UNNAMED_ONLY:
                self.advance()
                named = True
                name = self._route_name(kind)
                self.expect("]")
            elif self.tok.kind != "{" or kind is RouteKind.EVENT:
                self.fail("'['" if kind is RouteKind.EVENT else "'{' or '['", self._name_hint(word.kind))
            if kind is RouteKind.REPLY:
                self.route_type = RouteType.CORE_ONREPLY if name == MAIN else RouteType.TM_ONREPLY
            else:
                self.route_type = _TYPES[kind]
            label = f"{word.text}[{name}]" if named else word.text
            body = self.block_of_actions(label)
        except Unexpected as failure:
            if self.tok.kind != tokens.EOF:
                self.name_failure(failure, _INVALID.get(word.kind, f"invalid {word.kind} statement"))
            raise
        self.memory_is_made = True
        self._add_route(Route(self.since(word.position), kind, name, body), named)

    def _name_hint(self, word: str) -> str:
        if self.tok.kind == "[" and word in _UNNAMED_ONLY:
            return f"{word} has no name: {'onreply_route' if word == 'reply_route' else 'route'}[NAME] has one"
        return ""

    def _route_name(self, kind: RouteKind) -> str:
        tok = self.tok
        if kind is RouteKind.EVENT:
            if tok.kind != tokens.EVENT_NAME:
                self.fail("", f"{tok.describe()} is no name of an event route: it needs a colon (module:event)")
        elif tok.kind not in (tokens.NUMBER, tokens.ID, tokens.STRING):
            hint = f'{tok.describe()} cannot be the name of a route: put it in quotes ("{tok.text}")'
            self.fail("", hint if tok.kind in tokens.KEYWORDS.values() else "")
        self.advance()
        if self.tok.kind == "-":
            self.fail("", 'a name with a hyphen needs quotes: route["a-b"]')
        return str(tok.value)

    def _add_route(self, route: Route, named: bool) -> None:
        """Unnamed blocks of a kind are one route, in the order of the file; a name can be given once."""
        first = self.routes.get((route.kind, route.name))
        if first is None:
            self.routes[route.kind, route.name] = route
            self.config.routes.append(route)
        elif named and not (route.kind is RouteKind.REPLY and route.name == MAIN):
            assert self.last is not None  # its "}"
            hint = f"{route.kind}[{route.name}] stands in {first.at.path}, line {first.at.line} already"
            self.error(self.last.position, "duplicate route", hint)
        else:
            first.body.statements += route.body.statements


def parse_file(
    path: str,
    host: Host,
    *,
    defines: list[str] | dict[str, str] | None = None,
    substs: list[tuple[str, str]] | None = None,
    strict: bool = False,
) -> Config:
    """Read and check the config at `path` ("-" is standard input); CfgErrors with everything that is wrong.

    `defines` are -A options (NAME or NAME=text), `substs` the rules of --subst, --substdef and --substdefs as
    (directive, rule). With `strict` warnings are errors.
    """
    try:
        text = read(path)
    except OSError as error:
        reason = f"loading config file({path}): {error.strerror}"
        raise CfgErrors([CfgError(Position(path, 0, 0), reason)]) from None
    return parse_text(text, host, path=path, defines=defines, substs=substs, strict=strict)


def parse_text(
    text: str,
    host: Host,
    *,
    path: str = "<text>",
    defines: list[str] | dict[str, str] | None = None,
    substs: list[tuple[str, str]] | None = None,
    strict: bool = False,
) -> Config:
    """As parse_file, of a text at hand; `path` is what errors call it and where includes are looked for."""
    try:
        parser = Parser(Source(path, text), host, defines or [], substs or [])
    except ValueError as error:
        raise CfgErrors([CfgError(Position(path, 0, 0), str(error))]) from None
    config = parser.parse()
    if strict and config.warnings:
        raise CfgErrors(list(config.warnings))
    return config


def parse_listen(text: str) -> Listen:
    """A listening address from the command line: `[proto:]host[:port][/host[:port]]`; ValueError if it is none."""
    return parse_listen_option(text)


__all__ = ["CfgErrors", "Parser", "parse_file", "parse_listen", "parse_text"]
