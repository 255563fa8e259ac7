"""A Host for tests of the config room: it knows all of Kamailio's modules by name, and loads none of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kamailio_py.config.arguments import STR, Argument
from kamailio_py.config.host import RouteType
from kamailio_py.config.known import known_exports, modules_exporting

_PV = re.compile(r"\$(?:\((?P<outer>.*)\)|(?P<plain>[A-Za-z_?]\w*)(?P<inner>\(.*\))?)\Z", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*|\?")
_IN_FORMAT = re.compile(r"\$def\((\w+)\)")


def nothing(*_: Any) -> int:
    return 1


@dataclass
class KnownFunction:
    name: str
    routes: RouteType
    module: str
    arguments: tuple[Argument, ...] = (STR,)
    call: Any = nothing


@dataclass
class KnownPVar:
    text: str
    writable: bool
    transformed: bool
    type: str = "any"
    source: str = ""
    static: str | None = None
    get: Any = nothing
    set: Any = nothing


@dataclass
class KnownFormat:
    parts: list[Any]


@dataclass
class KnownHost:
    """With `everything` all functions and pseudo-variables exist without a loadmodule line."""

    everything: bool = False
    modules: list[str] = field(default_factory=list)
    globals: dict[str, int | str] = field(default_factory=dict)
    params: list[tuple[str, str, int | str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def load_module(self, name: str) -> str:
        plain = name.rpartition("/")[2].removesuffix(".so")
        if plain not in known_exports() or plain == "core":
            raise ValueError(f"could not find module <{plain}>")
        if plain in self.modules:
            raise ValueError("failed to load module")
        self.modules.append(plain)
        return plain

    def add_module_path(self, path: str) -> None:
        self.paths.append(path)

    def set_module_param(self, module: str, name: str, value: int | str) -> None:
        try:
            pattern = re.compile(f"^({module})$", re.IGNORECASE)
        except re.error:
            raise ValueError("Can't set module parameter") from None
        matching = [loaded for loaded in self.modules if pattern.match(loaded)]
        if not matching:
            raise ValueError(f"No module matching <{module}> found")
        for loaded in matching:
            if ("i" if isinstance(value, int) else "s") not in known_exports()[loaded]["params"].get(name, ""):
                raise ValueError(f"parameter <{name}> not found in module <{loaded}>")
        self.params.append((module, name, value))

    def set_global(self, name: str, value: int | str) -> None:
        self.globals[name] = value

    def _loaded(self) -> Iterable[str]:
        return known_exports() if self.everything else ["core", *self.modules]

    def find_function(self, name: str, nargs: int) -> KnownFunction | None:
        for module in self._loaded():
            for count, mask in known_exports()[module]["functions"].get(name, ()):
                if count in (nargs, -1):
                    return KnownFunction(name, RouteType(mask), module)
        return None

    def find_core_function(self, name: str, nargs: int) -> KnownFunction | None:
        return None

    def function_names(self) -> Iterable[str]:
        return [name for module in self._loaded() for name in known_exports()[module]["functions"]]

    def function_modules(self, name: str) -> Iterable[str]:
        return modules_exporting(name)

    def pvar(self, text: str, strict: bool) -> KnownPVar:
        match = _PV.match(text)
        inside = (match["outer"] if match["outer"] is not None else match["plain"]) if match else ""
        name = _NAME.match(inside)
        if match is None or name is None:
            raise ValueError(f"wrong char in [{text}]")
        for module in self._loaded():
            attributes = known_exports()[module]["pvs"].get(name.group())
            if attributes is not None:
                return KnownPVar(text, "w" in attributes, match["outer"] is not None and "{" in inside)
        if strict:
            raise ValueError(f'error searching pvar "{name.group()}"')
        return KnownPVar(text, True, False)

    def format(self, text: str) -> KnownFormat:
        return KnownFormat([text])

    def select(self, text: str) -> KnownPVar:
        return KnownPVar(text, False, False)

    def evaluate(self, text: str) -> str:
        """Every $def() is 5."""
        return _IN_FORMAT.sub("5", text)
