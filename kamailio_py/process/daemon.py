"""Going into the background, and the pid file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from kamailio_py.log import get_logger

logger = get_logger()


class PidFileError(Exception):
    """The pid file cannot be used; the text is Kamailio's."""


def write_pid_file(path: str) -> None:
    """Write this process's pid; a file with a live pid stops the start, a stale one is replaced."""
    file = Path(path)
    try:
        old = file.read_text().strip()
    except FileNotFoundError:
        old = ""
    except OSError as error:
        raise PidFileError(f"unable to read pid file {path}: {error.strerror}") from None
    if old:
        if not old.isdigit():
            raise PidFileError(f"pid file {path} exists, but doesn't contain a valid pid number")
        if _alive(int(old)):
            raise PidFileError(f"running process found in the pid file {path}")
        logger.warn(f"pid file contains old pid, replacing pid {old}")
    try:
        file.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise PidFileError(f"unable to create pid file {path}: {error.strerror}") from None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def daemonize(stderr: bool) -> int:
    """Fork into the background; gives the descriptor on which the caller reports that all processes are up.

    The first process waits for that byte and ends with 0, or with 255 when the daemon ends without it.
    """
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        started = os.read(reader, 1) == b"+"
        if not started:
            sys.stderr.write("ERROR: Main process exited before writing to pipe\n")
        os._exit(0 if started else 255)
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1) if stderr else (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    return writer
