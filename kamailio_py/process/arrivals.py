"""Signals that arrive at the main process, one after the other.

Lives here: `Arrivals`. A handler that does nothing, and the interpreter writes the number of each signal into a pair of
sockets, which can be waited for with a timeout (not every Python has sigtimedwait). Children must not write there:
`blocked()` is around each fork, and a child calls `leave()` before it lets signals in again.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
from collections.abc import Iterator

WAITED_FOR = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Arrivals:
    """See the head of the file."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def listen(self) -> None:
        """From now on signals are taken note of."""
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in WAITED_FOR:
            signal.signal(number, _nothing)

    def wait(self, seconds: float) -> int | None:
        """The next signal that arrived; None if there was none for `seconds`."""
        if not select.select([self._reader], [], [], seconds)[0]:
            return None
        return self._reader.recv(1)[0]

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
    """A signal is taken note of by its number in the pair of sockets."""
