"""What the config can name: loaded modules with their functions, parameters and pseudo-variables.

This is the `Host` of the config room: the parser asks it as it reads, because a function exists once its `loadmodule`
line has been passed. Mistakes of the cfg author are ValueErrors with Kamailio's words; the parser adds the place.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from kamailio_py.config.known import modules_exporting
from kamailio_py.log import get_logger
from kamailio_py.module import Function, Module
from kamailio_py.script import core_pvars
from kamailio_py.script.pvars import Format, PVar
from kamailio_py.script.selects import ROOTS, parse_select

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core

log = get_logger()


class Registry:
    """Modules in load order and everything they export."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.modules: dict[str, Module] = {}
        self.paths: list[Path] = []
        self.pvars = core_pvars.registry(core.defines)
        self._functions: dict[tuple[str, int], Function] = {}
        self._core_functions: dict[tuple[str, int], Function] = {}

    # modules

    def add_module_path(self, path: str) -> None:
        """A directory list as `mpath` has it: "a:b"."""
        self.paths = [Path(part) for part in path.split(":") if part]

    def load_module(self, name: str) -> str:
        plain = Path(name).name.removesuffix(".so").removesuffix(".py")
        if plain in self.modules:
            log.warn(f"attempting to load the same module twice ({name})")
            raise ValueError("failed to load module")
        module = self._module_class(plain, name)(self.core)
        for needed in module.requires:
            if needed not in self.modules:
                log.dbg(f"module {plain} needs {needed}, which is not loaded yet")
        self.modules[plain] = module
        self.core.variables.declare(module)
        for export in module.functions():
            self._functions[export.name, written_arguments(export)] = export
        for pv in module.pvars():
            self.pvars.add(pv)
        ROOTS.update(module.selects)
        for class_name, transformation in module.transformations.items():
            self.pvars.add_transformation(class_name, transformation)
        return plain

    def _module_class(self, plain: str, name: str) -> type[Module]:
        python = self._import(plain)
        if python is None:
            where = ":".join(str(path) for path in self.paths) or "kamailio_py.modules"
            log.err(f"could not find module <{plain}> in <{where}>")
            raise ValueError("failed to load module")
        for value in vars(python).values():
            if isinstance(value, type) and issubclass(value, Module) and value.name == plain:
                return value
        log.err(f"{python.__file__} has no Module named {plain}")
        raise ValueError("failed to load module")

    def _import(self, plain: str) -> ModuleType | None:
        """The Python module of a Kamailio module: one of ours, or a user's own on mpath."""
        full = f"kamailio_py.modules.{plain}"
        if full in sys.modules or importlib.util.find_spec(full) is not None:
            return importlib.import_module(full)
        for path in self.paths:
            for file in (path / f"{plain}.py", path / plain / "__init__.py"):
                if file.is_file():
                    spec = importlib.util.spec_from_file_location(full, file)
                    assert spec is not None
                    assert spec.loader is not None
                    python = importlib.util.module_from_spec(spec)
                    sys.modules[full] = python
                    spec.loader.exec_module(python)
                    return python
        return None

    # parameters

    def set_module_param(self, module: str, name: str, value: int | str) -> None:
        """modparam(): `module` is a regex over loaded modules; each that matches must know the parameter."""
        try:
            pattern = re.compile(f"^({module})$", re.IGNORECASE)
        except re.error:
            raise ValueError("Can't set module parameter") from None
        matching = [loaded for loaded in self.modules.values() if pattern.match(loaded.name)]
        if not matching:
            log.err(f"No module matching <{module}> found")
            raise ValueError(f"Can't set module parameter: no module matching <{module}> found")
        for loaded in matching:
            param = type(loaded).params().get(name)
            if param is None or not isinstance(value, param.type):
                kind = "int" if isinstance(value, int) else "string"
                number = 2 if kind == "int" else 1
                log.err(f"parameter <{name}> of type <{number}:{kind}> not found in module <{loaded.name}>")
                hint = ""
                if param is not None:
                    hint = f" (it takes {'a number' if param.type is int else 'a string'})"
                raise ValueError(
                    f"Can't set module parameter: <{name}> of type {kind} not found in {loaded.name}{hint}"
                )
            if param.setter:
                getattr(loaded, param.setter)(value)
            else:
                setattr(loaded, param.attribute, value)

    def set_global(self, name: str, value: int | str) -> None:
        self.core.cfg.set(name, value)

    # names in routes

    def add_core_functions(self, functions: Iterable[Function]) -> None:
        for export in functions:
            self._core_functions[export.name, written_arguments(export)] = export

    def find_function(self, name: str, nargs: int) -> Function | None:
        return self._functions.get((name, nargs))

    def find_core_function(self, name: str, nargs: int) -> Function | None:
        return self._core_functions.get((name, nargs))

    def function_names(self) -> Iterable[str]:
        return sorted({name for name, _ in self._functions})

    def function_modules(self, name: str) -> Iterable[str]:
        return modules_exporting(name)

    def pvar(self, text: str, strict: bool) -> PVar:
        return self.pvars.parse(text, strict)

    def format(self, text: str) -> Format:
        return self.pvars.format(text)

    def select(self, text: str) -> PVar:
        return parse_select(text)

    def evaluate(self, text: str) -> str:
        return self.pvars.format(text).evaluate(self.core.faked_context())


def written_arguments(export: Function) -> int:
    """How many arguments the cfg writes; the compiler adds the others itself."""
    return sum(1 for argument in export.arguments if argument.written)
