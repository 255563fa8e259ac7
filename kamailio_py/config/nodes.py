"""The syntax tree of a kamailio.cfg: plain data, made by the parser, read by the resolver, the checks and the emitter.

Nothing here knows what a name means. Every node carries the place it came from.
"""

from __future__ import annotations

from enum import StrEnum

from kamailio_py.config.errors import CfgWarning, Position
from kamailio_py.dataclass import dataclass, field


@dataclass(slots=True)
class Node:
    at: Position


# --- expressions ------------------------------------------------------------------------------------------------


class Expression(Node):
    __slots__ = ()


@dataclass(slots=True)
class Number(Expression):
    value: int


@dataclass(slots=True)
class String(Expression):
    """A quoted string after escapes, concatenation and #!subst."""

    value: str


@dataclass(slots=True)
class Identifier(Expression):
    """A bare word where a value is expected: a host in `src_ip == example.org`, a route name, a protocol."""

    name: str


@dataclass(slots=True)
class PVariable(Expression):
    """`$name`, `$name(inner)`, `$(name(inner)[index]{transformation})`, as written and after #!subst."""

    text: str


@dataclass(slots=True)
class Select(Expression):
    """`@path.to.field`; text without the @."""

    text: str


@dataclass(slots=True)
class Attribute(Expression):
    """`%name` or `$f.name`, the old spelling of an AVP, and a `$name` that is no pseudo-variable; without its sign."""

    text: str


@dataclass(slots=True)
class Address(Expression):
    """An IP address, or a network when `mask` is set (prefix length or an address as text)."""

    host: str
    mask: str = ""


@dataclass(slots=True)
class Operand(Expression):
    """One of the old bare words: method, uri (or status), from_uri, src_ip, proto, af, msg:len, myself, udp, *, ..."""

    name: str


@dataclass(slots=True)
class Unary(Expression):
    """op: `!`, `-`, `~`, `(int)`, `(str)`, `defined`, `strlen`, `strempty`."""

    op: str
    operand: Expression


@dataclass(slots=True)
class Binary(Expression):
    """op in its symbolic form: + - * / mod == != =~ > < >= <= && || & | ^ << >> and the typed eq ne ieq ine."""

    op: str
    left: Expression
    right: Expression


@dataclass(slots=True)
class Conditional(Expression):
    """`selval(test, yes, no)`."""

    test: Expression
    yes: Expression
    no: Expression


@dataclass(slots=True)
class Call(Expression):
    """A module function."""

    name: str
    args: list[Expression]


@dataclass(slots=True)
class CoreCall(Expression):
    """A function that is a keyword of the language (forward, setflag, force_rport, log, ...), by its first name."""

    name: str
    args: list[Expression]


@dataclass(slots=True)
class RouteCall(Expression):
    """`route(NAME)`; a constant name is an Identifier, Number or String."""

    name: Expression


@dataclass(slots=True)
class BlockExpression(Expression):
    """`{ actions }` used as a value."""

    body: Block


# --- statements -------------------------------------------------------------------------------------------------


class Statement(Node):
    __slots__ = ()


@dataclass(slots=True)
class Block(Statement):
    statements: list[Statement]


@dataclass(slots=True)
class ExpressionStatement(Statement):
    """A call, or any expression standing alone."""

    value: Expression


@dataclass(slots=True)
class Assign(Statement):
    target: Expression  # PVariable or Attribute
    value: Expression


@dataclass(slots=True)
class If(Statement):
    test: Expression
    then: Block
    otherwise: Block | None = None


@dataclass(slots=True)
class While(Statement):
    test: Expression
    body: Block


@dataclass(slots=True)
class Case(Node):
    """`label` is None for default; `pattern` says that it is a regex, with `flags` as written behind it."""

    label: Expression | None
    body: Block | None
    pattern: bool = False
    flags: str = ""


@dataclass(slots=True)
class Switch(Statement):
    subject: Expression
    cases: list[Case]


@dataclass(slots=True)
class Break(Statement):
    pass


class End(StrEnum):
    RETURN = "return"
    EXIT = "exit"
    DROP = "drop"


@dataclass(slots=True)
class Terminator(Statement):
    """return, exit or drop."""

    kind: End
    value: Expression | None = None


# --- top level --------------------------------------------------------------------------------------------------


class RouteKind(StrEnum):
    REQUEST = "request_route"  # also route { } and route[NAME] { }
    REPLY = "onreply_route"
    FAILURE = "failure_route"
    BRANCH = "branch_route"
    ONSEND = "onsend_route"
    EVENT = "event_route"


@dataclass(slots=True)
class Route(Node):
    """A route block; the main ones have the name "0", as Kamailio's have."""

    kind: RouteKind
    name: str
    body: Block


@dataclass(slots=True)
class Endpoint:
    """`proto:host:port`: what was not given (or `*`) is empty; several hosts for `(a, b)`; IPv6 without brackets."""

    proto: str
    hosts: list[str]
    port: int = 0


@dataclass(slots=True)
class Listen(Node):
    endpoint: Endpoint
    advertise: Endpoint | None = None
    name: str = ""
    workers: int = 0
    virtual: bool = False


@dataclass(slots=True)
class Alias(Node):
    endpoint: Endpoint


@dataclass(slots=True)
class GlobalParameter(Node):
    name: str
    value: int | str


@dataclass(slots=True)
class CustomParameter(Node):
    """`group.name = value desc "text"`; `instance` is set for `group[N].name`."""

    group: str
    name: str
    value: int | str
    description: str = ""
    instance: int | None = None


@dataclass(slots=True)
class LoadModule(Node):
    name: str


@dataclass(slots=True)
class ModuleParameter(Node):
    module: str
    name: str
    value: int | str


@dataclass(slots=True)
class Config:
    """A whole config, in the order of the file where order matters (modules, parameters)."""

    path: str
    listens: list[Listen] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    globals: list[GlobalParameter] = field(default_factory=list)
    customs: list[CustomParameter] = field(default_factory=list)
    modules: list[LoadModule] = field(default_factory=list)
    parameters: list[ModuleParameter] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    flags: dict[str, int] = field(default_factory=dict)
    defines: dict[str, str] = field(default_factory=dict)
    define_modes: dict[str, str] = field(default_factory=dict)
    warnings: list[CfgWarning] = field(default_factory=list)
