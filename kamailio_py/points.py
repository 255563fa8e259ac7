"""Named places in the code where a test may stop a process to let another one pass.

Every race that matters (suspend, resume, cancel, timeout, reply) has its points. Without a hook, which is always so
in production, a point costs one call.
"""

from __future__ import annotations

from collections.abc import Callable

_hook: Callable[[str], None] | None = None


def point(name: str) -> None:
    """Say that this process has come to `name`, written `module.action.place`."""
    if _hook is not None:
        _hook(name)


def set_hook(hook: Callable[[str], None] | None) -> None:
    """Have `hook(name)` called at every point of this process; None takes it away."""
    global _hook
    _hook = hook
