"""Exit codes of child processes, each with a sentence for the log."""

from __future__ import annotations

import os
from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    CRASHED = 70
    CHILD_INIT = 71

    @property
    def sentence(self) -> str:
        return {
            Exit.OK: "ended because it was asked to",
            Exit.CRASHED: "ended by an error of the server's own code, which was logged",
            Exit.CHILD_INIT: "could not start: a module's child_init failed",
        }[self]


def describe(pid: int, status: int) -> str:
    """Kamailio's words for how a child ended, and ours where the code is one of ours."""
    if os.WIFSIGNALED(status):
        return f"child process {pid} exited by a signal {os.WTERMSIG(status)}"
    code = os.WEXITSTATUS(status)
    text = f"child process {pid} exited normally, status={code}"
    if code in Exit.__members__.values() and code != Exit.OK:
        text += f" ({Exit(code).sentence})"
    return text
