"""Imports point down only, files stay short, and nothing but shm touches posix_ipc: the house's own rules."""

from __future__ import annotations

import ast
import configparser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "kamailio_py"
MODULES = ROOT / "modules"

# which rooms a room may import from, besides itself; what is not a room is a file of its own
FLOORS = {
    "config": set(),
    "sip": {"constants"},
    "shm": {"clock", "constants", "libc", "log", "points"},
    "db": {"log"},
    "dns": {"shm", "log", "clock"},
    "script": {"config", "sip", "shm", "log", "clock", "module"},
    "module": {"config", "script", "engine"},
    "engine": {"config", "sip", "db", "dns", "shm", "script", "module", "log", "clock", "points"},
    "rpc": {"engine", "sip", "dns", "shm", "module", "log", "clock"},
    "modules": {"config", "sip", "db", "dns", "shm", "script", "engine", "rpc", "module", "log", "clock", "points"},
    "transport": {"engine", "sip", "shm", "libc", "log", "process"},
    "inspector": {"shm", "clock"},
    "bench": set(),
    "process": {"engine", "sip", "shm", "script", "config", "module", "transport", "log", "clock", "options"},
}


def rooms() -> list[tuple[str, Path]]:
    found = [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in sorted(PACKAGE.rglob("*.py"))]
    return found + [("modules", path) for path in sorted(MODULES.rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """Names below kamailio_py that the file imports when it runs (not those for type checking only)."""
    names: set[str] = set()

    class Visitor(ast.NodeVisitor):
        def visit_If(self, node: ast.If) -> None:
            if "TYPE_CHECKING" not in ast.unparse(node.test):
                self.generic_visit(node)

        def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
            if node.module == "kamailio_py":
                names.update(alias.name for alias in node.names)
            elif node.module and node.module.startswith("kamailio_py."):
                names.add(node.module.split(".")[1])

        def visit_Import(self, node: ast.Import) -> None:
            names.update(a.name.split(".")[1] for a in node.names if a.name.startswith("kamailio_py."))

    Visitor().visit(ast.parse(path.read_text()))
    return {name for name in names if name not in ("KAMAILIO_VERSION", "__version__", "dataclass")}


@pytest.mark.parametrize(("room", "path"), rooms(), ids=lambda value: str(value).removeprefix(str(ROOT)))
def test_imports_point_down(room: str, path: Path) -> None:
    if room in FLOORS:
        too_high = imported(path) - FLOORS[room] - {room}
        assert not too_high, f"{path.relative_to(ROOT)} ({room}) imports {sorted(too_high)}"


@pytest.mark.parametrize("path", [path for _, path in rooms()], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_noun(path: Path) -> None:
    lines = path.read_text().count("\n")
    assert lines <= 450, f"{path.relative_to(ROOT)} has {lines} lines: more than one noun?"


@pytest.mark.parametrize(
    "path", [path for room, path in rooms() if room != "shm"], ids=lambda path: str(path.relative_to(ROOT))
)
def test_only_shm_uses_posix_ipc(path: Path) -> None:
    assert "import posix_ipc" not in path.read_text()


def test_every_package_is_installed() -> None:
    """A package that setup.cfg does not list is missing after `pip install`."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = setup["options"]["packages"].split()
    files = [*PACKAGE.rglob("__init__.py"), *MODULES.rglob("__init__.py")]
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in files}
    renamed = {f"kamailio_py.{name}" if name.startswith("modules") else name for name in packages}
    assert sorted(listed) == sorted(renamed)
