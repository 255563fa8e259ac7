"""Expressions: operators with Kamailio's precedence, values, the old bare words, calls.

Precedence climbing over one table. Kamailio's order is its own: `^` binds tighter than `&`, shifts looser than
comparisons, and a comparison with a bare word (`method == "A"`) is a value like any other.
"""

from __future__ import annotations

from abc import abstractmethod

from kamailio_py.config import nodes, tokens
from kamailio_py.config.host import PVarSpec, RouteType
from kamailio_py.config.nodes import Binary, Expression, Identifier, Number, Operand, PVariable, String, Unary
from kamailio_py.config.sockets import Sockets
from kamailio_py.config.stream import Unexpected
from kamailio_py.config.tokens import Token
from kamailio_py.config.types import wrong_here

EQUALITY, RELATION = 9, 10
PRECEDENCE = {
    "||": 2,
    "&&": 3,
    "|": 4,
    "&": 5,
    "^": 6,
    "<<": 7,
    ">>": 8,
    **dict.fromkeys(("==", "!=", "=~", "eq", "ne", "ieq", "ine"), EQUALITY),
    **dict.fromkeys((">", "<", ">=", "<="), RELATION),
    "+": 11,
    "-": 11,
    "*": 12,
    "/": 12,
    "mod": 12,
}
PREFIX = frozenset(("!", "~", "-", "(int)", "(str)", "defined"))
_RECOVERING = frozenset(PRECEDENCE) - {"^", "<<", ">>"}
"""Operators behind which Kamailio says "bad expression" of what is none."""

_EQUAL = frozenset(("==", "!=", "eq", "ne"))
_TEXT_TESTS = _EQUAL | {"=~"}
_NUMBER_TESTS = _EQUAL | {">", "<", ">=", "<="}
_SYMBOL = {"eq": "==", "ne": "!="}

_URIS = frozenset(("uri", "from_uri", "to_uri"))
_NUMBERS = frozenset(("src_port", "dst_port", "af", "msg:len", "snd_port", "to_port", "snd_af"))
_ADDRESSES = frozenset(("src_ip", "dst_ip", "snd_ip", "to_ip"))
_PROTOCOLS = frozenset(("proto", "snd_proto"))
_NULL = frozenset(("$null", "$(null)"))


class Expressions(Sockets):
    """Parsing of expressions."""

    _pvars: dict[tuple[str, bool], PVarSpec | None]

    def expression(self) -> Expression:
        return self.binary(0)

    def binary(self, minimum: int) -> Expression:
        """Operators that bind at least as tight as `minimum`, all of them from the left."""
        left = self.unary()
        while True:
            op = self.tok.kind
            level = PRECEDENCE.get(op, -1)
            if level < minimum:
                return left
            self.advance()
            try:
                right = self.binary(level + 1)
            except Unexpected as failure:
                self.name_failure(failure, "bad expression" if op in _RECOVERING else "")
                raise
            left = self._operation(op, level, left, right)

    def _operation(self, op: str, level: int, left: Expression, right: Expression) -> Expression:
        at = self.span(left.at, right.at)
        made: Binary | Unary = Binary(at, op, left, right)
        if level == EQUALITY and isinstance(right, PVariable) and right.text in _NULL:
            made = Unary(left.at, "defined", left)
            self.check_types(made)
            return made if op in ("!=", "ne", "ine") else Unary(left.at, "!", made)
        self.check_types(made)
        return made

    def check_types(self, made: Expression) -> None:
        problem = wrong_here(made)
        if problem is not None:
            self.error(problem.position, problem.message, problem.hint)

    def unary(self) -> Expression:
        tok = self.tok
        if tok.kind not in PREFIX:
            return self.value()
        self.advance()
        if tok.kind == "-" and self.tok.kind == tokens.NUMBER:
            digits = self.advance()
            return Number(self.since(tok.position), -int(digits.value))
        try:
            operand = self.unary()
        except Unexpected as failure:
            self.name_failure(failure, "bad expression")
            raise
        made = Unary(operand.at, tok.kind, operand)
        self.check_types(made)
        return made

    # values

    def value(self) -> Expression:
        tok = self.tok
        kind = tok.kind
        if kind == tokens.PVAR or kind == tokens.AVP_OR_PVAR:
            self.advance()
            return self.variable(tok)
        if kind == tokens.STRING:
            self.advance()
            return String(tok.position, str(tok.value))
        if kind == tokens.NUMBER:
            self.advance()
            return Number(tok.position, int(tok.value))
        if kind == tokens.ID:
            return self.call()
        if kind == "(":
            return self._parenthesised()
        if kind in tokens.CORE_FUNCTIONS or kind == "route":
            return self.core_call()
        if kind in tokens.OPERANDS:
            return self._operand_test()
        if kind == tokens.SELECT:
            self.advance()
            return self._select(tok)
        if kind == tokens.ATTR:
            return self.attribute(indexed=True)
        if kind == "{":
            body = self.block_of_actions("expression")
            return nodes.BlockExpression(self.since(tok.position), body)
        if kind in ("strlen", "strempty"):
            return self._string_test()
        if kind == "selval":
            return self._selval()
        return self.fail("a value")

    def _parenthesised(self) -> Expression:
        opening = self.advance()
        try:
            inner: Expression
            if self.tok.kind in (tokens.PVAR, tokens.AVP_OR_PVAR, tokens.ATTR):
                inner = self._maybe_assignment(opening)
            else:
                inner = self.binary(0)
            self.expect(")")
        except Unexpected as failure:
            self._bad_parenthesis(failure, "bad expression")
            raise
        return inner

    def _bad_parenthesis(self, failure: Unexpected, message: str) -> None:
        """Kamailio names what stood in parentheses when it comes to the closing one."""
        if not failure.named and self.tok.kind == ")":
            self.name_failure(failure, message)

    def _maybe_assignment(self, opening: Token) -> Expression:
        """`($x = value)` is an expression too."""
        if self.tok.kind == tokens.ATTR or self.peek().kind != "=":
            return self.binary(0)
        statement = self.assignment()
        return nodes.BlockExpression(self.since(opening.position), nodes.Block(statement.at, [statement]))

    def _string_test(self) -> Expression:
        word = self.advance()
        self.expect("(")
        try:
            operand = self.binary(0)
            self.expect(")")
        except Unexpected as failure:
            self._bad_parenthesis(failure, "bad expression")
            raise
        made = Unary(operand.at, word.kind, operand)
        self.check_types(made)
        return made

    def _selval(self) -> Expression:
        word = self.advance()
        self.expect("(")
        try:
            test = self.binary(0)
            self.expect(",")
            yes = self.binary(0)
            self.expect(",")
            no = self.binary(0)
            self.expect(")")
        except Unexpected as failure:
            self._bad_parenthesis(failure, "bad expression")
            raise
        return nodes.Conditional(self.since(word.position), test, yes, no)

    # pseudo-variables, AVPs, selects

    def variable(self, tok: Token) -> Expression:
        """A pseudo-variable; in the default dialect an unknown `$name` is the AVP of that name."""
        text = str(tok.value)
        strict = tok.kind == tokens.PVAR
        if self.pvar_spec(tok, text, strict) is None and not strict:
            return nodes.Attribute(tok.position, text[1:])
        return PVariable(tok.position, text)

    def pvar_spec(self, tok: Token, text: str, strict: bool) -> PVarSpec | None:
        """What the host says of it; None, and an error where `strict`, when it is unknown."""
        key = (text, strict)
        if key in self._pvars:
            return self._pvars[key]
        spec: PVarSpec | None = None
        try:
            spec = self.host.pvar(text, True)
        except ValueError as error:
            if strict:
                self.error(tok.position, f"Can't get from cache: {text}", self.hints.pvar(text, str(error)))
                return None
        self._pvars[key] = spec
        return spec

    def attribute(self, *, indexed: bool) -> Expression:
        """`%name`, `$f.name`, `%name[]` (all of that name), and with `indexed` also `%name[2]`."""
        tok = self.advance()
        name = str(tok.value)
        if not self.skip_if("["):
            return nodes.Attribute(tok.position, name)
        index = "*"
        if indexed and self.tok.kind in ("-", tokens.NUMBER):
            index = str(self.signed_number())
        self.expect("]")
        return PVariable(self.since(tok.position), f"$(avp({name})[{index}])")

    def signed_number(self) -> int:
        if self.skip_if("-"):
            return -int(self.expect(tokens.NUMBER).value)
        return int(self.expect(tokens.NUMBER).value)

    def _select(self, tok: Token) -> Expression:
        try:
            self.host.select(str(tok.value))
        except ValueError as error:
            self.error(tok.position, str(error))
        return nodes.Select(tok.position, str(tok.value))

    # the old bare words

    def _operand_test(self) -> Expression:
        word = self.advance()
        name = word.kind
        if name in ("snd_ip", "to_ip") and self.route_type is not RouteType.ONSEND:
            self.error(word.position, f"{name} allowed only in onsend_routes")
        if name == "myself":
            return self._myself_test(word)
        if name in _NUMBERS:
            tests, wrong, expected = _NUMBER_TESTS, "==, !=, <,>, >= or <=  expected", "number expected"
        elif name in _PROTOCOLS:
            tests, wrong, expected = _EQUAL, "", "protocol expected (udp, tcp, tls, sctp, ws, or wss)"
        elif name in _ADDRESSES:
            tests, wrong = _TEXT_TESTS, "invalid operator, ==, != or =~ expected"
            expected = "ip address or hostname expected"
        elif name in _URIS:
            tests, wrong = _TEXT_TESTS, "invalid operator, == , != or =~ expected"
            expected = "string or MYSELF expected"
        else:
            tests, wrong, expected = _TEXT_TESTS, "invalid operator,== , !=, or =~ expected", "string expected"
        op = self._operand_operator(tests, wrong)
        try:
            right = self._operand_right(name, op)
        except Unexpected as failure:
            self.name_failure(failure, expected)
            raise
        return Binary(self.since(word.position), op, Operand(word.position, name), right)

    def _operand_operator(self, tests: frozenset[str], wrong: str) -> str:
        if self.tok.kind not in tests:
            try:
                self.fail("an operator")
            except Unexpected as failure:
                self.name_failure(failure, wrong)
                raise
        op = self.advance().kind
        return _SYMBOL.get(op, op)

    def _operand_right(self, name: str, op: str) -> Expression:
        tok = self.tok
        level = RELATION if op in (">", "<", ">=", "<=") else EQUALITY
        if name in _PROTOCOLS and (tok.kind in tokens.PROTOCOLS or tok.kind == "*"):
            self.advance()
            return Operand(tok.position, tok.kind)
        if tok.kind == "myself" and (name in _URIS or name in _ADDRESSES):
            self.advance()
            return Operand(tok.position, "myself")
        if name == "method" and tok.kind == tokens.ID and self.peek().kind != "(":
            self.advance()
            return Identifier(tok.position, str(tok.value))
        if name in _ADDRESSES:
            address = self._address()
            if address is not None:
                return address
        return self.binary(level + 1)

    def _address(self) -> Expression | None:
        """An IP address, a network or a host name; None when an expression begins here."""
        tok = self.tok
        following = self.peek().kind
        if tok.kind == tokens.ID and following != "(":
            return Identifier(tok.position, self.host_name())
        if tok.kind == tokens.NUMBER and following == ".":
            host, bits = self.ipv4(), 32
        elif tok.kind in (tokens.IPV6, "["):
            host, bits = self.ipv6(), 128
        else:
            return None
        mask = ""
        if self.skip_if("/"):
            mask = self._mask(bits)
        return nodes.Address(self.since(tok.position), host, mask)

    def _mask(self, bits: int) -> str:
        try:
            if self.tok.kind == tokens.NUMBER and self.peek().kind != ".":
                length = self.advance()
                if not 0 <= int(length.value) <= bits:
                    self.error(length.position, "invalid bit number in netmask")
                return str(length.value)
            if self.tok.kind == tokens.NUMBER:
                return self.ipv4()
            return self.ipv6()
        except Unexpected as failure:
            self.name_failure(failure, "netmask (eg:255.0.0.0 or 8) expected")
            raise

    def host_name(self) -> str:
        """Identifiers joined by dots and hyphens."""
        name = str(self.expect(tokens.ID).value)
        while self.tok.kind in (".", "-"):
            name += self.advance().kind
            if self.tok.kind != tokens.ID:
                try:
                    self.fail("a part of a host name")
                except Unexpected as failure:
                    self.name_failure(failure, "invalid hostname")
                    raise
            name += str(self.advance().value)
        return name

    def _myself_test(self, word: Token) -> Expression:
        op = self._operand_operator(_EQUAL, "invalid operator, == or != expected")
        tok = self.tok
        if tok.kind not in _URIS and tok.kind not in _ADDRESSES:
            try:
                self.fail("uri, from_uri, to_uri or an ip")
            except Unexpected as failure:
                self.name_failure(failure, "URI, SRCIP or DSTIP expected")
                raise
        self.advance()
        at = self.since(word.position)
        return Binary(at, op, Operand(tok.position, tok.kind), Operand(word.position, "myself"))

    # what the other parts of the parser give

    @abstractmethod
    def call(self) -> Expression: ...

    @abstractmethod
    def core_call(self) -> Expression: ...

    @abstractmethod
    def assignment(self) -> nodes.Assign: ...

    @abstractmethod
    def block_of_actions(self, name: str) -> nodes.Block: ...


def is_constant(e: Expression) -> bool:
    """Whether its value is known before anything runs, in Kamailio's sense."""
    if isinstance(e, (Number, String)):
        return True
    if isinstance(e, Unary):
        return is_constant(e.operand)
    if isinstance(e, Binary):
        return is_constant(e.left) and is_constant(e.right)
    return False
