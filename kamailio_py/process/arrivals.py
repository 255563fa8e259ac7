"""Signals that arrive at the main process, one after the other, each once.

Lives here: `Arrivals`. A handler that does nothing, and the interpreter writes the number of each signal into a pipe,
which can be waited for with a timeout (not every Python has sigtimedwait). Children must not write there:
`blocked()` is around each fork, and a child calls `leave()` before it lets signals in again.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator

WAITED_FOR = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""What is told first where several wait: to stop is not to wait for children that end faster than they are replaced."""


class Arrivals:
    """See the head of the file."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._waiting: set[int] = set()

    def listen(self) -> None:
        """From now on signals are taken note of."""
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in WAITED_FOR:
            signal.signal(number, _nothing)

    def wait(self, seconds: float) -> int | None:
        """A signal that arrived, however often it did; None if there was none for `seconds`."""
        if select.select([self._reader], [], [], 0 if self._waiting else seconds)[0]:
            self._waiting.update(set(WAITED_FOR).intersection(os.read(self._reader, 65536)))
        for number in WAITED_FOR:
            if number in self._waiting:
                self._waiting.remove(number)
                return number
        return None

    @contextlib.contextmanager
    def blocked(self) -> Iterator[None]:
        """No signal arrives meanwhile."""
        signal.pthread_sigmask(signal.SIG_BLOCK, WAITED_FOR)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, WAITED_FOR)

    @staticmethod
    def leave() -> None:
        """In a child: what arrives here is not for the main process."""
        signal.set_wakeup_fd(-1)


def _nothing(number: int, frame: object) -> None:
    """A signal is taken note of by its number in the pipe."""
