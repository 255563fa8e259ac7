"""POSIX extended regular expressions, as regcomp() of the C library reads them, in Python's `re`.

Kamailio's scripts use them in `=~`, in switch labels, in textops' functions and in the `re` transformation. What
differs from `re`: bracket expressions take a backslash literally and know classes (`[[:alpha:]]`), `\\d` and
friends do not exist (`\\d` is a plain d) while GNU's `\\w \\W \\s \\S \\b \\B \\< \\> \\` \\'` do, `{` is a plain
character where no bound can start, and `(?` is no group. `$` and `^` match at the ends of the buffer only, unless
`newline` (REG_NEWLINE) is given; then `.` and negated brackets also leave newlines out. Alternation takes the
leftmost alternative where POSIX takes the longest.
"""

from __future__ import annotations

import re
from functools import lru_cache

CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": " \\t\\n\\r\\f\\v",
    "blank": " \\t",
    "punct": "!-/:-@\\[-`{-~",
    "print": " -~",
    "graph": "!-~",
    "cntrl": "\\x00-\\x1f\\x7f",
    "xdigit": "0-9A-Fa-f",
}
GNU = {
    "w": "[a-zA-Z0-9_]",
    "W": "[^a-zA-Z0-9_]",
    "s": "[ \\t\\n\\r\\f\\v]",
    "S": "[^ \\t\\n\\r\\f\\v]",
    "b": "\\b",
    "B": "\\B",
    "<": "\\b(?=\\w)",
    ">": "\\b(?<=\\w)",
    "`": "\\A",
    "'": "\\Z",
}
BOUND = re.compile(r"(\d*)(,?)(\d*)\}")
MOST = 32767


def extended(basic: str) -> str:
    """The extended regex that says what a basic one says: in that, + ? | ( ) { } are special behind a backslash."""
    out = []
    i, size = 0, len(basic)
    while i < size:
        c = basic[i]
        if c == "\\" and i + 1 < size:
            following = basic[i + 1]
            out.append(following if following in "+?|(){}" else c + following)
            i += 2
            continue
        if c == "[":
            close = basic.find("]", i + 3 if basic.startswith("[^", i) else i + 2)
            if close > 0:
                out.append(basic[i : close + 1])
                i = close + 1
                continue
        at_start = not out or out[-1] in ("(", "|") or out == ["^"]
        out.append(f"\\{c}" if c in "+?|(){}" or (c == "*" and at_start) else c)
        i += 1
    return "".join(out)


def compile_posix(text: str, icase: bool = False, newline: bool = False) -> re.Pattern[str]:
    """The pattern for `text`; ValueError with the C library's words when it is no regex."""
    flags = re.ASCII
    if icase:
        flags |= re.IGNORECASE
    if newline:
        flags |= re.MULTILINE
    else:
        flags |= re.DOTALL
    return _compile(text, flags, newline)


@lru_cache(maxsize=1024)
def _compile(text: str, flags: int, newline: bool) -> re.Pattern[str]:
    try:
        return re.compile(translate(text, newline), flags)
    except re.error as error:
        raise ValueError(f"Invalid regular expression: {error.msg}") from None


def translate(text: str, newline: bool = False) -> str:
    """The Python spelling of a POSIX extended regex."""
    out: list[str] = []
    pos, end, depth = 0, len(text), 0
    repeatable = False  # is there something before us that `*` can repeat
    while pos < end:
        char = text[pos]
        pos += 1
        if char == "\\":
            if pos == end:
                raise ValueError("Trailing backslash")
            char = text[pos]
            pos += 1
            if char.isdigit() and char != "0":
                out.append(f"(?:\\{char})")
            else:
                out.append(GNU.get(char) or re.escape(char))
            repeatable = char not in "bB<>`'"
        elif char == "[":
            bracket, pos = _bracket(text, pos, newline)
            out.append(bracket)
            repeatable = True
        elif char == "(":
            depth += 1
            out.append("(")
            repeatable = False
        elif char == ")" and depth:
            depth -= 1
            out.append(")")
            repeatable = True
        elif char == "|":
            out.append("|")
            repeatable = False
        elif char in "*+?{":
            if not repeatable:
                raise ValueError("Invalid preceding regular expression")
            if char == "{":
                char, pos = _bound(text, pos)
            # a second sign applies to the repeated thing, it is neither lazy nor possessive
            _repeat(out, char)
        elif char == "^":
            out.append("^")
            repeatable = False
        elif char == "$":
            out.append("$" if newline else "\\Z")
            repeatable = False
        elif char == ".":
            out.append(".")
            repeatable = True
        else:
            out.append(re.escape(char))
            repeatable = True
    if depth:
        raise ValueError("Unmatched ( or \\(")
    return "".join(out)


def _bound(text: str, pos: int) -> tuple[str, int]:
    """The `{low,high}` from behind its brace, and where it ends."""
    bound = BOUND.match(text, pos)
    low, comma, high = bound.groups() if bound else ("", "", "")
    if bound is None or (not low and not comma):
        raise ValueError("Invalid content of \\{\\}")
    if int(low or 0) > int(high or MOST) or int(low or 0) > MOST or int(high or 0) > MOST:
        raise ValueError("Invalid content of \\{\\}")
    return f"{{{low or 0}{comma}{high}}}", bound.end()


def _repeat(out: list[str], sign: str) -> None:
    """Append a repetition to the last piece, grouping it when it is repeated already."""
    last = out[-1]
    if last == ")":
        start = _group_start(out)
        piece = "".join(out[start:])
        del out[start:]
    else:
        piece = out.pop()
    if piece.startswith("(?:") or len(piece) == 1 or piece[0] in "[(" or (piece[0] == "\\" and len(piece) == 2):
        out.append(f"(?:{piece}{sign})")
    else:
        out.append(f"(?:(?:{piece}){sign})")


def _group_start(out: list[str]) -> int:
    depth = 0
    for index in range(len(out) - 1, -1, -1):
        if out[index] == ")":
            depth += 1
        elif out[index] == "(":
            depth -= 1
            if not depth:
                return index
    raise AssertionError("unbalanced group")


def _bracket(text: str, pos: int, newline: bool) -> tuple[str, int]:
    """A bracket expression from behind its `[`; its Python spelling and where it ends."""
    out = ["["]
    if text[pos : pos + 1] == "^":
        out.append("^\n" if newline else "^")
        pos += 1
    first = True
    while True:
        if pos >= len(text):
            raise ValueError("Unmatched [, [^, [:, [., or [=")
        char = text[pos]
        if char == "]" and not first:
            return "".join(out) + "]", pos + 1
        first = False
        if char == "[" and text[pos + 1 : pos + 2] in (":", ".", "="):
            kind = text[pos + 1]
            close = text.find(kind + "]", pos + 2)
            if close < 0:
                raise ValueError("Unmatched [, [^, [:, [., or [=")
            name = text[pos + 2 : close]
            pos = close + 2
            if kind == ":":
                if name not in CLASSES:
                    raise ValueError("Invalid character class name")
                out.append(CLASSES[name])
                continue
            char = name
            if len(char) != 1:
                raise ValueError("Invalid collation character")
        else:
            pos += 1
        if text[pos : pos + 1] == "-" and text[pos + 1 : pos + 2] not in ("]", ""):
            high = text[pos + 1]
            pos += 2
            if high == "[" and text[pos : pos + 1] == "." and text[pos + 2 : pos + 4] == ".]":
                high = text[pos + 1]
                pos += 4
            if high < char:
                raise ValueError("Invalid range end")
            out.append(f"{_literal(char)}-{_literal(high)}")
        else:
            out.append(_literal(char))


def _literal(char: str) -> str:
    return "\\" + char if char in "\\]^-[&~|" else char
