"""`switch`: an if/elif chain where no case falls through, otherwise a number for each body and a run from there on.

The subject is converted once, to a number or a text as the labels are; the first label that fits wins, `default` comes
last wherever it stands. A subject without a value (a division by 0) goes to `default`.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from kamailio_py.config import nodes
from kamailio_py.config.emitter_ast import assign, attribute, both, compare, const, give, guarded, name, place, when
from kamailio_py.config.emitter_included import breaks_out
from kamailio_py.config.emitter_values import reject
from kamailio_py.config.errors import Position
from kamailio_py.config.types import Type, constant, static_type
from kamailio_py.dataclass import dataclass, field

if TYPE_CHECKING:
    from kamailio_py.config.emitter import FunctionEmitter
    from kamailio_py.config.emitter_statements import Mode


@dataclass(slots=True)
class Group:
    """Labels that share one body."""

    labels: list[nodes.Case] = field(default_factory=list)
    default: bool = False
    body: list[nodes.Statement] = field(default_factory=list)


class SwitchEmitter:
    """Writes one switch statement."""

    def __init__(self, emitter: FunctionEmitter, s: nodes.Switch, mode: Mode) -> None:
        self.emitter = emitter
        self.s = s
        self.mode = mode
        self.groups = self._groups()

    def _groups(self) -> list[Group]:
        groups = [Group()]
        for case in self.s.cases:
            group = groups[-1]
            if case.label is None:
                group.default = True
            else:
                group.labels.append(case)
            if case.body is not None and case.body.statements:
                group.body = list(case.body.statements)
                groups.append(Group())
        if not groups[-1].labels and not groups[-1].default:
            groups.pop()
        return groups

    def emit(self) -> list[ast.stmt]:
        e = self.emitter
        before, subject = self._subject()
        falls = any(not _ends(group.body) for group in self.groups[:-1])
        if falls:
            made = self._numbered(subject)
        else:
            made = self._chain(subject)
        head = Position(self.s.at.path, self.s.at.line, self.s.at.column)
        for node in (*before, *made):
            place(node, head)
        return [*before, *made] if made or before else e.result(self.mode, const(1))

    # the subject

    def _subject(self) -> tuple[list[ast.stmt], str]:
        """Statements that put the converted subject into a variable."""
        e, expression = self.emitter, self.s.subject
        labels = [case for group in self.groups for case in group.labels]
        types = {Type.STR if case.pattern else static_type(case.label) for case in labels if case.label is not None}
        if Type.ANY in types:
            raise reject(self.s.at, "non constant expression in case")
        self._refuse_duplicates(labels)
        if len(types) > 1:
            raise reject(self.s.at, "bad switch(): mixed integer and string/RE cases not allowed")
        self.texts = Type.STR in types
        target = e.variable("subject")
        value = e.text(expression) if self.texts else e.integer(expression)
        made: list[ast.stmt] = [assign(target, value)]
        if e.fails:
            made = [guarded([*e.prelude, *made], [assign(target, const(None))])]
            self.optional = True
        else:
            made = [*e.prelude, *made]
            self.optional = False
        return made, target

    def _refuse_duplicates(self, labels: list[nodes.Case]) -> None:
        seen: set[int | str | None] = set()
        for case in labels:
            assert case.label is not None
            known = constant(case.label)
            if not case.pattern and isinstance(known, int):
                if known in seen:
                    raise reject(case.label.at, "duplicate case")
                seen.add(known)

    def _fits(self, group: Group, subject: str) -> ast.expr:
        """Does the subject have one of the labels?"""
        plain: list[int | str] = []
        tests: list[ast.expr] = []
        for case in group.labels:
            assert case.label is not None
            known = constant(case.label)
            if known is None:
                raise reject(case.at, "non constant expression in case")
            if case.pattern:
                try:
                    regex = self.emitter.names.regex(str(known), icase="i" in case.flags)
                except ValueError:
                    raise reject(case.at, f'Bad regular expression "{known}"') from None
                search = ast.Call(attribute(name(regex), "search"), [name(subject)], [])
                if self.optional:
                    search = both(compare(name(subject), "is not", const(None)), search)  # type: ignore[assignment]
                tests.append(search)
            else:
                plain.append(known)
        if len(plain) == 1:
            tests.insert(0, compare(name(subject), "==", const(plain[0])))
        elif plain:
            tests.insert(0, compare(name(subject), "in", const(tuple(plain))))
        test = tests[0]
        for other in tests[1:]:
            test = both(test, other, disjunction=True)
        return test

    # no case falls through

    def _chain(self, subject: str) -> list[ast.stmt]:
        e = self.emitter
        looped = not self.mode.returns and any(_breaks_inside(group.body) for group in self.groups)
        return e.absorbing(self.mode, lambda: self._tests(subject, looped))

    def _tests(self, subject: str, looped: bool) -> list[ast.stmt]:
        e = self.emitter
        default = next((group for group in self.groups if group.default), None)
        made = self._body(default, looped) if default is not None else e.result(self.mode, const(1))
        for group in reversed(self.groups):
            if group.default:
                continue
            body = self._body(group, looped)
            if self.mode.returns:
                made = [self._when(group, subject, body, []), *made]
            else:
                made = [self._when(group, subject, body, made)]
        if looped:
            return [ast.While(const(True), [*made, ast.Break()], [])]
        return made

    def _when(self, group: Group, subject: str, body: list[ast.stmt], orelse: list[ast.stmt]) -> ast.stmt:
        made = when(self._fits(group, subject), body, orelse)
        place(made, group.labels[0].at)
        return made

    def _body(self, group: Group, looped: bool) -> list[ast.stmt]:
        """A body; the `break` at its end is not needed where nothing follows."""
        e, body = self.emitter, group.body
        if body and isinstance(body[-1], nodes.Break) and not self.mode.returns:
            if looped:
                return e.inner(body, self.mode)
            made = e.inner(body[:-1], e.nothing, following=body[-1:]) if len(body) > 1 else []
            return [*made, *e.traced_before(body[-1]), *e.result(self.mode, const(0))] or [ast.Pass()]
        return e.inner(body, self.mode)

    # some case falls through

    def _numbered(self, subject: str) -> list[ast.stmt]:
        """`case` counts the body to start with; each body runs if it is not before that."""
        e = self.emitter
        start = e.variable("case")
        nowhere = len(self.groups)
        default = next((index for index, group in enumerate(self.groups) if group.default), nowhere)
        choose: list[ast.stmt] = [assign(start, const(default))]
        for index, group in reversed(list(enumerate(self.groups))):
            if group.labels:
                chosen = when(self._fits(group, subject), [assign(start, const(index))], choose)
                place(chosen, group.labels[0].at)
                choose = [chosen]
        mode = self.mode
        kept = mode if not mode.returns else type(mode)(variable=e.variable("result"))
        bodies = e.absorbing(kept, lambda: self._falling(start, kept))
        loop = ast.While(const(True), [*bodies, ast.Break()], [])
        after = [give(name(kept.variable))] if mode.returns else []
        return [*choose, loop, *after]

    def _falling(self, start: str, kept: Mode) -> list[ast.stmt]:
        e = self.emitter
        bodies: list[ast.stmt] = e.result(kept, const(1))
        for index, group in enumerate(self.groups):
            following = [s for later in self.groups[index + 1 :] for s in later.body]
            body = e.inner(group.body, kept, following)
            made = when(compare(name(start), "<=", const(index)), body)
            place(made, group.body[0].at if group.body else self.s.at)
            bodies.append(made)
        return bodies


def _ends(body: list[nodes.Statement]) -> bool:
    """Does control never reach the end of this body?"""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, (nodes.Break, nodes.Terminator)):
        return True
    if isinstance(last, nodes.If) and last.otherwise is not None:
        return _ends(last.then.statements) and _ends(last.otherwise.statements)
    return False


def _breaks_inside(body: list[nodes.Statement]) -> bool:
    """Is there a `break` that leaves this switch from within an `if`?"""
    return any(
        breaks_out(statement) for statement in (body[:-1] if body and isinstance(body[-1], nodes.Break) else body)
    )
