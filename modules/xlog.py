"""The xlog module: log lines written by the script.

Its functions get their text as a prepared format and evaluate it only when a line of that level is printed at all, so
a call that is not logged costs one comparison. Lines go out through kamailio_py.log; the script's prefix stands where
other lines have module, file and function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py import log as output
from kamailio_py.config.arguments import FORMAT, POSITION, Fixup
from kamailio_py.log import Level, get_logger, settings
from kamailio_py.module import CfgVariable, Module, ModuleError, Param, function, pvar

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Format, Getter, Inner, PVar

log = get_logger("xlog")

# Only the third character of a level counts: "L_ERR", "L_ERROR" and "xxE" are the same.
LEVELS = {
    "A": Level.ALERT, "B": Level.BUG, "C": Level.CRIT, "E": Level.ERR,
    "W": Level.WARN, "N": Level.NOTICE, "I": Level.INFO, "D": Level.DBG,
}  # fmt: skip

COLOUR_LEVELS = {
    "l_alert": Level.ALERT, "l_bug": Level.BUG, "l_crit2": Level.CRIT, "l_crit": Level.NONE, "l_err": Level.ERR,
    "l_warn": Level.WARN, "l_notice": Level.NOTICE, "l_info": Level.INFO, "l_dbg": Level.DBG,
}  # fmt: skip
COLOURS = "xsrgybpcwSRGYBPCW"

METHODS = {
    "INVITE": 1, "CANCEL": 2, "ACK": 4, "BYE": 8, "INFO": 16, "REGISTER": 32, "SUBSCRIBE": 64, "NOTIFY": 128,
    "MESSAGE": 256, "OPTIONS": 512, "PRACK": 1024, "UPDATE": 2048, "REFER": 4096, "PUBLISH": 8192,
}  # fmt: skip
OTHER = 16384
"""Bits of methods in `methods_filter`."""


def level_of(text: str) -> int:
    """The number of a level written in the cfg."""
    if len(text) < 2:
        raise ValueError("wrong log level")
    try:
        return int(LEVELS[text[2:3]])
    except KeyError:
        raise ValueError("unknown log level") from None


def facility_of(text: str) -> int:
    """The syslog number of a facility's name."""
    try:
        return output.FACILITIES[text]
    except KeyError:
        raise ValueError(f"invalid syslog facility {text}") from None


LEVEL = Fixup("log level", prepare=level_of, pvar=True)
FACILITY = Fixup("log facility", prepare=facility_of)


class Xlog(Module):
    """xlog() and its relatives."""

    name = "xlog"
    cfg_variables = (CfgVariable("methods_filter", "methods that xlogm() is silent about, as bits"),)

    buf_size = Param(int, 4096)
    force_color = Param(int, 0)
    long_format = Param(int, 0)
    prefix = Param(str, "<script>: ")
    log_facility = Param(str)
    log_colors = Param(str, setter="set_colours")
    methods_filter = Param(int, -1)
    prefix_mode = Param(int, 0)

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._facility = 0
        self._prefix_format: Format | None = None

    def mod_init(self) -> None:
        if self.log_facility is not None:
            try:
                self._facility = facility_of(self.log_facility)
            except ValueError as error:
                raise ModuleError(str(error)) from None
        if self.prefix_mode:
            self._prefix_format = self.core.registry.format(self.prefix)

    def set_colours(self, text: str) -> None:
        """modparam log_colors: "L_ERR=cr;L_WARN=px"."""
        for part in text.removesuffix(";").split(";"):
            name, _, letters = (piece.strip() for piece in part.partition("="))
            level = COLOUR_LEVELS.get(name.lower())
            if level is None:
                log.err(f"invalid level name {name}")
                raise ValueError("Can't set module parameter")
            if len(letters) != 2:
                log.err(f"invalid color spec for level {name} ({letters})")
                raise ValueError("Can't set module parameter")
            foreground, background = (letter if letter in COLOURS else "x" for letter in letters)
            output.set_colour(level, output.colour(foreground, background.lower()))

    # writing

    def _print(
        self, ctx: Context, level: int, text: Format, facility: int = -1, where: tuple[str, int] | None = None
    ) -> int:
        line = text.evaluate(ctx)
        if len(line) >= self.buf_size:
            log.err("buffer overflow -- increase the buffer size...")
            return -1
        prefix = self.prefix
        if where is not None:
            line = f"{where[0]}:{where[1]}:{line}" if self.long_format == 1 else f"{where[1]}:{line}"
        elif self._prefix_format is not None:
            prefix = self._prefix_format.evaluate(ctx)
        output.emit(level, prefix + line, self._facility if facility < 0 else facility)
        return 1

    def _value(self, ctx: Context, level: PVar) -> int | None:
        """A level that stands in a pseudo-variable; None and an error line when it holds no number."""
        value = level.get(ctx)
        if isinstance(value, int):
            return value
        log.err(f"invalid log level value [{1 if value is None else 4}]")
        return None

    def _leveled(
        self, ctx: Context, level: int | PVar, text: Format, facility: int = -1, where: tuple[str, int] | None = None
    ) -> int:
        if not isinstance(level, int):
            value = self._value(ctx, level)
            if value is None:
                return -1
            level = value
        if settings.level < level:
            return 1
        return self._print(ctx, level, text, facility, where)

    # script functions

    @function("xlog", FORMAT)
    def xlog(self, ctx: Context, text: Format) -> int:
        return 1 if settings.level < -1 else self._print(ctx, -1, text)

    @function("xlog", LEVEL, FORMAT)
    def xlog_level(self, ctx: Context, level: int | PVar, text: Format) -> int:
        if type(level) is int and settings.level < level:
            return 1
        return self._leveled(ctx, level, text)

    @function("xlog", FACILITY, LEVEL, FORMAT)
    def xlog_facility(self, ctx: Context, facility: int, level: int | PVar, text: Format) -> int:
        return self._leveled(ctx, level, text, facility)

    @function("xlogl", FORMAT, POSITION)
    def xlogl(self, ctx: Context, text: Format, where: tuple[str, int]) -> int:
        return 1 if settings.level < -1 else self._print(ctx, -1, text, where=where)

    @function("xlogl", LEVEL, FORMAT, POSITION)
    def xlogl_level(self, ctx: Context, level: int | PVar, text: Format, where: tuple[str, int]) -> int:
        return self._leveled(ctx, level, text, where=where)

    @function("xlogl", FACILITY, LEVEL, FORMAT, POSITION)
    def xlogl_facility(
        self, ctx: Context, facility: int, level: int | PVar, text: Format, where: tuple[str, int]
    ) -> int:
        return self._leveled(ctx, level, text, facility, where)

    @function("xlogm", LEVEL, FORMAT)
    def xlogm(self, ctx: Context, level: int | PVar, text: Format) -> int:
        """Log unless the method's bit is set in `methods_filter`."""
        if self.methods_filter == -1 or METHODS.get(ctx.msg.method, OTHER) & self.methods_filter:
            return 1
        return self._leveled(ctx, level, text)

    @function("xdbg", FORMAT)
    def xdbg(self, ctx: Context, text: Format) -> int:
        return 1 if settings.level < 3 else self._print(ctx, 3, text)

    @function("xdbgl", FORMAT, POSITION)
    def xdbgl(self, ctx: Context, text: Format, where: tuple[str, int]) -> int:
        return 1 if settings.level < 3 else self._print(ctx, 3, text, where=where)

    @function("xinfo", FORMAT)
    def xinfo(self, ctx: Context, text: Format) -> int:
        return 1 if settings.level < 2 else self._print(ctx, 2, text)

    @function("xnotice", FORMAT)
    def xnotice(self, ctx: Context, text: Format) -> int:
        return 1 if settings.level < 1 else self._print(ctx, 1, text)

    @function("xwarn", FORMAT)
    def xwarn(self, ctx: Context, text: Format) -> int:
        return 1 if settings.level < 0 else self._print(ctx, 0, text)

    @function("xerr", FORMAT)
    def xerr(self, ctx: Context, text: Format) -> int:
        return 1 if settings.level < -1 else self._print(ctx, -1, text)

    @function("xbug", FORMAT)
    def xbug(self, ctx: Context, text: Format) -> int:
        return 1 if settings.level < -4 else self._print(ctx, -4, text)

    @function("xcrit", FORMAT)
    def xcrit(self, ctx: Context, text: Format) -> int:
        return 1 if settings.level < -3 else self._print(ctx, -3, text)

    @function("xalert", FORMAT)
    def xalert(self, ctx: Context, text: Format) -> int:
        return 1 if settings.level < -5 else self._print(ctx, -5, text)

    # pseudo-variables

    @pvar("C", type="str")
    def colour(self, inner: Inner) -> Getter:
        """$C(rg): the terminal's code for red on green; empty where lines go to syslog, unless force_color is set."""
        name = inner.text or ""
        if len(name) != 2:
            raise ValueError("color name must have two chars")
        try:
            code = output.colour(*name)
        except KeyError:
            raise ValueError("invalid color name") from None
        return lambda ctx: code if settings.stderr or self.force_color else ""
