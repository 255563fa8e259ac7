"""Values of a script and their conversions: `None` is null, the others are `int` (32 bits, signed) and `str`."""

from __future__ import annotations

from kamailio_py.config.types import wrap32

Value = int | str | None


def parse_int(text: str, hexadecimal: bool = True) -> int | None:
    """The number that `text` is as a whole: decimal with sign, or hexadecimal with 0x; None when it is none."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if digits.isdigit() and digits.isascii():
        number = int(text)
    elif hexadecimal and digits[:2] in ("0x", "0X"):
        try:
            number = int(digits[2:], 16)
        except ValueError:
            return None
        if text[0] == "-":
            number = -number
    else:
        return None
    return wrap32(number)


def to_str(value: Value) -> str:
    """`value` in a string context: null is the empty string, a number its decimal digits."""
    if value.__class__ is str:
        return value
    return "" if value is None else str(value)
