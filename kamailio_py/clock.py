"""The one place that asks what time it is.

Everything else is given a clock, so that tests jump over two minutes of a timer at once. Monotonic milliseconds run
from the same start in all processes of the machine and are what shared memory holds.
"""

from __future__ import annotations

import time


class Clock:
    """The machine's clock."""

    __slots__ = ()

    @staticmethod
    def now() -> float:
        """Seconds since the epoch."""
        return time.time()

    @staticmethod
    def ms() -> int:
        """Monotonic milliseconds."""
        return time.monotonic_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Do nothing for so long; only before there is anything to do."""
        time.sleep(seconds)

    ns = staticmethod(time.monotonic_ns)
    """Monotonic nanoseconds."""


class VirtualClock(Clock):
    """A clock that stands still until it is advanced; `advance(seconds)`."""

    __slots__ = ("_ns", "_start")

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._start = start
        self._ns = 1_000_000_000_000

    def now(self) -> float:  # type: ignore[override]
        return self._start + (self._ns - 1_000_000_000_000) / 1e9

    def ms(self) -> int:  # type: ignore[override]
        return self._ns // 1_000_000

    def ns(self) -> int:
        return self._ns

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._ns += round(seconds * 1e9)
