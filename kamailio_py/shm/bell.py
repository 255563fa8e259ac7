"""What a process that waits for several things at once is woken by. Made before forking; needs no lock."""

from __future__ import annotations

import contextlib
import os


class Bell:
    """A pipe that only says that something was put in: `fd` can be read since it was rung (not every Python has
    eventfd)."""

    __slots__ = ("_rope", "fd")

    def __init__(self) -> None:
        self.fd, self._rope = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is full of ringing that was not heard yet
            os.write(self._rope, b"!")

    def hush(self) -> None:
        """Whoever looks for what was put in does so after this."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 65536)

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._rope)
