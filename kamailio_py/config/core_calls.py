"""Calls: module functions, checked against what is loaded, and the functions that are keywords of the language.

Arguments of core functions are not expressions but what the table says: a number, a string, a flag, a host.
"""

from __future__ import annotations

from kamailio_py.config import nodes, tokens
from kamailio_py.config.errors import Position
from kamailio_py.config.expressions import Expressions
from kamailio_py.config.host import FunctionSpec, RouteType
from kamailio_py.config.nodes import CoreCall, Expression, Number, Operand, String
from kamailio_py.config.parameters import words
from kamailio_py.config.preprocessor import Stop
from kamailio_py.config.stream import Unexpected

MAX_FLAG = 31

_NO_ARGUMENTS = frozenset(("userphone", "clear_branches"))
_BARE = frozenset(
    words(
        """
    revert_uri force_rport add_local_rport set_forward_no_connect set_reply_no_connect set_forward_close
    set_reply_close force_tcp_alias
        """
    )
)
"""May stand without parentheses."""

_ONE_STRING = frozenset(
    words(
        """
    exec rewritehost rewritehostport rewritehostporttrans rewriteuser rewriteuserpass rewriteport rewriteuri prefix
    cfg_reset
        """
    )
)
_ONE_NUMBER = frozenset(("strip", "strip_tail", "set_advertised_port"))
_FLAG = frozenset(("setflag", "resetflag", "isflagset"))
_AVP_FLAG = frozenset(("setavpflag", "resetavpflag", "isavpflagset"))
_FORWARD = frozenset(("forward", "forward_udp", "forward_tcp", "forward_tls", "forward_sctp"))

ALLOWED_ONSEND = _FLAG | {
    "log",
    "set_forward_no_connect",
    "set_reply_no_connect",
    "set_forward_close",
    "set_reply_close",
}

_BAD_ARGUMENT = {
    **dict.fromkeys(_ONE_STRING, "bad argument, string expected"),
    **dict.fromkeys(("strip", "strip_tail", "remove_branch", "force_tcp_alias"), "bad argument, number expected"),
    **{name: f"bad {name} argument" for name in _FORWARD},
    "set_advertised_port": "bad argument, string expected",
    "set_advertised_address": "bad argument, string expected",
    "udp_mtu_try_proto": "bad argument, UDP, TCP, TLS or SCTP expected",
    "force_send_socket": "bad argument, [proto:]host[:port] expected",
    "log": "bad log argument",
    "error": "bad error argument",
    "route": "bad route argument",
    "cfg_select": "bad arguments, string and number expected",
    "cfg_reset": "bad arguments, string expected",
}
_WITHOUT_PARENTHESIS = {
    **dict.fromkeys(_FLAG | _AVP_FLAG, "missing '(' or ')'?"),
    **dict.fromkeys(_BARE | {"exec", "clear_branches", "udp_mtu_try_proto"}, ""),
}


class CoreCalls(Expressions):
    """Parsing of calls."""

    avp_flags: set[str]

    # module functions

    def call(self) -> Expression:
        """`name(arguments)`; the name is at hand."""
        name = self.advance()
        try:
            if self.tok.kind != "(":
                self.fail("'('", self.hints.bare_word(str(name.value)))
            if self.in_arguments:
                self.error(
                    self.tok.position,
                    "use of function execution inside params not allowed",
                    f"store the result of {name.value}() in a $var() first",
                )
                raise Stop
            self.advance()
            args = self._arguments()
        except Unexpected as failure:
            self.name_failure(failure, "'('')' expected (function call)")
            raise
        closing = self.advance()
        at = self.since(name.position)
        self._check_call(str(name.value), len(args), closing.position)
        return nodes.Call(at, str(name.value), args)

    def _arguments(self) -> list[Expression]:
        """Up to the `)`; a comma may come first, as Kamailio's grammar has it."""
        args: list[Expression] = []
        self.in_arguments = True
        try:
            if self.tok.kind not in (")", ","):
                args.append(self.binary(0))
            while self.tok.kind == ",":
                self.advance()
                args.append(self.binary(0))
        finally:
            self.in_arguments = False
        if self.tok.kind != ")":
            self.fail("')' or ','")
        return args

    def _check_call(self, name: str, nargs: int, closing: Position) -> None:
        spec = self.host.find_function(name, nargs)
        if spec is None:
            self.error(closing, "unknown command, missing loadmodule?", self.hints.function(name, nargs))
        elif not _allowed(spec, self.route_type):
            self.error(closing, "Command cannot be used in the block", f"{name} works in {route_names(spec.routes)}")

    # functions of the core

    def core_call(self) -> Expression:
        word = self.tok
        name = word.kind
        if name == "route":
            return self._route_call()
        self.advance()
        args: list[Expression] = []
        if self.tok.kind != "(":
            if name not in _BARE:
                self._fail_named(_WITHOUT_PARENTHESIS.get(name, "missing '(' or ')' ?"), "'('")
        else:
            self.advance()
            args = self._core_arguments(name)
        at = self.since(word.position)
        if self.route_type is RouteType.ONSEND and name not in ALLOWED_ONSEND:
            self.error(self.last_position(), "command not allowed in onsend_route")
        return CoreCall(at, name, args)

    def last_position(self) -> Position:
        assert self.last is not None  # a word was used
        return self.last.position

    def _fail_named(self, message: str, expected: str) -> None:
        try:
            self.fail(expected)
        except Unexpected as failure:
            self.name_failure(failure, message)
            raise

    def _core_arguments(self, name: str) -> list[Expression]:
        """Behind the `(`, up to behind the `)`."""
        try:
            args = self._written_arguments(name)
            self.expect(")")
        except Unexpected as failure:
            if not failure.named:
                self._name_bad_argument(failure, name)
            raise
        return args

    def _name_bad_argument(self, failure: Unexpected, name: str) -> None:
        if name in _FLAG:
            self.name_failure(failure, "missing '(' or ')'?")
            return
        message = _BAD_ARGUMENT.get(name, "")
        self.skip_parenthesis()
        if message and self.last is not None and self.last.kind == ")":
            self.error(self.last.position, message)
            failure.named = True

    def _written_arguments(self, name: str) -> list[Expression]:
        if name in _ONE_STRING:
            return [self._string()]
        if name in _ONE_NUMBER:
            return [self._number()]
        if name in _FLAG:
            return [self._flag()]
        if name in _AVP_FLAG:
            return self._avp_flag()
        if name in _FORWARD:
            return self._forward(name)
        if name in _NO_ARGUMENTS or (name in _BARE and name != "force_tcp_alias"):
            return []
        if name == "force_tcp_alias":
            return [self._number()] if self.tok.kind == tokens.NUMBER else []
        if name == "log":
            return (
                [self._string()]
                if self.tok.kind != tokens.NUMBER
                else [*self._then_comma(self._number()), self._string()]
            )
        if name == "error":
            return [*self._then_comma(self._string()), self._string()]
        if name == "cfg_select":
            return [*self._then_comma(self._string()), self.binary(0)]
        if name == "remove_branch":
            return [] if self.tok.kind == ")" else [self._signed()]
        if name == "udp_mtu_try_proto":
            return [self._protocol()]
        if name == "set_advertised_address":
            at = self.tok.position
            address = self.listen_id()
            return [String(self.since(at), address)]
        assert name == "force_send_socket", name
        return [self._socket()]

    def _then_comma(self, argument: Expression) -> list[Expression]:
        self.expect(",")
        return [argument]

    def _string(self) -> Expression:
        if self.tok.kind != tokens.STRING:
            self.fail("a string")
        tok = self.advance()
        return String(tok.position, str(tok.value))

    def _number(self) -> Expression:
        if self.tok.kind != tokens.NUMBER:
            self.fail("a number")
        tok = self.advance()
        return Number(tok.position, int(tok.value))

    def _signed(self) -> Expression:
        at = self.tok.position
        return Number(self.since(at), self.signed_number())

    def _protocol(self) -> Expression:
        tok = self.tok
        if tok.kind not in ("udp", "tcp", "tls", "sctp", "*"):
            self.fail("a protocol")
        self.advance()
        return Operand(tok.position, tok.kind)

    def _socket(self) -> Expression:
        """`proto:host:port`, as one string."""
        at = self.tok.position
        endpoint = self.endpoint(several=False)
        host = endpoint.hosts[0]
        text = f"[{host}]" if ":" in host else host
        if endpoint.proto:
            text = f"{endpoint.proto}:{text}"
        if endpoint.port:
            text = f"{text}:{endpoint.port}"
        return String(self.since(at), text)

    def _forward(self, name: str) -> list[Expression]:
        if name == "forward" and self.tok.kind == ")":
            return []
        tok = self.tok
        port_kinds = [tokens.NUMBER]
        host: Expression
        if tok.kind == "uri:host":
            self.advance()
            host = Operand(tok.position, "uri:host")
            port_kinds.append("uri:port")
        elif tok.kind == tokens.STRING:
            host = self._string()
        elif tok.kind == tokens.ID:
            host = nodes.Identifier(tok.position, self.host_name())
        elif tok.kind == tokens.NUMBER:
            host = nodes.Address(tok.position, self.ipv4())
        else:
            host = nodes.Address(tok.position, self.ipv6())
        if not self.skip_if(","):
            return [host]
        port = self.tok
        if port.kind not in port_kinds:
            self.fail("a port")
        self.advance()
        if port.kind == "uri:port":
            return [host, Operand(port.position, "uri:port")]
        return [host, Number(port.position, int(port.value))]

    # flags

    def _flag(self) -> Expression:
        """The number of a message flag, also where it is named."""
        tok = self.tok
        if tok.kind == tokens.NUMBER:
            self.advance()
            number = int(tok.value)
            if not 0 <= number <= MAX_FLAG:
                self._flag_error("bad flag value", f"message flag {number} is not in 0..{MAX_FLAG}")
            return Number(tok.position, number)
        name = self.flag_name()
        known = self.config.flags.get(name)
        if known is None:
            self._flag_error("flag not declared", self.hints.close(name, self.config.flags) or f"flags {name};")
        return Number(tok.position, known or 0)

    def _flag_error(self, message: str, hint: str) -> None:
        """Kamailio finds it at the closing parenthesis."""
        at = self.tok.position if self.tok.kind == ")" else self.last_position()
        self.error(at, message, hint)

    def flag_name(self) -> str:
        if self.tok.kind not in (tokens.STRING, tokens.ID):
            self.fail("the name of a flag")
        return str(self.advance().value)

    def _avp_flag(self) -> list[Expression]:
        tok = self.tok
        avp: Expression
        if tok.kind == tokens.STRING:
            avp = self._string()
        elif tok.kind == tokens.ATTR:
            avp = self.attribute(indexed=False)
        elif tok.kind == tokens.AVP_OR_PVAR:
            self.advance()
            avp = self.variable(tok)
        else:
            self._bad_avp()
        self.expect(",")
        flag = self.tok
        name = self.flag_name()
        if name not in self.avp_flags:
            self._flag_error("avpflag not declared", self.hints.close(name, self.avp_flags) or f"avpflags {name};")
        return [avp, String(flag.position, name)]

    def _bad_avp(self) -> None:
        """Kamailio goes on behind the comma and finds the end of the call."""
        try:
            self.fail("an AVP or a string")
        except Unexpected as failure:
            self.skip_parenthesis()
            if self.last is not None and self.last.kind == ")":
                self.error(self.last.position, "error parsing first parameter (avp or string)")
                failure.named = True
            raise

    # route()

    def _route_call(self) -> Expression:
        word = self.advance()
        if self.tok.kind != "(":
            self._fail_named("missing '(' or ')' ?", "'('")
        self.advance()
        tok = self.tok
        target: Expression
        try:
            if tok.kind == tokens.ID and self.peek().kind == ")":
                self.advance()
                target = nodes.Identifier(tok.position, str(tok.value))
            else:
                target = self.binary(0)
            self.expect(")")
        except Unexpected as failure:
            if not failure.named:
                self._name_bad_argument(failure, "route")
            raise
        if self.route_type is RouteType.ONSEND:
            self.error(self.last_position(), "command not allowed in onsend_route")
        return nodes.RouteCall(self.since(word.position), target)


def _allowed(spec: FunctionSpec, route: RouteType) -> bool:
    """All kinds of the block must be allowed; for event routes one is enough."""
    common = spec.routes & route
    return bool(common) if route is RouteType.EVENT else common == route


def route_names(routes: RouteType) -> str:
    """For hints: the blocks a mask allows."""
    names = {
        RouteType.REQUEST: "request_route",
        RouteType.FAILURE: "failure_route",
        RouteType.CORE_ONREPLY: "reply_route",
        RouteType.TM_ONREPLY: "onreply_route[...]",
        RouteType.BRANCH: "branch_route",
        RouteType.ONSEND: "onsend_route",
    }
    return ", ".join(name for route, name in names.items() if routes & route) or "no route block"
