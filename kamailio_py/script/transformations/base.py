"""How transformations are written in a cfg: the cursor over their text, and the kinds of parameters.

A transformation class is a function that takes the cursor from behind `class.` up to the closing brace and returns
what is to be done with a value at run time. Parameters that are pseudo-variables are read when the transformation
runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py.script.values import Value, parse_int

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVarRegistry

Apply = Callable[["Context", Value], Value]
"""A transformation with its parameters: value in, value out."""

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

    def skip_blanks(self) -> None:
        while self.text[self.pos : self.pos + 1] in (" ", "\t", "\r", "\n"):
            self.pos += 1

    def word(self, ends: str) -> str:
        """The text up to one of the characters `ends`, which is passed over if it is not a brace or comma."""
        self.skip_blanks()
        start = self.pos
        stop = ends + ",}"
        while self.pos < len(self.text) and self.text[self.pos] not in stop:
            self.pos += 1
        word = self.text[start : self.pos]
        if self.pos < len(self.text) and self.text[self.pos] in ends:
            self.pos += 1
        return word

    def comma(self) -> bool:
        """Pass over a comma; False if there is none."""
        self.skip_blanks()
        if self.char() == ",":
            self.pos += 1
            return True
        return False

    def rest(self) -> str:
        return self.text[self.pos :]

    def number(self) -> Number:
        """A parameter that is a number or a pseudo-variable."""
        self.skip_blanks()
        if self.char() == "$":
            get = self._pvar()

            def read(ctx: Context) -> int | None:
                value = get(ctx)
                if value.__class__ is int:
                    return value
                return parse_int(value) if value else None

            return read
        start = self.pos
        if self.char() in ("-", "+"):
            self.pos += 1
        digits = self.pos
        while self.char().isdigit():
            self.pos += 1
        if self.pos == digits:
            raise ValueError(f"unexpected char [{self.char()}] in [{self.text[start:]}]")
        number = int(self.text[start : self.pos])
        return lambda ctx: number

    def string(self) -> Text:
        """A parameter that is a text up to the next comma or closing brace, or a pseudo-variable."""
        self.skip_blanks()
        if self.char() == "$":
            return _as_text(self._pvar())
        start = self.pos
        depth = 0
        while self.pos < len(self.text):
            char = self.text[self.pos]
            if char == "{":
                depth += 1
            elif char == "}":
                if not depth:
                    break
                depth -= 1
            elif char == "," and not depth:
                break
            self.pos += 1
        text = self.text[start : self.pos]
        return lambda ctx: text

    def _pvar(self) -> Any:
        pvar, self.pos = self.registry.parse_at(self.text, self.pos)
        return pvar.get


Transformation = Callable[[Cursor], Apply]


def _as_text(get: Any) -> Text:
    def read(ctx: Context) -> str | None:
        value = get(ctx)
        return value if value.__class__ is str or value is None else str(value)

    return read


def returns(type: str) -> Callable[[Apply], Apply]:
    """Mark what a transformation gives when it is not null, "int" or "str"."""

    def mark(apply: Apply) -> Apply:
        apply.type = type  # type: ignore[attr-defined]
        return apply

    return mark
