"""A compiled config: its routes as Python functions, by name and by number. Plain data; knows nothing of the server.

Numbers exist for what other processes run later: a route a task names, or the rest of a block of actions after a
suspension. Compiling comes before forking, so all processes count alike.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from kamailio_py.config.nodes import RouteKind
from kamailio_py.dataclass import dataclass, field

LINE_BITS = 20
MOST_FILES, MOST_LINES = (1 << 32 - LINE_BITS) - 1, (1 << LINE_BITS) - 1

MAIN = "0"
"""Name of the unnamed block of each kind."""


@dataclass(slots=True)
class Entry:
    """One block that can be run: a route, or what follows a suspending call (`continues` is the route it stands in)."""

    number: int
    kind: RouteKind
    name: str
    call: Callable[[Any], int]
    path: str
    line: int
    continues: Entry | None = None

    @property
    def title(self) -> str:
        """As a person would name it: `request_route`, `route[X]`, `failure_route[X] after line 12`."""
        if self.continues is not None:
            return f"{self.continues.title} after line {self.line}"
        if self.name == MAIN:
            return str(self.kind)
        kind = "route" if self.kind is RouteKind.REQUEST else self.kind
        return f"{kind}[{self.name}]"


def nothing(ctx: Any) -> int:
    """What runs where no action follows."""
    return 1


@dataclass(slots=True)
class Program:
    """All blocks of a config. Entry 0 stands for "nothing follows"; the others are in the order of the file."""

    path: str
    entries: list[Entry] = field(default_factory=list)
    namespace: dict[str, Any] = field(default_factory=dict)
    trees: list[ast.FunctionDef] = field(default_factory=list)
    places: list[tuple[str, str, int]] = field(default_factory=list)  # title, path and line of each tree
    files: list[str] = field(default_factory=list)  # by their number in places of the config
    _by_name: dict[tuple[RouteKind, str], Entry] = field(default_factory=dict)

    def find(self, kind: RouteKind, name: str) -> Entry | None:
        """The block of this kind and name; the unnamed one is MAIN."""
        return self._by_name.get((kind, name))

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        if entry.continues is None and entry.number:
            self._by_name[entry.kind, entry.name] = entry

    def describe(self) -> dict[str, Any]:
        """What those need who look on from outside: files and routes by their numbers."""
        routes = [[entry.title, entry.path, entry.line] for entry in self.entries]
        return {"cfg": self.path, "line_bits": LINE_BITS, "files": self.files, "routes": routes}

    def place(self, path: str, line: int) -> int:
        """A line of the config as one number, as the process table and the trace have it."""
        if path not in self.files:
            self.files.append(path)
        return min(self.files.index(path), MOST_FILES) << LINE_BITS | min(line, MOST_LINES)

    @property
    def main_onsend(self) -> Entry | None:
        return self.find(RouteKind.ONSEND, MAIN)


def source(program: Program) -> str:
    """The generated Python, for people: each function under a comment that says where in the cfg it comes from."""
    parts = []
    for tree, (title, path, line) in zip(program.trees, program.places, strict=True):
        parts.append(f"# {title}: {path}:{line}\n{ast.unparse(tree)}\n")
    return "\n\n".join(parts)
