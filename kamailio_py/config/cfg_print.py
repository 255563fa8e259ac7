"""`--cfg-print`: the text of a config after conditions and included files, everything else as it was written."""

from __future__ import annotations

from kamailio_py.config import tokens
from kamailio_py.config.lexer import Lexer
from kamailio_py.config.preprocessor import Stop
from kamailio_py.config.source import Source, read
from kamailio_py.config.tokens import Token

_LEFT_OUT = frozenset(("test", "ifexp", "else", "endif", "file"))


class _Printer(Lexer):
    """A lexer that keeps the text it passes; names of defines stay names, no module is loaded."""

    def __init__(self, source: Source, defines: list[str]) -> None:
        super().__init__(source, defines, lambda text: text, lambda error: None, lambda warning: None)
        self.kept: list[str] = []
        self.quiet = 0

    def advance_to(self, end: int) -> None:
        if not self.quiet:
            self.kept.append(self.source.text[self.source.at : end])
        super().advance_to(end)

    def token(self, kind: str, value: int | str, at: int, end: int) -> Token:
        self.kept.append(self.source.text[at:end])
        return super().token(kind, value, at, end)

    def directive(self, at: int) -> Token | None:
        leave_out = self.directive_kind(at) in _LEFT_OUT
        self.quiet += leave_out
        try:
            return super().directive(at)
        finally:
            self.quiet -= leave_out

    def include(self, word: str, at: int, end: int) -> None:
        self.quiet += 1
        try:
            super().include(word, at, end)
        finally:
            self.quiet -= 1

    def _expand(self, word: str, expansion: str, at: int, end: int) -> None:
        self.advance_to(end)


def cfg_print(path: str, defines: list[str]) -> str:
    """The config at `path` as `--cfg-print` shows it; OSError when it cannot be read."""
    printer = _Printer(Source(path, read(path)), defines)
    try:
        while printer.next().kind != tokens.EOF:
            pass
    except Stop:
        pass
    return "".join(printer.kept)
