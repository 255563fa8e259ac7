"""Log lines as Kamailio writes them, to standard error or syslog.

    ` 3(4711) ERROR: tm [cell.py:88]: build_cell(): no more share memory`

One write per line, so that lines of several processes never mix. The level is tested before anything is formatted:
callers on the hot path ask `log.enabled(DBG)` before they build a text.
"""

from __future__ import annotations

import contextlib
import os
import sys
import syslog
from collections.abc import Callable
from enum import IntEnum
from types import FrameType


class Level(IntEnum):
    ALERT = -5
    BUG = -4
    CRIT = -3
    NONE = -2
    ERR = -1
    WARN = 0
    NOTICE = 1
    INFO = 2
    DBG = 3


NAMES = {-5: "ALERT", -4: "BUG", -3: "CRITICAL", -2: "", -1: "ERROR", 0: "WARNING", 1: "NOTICE", 2: "INFO", 3: "DEBUG"}
_PRIORITIES = {
    -5: syslog.LOG_ALERT, -4: syslog.LOG_CRIT, -3: syslog.LOG_CRIT, -2: syslog.LOG_ERR, -1: syslog.LOG_ERR,
    0: syslog.LOG_WARNING, 1: syslog.LOG_NOTICE, 2: syslog.LOG_INFO, 3: syslog.LOG_DEBUG,
}  # fmt: skip
_COLOURS = {
    -5: "\033[1;31;49m", -4: "\033[1;35;49m", -3: "\033[0;33;49m", -1: "\033[0;31;49m", 0: "\033[0;35;49m",
    1: "\033[0;32;49m", 2: "\033[0;36;49m",
}  # fmt: skip
_COLOUR_NUMBERS = {"s": 30, "r": 31, "g": 32, "y": 33, "b": 34, "p": 35, "c": 36, "w": 37, "x": 39}
RESET_COLOUR = "\033[0;39;49m"
_NAMES = "AUTH CRON DAEMON KERN LPR MAIL NEWS USER UUCP LOCAL0 LOCAL1 LOCAL2 LOCAL3 LOCAL4 LOCAL5 LOCAL6 LOCAL7"
FACILITIES = {f"LOG_{name}": getattr(syslog, f"LOG_{name}") for name in _NAMES.split()}


class Settings:
    """How this process logs; `configure` sets it, the process table index comes with forking."""

    __slots__ = ("colour", "facility_of", "index", "level", "level_of", "name", "prefix", "stderr")

    def __init__(self) -> None:
        self.level = 0
        self.stderr = True
        self.colour = False
        self.index = 0
        self.name = "kamailio"
        self.prefix: str | Callable[[], str] = ""
        # of a source, where sources have levels and facilities of their own (debugger)
        self.level_of: Callable[[str], int] | None = None
        self.facility_of: Callable[[str], int] | None = None


settings = Settings()


def configure(*, level: int, stderr: bool, colour: bool = False, name: str = "kamailio", facility: str = "") -> None:
    """Set level and target; `facility` is a syslog name such as LOG_LOCAL0."""
    settings.level = level
    settings.stderr = stderr
    settings.colour = colour
    settings.name = name
    set_facility(facility)


def set_facility(facility: str) -> None:
    """Have what is logged from now on go to this facility of syslog, where it goes to syslog."""
    if not settings.stderr:
        syslog.openlog(settings.name, syslog.LOG_PID | syslog.LOG_CONS, FACILITIES.get(facility, syslog.LOG_DAEMON))


def colour(foreground: str, background: str) -> str:
    """The terminal's code for two of Kamailio's colour letters; a capital foreground is bold. KeyError for others."""
    bold = int(foreground in "SRGYBPCW")
    number = _COLOUR_NUMBERS[foreground.lower() if bold else foreground]
    return f"\033[{bold};{number};{_COLOUR_NUMBERS[background] + 10}m"


def set_colour(level: int, code: str) -> None:
    """Have lines of `level` written in the colour `code`, where lines are coloured at all."""
    _COLOURS[level] = code


def emit(level: int, text: str, facility: int = 0) -> None:
    """Write one line, without looking at the level; `text` begins with its source."""
    text = text.rstrip("\n")
    name = NAMES[max(-5, min(level, 3))]
    label = f"{name}: " if name else ""
    prefix = settings.prefix
    if not isinstance(prefix, str):
        settings.prefix = ""  # what is logged while it is evaluated has none
        settings.prefix, prefix = prefix, prefix()
    if not settings.stderr:
        syslog.syslog(_PRIORITIES[max(-5, min(level, 3))] | facility, f"{label}{prefix}{text}")
        return
    line = f"{settings.index:2d}({os.getpid()}) {label}{prefix}{text}"
    if settings.colour and level in _COLOURS:
        line = f"{_COLOURS[level]}{line}\n{RESET_COLOUR}"
    else:
        line += "\n"
    with contextlib.suppress(OSError):  # nobody reads the log any more; there is no other place to say so
        os.write(2, line.encode("latin-1", "replace"))


class Logger:
    """Writes lines of one source: "<core>" or a module's name."""

    __slots__ = ("source",)

    def __init__(self, source: str) -> None:
        self.source = source

    def enabled(self, level: int) -> bool:
        own = settings.level_of
        return (settings.level if own is None else own(self.source)) >= level

    def alert(self, text: str) -> None:
        self._log(Level.ALERT, text)

    def bug(self, text: str) -> None:
        self._log(Level.BUG, text)

    def crit(self, text: str) -> None:
        self._log(Level.CRIT, text)

    def err(self, text: str) -> None:
        self._log(Level.ERR, text)

    def warn(self, text: str) -> None:
        self._log(Level.WARN, text)

    def notice(self, text: str) -> None:
        self._log(Level.NOTICE, text)

    def info(self, text: str) -> None:
        self._log(Level.INFO, text)

    def dbg(self, text: str) -> None:
        self._log(Level.DBG, text)

    def at(self, level: int, text: str) -> None:
        """At a level that the config chooses."""
        self._log(level, text)

    def _log(self, level: int, text: str) -> None:
        if not self.enabled(level):
            return
        frame: FrameType = sys._getframe(2)
        code = frame.f_code
        where = f"{os.path.basename(code.co_filename)}:{frame.f_lineno}"
        facility = 0 if settings.facility_of is None else settings.facility_of(self.source)
        emit(level, f"{self.source} [{where}]: {code.co_name}(): {text}", facility)


def get_logger(source: str = "<core>") -> Logger:
    return Logger(source)
