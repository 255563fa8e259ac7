"""Preprocessor names: `#!define` and its relatives, and the expressions of `#!ifexp` and `#!defexp`."""

from __future__ import annotations

import re

from kamailio_py.config.errors import Position
from kamailio_py.dataclass import dataclass

MAX_DEFINES = 512
VERSION = ("KAMAILIO_5", "KAMAILIO_5_6", "KAMAILIO_5_6_3")


@dataclass(slots=True)
class Define:
    value: str
    at: Position | None = None  # None: given on the command line or by the server
    mode: str = "define"


class Defines:
    """Names and their texts; a name without text expands to nothing."""

    def __init__(self, given: list[str] | dict[str, str]) -> None:
        """`given` are the server's -A options, NAME or NAME=text."""
        self.table: dict[str, Define] = {name: Define("") for name in VERSION}
        items = given.items() if isinstance(given, dict) else [item.partition("=")[::2] for item in given]
        for name, value in items:
            self.table[name] = Define(value)

    def __contains__(self, name: str) -> bool:
        return name in self.table

    def get(self, name: str) -> str | None:
        found = self.table.get(name)
        return None if found is None else found.value

    def values(self) -> dict[str, str]:
        return {name: define.value for name, define in self.table.items()}

    def modes(self) -> dict[str, str]:
        """By which directive each was defined: define, trydefine, redefine."""
        return {name: define.mode for name, define in self.table.items()}

    def add(self, name: str, value: str, at: Position | None = None, mode: str = "define") -> None:
        """`mode`: define (ValueError if the name is taken), trydefine or redefine."""
        if name in self.table:
            if mode == "trydefine":
                return
            if mode == "define":
                raise ValueError(f"already defined: {name}")
        elif len(self.table) >= MAX_DEFINES:
            raise ValueError("too many defines -- adjust MAX_DEFINES")
        self.table[name] = Define(value, at, mode)

    def remove(self, name: str) -> None:
        self.table.pop(name, None)

    def evaluate(self, text: str) -> float | str:
        """Value of an #!ifexp expression; ValueError if it is malformed."""
        try:
            return _Evaluator(text, self).value()
        except OverflowError:
            raise ValueError(f"expression evaluation [{text.strip()}] is too large") from None


_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<string>"[^"]*"|'[^']*')"""
    r"""|(?P<sign>\*\*|&&|\|\||==|!=|<=|>=|<<|>>|[-+*/%<>!~&|^()]))"""
)
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_LEVELS = (
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("==", "!="),
    ("<", "<=", ">", ">="),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
    ("**",),
)


class _Evaluator:
    """Precedence climbing over numbers and strings; a name that is not defined is 0, one without a text 1."""

    def __init__(self, text: str, defines: Defines) -> None:
        self.text = text.strip()
        self.defines = defines
        self.at = 0
        self.kind = self.word = ""
        self.advance()

    def value(self) -> float | str:
        result = self.binary(0)
        if self.kind:
            raise ValueError(f"failed to create expression [{self.text}]")
        return result

    def advance(self) -> None:
        if self.text[self.at :].strip() == "":
            self.kind = self.word = ""
            return
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            raise ValueError(f"failed to create expression [{self.text}]")
        self.kind = match.lastgroup or ""
        self.word = match.group(self.kind)
        self.at = match.end()

    def binary(self, level: int) -> float | str:
        if level == len(_LEVELS):
            return self.unary()
        left = self.binary(level + 1)
        while self.kind == "sign" and self.word in _LEVELS[level]:
            sign = self.word
            self.advance()
            left = _apply(sign, left, self.binary(level + 1))
        return left

    def unary(self) -> float | str:
        kind, word = self.kind, self.word
        if kind == "":
            raise ValueError(f"failed to create expression [{self.text}]")
        self.advance()
        if kind == "number":
            return float(word)
        if kind == "string":
            return word[1:-1]
        if kind == "name":
            text = self.defines.get(word)
            if text is None:
                return 0.0
            return _meaning(text.strip()) if text else 1.0
        if word == "(":
            inner = self.binary(0)
            if self.word != ")":
                raise ValueError(f"failed to create expression [{self.text}]")
            self.advance()
            return inner
        if word == "-":
            return -_number(self.unary())
        if word == "!":
            return float(not truth(self.unary()))
        if word == "~":
            return float(~int(_number(self.unary())))
        raise ValueError(f"failed to create expression [{self.text}]")


def _meaning(text: str) -> float | str:
    """The text of a define: a number, else a string without its quotes."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return float(text) if _DECIMAL.fullmatch(text) else text


def truth(value: float | str) -> bool:
    return bool(value)


def plain(value: float | str) -> str:
    """How a computed value is written into a define."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value == int(value) else str(value)


def _number(value: float | str) -> float:
    if isinstance(value, float):
        return value
    try:
        return float(value)
    except ValueError:
        return 0.0


def _apply(sign: str, left: float | str, right: float | str) -> float | str:
    if sign == "&&":
        return float(truth(left) and truth(right))
    if sign == "||":
        return float(truth(left) or truth(right))
    if isinstance(left, str) and sign in ("==", "!=", "<", "<=", ">", ">=", "+"):
        other = plain(right)
        if sign == "+":
            return left + other
        return float(
            {
                "==": left == other,
                "!=": left != other,
                "<": left < other,
                "<=": left <= other,
                ">": left > other,
                ">=": left >= other,
            }[sign]
        )
    a, b = _number(left), _number(right)
    if sign in ("/", "%") and b == 0:
        raise ValueError("division by 0")
    if sign in ("<<", ">>") and not 0 <= b < 64:
        raise ValueError(f"cannot shift by {plain(b)}")
    return float(
        {
            "+": lambda: a + b,
            "-": lambda: a - b,
            "*": lambda: a * b,
            "/": lambda: a / b,
            "%": lambda: a % b,
            "**": lambda: a**b,
            "<<": lambda: int(a) << int(b),
            ">>": lambda: int(a) >> int(b),
            "&": lambda: int(a) & int(b),
            "|": lambda: int(a) | int(b),
            "^": lambda: int(a) ^ int(b),
            "==": lambda: a == b,
            "!=": lambda: a != b,
            "<": lambda: a < b,
            "<=": lambda: a <= b,
            ">": lambda: a > b,
            ">=": lambda: a >= b,
        }[sign]()
    )
