"""The globals of the generated code: helpers of the run-time, functions, pseudo-variables, constants; readable names.

One namespace for all routes of a config. What a name stands for is made once, when the config is compiled.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

from kamailio_py.config.emitter_ast import call, const, ctx, name, python
from kamailio_py.config.host import FormatSpec, Host, PVarSpec

_NO_NAME = re.compile(r"\W+")


def _untraced(ctx: Any, action: tuple[Any, ...]) -> None:
    """What traces where nobody traces."""


class Names:
    """Gives objects their names in generated code."""

    def __init__(self, host: Host, runtime: dict[str, Any]) -> None:
        self.host = host
        # HERE[0] is where the script is; each process puts a word of shared memory in its place
        # TRACE[0] is whether actions are traced, which the debugger module sees to in the same way
        # that of a module: PyPy's compiler takes what stands there for constant until it changes
        self.namespace = vars(ModuleType("kamailio_cfg"))
        self.namespace.update(runtime, HERE=[0], TRACE=[0], trace=_untraced)
        self._names: dict[int, str] = {}
        self._kept: list[object] = []  # whose id() is in _names must not be freed
        self._pvars: dict[str, PVarSpec] = {}
        self._formats: dict[str, FormatSpec] = {}
        self._regexes: dict[tuple[str, bool], str] = {}

    def bind(self, hint: str, value: Any) -> str:
        """The global name of `value`, made from `hint` when it has none yet."""
        known = self._names.get(id(value))
        if known is not None:
            return known
        found = self.reserve(hint)
        self.namespace[found] = value
        self._names[id(value)] = found
        self._kept.append(value)
        return found

    def reserve(self, hint: str) -> str:
        """An unused global name that looks like `hint`."""
        base = _NO_NAME.sub("_", hint.replace("$", "")).strip("_") or "unnamed"
        if (
            base[0].isdigit()
            or keyword.iskeyword(base)
            or hasattr(builtins, base)
            or base in ("ctx", "rc", "value", "level")
        ):
            base = f"_{base}"
        found, number = base, 1
        while found in self.namespace:
            number += 1
            found = f"{base}_{number}"
        self.namespace[found] = None
        return found

    # pseudo-variables

    def pvar(self, text: str) -> PVarSpec:
        if text not in self._pvars:
            self._pvars[text] = self.host.pvar(text, False)
        return self._pvars[text]

    def select(self, text: str) -> PVarSpec:
        key = f"@{text}"
        if key not in self._pvars:
            self._pvars[key] = self.host.select(text)
        return self._pvars[key]

    def format(self, text: str) -> FormatSpec:
        if text not in self._formats:
            self._formats[text] = self.host.format(text)
        return self._formats[text]

    def read(self, pvar: PVarSpec) -> ast.expr:
        """The expression that gives a pseudo-variable's value."""
        if pvar.static is not None:
            return ast.Subscript(name("VARS"), const(pvar.static), ast.Load())
        if pvar.source:
            return python(pvar.source)
        return call(self.bind(f"pv_{pvar.text}", pvar.get), ctx())

    def read_int(self, pvar: PVarSpec) -> ast.expr | None:
        """The expression for int contexts, of a pseudo-variable that has a number besides its text."""
        number: Callable[[Any], int] | None = getattr(pvar, "get_int", None)
        return None if number is None else call(self.bind(f"number_{pvar.text}", number), ctx())

    def read_text(self, pvar: PVarSpec) -> ast.expr | None:
        """The expression for formats, of a pseudo-variable that is printed in another way than its value."""
        text: Callable[[Any], str] | None = getattr(pvar, "get_text", None)
        return None if text is None else call(self.bind(f"text_{pvar.text}", text), ctx())

    def write(self, pvar: PVarSpec, value: ast.expr) -> ast.expr:
        return call(self.bind(f"set_{pvar.text}", pvar.set), ctx(), value)

    # regexes

    def regex(self, text: str, icase: bool = True, newline: bool = False) -> str:
        """The name of the compiled pattern; ValueError when the text is no regex."""
        key = (f"{int(icase)}{int(newline)}{text}", newline)
        if key not in self._regexes:
            pattern = self.namespace["compile_posix"](text, icase=icase, newline=newline)
            self._regexes[key] = self.bind(f"RE_{text}"[:40], pattern)
        return self._regexes[key]
