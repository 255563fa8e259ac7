"""Log levels and facilities of single modules, for all processes: texts by the module's name in shared memory.

What a process knows of them it reads again when the version word has changed; a line that is not written costs a look
at that word. Modules without a level of their own have the server's.
"""

from __future__ import annotations

from kamailio_py import log as output
from kamailio_py.clock import Clock
from kamailio_py.shm.kept import PERMANENT, KeptTable
from kamailio_py.shm.memory import SharedMemory

ROOM = 64 << 10
CORE = "<core>"


class Levels:
    """Numbers by module name: the levels, or the facilities."""

    def __init__(self, shm: SharedMemory, clock: Clock, name: str) -> None:
        self._kept = KeptTable(shm, clock, name, ROOM)
        self._version = shm.reserve(f"{name}.version", "word", 8) >> 3
        self._words = shm.u64
        self._known: dict[str, int] = {}
        self._read = -1

    def get(self, module: str) -> int | None:
        """The number of a module ("core" for the core), None if it has none."""
        version = self._words[self._version]
        if version != self._read:
            self._read = version
            self._known = {kept.key: int(kept.data) for kept in self._kept}
        return self._known.get(module)

    def set(self, module: str, number: int) -> bool:
        """False when there is no room."""
        if not self._kept.put(module, str(number), PERMANENT, 0):
            return False
        self._words[self._version] += 1
        return True

    def level_of(self, source: str) -> int:
        """For log.settings.level_of."""
        own = self.get("core" if source == CORE else source)
        return output.settings.level if own is None else own

    def facility_of(self, source: str) -> int:
        """For log.settings.facility_of."""
        return self.get("core" if source == CORE else source) or 0
