"""The textops module: functions that read and edit the text of messages, one file for each kind of thing they work on.

Edits are lumps of the message; see sip/lumps.py for what becomes of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.module import Module
from kamailio_py.script.transformations.base import Cursor, typed

from .bodies import Bodies
from .headers import Headers
from .search import Search
from .subst import Subst, checked
from .texts import Texts

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.script.context import Context
    from kamailio_py.script.transformations.base import Apply
    from kamailio_py.script.values import Value


def re_class(cursor: Cursor) -> Apply:
    """{re.subst,/regex/replacement/flags}: the text with the matches replaced, or as it was."""
    name = cursor.member()
    if name != "subst":
        raise ValueError(f"unknown transformation: {name}")
    cursor.expect_comma()
    registry = cursor.registry
    if cursor.char() == "$":
        get = cursor.string()

        def apply(ctx: Context, value: Value) -> Value:
            if value is None:
                return None
            text, expression = str(value), get(ctx)
            if not expression:
                return None
            try:
                result = Subst(expression, registry).replace(ctx, text)
            except ValueError:
                return None
            return text if result is None else result

        return typed(apply, "str")
    end = cursor.text.find("}", cursor.pos)
    expression = cursor.text[cursor.pos : end].strip() if end >= 0 else ""
    cursor.pos = end
    subst = Subst(checked(expression), registry)

    def apply_constant(ctx: Context, value: Value) -> Value:
        if value is None:
            return None
        text = str(value)
        result = subst.replace(ctx, text)
        return text if result is None else result

    return typed(apply_constant, "str")


class Textops(Headers, Search, Bodies, Texts, Module):
    """Text operations on messages."""

    name = "textops"
    transformations = {"re": re_class}

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._expressions: dict[str, Subst] = {}
