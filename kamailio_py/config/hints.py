"""How to mend a mistake, as far as it can be guessed: names spelt nearly alike, modules that are not loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kamailio_py.config import known, tokens
from kamailio_py.config.host import Host
from kamailio_py.config.parameters import PARAMETERS

_PV_NAME = re.compile(r"\$\(?([A-Za-z_]\w*)")
MAX_SHOWN = 3


def close(name: str, names: Iterable[str], cutoff: float = 0.75) -> str:
    """ "did you mean x?", or "" if nothing is near."""
    from difflib import get_close_matches

    found = get_close_matches(name, list(names), 1, cutoff)
    if not found:
        folded = {known_name.lower(): known_name for known_name in names}
        found = [folded[name.lower()]] if name.lower() in folded else []
    return f"did you mean {found[0]}?" if found and found[0] != name else ""


class Hints:
    """Hints that depend on what is loaded."""

    def __init__(self, host: Host, loaded: list[str]) -> None:
        self.host = host
        self.loaded = loaded

    @staticmethod
    def close(name: str, names: Iterable[str]) -> str:
        return close(name, names)

    def function(self, name: str, nargs: int) -> str:
        """Why `name` with that many arguments is not known."""
        counts = [count for count in range(11) if self.host.find_function(name, count) is not None]
        if counts:
            return f"{name} takes {' or '.join(str(count) for count in counts)} arguments, not {nargs}"
        modules = [module for module in self.host.function_modules(name) if module not in self.loaded]
        modules = modules or [module for module in known.modules_exporting(name) if module not in self.loaded]
        if modules:
            lines = " or ".join(f'loadmodule "{module}.so"' for module in modules[:MAX_SHOWN])
            return f"{name} is a function of a module that is not loaded: {lines}"
        near = close(name, [*self.host.function_names(), *tokens.CORE_FUNCTIONS])
        if near:
            return f"there is no function {name}: {near}"
        near = close(name, known.function_names())
        return f"there is no function {name}" + (f": {near}" if near else "")

    def bare_word(self, name: str) -> str:
        """An identifier where a call or value is expected."""
        near = close(name, [*tokens.KEYWORDS, *self.host.function_names()], 0.85)
        return f"{name} is no keyword and no define; {near}" if near else f"{name} is no keyword and no define"

    def module(self, name: str, reason: str) -> str:
        plain = name.rpartition("/")[2].removesuffix(".so")
        if plain in self.loaded:
            return f"{plain} is loaded already"
        parts = [reason] if reason and reason != "failed to load module" else []
        if plain not in known.known_exports():
            near = close(plain, known.known_exports())
            parts += [near] if near else []
        return "; ".join(parts) or f"module {plain} was not found"

    def module_parameter(self, module: str, name: str, reason: str) -> str:
        parts = [reason.removeprefix("Can't set module parameter").lstrip(": ")]
        exports = known.known_exports().get(module)
        if exports is not None and module not in self.loaded:
            parts.append(f'a line loadmodule "{module}.so" must come before')
        elif exports is not None and name not in exports["params"]:
            parts.append(close(name, exports["params"]))
        elif exports is None:
            parts.append(close(module, self.loaded))
        return "; ".join(part for part in parts if part)

    def parameter(self, name: str) -> str:
        near = close(name, PARAMETERS)
        return f"there is no parameter {name}" + (f": {near}" if near else "")

    def pvar(self, text: str, reason: str) -> str:
        match = _PV_NAME.match(text)
        if match is None:
            return reason
        name = match.group(1)
        modules = [module for module in known.modules_with_pv(name) if module != "core"]
        if modules and not set(modules) & set(self.loaded):
            return f'${name} needs loadmodule "{modules[0]}.so"'
        if modules or "core" in known.modules_with_pv(name):
            return reason
        return close(name, known.pv_names(), 0.6) or reason
