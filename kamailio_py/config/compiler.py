"""From the syntax tree to a Program: every route a Python function, with the cfg's own line numbers and file name.

All errors are collected and raised together. What the generated code needs of the running script is given as
`runtime`, one dict of helpers by name (script.runtime.NAMESPACE); this room imports none of it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kamailio_py.config import nodes
from kamailio_py.config.emitter import FunctionEmitter
from kamailio_py.config.emitter_ast import call, ctx
from kamailio_py.config.emitter_expressions import Expressions
from kamailio_py.config.emitter_names import Names
from kamailio_py.config.emitter_statements import Mode
from kamailio_py.config.emitter_traces import Action
from kamailio_py.config.emitter_values import reject
from kamailio_py.config.errors import CfgError, CfgErrors, CfgWarning, Position
from kamailio_py.config.host import Host
from kamailio_py.config.nodes import RouteKind
from kamailio_py.config.program import MAIN, Entry, Program, nothing
from kamailio_py.config.walk import called_routes


def compile_config(
    config: nodes.Config,
    host: Host,
    runtime: dict[str, Any],
    *,
    traced: bool = False,
    timed: Callable[[int, Action], None] | None = None,
) -> Program:
    """The program of a config; CfgErrors with all that is wrong in its routes.

    `traced`: its actions can be traced. `timed(begun, action)` is called after each action, with the
    perf_counter_ns() of its beginning.
    """
    return Unit(config, host, runtime, traced, timed).compile()


class Unit:
    """Everything that is compiled together: the routes of one config, their names, numbers and errors."""

    def __init__(
        self,
        config: nodes.Config,
        host: Host,
        runtime: dict[str, Any],
        traced: bool = False,
        timed: Callable[[int, Action], None] | None = None,
    ) -> None:
        self.traced = traced
        self.timed = timed
        self.config = config
        self.host = host
        self.names = Names(host, runtime)
        self.errors: list[CfgError] = []
        self.program = Program(config.path, namespace=self.names.namespace)
        self.routes = _merged(config.routes)
        self._ids: dict[tuple[RouteKind, str], str] = {}
        self._leveled: set[str] = set()
        self._continuations: dict[int, Entry] = {}
        self._callable: dict[str, tuple[Callable[..., int], bool]] = {}

    def compile(self) -> Program:
        program = self.program
        program.add(Entry(0, RouteKind.REQUEST, "", nothing, self.config.path, 0))
        for route in self.routes:
            key = (route.kind, route.name)
            if key in self._ids:
                self.errors.append(CfgError(route.at, f"duplicate route: {route.name}"))
            self._ids.setdefault(key, self.names.reserve(_function_name(route)))
        self._leveled = {self._ids[RouteKind.REQUEST, name] for name in _recursive(self.routes)}
        self.names.namespace["run_route"] = self._dynamic_call(runtime_missing=self.names.namespace["missing_route"])
        entries = [self._entry(route) for route in self.routes]
        for entry, route in zip(entries, self.routes, strict=True):
            self._route(entry, route)
        if self.errors:
            raise CfgErrors(
                sorted(self.errors, key=lambda error: (error.path != self.config.path, error.path, error.line))
            )
        return program

    def warn(self, at: Position, message: str, hint: str = "") -> None:
        self.config.warnings.append(CfgWarning(at, message, hint))

    # routes

    def _entry(self, route: nodes.Route) -> Entry:
        entry = Entry(len(self.program.entries), route.kind, route.name, nothing, route.at.path, route.at.line)
        self.program.add(entry)
        return entry

    def _route(self, entry: Entry, route: nodes.Route) -> None:
        id = self._ids[route.kind, route.name]
        emitter = FunctionEmitter(self, route, top=self._is_top(route), leveled=id in self._leveled)
        made = emitter.function(id, route.body.statements, route.at)
        entry.call = self.define(made, entry.title, route.at)
        if route.kind is RouteKind.REQUEST:
            self._callable[route.name] = (entry.call, id in self._leveled)

    def _is_top(self, route: nodes.Route) -> bool:
        """Nothing calls this route: only request routes are called by others, and the main one hardly ever is."""
        if route.kind is not RouteKind.REQUEST:
            return True
        if route.name != MAIN:
            return False
        return not any(name in (MAIN, None) for other in self.routes for name in called_routes(other.body))

    def define(self, function: ast.FunctionDef, title: str, at: Position) -> Callable[..., int]:
        """Compile one function under the file name of its place in the cfg."""
        self.program.trees.append(function)
        self.program.places.append((title, at.path, at.line))
        if self.errors:
            return nothing
        namespace = self.names.namespace
        exec(compile(ast.Module([function], []), at.path, "exec"), namespace)
        made: Callable[..., int] = namespace[function.name]
        return made

    def route(self, name: str, at: Position) -> ast.expr:
        """A call of the route of that name."""
        id = self._ids.get((RouteKind.REQUEST, name))
        if id is None:
            raise reject(at, f'route "{name}" not found', hint=_similar(name, self._ids))
        return call(id, ctx())

    def is_leveled(self, id: str) -> bool:
        return id in self._leveled or (id == "run_route" and bool(self._leveled))

    def block_function(self, within: Expressions, e: nodes.BlockExpression) -> str:
        """A `{ ... }` used as a value: a function of its own, whose `return` gives the value."""
        outer = self._ids[within.route_node.kind, within.route_node.name]
        id = self.names.reserve(f"block_{e.at.line}")
        leveled = outer in self._leveled
        if leveled:
            self._leveled.add(id)
        emitter = FunctionEmitter(self, within.route_node, top=False, leveled=leveled)
        self.define(emitter.function(id, e.body.statements, e.at), f"block in {within.route_node.name}", e.at)
        return id

    def included(
        self, within: FunctionEmitter, body: Sequence[nodes.Statement], mode: Mode, following: list[nodes.Statement]
    ) -> str:
        """A function for statements that stand in another file than the block they belong to."""
        at = body[0].at
        id = self.names.reserve(f"{self._ids[within.route_node.kind, within.route_node.name]}_included_{at.line}")
        emitter = FunctionEmitter(self, within.route_node, top=within.top, leveled=within.leveled)
        emitter.depth = within.depth
        if emitter.leveled:
            self._leveled.add(id)
        self.define(emitter.function(id, body, at, mode, following), f"included in {within.route_node.name}", at)
        return id

    def continuation(self, route: nodes.Route, e: nodes.Call | nodes.CoreCall, rest: list[nodes.Statement]) -> int:
        """The number of the entry that runs `rest`, made at its first use."""
        known = self._continuations.get(id(e))
        if known is not None:
            return known.number
        whole = self.program.find(route.kind, route.name)
        entry = Entry(len(self.program.entries), route.kind, route.name, nothing, e.at.path, e.at.line, whole)
        self.program.add(entry)
        self._continuations[id(e)] = entry
        outer = self._ids[route.kind, route.name]
        name = self.names.reserve(f"{outer}_after_{e.at.line}")
        emitter = FunctionEmitter(self, route, top=True, leveled=outer in self._leveled)
        if emitter.leveled:
            self._leveled.add(name)
        entry.call = self.define(emitter.function(name, rest, rest[0].at), entry.title, rest[0].at)
        return entry.number

    def _dynamic_call(self, runtime_missing: Callable[[str, str], int]) -> Callable[..., int]:
        """`route($var(x))`: by name at run time; `$rc` is left alone when there is no such route."""
        routes = self._callable

        def run_route(ctx: Any, name: str, place: str, level: int = 1) -> int:
            found = routes.get(name)
            if found is None:
                return runtime_missing(name, place)
            function, leveled = found
            rc: int = function(ctx, level) if leveled else function(ctx)
            ctx.rc = rc
            return rc

        return run_route


def _merged(routes: list[nodes.Route]) -> list[nodes.Route]:
    """Unnamed blocks of one kind are one block, in the order of the file."""
    found: list[nodes.Route] = []
    main: dict[RouteKind, nodes.Route] = {}
    for route in routes:
        if route.name == MAIN and route.kind in main:
            main[route.kind].body.statements.extend(route.body.statements)
            continue
        if route.name == MAIN:
            route = nodes.Route(route.at, route.kind, MAIN, nodes.Block(route.body.at, list(route.body.statements)))
            main[route.kind] = route
        found.append(route)
    return found


def _function_name(route: nodes.Route) -> str:
    if route.name == MAIN:
        return str(route.kind)
    return f"route_{route.name}" if route.kind is RouteKind.REQUEST else f"{route.kind}_{route.name}"


def _recursive(routes: list[nodes.Route]) -> Iterator[str]:
    """Names of request routes from which some route can be reached again while it is still running."""
    calls: dict[str, set[str]] = {}
    request = [route for route in routes if route.kind is RouteKind.REQUEST]
    names = {route.name for route in request}
    for route in request:
        called = set(called_routes(route.body))
        calls[route.name] = names if None in called else {name for name in called if name in names}
    reach: dict[str, set[str]] = {}
    for name in calls:
        seen: set[str] = set()
        waiting = list(calls[name])
        while waiting:
            other = waiting.pop()
            if other not in seen:
                seen.add(other)
                waiting.extend(calls[other])
        reach[name] = seen
    cyclic = {name for name in calls if name in reach[name]}
    for name in calls:
        if name in cyclic or reach[name] & cyclic:
            yield name


def _similar(name: str, ids: dict[tuple[RouteKind, str], str]) -> str:
    from difflib import get_close_matches

    names = [known for kind, known in ids if kind is RouteKind.REQUEST and known != MAIN]
    close = get_close_matches(name, names, 1)
    return f"did you mean route[{close[0]}]?" if close else ""
