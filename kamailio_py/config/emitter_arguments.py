"""The arguments of a function call, prepared as the function's declaration says (config/arguments.py).

What is constant is made once, here; a mistake in it is an error at load with its place.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from kamailio_py.config import arguments as kinds
from kamailio_py.config import nodes
from kamailio_py.config.arguments import Argument, Fixup
from kamailio_py.config.emitter_ast import call, const, name, place, text_of
from kamailio_py.config.emitter_values import Value, as_int, as_text, reject, shown
from kamailio_py.config.host import FunctionSpec
from kamailio_py.config.types import Type, constant, number_of

if TYPE_CHECKING:
    from kamailio_py.config.emitter_expressions import Expressions

Made = TypeVar("Made")


class Unfit(Exception):
    """An argument Kamailio accepts when it reads the config and cannot prepare when the call comes: its number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Arguments:
    """Prepares arguments for the calls of one function emitter."""

    def __init__(self, emitter: Expressions) -> None:
        self.emitter = emitter
        self.names = emitter.names

    def prepare(self, spec: FunctionSpec, e: nodes.Call | nodes.CoreCall) -> list[ast.expr]:
        """The Python arguments after `ctx`."""
        made: list[ast.expr] = []
        position = 0
        for kind in spec.arguments:
            if kind is kinds.CONTINUATION:
                node = const(self.emitter.continuation(e))
            elif kind is kinds.POSITION:
                node = const((e.at.path, e.at.line))
            else:
                if kind is kinds.PVAR and isinstance(e.args[position], nodes.PVariable):
                    self._warn_of_bare(e, e.args[position])
                    raise Unfit(position + 1)
                node = self._written(kind, e.args[position], f"function {e.name}: parameter {position + 1}")
                position += 1
            place(node, e.at)
            made.append(node)
        return made

    def _written(self, kind: Argument, e: nodes.Expression, what: str) -> ast.expr:
        known = self._constant(e)
        if kind is kinds.INT:
            return self._int(e, known, what)
        if kind is kinds.PVAR:
            return self._pvar(e, known, what)
        if kind in (kinds.STR, kinds.ROUTE):
            return self.format(e, str(known)) if known is not None else self.emitter.text(e)
        if kind in (kinds.FIRST, kinds.VALUE):
            return self.emitter.text(e) if known is None else self._first(kind, e, str(known))
        if kind is kinds.REGEX_FORMAT:
            return self._regex_format(e, known)
        if isinstance(kind, Fixup) and kind.pvar and self._names_pvar(e, known):
            return self._pvar(e, known, what)
        if known is None:
            raise reject(e.at, f"{what} is not constant")
        text = str(known)
        if kind is kinds.RAW:
            return const(text)
        if kind is kinds.FORMAT:
            return name(self.names.bind(f"format_{text}"[:40], self._checked(e, lambda: self.names.format(text))))
        if kind is kinds.REGEX:
            return name(self._checked(e, lambda: self.names.regex(text, newline=True)))
        if isinstance(kind, Fixup):
            return self._fixed(kind, e, text)
        raise reject(e.at, f"{what}: no way to prepare a {kind.name}")

    def _warn_of_bare(self, e: nodes.Call | nodes.CoreCall, argument: nodes.Expression) -> None:
        """`f($x)` gives f the value of $x where it wants the variable: at run time that fails."""
        text = argument.text if isinstance(argument, nodes.PVariable) else ""
        message = f"function {e.name} wants a variable and is given the value of {text}: it will fail"
        self.emitter.unit.warn(argument.at, message, f'write "{text}" in quotes')

    @staticmethod
    def _names_pvar(e: nodes.Expression, known: int | str | None) -> bool:
        return isinstance(e, (nodes.PVariable, nodes.Attribute)) or (isinstance(known, str) and known[:1] == "$")

    def _constant(self, e: nodes.Expression) -> int | str | None:
        if isinstance(e, (nodes.Identifier, nodes.Operand)):
            return e.name
        if isinstance(e, nodes.Address):
            return f"{e.host}/{e.mask}" if e.mask else e.host
        self.emitter.check_types(e)
        return constant(e)

    def _checked(self, e: nodes.Expression, make: Callable[[], Made]) -> Made:
        """The result of `make`, or its ValueError as the author's error."""
        try:
            return make()
        except ValueError as error:
            raise reject(e.at, str(error)) from None

    def parts(self, e: nodes.Expression, text: str) -> list[ast.expr]:
        """The parts of a format as they are printed; null is written <null>."""
        found: list[ast.expr] = []
        for part in self._checked(e, lambda: self.names.format(text)).parts:
            if isinstance(part, str):
                found.append(const(part))
            else:
                found.append(self.names.read_text(part) or shown(self.emitter.of_pvar(part)))
        return found

    def format(self, e: nodes.Expression, text: str) -> ast.expr:
        """A text in which pseudo-variables are evaluated at the call."""
        return text_of(self.parts(e, text)) if "$" in text else const(text)

    def _first(self, kind: Argument, e: nodes.Expression, text: str) -> ast.expr:
        """The pseudo-variable that a text begins with, or all of the text."""
        if text[:1] != "$":
            return const(text) if kind is kinds.VALUE else self.format(e, text)
        if kind is kinds.FIRST:
            return text_of(self.parts(e, text)[:1])
        pvar = self._checked(e, lambda: self.names.format(text)).parts[0]
        return const(pvar) if isinstance(pvar, str) else as_text(self.emitter.of_pvar(pvar))

    def _int(self, e: nodes.Expression, known: int | str | None, what: str) -> ast.expr:
        if known is None:
            return self.emitter.integer(e)
        if isinstance(known, str) and "$" in known:
            parts = self._checked(e, lambda: self.names.format(known)).parts
            if not isinstance(parts[0], str):  # as in Kamailio what follows does not count
                return as_int(self.emitter.of_pvar(parts[0]), e.at)
            return as_int(Value(self.format(e, known), Type.STR), e.at)
        number = number_of(known)
        if number is None or known == "":
            raise reject(e.at, f'{what}: "{known}" is not a number')
        return const(number)

    def _pvar(self, e: nodes.Expression, known: int | str | None, what: str) -> ast.expr:
        if isinstance(e, (nodes.PVariable, nodes.Attribute)):
            pvar = self.emitter.pvar(e)
        elif isinstance(known, str) and known[:1] == "$":
            pvar = self._checked(e, lambda: self.names.pvar(known))
        else:
            raise reject(e.at, f"{what} must be a pseudo-variable")
        return name(self.names.bind(f"pvar_{pvar.text}", pvar))

    def _regex_format(self, e: nodes.Expression, known: int | str | None) -> ast.expr:
        if known is None:
            return call("regex_argument", self.emitter.text(e))
        text = str(known)
        made = self.format(e, text)
        if isinstance(made, ast.Constant):
            plain = str(made.value)
            return name(self._checked(e, lambda: self.names.regex(plain, newline=True)))
        return call("regex_argument", made)

    def _fixed(self, kind: Fixup, e: nodes.Expression, text: str) -> ast.expr:
        value = self._checked(e, lambda: kind.prepare(text))
        if value is None or isinstance(value, (bool, int, str)):
            return const(value)
        return name(self.names.bind(f"{kind.name}_{text}"[:40], value))
