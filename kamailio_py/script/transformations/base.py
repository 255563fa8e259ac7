"""How transformations are written in a cfg: the cursor over their text, and the kinds of parameters.

A transformation class is a function that takes the cursor from behind `class.` up to the closing brace and returns
what is to be done with a value at run time. Parameters that are pseudo-variables are read when it runs. Null given to
a transformation, or a value it cannot work on, gives null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.script.values import Value, parse_int

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVarRegistry

log = get_logger("pv")

Apply = Callable[["Context", Value], Value]
"""A transformation with its parameters: value in, value out; see `typed` for the attributes it may have."""

Number = Callable[["Context"], "int | None"]
Text = Callable[["Context"], "str | None"]


class Cursor:
    """A place in the text of a pseudo-variable."""

    __slots__ = ("pos", "registry", "text")

    def __init__(self, text: str, pos: int, registry: PVarRegistry) -> None:
        self.text = text
        self.pos = pos
        self.registry = registry

    def char(self) -> str:
        return self.text[self.pos : self.pos + 1]

    def rest(self) -> str:
        return self.text[self.pos :]

    def skip_blanks(self) -> None:
        while self.text[self.pos : self.pos + 1] in (" ", "\t", "\r", "\n"):
            self.pos += 1

    def class_name(self) -> str:
        """The word before the dot, which is passed over."""
        dot = self.text.find(".", self.pos)
        name = self.text[self.pos : dot] if dot >= 0 else ""
        if not name or "}" in name:
            raise ValueError(f"invalid transformation: {{{self.rest()}")
        self.pos = dot + 1
        return name

    def member(self) -> str:
        """The name up to a comma or the closing brace."""
        start = self.pos
        while self.pos < len(self.text) and self.text[self.pos] not in ",}":
            self.pos += 1
        return self.text[start : self.pos].strip()

    def comma(self) -> bool:
        """Pass over a comma; False if there is none."""
        self.skip_blanks()
        if self.char() == ",":
            self.pos += 1
            return True
        return False

    def expect_comma(self) -> None:
        if not self.comma():
            raise ValueError(f"invalid transformation: {self.text}")

    def constant(self) -> int | None:
        """A constant number, None where another thing stands."""
        self.skip_blanks()
        start = self.pos
        if self.char() in ("-", "+"):
            self.pos += 1
        digits = self.pos
        while self.char().isdigit():
            self.pos += 1
        if self.pos == digits:
            self.pos = start
            return None
        return int(self.text[start : self.pos])

    def number(self) -> Number:
        """A parameter that is a number or a pseudo-variable."""
        self.skip_blanks()
        if self.char() == "$":
            get = self._pvar()

            def read(ctx: Context) -> int | None:
                value = get(ctx)
                if value.__class__ is str:
                    return parse_int(value)
                return value

            return read
        number = self.constant()
        if number is None:
            raise ValueError(f"tinvalid param in transformation: {self.text}")
        return lambda ctx: number

    def string(self) -> Text:
        """A parameter that is a text up to the next comma or closing brace, or a pseudo-variable."""
        if self.char() == "$":
            get = self._pvar()

            def read(ctx: Context) -> str | None:
                value = get(ctx)
                return value if value.__class__ is str or value is None else str(value)

            return read
        start = self.pos
        while self.pos < len(self.text) and self.text[self.pos] not in ",}":
            self.pos += 1
        text = self.text[start : self.pos]
        return lambda ctx: text

    def separator(self) -> str:
        """A parameter that is one character, whatever it is; a backslash goes before another backslash or a t, n, r."""
        char = self.char()
        self.pos += 1
        if char == "\\":
            escaped = self.char()
            char = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t"}.get(escaped, "")
            if not char:
                raise ValueError(f"unexpected escape char: {escaped}")
            self.pos += 1
        if not char:
            raise ValueError(f"invalid transformation: {self.text}")
        self.skip_blanks()
        if self.char() != "}":
            raise ValueError(f"invalid transformation: {self.text}")
        return char

    def _pvar(self) -> Any:
        pvar, self.pos = self.registry.parse_at(self.text, self.pos)
        return pvar.get


Transformation = Callable[[Cursor], Apply]
Factory = Callable[[Cursor], Apply]


def members(table: Mapping[str, Factory]) -> Transformation:
    """A transformation class whose members are these."""

    def parse(cursor: Cursor) -> Apply:
        rest = cursor.rest()
        name = cursor.member()
        factory = table.get(name)
        if factory is None:
            raise ValueError(f"unknown transformation: {rest}/{name}/{len(name)}")
        return factory(cursor)

    return parse


def on_text(work: Callable[[str], Value], type: str = "str") -> Factory:
    """A member without parameters that works on a text."""

    def apply(ctx: Context, value: Value) -> Value:
        if value is None:
            return None
        return work(value if value.__class__ is str else str(value))

    apply.type = type  # type: ignore[attr-defined]
    return lambda cursor: apply


def typed(apply: Apply, type: str, text: Apply | None = None) -> Apply:
    """`apply`, marked with what it gives where that is not null, and with what formats print instead."""
    apply.type = type  # type: ignore[attr-defined]
    if text is not None:
        apply.text = text  # type: ignore[attr-defined]
    return apply
