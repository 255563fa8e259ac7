"""What the compiler needs from the server it compiles for: modules, functions, pseudo-variables, parameters.

The language is checked against names that exist, and they appear while the file is read: a function is known once its
`loadmodule` line has been passed. The config room knows only this protocol; `engine.core.Core` implements it, and
tests give a small one. Every method reports a mistake of the cfg author by raising ValueError with Kamailio's words;
the caller adds the place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntFlag
from typing import Any, Protocol

from kamailio_py.config.arguments import Argument


class RouteType(IntFlag):
    """Where a function may be called, and what kind of route is running (Kamailio's masks)."""

    REQUEST = 1
    FAILURE = 2
    TM_ONREPLY = 4
    BRANCH = 8
    ONSEND = 16
    ERROR = 32
    LOCAL = 64
    CORE_ONREPLY = 128
    BRANCH_FAILURE = 256
    ONREPLY = 128 | 4
    EVENT = 1 | 512
    ANY = 0x3FF


class FunctionSpec(Protocol):
    """A callable of the script: `call(ctx, *args) -> int`, prepared arguments as `arguments` says."""

    @property
    def name(self) -> str: ...

    @property
    def arguments(self) -> tuple[Argument, ...]: ...

    @property
    def routes(self) -> RouteType: ...

    @property
    def call(self) -> Callable[..., int]: ...

    @property
    def module(self) -> str: ...


class PVarSpec(Protocol):
    """A pseudo-variable bound to its inner name, index and transformations (script.pvars.PVar)."""

    text: str
    writable: bool
    transformed: bool
    type: str  # "int", "str" or "any": what get() gives when it is not None
    source: str  # Python expression over `ctx` that does the same as get(ctx), or ""
    static: str | None  # name of a plain $var(name), which the emitter keeps in the `VARS` dict

    get: Callable[[Any], int | str | None]
    set: Callable[[Any, int | str | None], bool]


class FormatSpec(Protocol):
    """A string with pseudo-variables in it: constant parts and PVarSpecs."""

    @property
    def parts(self) -> Sequence[str | PVarSpec]: ...


class Host(Protocol):
    """Everything the parser and the resolver ask for."""

    def load_module(self, name: str) -> str:
        """Load it and return its plain name (`tm` for "tm.so"); ValueError when missing or loaded twice."""

    def add_module_path(self, path: str) -> None: ...

    def set_module_param(self, module: str, name: str, value: int | str) -> None:
        """`module` is the pattern of modparam()."""

    def set_global(self, name: str, value: int | str) -> None: ...

    def find_function(self, name: str, nargs: int) -> FunctionSpec | None:
        """By name and number of written arguments, last loaded module first."""

    def find_core_function(self, name: str, nargs: int) -> FunctionSpec | None: ...

    def function_names(self) -> Iterable[str]: ...

    def function_modules(self, name: str) -> Iterable[str]:
        """Modules known to export a function of this name, loaded or not, for hints."""

    def pvar(self, text: str, strict: bool) -> PVarSpec:
        """Parse `$...`; with `strict` an unknown name is a ValueError, otherwise it is the AVP of that name."""

    def format(self, text: str) -> FormatSpec: ...

    def select(self, text: str) -> PVarSpec: ...

    def evaluate(self, text: str) -> str:
        """Value at load time of a string with pseudo-variables (loadmodulex, modparamx, substdef)."""
