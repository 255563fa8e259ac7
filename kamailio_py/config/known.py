"""What Kamailio's 249 modules export by name, loaded or not: for hints and for tools, never for deciding anything."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def known_exports() -> dict[str, dict[str, Any]]:
    """Module -> {"functions": {name: [[number of arguments, mask of routes], ...]}, "params": {name: kinds},
    "pvs": {name: attributes}}.

    A number of arguments of -1 means any; kinds are "i" and "s"; attributes of a pseudo-variable are "w" writable,
    "n" takes an inner name, "i" an index. The core's own stand under "core".
    """
    text = Path(__file__).with_name("known_exports.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text)
    return found


@cache
def _functions() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for module, exports in known_exports().items():
        for name in exports["functions"]:
            found.setdefault(name, []).append(module)
    return found


@cache
def _pvs() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for module, exports in known_exports().items():
        for name in exports["pvs"]:
            found.setdefault(name, []).append(module)
    return found


def modules_exporting(function: str) -> list[str]:
    """Names of the modules that export a function of this name."""
    return _functions().get(function, [])


def modules_with_pv(name: str) -> list[str]:
    """Names of the modules that export a pseudo-variable of this name."""
    return _pvs().get(name, [])


def function_names() -> list[str]:
    return list(_functions())


def pv_names() -> list[str]:
    return list(_pvs())
