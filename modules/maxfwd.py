"""The maxfwd module: checking and decrementing Max-Forwards.

A present header is changed in the received text itself, digit for digit, as Kamailio does: the new value is seen at
once by everything that reads the message. A missing one is put before the first header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import CfgVariable, Module, Param, function

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("maxfwd")

ANYWHERE = RouteType.REQUEST | RouteType.FAILURE | RouteType.BRANCH
MISSING = -1
UNREADABLE = -2


def find(msg: Message) -> tuple[int, str]:
    """Index of the header and its digits; (-1, "") when there is none."""
    index = msg.find("max-forwards")
    return (index, msg.value(index)) if index >= 0 else (-1, "")


def number(digits: str) -> int:
    """The value as Kamailio reads it, into sixteen bits; UNREADABLE for anything but up to five digits."""
    if not digits:
        return 0
    if len(digits) > 5 or not digits.isdecimal():
        log.err("unable to parse the max forwards number")
        return UNREADABLE
    return int(digits) & 0xFFFF


class Maxfwd(Module):
    """Max-Forwards checks."""

    name = "maxfwd"

    cfg_variables = (CfgVariable("max_limit", "highest value of Max-Forwards that is passed on", low=0, high=255),)

    max_limit = Param(int, 70)

    @function("maxfwd_process", INT, routes=RouteType.REQUEST)
    @function("mf_process_maxfwd_header", INT, routes=RouteType.REQUEST)
    @function("process_maxfwd", INT, routes=RouteType.REQUEST)
    def process(self, ctx: Context, limit: int) -> int:
        """1 decremented, 2 added, -1 it is zero, -2 it is no number."""
        if not 0 <= limit <= 255:
            log.err(f"invalid param value: {limit}")
            return -1
        msg = ctx.msg
        index, digits = find(msg)
        if index < 0:
            msg.lumps.insert(msg.span(0)[0], f"Max-Forwards: {limit}\r\n")
            return 2
        value = number(digits)
        if value <= 0:
            return -1 if value == 0 else -2
        value = min(value - 1, self.max_limit)
        msg.overwrite(index, msg.value_span(index)[0], str(value).rjust(len(digits)))
        return 1

    @function("is_maxfwd_lt", INT, routes=ANYWHERE)
    @function("maxfwd_at_least", INT, routes=ANYWHERE)
    @function("mf_lowlimit", INT, routes=ANYWHERE)
    def lower(self, ctx: Context, limit: int) -> int:
        """1 lower than `limit`, -1 not, -2 no such header, -3 it is no number."""
        if not 0 <= limit <= 255:
            log.err(f"invalid param value: {limit}")
            return -1
        index, digits = find(ctx.msg)
        value = number(digits) if index >= 0 else MISSING
        if value < 0:
            return value - 1
        return 1 if value < limit else -1
