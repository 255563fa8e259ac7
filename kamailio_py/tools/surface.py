"""Write docs/compatibility.md: what is registered here against what Kamailio 5.6.3 exports.

    python -m kamailio_py.tools.surface REFERENCE > docs/compatibility.md

REFERENCE is a folder with surface.json and usage/. Nothing is claimed by hand: modules are loaded and asked.
"""

from __future__ import annotations

import csv
import importlib
import json
import os
import pkgutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kamailio_py.modules
from kamailio_py.config.parameters import PARAMETERS
from kamailio_py.config.without_effect import NOT_YET
from kamailio_py.engine.core import Core
from kamailio_py.engine.core_functions import core_functions
from kamailio_py.engine.registry import written_arguments
from kamailio_py.module import Module
from kamailio_py.rpc.commands import Commands
from kamailio_py.shm.memory import SharedMemory

NEEDED = {"uac": {"reg_db_url": "sqlite:///"}}
"""Parameters without which a module, as Kamailio's, does not export everything."""

KINDS = ("parameters", "functions", "pseudo-variables", "event routes", "statistics", "transformations", "RPC")


@dataclass
class Coverage:
    """Names of one kind that Kamailio has: those present here and those missing."""

    present: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def put(self, name: str, here: bool) -> None:
        (self.present if here else self.missing).append(name)

    @property
    def total(self) -> int:
        return len(self.present) + len(self.missing)

    def __str__(self) -> str:
        return f"{len(self.present)}/{self.total}" if self.total else "-"


def our_modules() -> dict[str, type[Module]]:
    """Every module that ships, by Kamailio's name."""
    found = {}
    for info in pkgutil.iter_modules(kamailio_py.modules.__path__):
        python = importlib.import_module(f"kamailio_py.modules.{info.name}")
        for value in vars(python).values():
            if isinstance(value, type) and issubclass(value, Module) and value.name == info.name:
                found[info.name] = value
    return found


def signatures(module: Module) -> dict[str, set[int]]:
    """Function name -> argument counts."""
    found: dict[str, set[int]] = {}
    for export in module.functions():
        found.setdefault(export.name, set()).add(written_arguments(export))
    return found


def compare(module: Module, surface: dict[str, Any]) -> dict[str, Coverage]:
    """What of a module's surface is registered here."""
    result = {kind: Coverage() for kind in KINDS}
    params, functions = type(module).params(), signatures(module)
    pvars = {export.name for export in module.pvars()}
    for wanted in surface["modparams"]:
        result["parameters"].put(wanted["name"], wanted["name"] in params)
    for wanted in surface["functions"]:
        for count in wanted["nargs"]:
            here = count in functions.get(wanted["name"], ())
            result["functions"].put(f"{wanted['name']}/{count}", here)
    for wanted in surface["pvs"]:
        result["pseudo-variables"].put(f"${wanted['name']}", wanted["name"] in pvars)
    for name in surface["event_routes"]:
        plain = name.split("<")[0]
        result["event routes"].put(name, any(own.startswith(plain) for own in type(module).event_routes))
    statistics = {*type(module).statistics, *module.computed_statistics()}
    for wanted in surface["stats"]:
        if "name" not in wanted:
            continue  # made at run time, for each table or the like
        result["statistics"].put(wanted["name"], wanted["name"] in statistics)
    for wanted in surface.get("transformations", []):
        name = wanted["cls"]
        result["transformations"].put(f"{{{name}}}", name in module.transformations)
    commands = {command.name for command in module.rpcs()}
    for wanted in surface["rpc"]:
        result["RPC"].put(wanted["name"], wanted["name"] in commands)
    return result


def weights(reference: Path) -> dict[str, int]:
    """Module -> number of public config sets that load it with their active branches."""
    with (reference / "usage" / "modules.tsv").open() as table:
        rows = list(csv.reader(table, delimiter="\t"))
    return {row[1]: int(row[2]) for row in rows[1:] if len(row) > 2 and row[2].isdigit()}


def report(reference: Path) -> list[str]:
    """The lines of the page; modules are made as for a server, with shared memory of their own."""
    core = Core()
    core.shm = SharedMemory.create(f"surface-{os.getpid()}", 16 << 20)
    try:
        return list(_report(core, reference))
    finally:
        core.shm.unlink()


def _report(core: Core, reference: Path) -> Iterable[str]:
    surface = json.loads((reference / "surface.json").read_text())
    used = weights(reference)
    ours = our_modules()
    yield "# Compatibility with Kamailio 5.6.3"
    yield ""
    yield "Written by `make compatibility` from what is really registered; do not edit."
    yield ""
    yield "## Modules"
    yield ""
    yield "| module | used by configs | " + " | ".join(KINDS) + " |"
    yield "|---|---|" + "---|" * len(KINDS)
    missing: list[str] = []
    totals = {kind: [0, 0] for kind in KINDS}
    for name in sorted(ours, key=lambda name: -used.get(name, 0)):
        if name not in surface["modules"]:
            continue
        module = ours[name](core)
        for parameter, value in NEEDED.get(name, {}).items():
            setattr(module, parameter, value)
        found = compare(module, surface["modules"][name])
        yield f"| {name} | {used.get(name, 0)} | " + " | ".join(str(found[kind]) for kind in KINDS) + " |"
        for kind in KINDS:
            totals[kind][0] += len(found[kind].present)
            totals[kind][1] += found[kind].total
            missing += (
                [f"- {name}: {kind} {' '.join(f'`{n}`' for n in found[kind].missing)}"] if found[kind].missing else []
            )
    yield "| **all of these** | | " + " | ".join(f"{here}/{all_}" for here, all_ in totals.values()) + " |"
    yield ""
    absent = sorted(set(surface["modules"]) - set(ours), key=lambda name: (-used.get(name, 0), name))
    yield f"Modules that are not here yet ({len(absent)}), those most used first: " + ", ".join(absent[:60]) + ", ..."
    yield ""
    if missing:
        yield "### Missing in modules that are here"
        yield ""
        yield from missing
        yield ""
    yield from unused_parameters(ours)
    yield from core_report(core, surface["core"])


def unused_parameters(ours: dict[str, type[Module]]) -> Iterable[str]:
    """By why they have no effect, what is still to be done first."""
    found: dict[str, dict[str, list[str]]] = {NOT_YET: {}}
    for name, module in sorted(ours.items()):
        for param in module.params().values():
            if param.unused:
                found.setdefault(param.unused, {}).setdefault(name, []).append(f"`{param.name}`")
    yield "### Module parameters that are accepted and have no effect"
    yield ""
    for why, modules in found.items():
        if modules:
            yield f"- {why}:"
            yield from (f"    - {name}: " + " ".join(names) for name, names in modules.items())
    yield ""


def core_report(core: Core, surface: dict[str, Any]) -> Iterable[str]:
    yield "## Core"
    yield ""
    functions = {export.name for export in core_functions(core)}
    entries = [entry["names"] for entry in surface["core_functions"]]
    wanted = {name for names in entries for name in names}
    # forward_udp and its like are functions of their own; other spellings stand for the first one
    spelled = {name for names in entries if names[0] in functions or names[0] == "route" for name in names}
    absent = sorted(name for name in wanted if name not in spelled)
    yield f"Core functions: {len(wanted) - len(absent)}/{len(wanted)} names" + (
        f"; missing: {', '.join(absent)}" if absent else "."
    )
    yield ""
    commands = set(Commands(core).names())
    rpc = Coverage()
    for entry in surface["rpc"]:
        rpc.put(entry["name"], entry["name"] in commands)
    yield f"RPC commands: {rpc}" + (f"; missing: {', '.join(rpc.missing)}" if rpc.missing else ".")
    yield ""
    named = [name for entry in surface["global_params"] for name in entry["names"]]
    known = [name for name in named if name in PARAMETERS]
    yield f"Global parameters: {len(known)}/{len(named)} names accepted."
    yield ""
    yield "### Global parameters that are accepted and have no effect"
    yield ""
    quiet: dict[str, set[str]] = {NOT_YET: set()}
    for parameter in PARAMETERS.values():
        if parameter.unused:
            quiet.setdefault(parameter.unused, set()).add(parameter.name)
    for why, names in quiet.items():
        if names:
            yield f"- {why}: " + " ".join(f"`{name}`" for name in sorted(names))


if __name__ == "__main__":
    print("\n".join(report(Path(sys.argv[1]))))
