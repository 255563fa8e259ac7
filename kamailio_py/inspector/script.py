"""The script as the segment describes it: which number stands for which route, which file and line of the config."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from kamailio_py.shm.memory import SharedMemory


@dataclass(slots=True)
class Script:
    """What the server published of its config; empty while it has not."""

    cfg: str = ""
    line_bits: int = 20
    files: list[str] = field(default_factory=list)
    routes: list[tuple[str, str, int]] = field(default_factory=list)

    @classmethod
    def of(cls, memory: SharedMemory) -> Script:
        found: dict[str, Any] = memory.published("program") or {}
        routes = [(str(title), str(path), int(line)) for title, path, line in found.get("routes", ())]
        return cls(found.get("cfg", ""), found.get("line_bits", 20), found.get("files", []), routes)

    def route(self, number: int) -> str:
        """The route of that number as a person would name it, "" for none."""
        if not 0 < number < len(self.routes):
            return f"route {number}" if number else ""
        return self.routes[number][0]

    def place(self, number: int) -> str:
        """`file:line` of a place in the config, "" for none; the file without its folders."""
        file, line = number >> self.line_bits, number & ((1 << self.line_bits) - 1)
        if not line:
            return ""
        name = PurePath(self.files[file]).name if file < len(self.files) else f"file {file}"
        return f"{name}:{line}"
