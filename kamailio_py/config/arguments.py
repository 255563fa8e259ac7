"""What a script function says of each of its arguments, so that the compiler can prepare them at load time.

Kamailio calls this a fixup. A function receives plain Python values: what is constant was prepared once, what holds
pseudo-variables is evaluated at the call by generated code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kamailio_py.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Argument:
    """One kind of argument; `name` is for messages and documentation.

    What is not `written` does not stand in the cfg: the compiler adds it itself.
    """

    name: str
    written: bool = True


STR = Argument("str")
"""A string that may hold pseudo-variables ("sip:$rU@$rd") or any expression; the function gets a `str`."""

FIRST = Argument("first")
"""As STR, but of a text that begins with a pseudo-variable only that one counts; the function gets a `str`."""

VALUE = Argument("value")
"""A pseudo-variable, the first where the text has several; a text that does not begin with one is taken as it stands,
whatever it has later. The function gets a `str`, "" for null."""

INT = Argument("int")
"""A number, a pseudo-variable or any expression; the function gets an `int`. Other constants are load errors."""

RAW = Argument("raw")
"""A constant string, taken as it stands; the function gets a `str`."""

PVAR = Argument("pvar")
"""The name of one pseudo-variable, in quotes or bare; the function gets a `script.pvars.PVar` to get or set."""

REGEX = Argument("regex")
"""A constant POSIX extended regex; the function gets a compiled pattern (script.regex.compile_posix)."""

REGEX_FORMAT = Argument("regex-format")
"""A regex that may hold pseudo-variables; the function gets a compiled pattern, prepared once where it is constant."""

ROUTE = Argument("route")
"""The name of a route block, STR otherwise; the compiler warns when a constant name has no route."""

FORMAT = Argument("format")
"""As STR, but evaluated by the function: it gets a `script.pvars.Format` (`.evaluate(ctx) -> str`), prepared once."""

CONTINUATION = Argument("continuation", written=False)
"""The number of the block of actions that follows the call, for functions that resume there."""

POSITION = Argument("position", written=False)
"""Where the call stands, as `(path, line)`."""


@dataclass(frozen=True, slots=True)
class Fixup(Argument):
    """A constant that the module prepares itself: `prepare(text)` at load; a ValueError is a load error with its text.

    `method` names a method of the module that prepares it instead. With `pvar`, what begins with a `$` is the name of
    a pseudo-variable instead, and the function gets it as PVAR does.
    """

    prepare: Callable[[str], Any] = str
    pvar: bool = False
    method: str = ""
