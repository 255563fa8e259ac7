"""Warnings for what Kamailio accepts in a config and would show only while it runs, if at all.

Each check is a function over the whole config that gives warnings with a hint; the errors that Kamailio itself finds
are the parser's and the compiler's. `--strict` makes errors of these warnings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from kamailio_py.config import arguments as kinds
from kamailio_py.config import nodes
from kamailio_py.config.errors import CfgWarning, Position
from kamailio_py.config.host import FunctionSpec, Host
from kamailio_py.config.nodes import RouteKind
from kamailio_py.config.program import MAIN
from kamailio_py.config.types import constant
from kamailio_py.config.walk import all_nodes, children

_ROUTES_NAMED_BY = {
    "t_on_failure": RouteKind.FAILURE,
    "t_on_branch": RouteKind.BRANCH,
    "t_on_reply": RouteKind.REPLY,
    "t_on_branch_failure": RouteKind.EVENT,
}
"""Functions whose ROUTE argument names another kind than a request route."""

SUSPENDING = frozenset(
    (
        "async_sleep", "async_ms_sleep", "async_usleep", "async_route", "async_ms_route", "async_task_route",
        "async_task_group_route", "t_suspend", "http_async_query", "sworker_task",
    )
)  # fmt: skip
"""Functions after which another process may go on with the request, without this one's $var()s."""

RESULT_MATTERS = {"t_suspend": "if it fails nobody will ever resume or answer the request"}

_VAR = re.compile(r"\$\(?var\(([^()$]+)\)")


def check(config: nodes.Config, host: Host) -> list[CfgWarning]:
    """All warnings, in the order of the file."""
    found = [
        *missing_routes(config, host),
        *unreachable(config),
        *unchecked_results(config),
        *variables_across_suspension(config, host),
    ]
    return sorted(found, key=lambda warning: (warning.path, warning.line, warning.column))


def missing_routes(config: nodes.Config, host: Host) -> Iterator[CfgWarning]:
    """A constant name of a route, given to a function, that no route has."""
    known = {(route.kind, route.name) for route in config.routes}
    for call, argument in _route_arguments(config, host):
        name = constant(argument)
        if not isinstance(name, str) or not name or "$" in name:
            continue
        kind = _ROUTES_NAMED_BY.get(call.name, RouteKind.REQUEST)
        wanted = f"tm:branch-failure:{name}" if kind is RouteKind.EVENT else name
        if (kind, wanted) in known:
            continue
        names = [other for other_kind, other in known if other_kind is kind and other != MAIN]
        from difflib import get_close_matches

        close = get_close_matches(wanted, names, 1)
        title = "route" if kind is RouteKind.REQUEST else kind
        hint = f"did you mean {title}[{close[0]}]?" if close else f"there is no {title}[{wanted}]"
        yield CfgWarning(argument.at, f'{call.name}(): route block "{name}" not found', hint)


def _route_arguments(config: nodes.Config, host: Host) -> Iterator[tuple[nodes.Call, nodes.Expression]]:
    """Calls with the arguments that name routes."""
    for call in _calls(config):
        spec = host.find_function(call.name, len(call.args))
        if spec is not None:
            for index, kind in enumerate(_written(spec)):
                if kind is kinds.ROUTE:
                    yield call, call.args[index]


def _written(spec: FunctionSpec) -> list[kinds.Argument]:
    return [argument for argument in spec.arguments if argument.written]


def _calls(config: nodes.Config) -> Iterator[nodes.Call]:
    for route in config.routes:
        for node in all_nodes(route):
            if isinstance(node, nodes.Call):
                yield node


def unreachable(config: nodes.Config) -> Iterator[CfgWarning]:
    """A statement right behind one that always leaves the block."""
    for route in config.routes:
        for node in all_nodes(route):
            if isinstance(node, nodes.Block):
                for before, after in zip(node.statements, node.statements[1:], strict=False):
                    if isinstance(before, (nodes.Terminator, nodes.Break)):
                        word = before.kind if isinstance(before, nodes.Terminator) else "break"
                        yield CfgWarning(
                            after.at, "statement is never reached", f"line {before.at.line} ends with {word}"
                        )
                        break


def unchecked_results(config: nodes.Config) -> Iterator[CfgWarning]:
    """A suspending function whose failure goes unnoticed."""
    for route in config.routes:
        for node in all_nodes(route):
            if isinstance(node, nodes.ExpressionStatement) and isinstance(node.value, nodes.Call):
                reason = RESULT_MATTERS.get(node.value.name)
                if reason is not None:
                    yield CfgWarning(node.at, f"result of {node.value.name}() is not checked", reason)


def variables_across_suspension(config: nodes.Config, host: Host) -> Iterator[CfgWarning]:
    """A `$var()` set before the request is suspended and read where it is resumed: by then it belongs to others."""
    routes = {(route.kind, route.name): route for route in config.routes}
    for route in config.routes:
        for block in _blocks(route):
            for index, statement in enumerate(block.statements):
                for call in _suspending(statement):
                    before = _set_before(route, call)
                    if not before:
                        continue
                    for resumed in _resumed(call, block.statements[index + 1 :], routes, host):
                        yield from _stale(resumed, before, call)


def _blocks(route: nodes.Route) -> Iterator[nodes.Block]:
    for node in all_nodes(route):
        if isinstance(node, nodes.Block):
            yield node


def _suspending(statement: nodes.Statement) -> Iterator[nodes.Call]:
    """Suspending calls of this statement itself, not of blocks inside it."""
    if isinstance(statement, nodes.ExpressionStatement):
        roots: tuple[nodes.Node, ...] = (statement.value,)
    elif isinstance(statement, (nodes.If, nodes.While)):
        roots = (statement.test,)
    elif isinstance(statement, nodes.Assign):
        roots = (statement.value,)
    else:
        return
    for root in roots:
        for node in all_nodes(root):
            if isinstance(node, nodes.Call) and node.name in SUSPENDING:
                yield node


def _set_before(route: nodes.Route, call: nodes.Call) -> dict[str, int]:
    """Variables assigned in the route before the call, with the line."""
    found: dict[str, int] = {}
    for node in all_nodes(route):
        if node is call:
            break
        if isinstance(node, nodes.Assign):
            found.update((name, node.at.line) for name in _names(node.target))
    return found


def _resumed(
    call: nodes.Call,
    rest: Sequence[nodes.Statement],
    routes: dict[tuple[RouteKind, str], nodes.Route],
    host: Host,
) -> Iterator[Sequence[nodes.Statement]]:
    """The statements that run after the suspension: what follows, or the named route."""
    spec = host.find_function(call.name, len(call.args))
    if spec is None:
        return
    if kinds.CONTINUATION in spec.arguments:
        yield rest
    for index, kind in enumerate(_written(spec)):
        if kind is kinds.ROUTE:
            route = routes.get((RouteKind.REQUEST, str(constant(call.args[index]))))
            if route is not None:
                yield route.body.statements


def _stale(resumed: Sequence[nodes.Statement], before: dict[str, int], call: nodes.Call) -> Iterator[CfgWarning]:
    """The first read of each variable that comes before it is set again."""
    waiting = dict(before)
    for statement in resumed:
        for name, at, sets in _uses(statement):
            line = waiting.pop(name, None)
            if line is not None and not sets:
                yield CfgWarning(
                    at,
                    f"$var({name}) is read after {call.name}() suspended the request: it has another value there",
                    f"it was set in line {line}; use $avp({name}), which goes with the request",
                )


def _uses(node: nodes.Node) -> Iterator[tuple[str, Position, bool]]:
    """Variables that are read (False) or set (True), in the order in which that happens."""
    if isinstance(node, nodes.Assign):
        yield from _uses(node.value)
        for name in _names(node.target):
            yield name, node.at, True
        return
    for name in _names(node):
        yield name, node.at, False
    for part in children(node):
        yield from _uses(part)


def _names(node: nodes.Node) -> Iterator[str]:
    """The variables that a pseudo-variable or a text names."""
    if isinstance(node, (nodes.PVariable, nodes.String)):
        text = node.text if isinstance(node, nodes.PVariable) else node.value
        for match in _VAR.finditer(text):
            yield match[1]
