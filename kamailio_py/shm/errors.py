"""What can go wrong with shared memory, apart from its being full (which is an answer, not an error)."""

from __future__ import annotations


class SharedMemoryError(Exception):
    """A segment cannot be created, attached or laid out; the text says why."""


class InstanceRunning(SharedMemoryError):
    """Another server with the same instance name is alive and uses its segment."""


class Orphaned(BaseException):
    """The main process is gone and this one waits for a lock that nobody will give back: it is to end."""


class Corrupt(SharedMemoryError):
    """A structure does not hold what its declaration promises."""
