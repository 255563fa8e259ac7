"""What a server asks of the Python that runs it.

Lives here: `freeze` and `settle`. Both say once, at the start of a process, what suits a program whose processes do
the same thing over and over; where the interpreter has no such switch they do nothing.
"""

from __future__ import annotations

import gc
import sys

FREEZES = hasattr(gc, "freeze")
"""Whether the collector is CPython's; that of PyPy has neither generations nor thresholds."""
JIT = "function_threshold=100,threshold=70,trace_eagerness=20,trace_limit=30000"
"""For PyPy. A request is one long way that is gone thousands of times, with few loops in it: with the thresholds the
interpreter comes with, the stock config had not settled after 5,000 calls, with these it has after 1,600; and with a
trace of 6,000 steps at most the longest ways are never compiled whole (a fifth of the time of a call)."""


def freeze() -> None:
    """What exists now is shared with other processes and never garbage: the collector is not to touch it."""
    if FREEZES:
        gc.freeze()


def settle() -> None:
    """This process is about to do what it does for the rest of its life."""
    freeze()
    gc.enable()
    if FREEZES:  # per-message garbage has no cycles
        gc.set_threshold(50_000, 20, 50)
    if sys.implementation.name == "pypy":
        import pypyjit

        pypyjit.set_param(JIT)
