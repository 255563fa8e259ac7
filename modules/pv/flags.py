"""Flags as numbers: of the message (`$mf $mF $Mf(n)`), the script (`$sf...`) and the branch (`$bf...`)."""

from __future__ import annotations

from kamailio_py.log import get_logger
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Getter, Inner, Setter, printed
from kamailio_py.script.values import Value, wrap32

from .table import Table

log = get_logger("pv")

PVARS = Table()


def number_of(inner: Inner) -> int:
    """The number of a flag, 0 to 31."""
    text = inner.text.strip()
    if not text.isdigit():
        raise ValueError(f"flag not declared: [{text}]")
    number = int(text)
    if number > 31:
        raise ValueError(f"message flag {number} too high; MAX=31")
    return number


class Word:
    """One word of flags of a message, by the name of its attribute."""

    def __init__(self, attribute: str, what: str) -> None:
        self.attribute = attribute
        self.what = what

    def number(self, ctx: Context) -> int:
        return wrap32(getattr(ctx.msg, self.attribute))

    def decimal(self, ctx: Context) -> str:
        return str(getattr(ctx.msg, self.attribute) & 0xFFFFFFFF)

    def hexadecimal(self, ctx: Context) -> str:
        return f"{getattr(ctx.msg, self.attribute) & 0xFFFFFFFF:08x}"

    def set(self, ctx: Context, value: Value) -> bool:
        if value is None:
            value = 0
        if not isinstance(value, int):
            log.err(f"assigning non-int value to {self.what} flags")
            return False
        setattr(ctx.msg, self.attribute, value & 0xFFFFFFFF)
        return True

    def one(self, inner: Inner) -> Getter:
        number, attribute = number_of(inner), self.attribute
        return lambda ctx: getattr(ctx.msg, attribute) >> number & 1

    def set_one(self, inner: Inner) -> Setter:
        number, attribute, what = number_of(inner), self.attribute, self.what

        def set(ctx: Context, value: Value) -> bool:
            if value is not None and not isinstance(value, int):
                log.err(f"assigning non-int value to {what} flag")
                return False
            word = getattr(ctx.msg, attribute)
            setattr(ctx.msg, attribute, word | 1 << number if value else word & ~(1 << number))
            return True

        return set


def _declare(names: tuple[str, str, str], word: Word) -> None:
    PVARS.plain(names[0], printed(lambda ctx: word.number(ctx), word.decimal), "int", word.set)
    PVARS.plain(names[1], word.hexadecimal, "str", word.set)
    PVARS.named(names[2], word.one, "int", set=word.set_one)


_declare(("mf", "mF", "Mf"), Word("flags", "msg"))
_declare(("sf", "sF", "Sf"), Word("script_flags", "script"))
_declare(("bf", "bF", "Bf"), Word("branch_flags", "branch 0"))
