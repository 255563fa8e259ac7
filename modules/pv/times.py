"""The time: `$Ts $Tf $TV(...) $time(...) $timef(...)` and their forms in UTC.

Kamailio notes the time when it first is asked for it while a message is processed; so is it here.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Getter, Inner
from kamailio_py.script.values import Value, wrap32

from .table import Table

PVARS = Table()

Broken = Callable[[float], time.struct_time]
_ASCTIME = "%a %b %d %H:%M:%S %Y"


def message_time(ctx: Context) -> float:
    """When this message was first asked for its time."""
    msg = ctx.msg
    if not msg.time:
        msg.time = ctx.core.clock.now()
    return msg.time


def _seconds(ctx: Context) -> Value:
    return wrap32(int(message_time(ctx)))


def _now(ctx: Context) -> Value:
    return wrap32(int(ctx.core.clock.now()))


class Start:
    """When this process began, for `$Tb`: set by mod_init."""

    seconds = 0


PVARS.plain("Ts", _seconds, "int")
PVARS.plain("TS", _now, "int")
PVARS.plain("Tb", lambda ctx: Start.seconds, "int")
PVARS.plain("Tf", lambda ctx: time.strftime(_ASCTIME, time.localtime(message_time(ctx))))
PVARS.plain("TF", lambda ctx: time.strftime(_ASCTIME, time.localtime(ctx.core.clock.now())))


# seconds and microseconds


def _split(now: float) -> tuple[int, int]:
    micros = round(now * 1_000_000)
    return divmod(micros, 1_000_000)


def _float_text(now: float) -> str:
    seconds, micros = _split(now)
    return f"{seconds}.{micros:06d}"


def _full_text(now: float) -> str:
    seconds, micros = _split(now)
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) + f".{micros:06d}"


PVARS.keyed(
    "TV",
    {
        "s": _seconds,
        "u": lambda ctx: _split(message_time(ctx))[1],
        "sn": _now,
        "un": lambda ctx: _split(ctx.core.clock.now())[1],
        "Sn": lambda ctx: _float_text(ctx.core.clock.now()),
        "Fn": lambda ctx: _full_text(ctx.core.clock.now()),
    },
    "unknown PV timeval name",
)


# parts of date and time

_PARTS: dict[str, Callable[[time.struct_time], int]] = {
    "sec": lambda t: t.tm_sec,
    "min": lambda t: t.tm_min,
    "hour": lambda t: t.tm_hour,
    "mday": lambda t: t.tm_mday,
    "mon": lambda t: t.tm_mon,
    "year": lambda t: t.tm_year,
    "wday": lambda t: (t.tm_wday + 1) % 7 + 1,
    "yday": lambda t: t.tm_yday,
    "isdst": lambda t: t.tm_isdst,
}


def _parts(broken: Broken) -> dict[str, Getter]:
    def of(part: Callable[[time.struct_time], int]) -> Getter:
        return lambda ctx: part(broken(message_time(ctx)))

    return {name: of(part) for name, part in _PARTS.items()}


def _formatted(broken: Broken) -> Callable[[Inner], Getter]:
    def bind(inner: Inner) -> Getter:
        form = inner.registry.format(inner.text)

        def get(ctx: Context) -> Value:
            return time.strftime(form.evaluate(ctx), broken(message_time(ctx))) or None

        return get

    return bind


PVARS.keyed("time", _parts(time.localtime), "unknown PV time name")
PVARS.keyed("utime", _parts(time.gmtime), "unknown PV time name")
PVARS.named("timef", _formatted(time.localtime), "str")
PVARS.named("utimef", _formatted(time.gmtime), "str")
