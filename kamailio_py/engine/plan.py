"""What is to be forked and what is to run regularly: plain data that modules add to, carried out by processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kamailio_py.dataclass import dataclass


@dataclass(slots=True)
class ProcessSpec:
    """One process: `run(process)` is its loop; it returns when `process.stopping` is set."""

    description: str
    rank: int
    run: Callable[[Any], None]


@dataclass(slots=True)
class TimerSpec:
    """`callback()` every `seconds`, in the slow timer if `slow`, else in the secondary timer."""

    callback: Callable[[], None]
    seconds: float
    slow: bool = False
