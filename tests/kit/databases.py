"""Databases for tests: a core that has modules loaded and shared memory, but no config and no processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from kamailio_py.engine.core import Core

from .memory import segment


@contextmanager
def core_with(
    *modules: str,
    params: dict[str, dict[str, int | str]] | None = None,
    setup: Iterable[tuple[str, str, int | str]] = (),
) -> Iterator[Core]:
    """A core with these modules initialised.

    `params` are {module: {parameter: value}}; `setup` are modparam() lines, for parameters that are set repeatedly.
    """
    core = Core()
    for module in modules:
        core.registry.load_module(module)
    for module, values in (params or {}).items():
        for name, value in values.items():
            core.registry.set_module_param(module, name, value)
    for module, name, value in setup:
        core.registry.set_module_param(module, name, value)
    with segment() as core.shm:
        core.mod_init()
        try:
            yield core
        finally:
            core.databases.close()
