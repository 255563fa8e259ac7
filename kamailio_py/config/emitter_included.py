"""Statements of a block that come from another file: a function of their own, because code has one file name.

So tracebacks, coverage and debuggers find the lines of an included file in that file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kamailio_py.config import nodes


def runs(body: Sequence[nodes.Statement], path: str) -> Iterator[tuple[int, int, bool]]:
    """The parts of a block as (start, end, from another file)."""
    start = 0
    while start < len(body):
        other = body[start].at.path
        end = start + 1
        while end < len(body) and body[end].at.path == other:
            end += 1
        yield start, end, other != path and not any(breaks_out(statement) for statement in body[start:end])
        start = end


def breaks_out(s: nodes.Statement) -> bool:
    """Has it a `break` for a loop or switch around it? That cannot leave a function."""
    match s:
        case nodes.Break():
            return True
        case nodes.If():
            parts = [*s.then.statements, *(s.otherwise.statements if s.otherwise is not None else ())]
            return any(breaks_out(part) for part in parts)
        case nodes.Block():
            return any(breaks_out(part) for part in s.statements)
    return False
