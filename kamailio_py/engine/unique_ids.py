"""Kamailio's unique ids: `uloc-6b034e80-11d2-1`, of a prefix, the start of the process, its pid, and a count.

With a server_id that stands behind the prefix. Each process makes its own (`restart()` in child_init).
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core


class UniqueIds:
    """An endless series of texts that no other process of this or another server makes; call it for the next."""

    def __init__(self, core: Core, prefix: str) -> None:
        self._core = core
        self._prefix = prefix
        self.restart()

    def restart(self) -> None:
        """Count from the beginning as this process, now."""
        server = self._core.cfg.server_id
        own = f"{server:x}-" if server else ""
        self._head = f"{self._prefix}-{own}{int(self._core.clock.now()):x}-{os.getpid():x}-"
        self._numbers = itertools.count(1)

    def __call__(self) -> str:
        return f"{self._head}{next(self._numbers):x}"
