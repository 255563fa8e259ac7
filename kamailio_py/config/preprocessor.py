"""Preprocessor directives: defines, conditions, substitutions, included files.

Directives begin with `#!` or `!!`. They are obeyed while tokens are read; text that a condition leaves out is never
tokenised, only searched for further conditions.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable

from kamailio_py.config import tokens
from kamailio_py.config.defines import Defines, plain, truth
from kamailio_py.config.errors import CfgError, CfgWarning, Position
from kamailio_py.config.source import MAX_DEPTH, Source, included_name, open_included
from kamailio_py.config.substitution import Substitution, split_rule
from kamailio_py.config.tokens import Token
from kamailio_py.dataclass import dataclass

MAX_CONDITIONS = 512

_BLANK = r"[ \t\b\r]"
_DIRECTIVE = re.compile(
    rf"(?:\#!|!!)(?:"
    rf"(?P<define>define|def|trydefine|trydef|redefine|redef){_BLANK}+"
    rf"|(?P<env>(?:try)?defenvs?){_BLANK}+"
    rf"|(?P<test>ifdef|ifndef){_BLANK}+"
    rf"|(?P<ifexp>ifexp){_BLANK}+"
    rf"|(?P<defexp>defexps?){_BLANK}+"
    rf"|(?P<undef>undef(?:ine)?){_BLANK}+"
    rf"|(?P<else>else){_BLANK}*\n"
    rf"|(?P<endif>endif){_BLANK}*\n"
    rf"|(?P<subst>substdefs|substdef|subst)"
    rf"|(?P<file>include_file|import_file)"
    rf")"
)
_SKIPPED = re.compile(
    rf"(?:\#!|!!)(?:(?P<test>ifdef|ifndef|ifexp){_BLANK}+|(?P<else>else){_BLANK}*\n|(?P<endif>endif){_BLANK}*\n)"
)
_ID = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_FILE_NAME = re.compile(r"[ \t]*([^ \t\r\n]+)")
_LINE_REST = re.compile(r"[^\n]*(?:\n|\Z)")
_DEFINE_TEXT = re.compile(r"(?:[^\n\\]|\\\n|\\)*")
_LIKE_ENDIF = re.compile(r"(?:#!|!!)endif[ \t\b\r]*[^ \t\b\r\n][^\n]*")
_LONG_NAMES = {"def": "define", "trydef": "trydefine", "redef": "redefine"}


class Stop(Exception):
    """Reading cannot go on; what is wrong was reported."""


@dataclass(slots=True)
class Condition:
    """An #!ifdef that is open: is its text read, and where is it."""

    active: bool
    name: str
    at: Position


class Preprocessor(ABC):
    """What the lexer does between tokens. `report` and `warn` take what is wrong; Stop is raised when it is fatal."""

    files_words = frozenset(("include_file", "import_file"))

    def __init__(
        self,
        source: Source,
        defines: list[str] | dict[str, str],
        evaluate: Callable[[str], str],
        report: Callable[[CfgError], None],
        warn: Callable[[CfgWarning], None],
    ) -> None:
        self.source = source
        self.files: list[Source] = []
        self.defines = Defines(defines)
        self.substitutions: list[Substitution] = []
        self.conditions: list[Condition] = []
        self.evaluate = evaluate
        self.report = report
        self.warn = warn
        self.extra_endifs: list[Position] = []

    # places; the lexer knows how

    @abstractmethod
    def place(self, at: int, end: int) -> Position: ...

    @abstractmethod
    def token(self, kind: str, value: int | str, at: int, end: int) -> Token: ...

    def advance_to(self, end: int) -> None:
        """Go on at `end`, counting the lines passed; lines inside a spliced define do not count."""
        source = self.source
        start = max(source.at, min(source.spliced, end))
        newlines = source.text.count("\n", start, end)
        if newlines:
            source.line += newlines
            source.line_start = source.text.rfind("\n", start, end) + 1
        source.at = end

    def fatal(self, at: Position, message: str, hint: str = "") -> Stop:
        self.report(CfgError(at, message, hint))
        return Stop()

    # directives

    def directive_kind(self, at: int) -> str | None:
        """Which kind of directive begins at `at`, None if it is none."""
        match = _DIRECTIVE.match(self.source.text, at)
        return match.lastgroup if match else None

    def directive(self, at: int) -> Token | None:
        """Obey what begins at `at`; what is no directive is a comment (`#!...`) or a sign (`!!`). None: read on."""
        source = self.source
        match = _DIRECTIVE.match(source.text, at)
        if match is None:
            if source.text[at] == "!":
                return self.token("!", "!", at, at + 1)
            self._leave_line()
            return None
        kind = match.lastgroup
        end = match.end()
        if kind == "subst":
            return self.token(f"#!{match['subst']}", match["subst"], at, end)
        if kind == "file":
            self.include(match["file"], at, end)
        elif kind in ("else", "endif"):
            place = self.place(at, end - 1)
            self.advance_to(end)
            self._else(place) if kind == "else" else self._endif(place)
        elif kind == "test":
            self._test(match["test"], at, end)
        elif kind == "ifexp":
            self._expression_test(at, end)
        elif kind == "define":
            self._define(_LONG_NAMES.get(match["define"], match["define"]), end)
        elif kind == "env":
            word = match["env"]
            self._environment(at, end, optional=word.startswith("try"), quoted=word.endswith("s"))
        elif kind == "defexp":
            self._define_expression(end, quoted=match["defexp"] == "defexps")
        else:
            self.defines.remove(self._name(end)[0])
            self._leave_line()
        return None

    def _leave_line(self) -> None:
        self.advance_to(_LINE_REST.match(self.source.text, self.source.at).end())  # type: ignore[union-attr]

    def _name(self, at: int) -> tuple[str, Position]:
        """The identifier at `at`; behind it reading goes on."""
        self.advance_to(at)
        match = _ID.match(self.source.text, at)
        if match is None:
            raise self.fatal(self.place(at, at + 1), "syntax error", "a name is expected after the directive")
        place = self.place(at, match.end())
        if self.source.text[match.end() : match.end() + 1] == "-":
            raise self.fatal(place, "'-' not allowed", "names of defines are made of letters, digits and _")
        self.advance_to(match.end())
        return match.group(), place

    def _define(self, mode: str, at: int) -> None:
        name, place = self._name(at)
        value = self._rest_of_line()
        self._add(name, value, place, mode)

    def _rest_of_line(self) -> str:
        text = self.source.text
        match = _DEFINE_TEXT.match(text, self.source.at)
        assert match is not None  # it matches the empty text
        self.advance_to(min(match.end() + 1, len(text)))
        return match.group().lstrip(" \t\b\r").replace("\\\n", "")

    def _add(self, name: str, value: str, place: Position, mode: str = "define") -> None:
        try:
            self.defines.add(name, value, place, mode)
        except ValueError as error:
            hint = ""
            first = self.defines.table.get(name)
            if first is not None:
                where = f"in {first.at.path}, line {first.at.line}" if first.at else "on the command line"
                hint = f"first defined {where}; #!trydef keeps the first text, #!redef takes the new one"
            self.report(CfgError(place, str(error), hint))
        if name in tokens.KEYWORDS and value:
            self.warn(CfgWarning(place, f"define {name} has no effect: it is a keyword and never replaced"))

    def _environment(self, at: int, end: int, *, optional: bool, quoted: bool) -> None:
        self.advance_to(end)
        place = self.place(at, end)
        written = self._rest_of_line().strip()
        name, equals, variable = written.partition("=")
        name, variable = name.strip(), (variable if equals else name).strip()
        value = os.environ.get(variable)
        if value is None:
            if optional:
                return
            raise self.fatal(place, f"env variable not defined [{variable}]", "#!trydefenv ignores a missing variable")
        value = value.encode(errors="surrogateescape").decode("latin-1")
        self._add(name, f'"{value}"' if quoted else value, place)

    def _define_expression(self, at: int, *, quoted: bool) -> None:
        name, place = self._name(at)
        try:
            value = plain(self.defines.evaluate(self._rest_of_line()))
        except ValueError as error:
            raise self.fatal(place, str(error)) from None
        self._add(name, f'"{value}"' if quoted else value, place)

    # conditions

    def _test(self, word: str, at: int, end: int) -> None:
        place = self.place(at, end)
        self.advance_to(end)
        name, name_place = self._name(end)
        place = Position(place.path, place.line, place.column, name_place.end_line, name_place.end_column)
        self._leave_line()
        self._open(Condition((name in self.defines) == (word == "ifdef"), f"#!{word} {name}", place))

    def _expression_test(self, at: int, end: int) -> None:
        place = self.place(at, end)
        self.advance_to(end)
        text = self._rest_of_line()
        try:
            result = truth(self.defines.evaluate(text))
        except ValueError as error:
            raise self.fatal(place, str(error)) from None
        self._open(Condition(result, f"#!ifexp {text}", place))

    def _open(self, condition: Condition) -> None:
        if len(self.conditions) >= MAX_CONDITIONS:
            raise self.fatal(condition.at, "too many nested ifdefs -- adjust MAX_IFDEFS")
        self.conditions.append(condition)
        if not condition.active:
            self._skip()

    def _else(self, place: Position) -> None:
        if not self.conditions:
            self.warn(
                CfgWarning(place, f"invalid position for preprocessor directive 'else' - at cfg line {place.line}")
            )
            return
        condition = self.conditions[-1]
        condition.active = not condition.active
        if not condition.active:
            self._skip()

    def _endif(self, place: Position) -> None:
        if self.conditions:
            self.conditions.pop()
            return
        self.warn(CfgWarning(place, f"invalid position for preprocessor directive 'endif' - at cfg line {place.line}"))
        self.extra_endifs.append(place)

    def _skip(self) -> None:
        """Leave out text up to the #!else or #!endif of the innermost condition, nested conditions whole."""
        depth = 0
        while True:
            match = _SKIPPED.search(self.source.text, self.source.at)
            if match is None:
                self.advance_to(len(self.source.text))
                if self.leave_file():
                    continue
                return
            self.advance_to(match.start())
            if match["test"]:
                depth += 1
                self._leave_line()
                continue
            self.advance_to(match.end())
            if depth:
                depth -= match["endif"] is not None
            elif match["endif"]:
                self.conditions.pop()
                return
            else:
                self.conditions[-1].active = True
                return

    def check_balance(self) -> None:
        """At the end: each condition that was opened must have been closed."""
        for condition in self.conditions:
            hint = f"{condition.name} on line {condition.at.line} has no #!endif"
            if found := _LIKE_ENDIF.search(self.source.text):
                line = self.source.text.count("\n", 0, found.start()) + 1
                hint += f"; the #!endif on line {line} does not count: nothing may follow it on its line"
            self.report(
                CfgError(
                    condition.at,
                    f"different number of preprocessor directives: {len(self.conditions)} more #!if[n]def as #!endif",
                    hint,
                )
            )
        if self.extra_endifs and not self.conditions:
            self.report(
                CfgError(
                    self.extra_endifs[0],
                    f"different number of preprocessor directives: {len(self.extra_endifs)} more #!endif as #!if[n]def",
                    "this #!endif closes nothing",
                )
            )

    # substitutions

    def substitute(self, text: str) -> str:
        for rule in self.substitutions:
            text = rule.apply(text)
        return text

    def add_substitution(self, word: str, rule: str, at: Position) -> None:
        """`word`: subst, substdef or substdefs; ValueError with Kamailio's words."""
        if not rule:
            raise ValueError("bad subst expression: ")
        try:
            self.substitutions.append(Substitution(rule, self.evaluate))
            name, value, _ = split_rule(rule)
        except ValueError as error:
            raise ValueError(f"bad subst expression: {rule}: {error}") from None
        if word == "subst":
            return
        if not name:
            raise ValueError("define name too short")
        if "$" in value:
            value = self.evaluate(value)
        self._add(name, f'"{value}"' if word == "substdefs" else value, at)

    # files

    def include(self, word: str, at: int, end: int) -> None:
        place = self.place(at, end)
        self.advance_to(end)
        match = _FILE_NAME.match(self.source.text, end)
        if match is None:
            raise self.fatal(place, "included file name must be between quotes: ")
        self.advance_to(match.end())
        try:
            name = included_name(self.substitute(match.group(1)))
        except ValueError as error:
            hint = "no ';' and no blanks in the name" if match.group(1).startswith('"') else ""
            raise self.fatal(place, str(error), hint) from None
        if len(self.files) >= MAX_DEPTH:
            raise self.fatal(place, "too many includes", f"{self.source.path} is the {MAX_DEPTH}th file deep")
        opened = open_included(name, self.source.path)
        if opened is None:
            if word == "import_file":
                return
            directory = "" if name.startswith("/") else os.path.dirname(self.source.path)
            beside = f" ({directory}/{name})" if directory else ""
            raise self.fatal(place, f"cannot open included file: {name}{beside}", "import_file ignores a missing file")
        self.files.append(self.source)
        self.source = opened

    def leave_file(self) -> bool:
        """Go back to the including file; False when this was the main one."""
        if not self.files:
            return False
        self.source = self.files.pop()
        return True
