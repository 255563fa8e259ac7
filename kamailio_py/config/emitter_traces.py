"""Actions as the debugger traces them: in a config that is compiled for it, each says where it is before it runs.

`TRACE[0]` is a word of the process, 0 while nobody wants to know; configs that are compiled without have none of this.
Numbers and names are Kamailio's; lines are those where the statement begins (Kamailio has for `if`, `while` and
`switch` the line at which its parser knew that they had ended).
"""

from __future__ import annotations

import ast
from time import perf_counter_ns
from typing import NamedTuple

from kamailio_py.config import nodes
from kamailio_py.config.emitter_ast import assign, both, call, const, ctx, do, name, when
from kamailio_py.config.emitter_names import Names
from kamailio_py.config.nodes import End
from kamailio_py.config.program import MAIN

MODULE_FUNCTION = 24
"""Number of a module's function without arguments; one more for each argument."""

CORE_FUNCTIONS = {
    "setflag": (39, "setflag"), "resetflag": (40, "resetflag"), "isflagset": (41, "isflagset"), "log": (3, "log"),
    "rewritehost": (7, "sethost"), "rewritehostport": (8, "sethostport"),
    "rewritehostporttrans": (13, "sethostporttrans"), "rewriteuser": (9, "setuser"),
    "rewriteuserpass": (10, "setuserpass"), "rewriteport": (11, "setport"), "rewriteuri": (12, "seturi"),
    "revert_uri": (50, "reverturi"), "prefix": (44, "prefix"), "strip": (45, "strip"), "strip_tail": (46, "striptail"),
    "userphone": (15, "setuserphone"), "force_rport": (55, "force_rport"), "add_local_rport": (56, "add_local_rport"),
    "force_tcp_alias": (59, "force_tcp_alias"), "force_send_socket": (62, "force_send_socket"),
    "set_forward_no_connect": (66, "set_fwd_no_connect"), "set_forward_close": (68, "set_fwd_close"),
    "set_reply_no_connect": (67, "set_rpl_no_connect"), "set_reply_close": (69, "set_rpl_close"),
    "udp_mtu_try_proto": (65, "udp_mtu_try_proto"), "forward": (1, "forward"), "cfg_select": (70, "unknown"),
}  # fmt: skip
ENDS = {End.RETURN: "return", End.EXIT: "exit", End.DROP: "drop"}


class Action(NamedTuple):
    """What is traced: the place, Kamailio's number and name of the action, and the block it stands in."""

    path: str
    line: int
    number: int
    name: str
    route: str


def action(node: nodes.Node, route: nodes.Route) -> Action | None:
    """The action that a statement or a call is; None for what is none of its own."""
    match node:
        case nodes.Call(name=named, args=args):
            number = MODULE_FUNCTION + len(args)
        case nodes.CoreCall(name=written):
            number, named = CORE_FUNCTIONS.get(written, (70, "unknown"))
        case nodes.RouteCall():
            number, named = 5, "route"
        case nodes.Assign():
            number, named = 63, "assign"
        case nodes.If():
            number, named = 16, "if"
        case nodes.While():
            number, named = 23, "while"
        case nodes.Switch():
            number, named = 21, "switch"
        case nodes.Break():
            number, named = 2, "exit"
        case nodes.Terminator(kind=kind):
            number, named = 2, ENDS[kind]
        case nodes.ExpressionStatement(value=value) if isinstance(value, (nodes.Call, nodes.CoreCall, nodes.RouteCall)):
            return action(value, route)
        case _:
            return None
    return Action(node.at.path, node.at.line, number, named, "DEFAULT_ROUTE" if route.name == MAIN else route.name)


def _wanted() -> ast.expr:
    return ast.Subscript(name("TRACE"), const(0), ast.Load())


def traced(found: Action) -> ast.stmt:
    """The statement that traces an action."""
    return when(_wanted(), [do(call("trace", ctx(), const(tuple(found))))])


def timed(found: Action, made: list[ast.stmt], begun: str, took: str, names: Names) -> list[ast.stmt]:
    """The statements of an action with what tells how long they took; `took` is the name of who is told."""
    tell = do(call(took, name(begun), name(names.bind("action", found))))
    return [assign(begun, call(names.bind("now", perf_counter_ns))), ast.Try(made, [], [], [tell])]


def traced_value(found: Action, value: ast.expr) -> ast.expr:
    """`value`, and the trace before it."""
    return both(both(_wanted(), call("trace", ctx(), const(tuple(found)))), value, disjunction=True)
