"""From text to tokens, one at a time: the words of the language in the dialect that is in force.

The parser pulls; between two tokens the preprocessor directives are obeyed (config/preprocessor.py), so that a
`#!ifdef MOD_tm` sees what the `loadmodule` before it did. One regex finds each token; nothing loops over characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

from kamailio_py.config import tokens
from kamailio_py.config.errors import CfgError, CfgWarning, Position
from kamailio_py.config.preprocessor import Preprocessor, Stop
from kamailio_py.config.source import Source
from kamailio_py.config.tokens import KEYWORDS, WORD_NUMBERS, Token


class Dialect(Enum):
    """What `$name` may mean: anything (the default), a pseudo-variable only, or an AVP only."""

    MAXCOMPAT = 0
    KAMAILIO = 1
    SER = 2


DIALECTS = {
    "SER": Dialect.SER,
    "KAMAILIO": Dialect.KAMAILIO,
    "OPENSER": Dialect.KAMAILIO,
    "MAXCOMPAT": Dialect.MAXCOMPAT,
    "ALL": Dialect.MAXCOMPAT,
}

# No possessive groups in these: before CPython 3.11.5 one that holds an alternative matches too little (gh-106052).
_SKIP = re.compile(r"(?:[ \t\b\r\n]+|\\\n|(?:#|//)(?!!)[^\n]*(?:\n|\Z))*")
_WORD_OR_SIGN = re.compile(
    r"""(?P<word>\w+)"""
    r"""|(?P<pv>\$)"""
    r"""|(?P<double>"[^"\\]*(?:\\.[^"\\]*)*"(?:[ \t\b\r\n]*"[^"\\]*(?:\\.[^"\\]*)*")*)"""
    r"""|(?P<single>'[^']*')"""
    r"""|(?P<cast>\((?:int|str)\))"""
    r"""|(?P<sign>==|=~|!=|>=|<=|&&|\|\||<<|>>|\+=|[][(){};,.=+*&|^~<>-])"""
    r"""|(?P<directive>\#!|!!(?=[a-z])|//!)"""
    r"""|(?P<comment>/\*)"""
    r"""|(?P<other>[:@%!/"'])""",
    re.ASCII | re.DOTALL,
)
_IPV6 = re.compile(
    r"(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}"
    r"|(?:[0-9a-fA-F]{1,4}:){1,7}(?::[0-9a-fA-F]{1,4}){1,7}"
    r"|:(?::[0-9a-fA-F]{1,4}){1,7}|(?:[0-9a-fA-F]{1,4}:){1,7}:|::"
)
_NUMBER = re.compile(r"(?P<hex>0x[0-9a-fA-F]+)|(?P<bin>[01]+b)|(?P<oct>0[0-7]+)|(?P<dec>0|[1-9][0-9]*)", re.ASCII)
_COLON_WORDS = {"uri": ("host", "port"), "msg": ("len",)}
_COLON_WORD = re.compile(r"uri:host\b|uri:port\b|msg:len\b", re.ASCII)
_COMMENT_MARK = re.compile(r"/\*|\*/")
_PARENTHESIS = re.compile(r"[()\n]")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_RETCODE = re.compile(r"\$(?:\?|(?:retcode|rc)(?!\w))", re.ASCII)
_ATTRIBUTE = re.compile(r"(?:(?:[ft][rud]?|g)\.)?[A-Za-z_]\w*", re.ASCII)
_AVP_START = re.compile(r"(?:[ft][rud]?|g)\.|[A-Za-z_]\w*\[", re.ASCII)
_STEP = r"[A-Za-z_]\w*(?:\[(?:-?\w+|\"[^\"]*\")\])?"
_SELECT = re.compile(rf"@({_STEP}(?:\.{_STEP})*)", re.ASCII)
_EVENT = re.compile(r"[a-zA-Z][0-9a-zA-Z-]*(?::[a-zA-Z][0-9a-zA-Z_-]*)+(?=[ \t\b\r\n]*\])")
_EVENT_OTHER = re.compile(r"[^\]\[\s]+")
_ESCAPE = re.compile(r'\\(?:([nrat"\\])|x([0-9a-fA-F]{1,2})|([0-7]{2,3})|(\n))')
_PIECES = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "a": "\a", "t": "\t", '"': '"', "\\": "\\"}

EXPANSIONS_WITHOUT_PROGRESS = 1000


def unescape(text: str) -> str:
    """What stands between double quotes, with its escapes replaced; a backslash before anything else stays."""
    return _ESCAPE.sub(_escaped, text) if "\\" in text else text


def _escaped(match: re.Match[str]) -> str:
    simple, hexadecimal, octal, _newline = match.groups()
    if simple:
        return _ESCAPED[simple]
    if hexadecimal:
        return chr(int(hexadecimal, 16))
    if octal:
        return chr(int(octal, 8) & 0xFF)
    return ""


def int32(value: int) -> int:
    """A C int: 32 bits, wrapping."""
    value = min(value, 0x7FFFFFFFFFFFFFFF) & 0xFFFFFFFF
    return value - 0x100000000 if value & 0x80000000 else value


def number(text: str) -> int | None:
    """Value of a numeric word, or None if it is no number."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    kind = match.lastgroup
    if kind == "dec":
        return int32(int(text))
    if kind == "hex":
        return int32(int(text, 16))
    if kind == "oct":
        return int32(int(text, 8))
    return int32(int(text[:-1], 2))


class Lexer(Preprocessor):
    """`next()` gives tokens until one of kind EOF, and that one for ever after."""

    def __init__(
        self,
        source: Source,
        defines: list[str] | dict[str, str],
        evaluate: Callable[[str], str],
        report: Callable[[CfgError], None],
        warn: Callable[[CfgWarning], None],
    ) -> None:
        super().__init__(source, defines, evaluate, report, warn)
        self.dialect = Dialect.MAXCOMPAT
        self.event_name_next = False
        self.open_comment: Position | None = None
        self.ignored: tuple[str, Position] | None = None
        self._expansions = 0
        self._expanded_at = -1

    def next(self) -> Token:
        while True:
            source = self.source
            text = source.text
            at = source.at
            skipped = _SKIP.match(text, at).end()  # type: ignore[union-attr]  # it matches everywhere
            if skipped != at:
                self.advance_to(skipped)
                at = skipped
            if self.event_name_next:
                return self._event_name(at)
            match = _WORD_OR_SIGN.match(text, at)
            if match is None:
                if at >= len(text):
                    if self.leave_file():
                        continue
                    return self._end_of_file()
                self.warn(
                    CfgWarning(self.place(at, at + 1), f"character {text[at]!r} means nothing here and is ignored")
                )
                self.ignored = (text[at], self.place(at, at + 1))
                self.advance_to(at + 1)
                continue
            kind = match.lastgroup
            if kind == "word":
                token = self._word(match.group(), at, match.end())
                if token is None:
                    continue
                return token
            if kind == "sign":
                sign = match.group()
                return self.token(sign, sign, at, match.end())
            if kind == "double":
                return self._double_quoted(match.group(), at, match.end())
            if kind == "pv":
                return self._variable(at)
            if kind == "single":
                end = match.end()
                return self.token(tokens.STRING, self.substitute(text[at + 1 : end - 1]), at, end)
            if kind == "directive":
                if self._dialect_line(at):
                    continue
                token = self.directive(at)
                if token is None:
                    continue
                return token
            if kind == "cast":
                return self.token(match.group(), match.group(), at, match.end())
            if kind == "comment":
                if self._block_comment(at):
                    continue
                return self._end_of_file()
            return self._other(match.group(), at)

    # parts of next()

    def _word(self, word: str, at: int, end: int) -> Token | None:
        text = self.source.text
        if text[end : end + 1] == ":":
            if word in _COLON_WORDS and (match := _COLON_WORD.match(text, at)):
                return self.token(match.group(), match.group(), at, match.end())
            if match := _IPV6.match(text, at):
                return self.token(tokens.IPV6, match.group(), at, match.end())
        kind = KEYWORDS.get(word)
        if kind is not None:
            if kind == tokens.NUMBER:
                return self.token(tokens.NUMBER, WORD_NUMBERS[word], at, end)
            if kind == "event_route":
                self.event_name_next = True
            return self.token(kind, word, at, end)
        if word[0].isdigit():
            value = number(word)
            if value is None:
                return self.token(tokens.NUM_ID, word, at, end)
            return self.token(tokens.NUMBER, value, at, end)
        if word in self.files_words:
            self.include(word, at, end)
            return None
        expansion = self.defines.get(word)
        if expansion is None:
            return self.token(tokens.ID, word, at, end)
        self._expand(word, expansion, at, end)
        return None

    def _expand(self, word: str, expansion: str, at: int, end: int) -> None:
        """Splice the text of a define in; one that leads back to itself would never end."""
        rest = len(self.source.text) - end
        self._expansions = self._expansions + 1 if rest >= self._expanded_at >= 0 else 0
        self._expanded_at = rest
        if self._expansions > EXPANSIONS_WITHOUT_PROGRESS:
            self.report(CfgError(self.place(at, end), f"define {word} expands to itself"))
            raise Stop
        self.source.splice(at, end, expansion)

    def _double_quoted(self, written: str, at: int, end: int) -> Token:
        if '"' in written[1:-1] and len(pieces := _PIECES.findall(written)) > 1:
            value = "".join(unescape(piece) for piece in pieces)
        else:
            value = unescape(written[1:-1])
        return self.token(tokens.STRING, self.substitute(value), at, end)

    def _variable(self, at: int) -> Token:
        text = self.source.text
        following = text[at + 1 : at + 2]
        if following == "(":
            if self.dialect is Dialect.SER:
                return self.token(tokens.BAD, "$", at, at + 1)
            return self._parenthesised(at, at + 2)
        if match := _RETCODE.match(text, at):
            return self.token(tokens.PVAR, match.group(), at, match.end())
        name = _NAME.match(text, at + 1)
        if name is None:
            return self.token(tokens.BAD, "$", at, at + 1)
        if self.dialect is Dialect.SER or (self.dialect is Dialect.MAXCOMPAT and _AVP_START.match(text, at + 1)):
            return self._attribute(at)
        end = name.end()
        if text[end : end + 1] == "(":
            return self._parenthesised(at, end + 1)
        kind = tokens.PVAR if self.dialect is Dialect.KAMAILIO else tokens.AVP_OR_PVAR
        return self.token(kind, self.substitute(text[at:end]), at, end)

    def _parenthesised(self, at: int, inside: int) -> Token:
        text = self.source.text
        depth = 1
        while depth:
            mark = _PARENTHESIS.search(text, inside)
            if mark is None or mark.group() == "\n":
                end = mark.start() if mark else len(text)
                place = self.place(at, end)
                self.report(
                    CfgError(place, f"unexpected EOF while parsing pvar name ({depth} parenthesis open)" if mark is None
                             else f"newline in pseudo-variable {text[at:end]}", "a ')' is missing")
                )  # fmt: skip
                return self.token(tokens.BAD, text[at:end], at, end)
            depth += 1 if mark.group() == "(" else -1
            inside = mark.end()
        return self.token(tokens.PVAR, self.substitute(text[at:inside]), at, inside)

    def _attribute(self, at: int) -> Token:
        match = _ATTRIBUTE.match(self.source.text, at + 1)
        if match is None:
            return self.token(tokens.BAD, self.source.text[at], at, at + 1)
        return self.token(tokens.ATTR, match.group(), at, match.end())

    def _other(self, sign: str, at: int) -> Token:
        text = self.source.text
        if sign == "@" and (match := _SELECT.match(text, at)):
            return self.token(tokens.SELECT, match.group(1), at, match.end())
        if sign == "%":
            return self._attribute(at)
        if sign == ":" and (match := _IPV6.match(text, at)):
            return self.token(tokens.IPV6, match.group(), at, match.end())
        if sign in "\"'":
            self.report(
                CfgError(
                    self.place(at, len(text)), "cfg. parser: unexpected EOF in unclosed string",
                    f"the string that begins on line {self.source.line} has no closing {sign}",
                )
            )  # fmt: skip
            token = self._eof_token(at)
            self.advance_to(len(text))
            return token
        return self.token(sign, sign, at, at + 1)

    def _event_name(self, at: int) -> Token:
        """Between `event_route` and its `]` only brackets and a name with a colon are read."""
        text = self.source.text
        char = text[at : at + 1]
        if char == "[":
            return self.token("[", "[", at, at + 1)
        self.event_name_next = char != "]" and char != ""
        if char == "]":
            return self.token("]", "]", at, at + 1)
        if match := _EVENT.match(text, at):
            return self.token(tokens.EVENT_NAME, match.group(), at, match.end())
        self.event_name_next = False
        if match := _EVENT_OTHER.match(text, at):
            return self.token(tokens.BAD, match.group(), at, match.end())
        return self._end_of_file()

    def _block_comment(self, at: int) -> bool:
        text = self.source.text
        depth = 0
        end = at
        while True:
            mark = _COMMENT_MARK.search(text, end)
            if mark is None:
                self.open_comment = self.place(at, at + 2)
                self.warn(
                    CfgWarning(
                        self.open_comment,
                        f"cfg. parser: unexpected EOF: {depth} comments open",
                        "comments nest: each /* needs its own */",
                    )
                )
                self.advance_to(len(text))
                return False
            end = mark.end()
            depth += 1 if mark.group() == "/*" else -1
            if depth == 0:
                self.advance_to(end)
                return True

    def _dialect_line(self, at: int) -> bool:
        text = self.source.text
        prefix = 3 if text[at] == "/" else 2
        end = text.find("\n", at)
        dialect = DIALECTS.get(text[at + prefix : end]) if end > 0 and text[at] != "!" else None
        if dialect is None:
            word = text[at + prefix : end].rstrip()
            if word in DIALECTS and end > 0 and text[at] != "!":
                place = self.place(at, at + prefix + len(word))
                self.warn(
                    CfgWarning(
                        place, f"{text[at : at + prefix]}{word} is a comment here: nothing may follow it on its line"
                    )
                )
            return False
        self.dialect = dialect
        self.advance_to(end + 1)
        return True

    # tokens and places

    def token(self, kind: str, value: int | str, at: int, end: int) -> Token:
        """A token of text[at:end]; reading goes on behind it."""
        source = self.source
        text = source.text[at:end]
        if at < source.spliced:
            line, column, end_line, end_column = source.use
            source.at = end
            return Token(kind, value, text, source.path, line, column, end_line, end_column)
        line = source.line
        column = at - source.line_start + 1
        newlines = text.count("\n")
        if newlines:
            source.line += newlines
            source.line_start = at + text.rfind("\n") + 1
        source.at = end
        return Token(kind, value, text, source.path, line, column, source.line, end - source.line_start)

    def _eof_token(self, at: int) -> Token:
        place = self.place(at, len(self.source.text))
        return Token(tokens.EOF, "", "", place.path, place.line, place.column, place.end_line, place.end_column)

    def _end_of_file(self) -> Token:
        """Kamailio places the end at the last thing it read: the final newline, or the comment before it."""
        source = self.source
        text = source.text
        if not text.endswith("\n"):
            column = max(len(text) - source.line_start, 1)
            return Token(tokens.EOF, "", "", source.path, source.line, column, source.line, column)
        last = text.rfind("\n", 0, len(text) - 1) + 1
        line = source.line - 1
        column = len(text) - last
        return Token(tokens.EOF, "", "", source.path, line, column, source.line, 0)

    def place(self, at: int, end: int) -> Position:
        """Position of text[at:end], which must begin on the current line."""
        source = self.source
        if at < source.spliced:
            return Position(source.path, *source.use)
        newlines = source.text.count("\n", at, end)
        start = source.line_start if not newlines else source.text.rfind("\n", at, end) + 1
        return Position(source.path, source.line, at - source.line_start + 1, source.line + newlines, end - start)
