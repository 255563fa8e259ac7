"""Pseudo-variables: how `$name`, `$name(inner)` and `$(name(inner)[index]{transformation})` are read and bound.

A module exports a name with functions that bind an inner name to a getter and a setter (module.PVarExport); binding
happens once, when the cfg is read, and what is left for the running script is one call, or none at all where the
getter says which Python expression does the same (`inline`). Errors are ValueError with Kamailio's words. Knows no
message and no module; takes no lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.script.transformations.base import Apply, Cursor, Transformation
from kamailio_py.script.values import Value, parse_int

if TYPE_CHECKING:
    from kamailio_py.module import PVarExport
    from kamailio_py.script.context import Context

log = get_logger("<core>")

Getter = Callable[["Context"], Value]
Setter = Callable[["Context", Value], bool]

NAME_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.?")


def inline(source: str) -> Getter:
    """A getter that is the Python expression `source` over `ctx`; the compiler puts it into the generated code."""
    getter: Any = eval(f"lambda ctx: {source}")
    getter.source = source
    return getter


def numbered(getter: Getter, number: Callable[[Context], int]) -> Getter:
    """`getter`, whose text has a number of its own in int contexts, as `$rm` has the method's."""
    getter.number = number  # type: ignore[attr-defined]
    return getter


def printed(getter: Getter, text: Callable[[Context], str]) -> Getter:
    """`getter`, of which formats print `text(ctx)`."""
    getter.text = text  # type: ignore[attr-defined]
    return getter


class Inner:
    """What stands in the parentheses and brackets of a pseudo-variable.

    text        the inner name as written, "" without parentheses
    given       parentheses were there
    pvar        the inner name as a pseudo-variable, when it is one
    index       constant index, or None; `all` for [*]; `index_pvar` when the index is a pseudo-variable
    """

    __slots__ = ("_pvar", "all", "given", "index", "index_pvar", "registry", "text")

    def __init__(
        self, registry: PVarRegistry, text: str = "", given: bool = False, index: int | PVar | str | None = None
    ) -> None:
        self.registry = registry
        self.text = text
        self.given = given
        self.all = index == "*"
        self.index = index if isinstance(index, int) else None
        self.index_pvar = index if isinstance(index, PVar) else None
        self._pvar: PVar | None = None

    @property
    def pvar(self) -> PVar | None:
        if self._pvar is None and self.text[:1] == "$":
            self._pvar = self.registry.parse_at(self.text, 0)[0]
        return self._pvar

    @property
    def has_index(self) -> bool:
        return self.all or self.index is not None or self.index_pvar is not None

    def name(self) -> Callable[[Context], Value]:
        """The inner name at run time: the constant, or what the pseudo-variable in its place holds."""
        pvar, text = self.pvar, self.text
        if pvar is None:
            return lambda ctx: text
        return pvar.get

    def position(self) -> Callable[[Context], int | None]:
        """The index at run time, 0 where none is written; None when a pseudo-variable holds no number."""
        pvar = self.index_pvar
        if pvar is None:
            number = self.index or 0
            return lambda ctx: number
        get = pvar.get

        def read(ctx: Context) -> int | None:
            value = get(ctx)
            if value.__class__ is int:
                return value
            return None

        return read


def _refuse(ctx: Context, value: Value) -> bool:
    """The setter of what cannot be written."""
    return False


class PVar:
    """A pseudo-variable bound to its place in the cfg; see config.host.PVarSpec for the attributes the compiler reads.

    Two getters are there for values that Kamailio keeps as text and number at once, and None for all others: `get_int`
    where an int context sees another number than the text's own, and `get_text(ctx) -> str` where a format prints
    something else than the value (null printed as `<null>`).
    """

    __slots__ = (
        "get", "get_int", "get_text", "inner", "name", "set", "source", "static", "text", "transformed", "type",
        "writable",
    )  # fmt: skip

    def __init__(self, text: str, name: str, inner: Inner, get: Getter, set: Setter | None, type: str = "any") -> None:
        self.text = text
        self.name = name
        self.inner = inner
        self.get = get
        self.set = set or _refuse
        self.writable = set is not None
        self.transformed = False
        self.type = type
        self.source: str = getattr(get, "source", "")
        self.static: str | None = getattr(get, "static", None)
        self.get_text: Callable[[Context], str] | None = getattr(get, "text", None)
        self.get_int: Callable[[Context], int] | None = getattr(get, "number", None)

    def transform(self, steps: list[Apply]) -> None:
        """Put transformations behind the getter."""
        get = self.get
        for step in steps[:-1]:
            get = _then(get, step)
        last = steps[-1]
        self.get = _then(get, last)
        self.get_text = _printed(get, getattr(last, "text", last))
        self.transformed = True
        self.type = getattr(last, "type", "any")
        self.source = ""
        self.static = None
        self.get_int = None

    def __repr__(self) -> str:
        return f"<PVar {self.text}>"


def _then(get: Getter, step: Apply) -> Getter:
    return lambda ctx: step(ctx, get(ctx))


def _printed(get: Getter, step: Apply) -> Callable[[Context], str]:
    """What a format prints of a transformation: nothing where it has no value, as that is an error to Kamailio."""

    def print(ctx: Context) -> str:
        value = step(ctx, get(ctx))
        return "" if value is None else value if value.__class__ is str else str(value)

    return print


class Format:
    """A text with pseudo-variables in it. `parts` are constant texts and PVars; null is written `<null>`."""

    __slots__ = ("parts", "text")

    def __init__(self, text: str, parts: list[str | PVar]) -> None:
        self.text = text
        self.parts = parts

    @property
    def constant(self) -> str | None:
        """The text when nothing in it varies."""
        if not self.parts:
            return ""
        if len(self.parts) == 1 and isinstance(self.parts[0], str):
            return self.parts[0]
        return None

    def evaluate(self, ctx: Context) -> str:
        out = []
        for part in self.parts:
            if isinstance(part, str):
                out.append(part)
            elif part.get_text is not None:
                out.append(part.get_text(ctx))
            else:
                value = part.get(ctx)
                out.append("<null>" if value is None else str(value))
        return "".join(out)


class PVarRegistry:
    """All pseudo-variables and transformation classes known at this point of the cfg.

    `fallback(name)` gives the export that stands in for an unknown name in the dialect where `$name` is an AVP.
    """

    def __init__(self) -> None:
        self.exports: dict[str, PVarExport] = {}
        self.classes: dict[str, Transformation] = {}
        self.fallback: Callable[[str], PVarExport] | None = None
        self.known: dict[str, PVar] | None = None
        """All that are parsed, where somebody (debugger) wants to know."""

    def add(self, export: PVarExport) -> None:
        """Make a name known; a second one of the same name is left out, as Kamailio does."""
        if export.name in self.exports:
            log.err(f'pvar "{export.name}" already exists')
            return
        self.exports[export.name] = export

    def add_transformation(self, name: str, transformation: Transformation) -> None:
        self.classes.setdefault(name, transformation)

    def parse(self, text: str, strict: bool = True) -> PVar:
        """The pseudo-variable that `text` is as a whole; `%name` is the AVP of that name."""
        if text[:1] == "%" and self.fallback is not None:
            export = self.fallback(text[1:])
            inner = Inner(self)
            assert export.bind_set is not None
            return PVar(text, text[1:], inner, export.bind(inner), export.bind_set(inner))
        pvar, end = self.parse_at(text, 0, strict)
        if end != len(text):
            raise ValueError(f"Can't get from cache: {text}")
        return pvar

    def format(self, text: str) -> Format:
        """A text in which every `$...` is a pseudo-variable."""
        parts: list[str | PVar] = []
        pos = 0
        while True:
            dollar = text.find("$", pos)
            if dollar < 0:
                break
            if dollar > pos:
                parts.append(text[pos:dollar])
            pvar, pos = self.parse_at(text, dollar, True)
            if pvar.name == "$":
                # "$$" is a plain dollar
                parts.append("$")
            else:
                parts.append(pvar)
        if pos < len(text):
            parts.append(text[pos:])
        return Format(text, _joined(parts))

    def parse_at(self, text: str, start: int, strict: bool = True) -> tuple[PVar, int]:
        """The pseudo-variable whose `$` is at `start`, and where it ends."""
        pos = start + 1
        enclosed = text[pos : pos + 1] == "("
        if enclosed:
            pos += 1
        name_start = pos
        size = len(text)
        while pos < size and text[pos] in NAME_CHARS:
            pos += 1
        name = text[name_start:pos]
        if not enclosed and not name and text[pos : pos + 1] == "$":
            return PVar("$$", "$", Inner(self), inline("'$'"), None, "str"), pos + 1
        if enclosed and text[pos : pos + 1] not in ("(", "[", "{", ")"):
            if pos == size:
                raise ValueError(f"non-closing name parenthesis [{text[start:]}]")
            raise ValueError(f"invalid char '{text[pos]}' in [{text[start:]}]")
        inner_text, given = "", False
        if text[pos : pos + 1] == "(":
            close = _closing(text, pos)
            if close < 0:
                raise ValueError(f"non-closing inner-name parenthesis [{text[start:]}]")
            inner_text, given = text[pos + 1 : close], True
            pos = close + 1
        index: int | PVar | str | None = None
        steps: list[Apply] = []
        if enclosed:
            if text[pos : pos + 1] == "[":
                index, pos = self._index(text, pos, name)
            if text[pos : pos + 1] == "{":
                steps, pos = self._steps(text, pos)
            if text[pos : pos + 1] != ")":
                raise ValueError(f'bad pvar name "{text[start:]}" ({text[pos : pos + 1]})')
            pos += 1
        whole = text[start:pos]
        export = self._lookup(name, whole, strict)
        self._check(export, inner_text, given, index)
        inner = Inner(self, inner_text, given, index)
        get = export.bind(inner)
        set = export.bind_set(inner) if export.bind_set else None
        pvar = PVar(whole, name, inner, get, set, export.type)
        if steps:
            pvar.transform(steps)
        if self.known is not None:
            self.known.setdefault(whole, pvar)
        return pvar, pos

    def _lookup(self, name: str, whole: str, strict: bool) -> PVarExport:
        export = self.exports.get(name)
        bare = whole == f"${name}"
        if export is not None and not (bare and export.inner):
            return export
        complaint = f'error searching pvar "{name}"' if export is None else f'pvar "{name}" expects an inner name'
        log.err(complaint)
        log.err(f"wrong char [{whole[-1]}/{ord(whole[-1])}] in [{whole}] at [{len(whole) - 1} (0)]")
        if not strict and bare and self.fallback is not None:
            return self.fallback(name)
        raise ValueError(complaint)

    @staticmethod
    def _check(export: PVarExport, inner: str, given: bool, index: int | PVar | str | None) -> None:
        if export.inner and not given:
            raise ValueError(f'pvar "{export.name}" expects an inner name')
        if export.inner is False and given:
            raise ValueError(f'pvar "{export.name}" does not get name param')
        if export.inner and not inner:
            raise ValueError(f'pvar "{export.name}" does not get empty name param')
        if export.index is False and index is not None:
            raise ValueError(f'pvar "{export.name}" does not get index param')

    def _index(self, text: str, pos: int, name: str) -> tuple[int | PVar | str, int]:
        """The `[index]` at `pos`."""
        if text[pos + 1 : pos + 2] == "$":
            pvar, end = self.parse_at(text, pos + 1)
            if text[end : end + 1] != "]":
                raise ValueError(f'pvar "{name}" has an invalid index param [{text[pos + 1 : end]}]')
            return pvar, end + 1
        end = text.find("]", pos)
        if end < 0:
            raise ValueError(f'bad pvar name "{text}" ([)')
        written = text[pos + 1 : end]
        if not written:
            raise ValueError(f'pvar "{name}" does not get empty index param')
        if written == "*":
            return "*", end + 1
        number = parse_int(written) if written[0] != "+" else None
        if number is None:
            raise ValueError(f"invalid index [{written}]")
        return number, end + 1

    def _steps(self, text: str, pos: int) -> tuple[list[Apply], int]:
        """The transformations from the `{` at `pos` on."""
        steps = []
        while text[pos : pos + 1] == "{":
            cursor = Cursor(text, pos + 1, self)
            name = cursor.class_name()
            transformation = self.classes.get(name)
            if transformation is None:
                raise ValueError(f"unknown transformation: [{name}] in [{text[pos:]}]")
            steps.append(transformation(cursor))
            cursor.skip_blanks()
            if cursor.char() != "}":
                raise ValueError(f"invalid transformation: {text[pos:]} | {cursor.char()} !!")
            pos = cursor.pos + 1
            while text[pos : pos + 1] in (" ", "\t", "\r", "\n"):
                pos += 1
        return steps, pos


def _closing(text: str, pos: int) -> int:
    """Where the parenthesis opened at `pos` closes, -1 if nowhere."""
    depth = 0
    for index in range(pos, len(text)):
        char = text[index]
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if not depth:
                return index
    return -1


def _joined(parts: list[str | PVar]) -> list[str | PVar]:
    """`parts` with neighbouring constant texts made one."""
    out: list[str | PVar] = []
    for part in parts:
        if isinstance(part, str) and out and isinstance(out[-1], str):
            out[-1] += part
        else:
            out.append(part)
    return out
