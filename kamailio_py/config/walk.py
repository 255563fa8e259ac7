"""Walks over the syntax tree that several passes need."""

from __future__ import annotations

from collections.abc import Iterator

from kamailio_py.config import nodes


def children(node: nodes.Node) -> Iterator[nodes.Node]:
    """The nodes right below a node, in the order of the text."""
    for name in node.__match_args__:
        value = getattr(node, name)
        if isinstance(value, nodes.Node):
            yield value
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, nodes.Node):
                    yield item


def all_nodes(node: nodes.Node) -> Iterator[nodes.Node]:
    """The node and everything below it, in the order of the text."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += reversed(list(children(found)))


def route_name(e: nodes.RouteCall) -> str | None:
    """The name a `route(...)` has in the cfg, None when it is computed."""
    match e.name:
        case nodes.Identifier(name=name):
            return name
        case nodes.String(value=text):
            return text
        case nodes.Number(value=number):
            return str(number)
    return None


def called_routes(node: nodes.Node) -> Iterator[str | None]:
    """Names of the routes that are called below a node; None stands for a computed name."""
    for found in all_nodes(node):
        if isinstance(found, nodes.RouteCall):
            yield route_name(found)


def calls_out(s: nodes.Statement) -> bool:
    """May the statement itself, not those of blocks inside it, take long: does it call, loop, write, read a table?"""
    match s:
        case nodes.Assign(target=nodes.PVariable(text=text)) if not text.startswith("$var("):
            return True
        case nodes.ExpressionStatement(value=value) | nodes.Assign(value=value):
            own: nodes.Expression | None = value
        case nodes.If(test=value) | nodes.Switch(subject=value):
            own = value
        case nodes.Terminator(value=found):
            own = found
        case _:
            return isinstance(s, nodes.While)
    return own is not None and any(map(_calls, all_nodes(own)))


def _calls(node: nodes.Node) -> bool:
    """A function, or a value by key as `$sht(table=>key)`, which lies in a table with a lock."""
    if isinstance(node, nodes.PVariable):
        return "=>" in node.text
    return isinstance(node, (nodes.Call, nodes.CoreCall))
