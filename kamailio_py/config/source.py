"""The files a config is made of: reading them, and where include_file and import_file look.

The lexer keeps one Source for each file that is open; text of a define is spliced into it where the name stood.
"""

from __future__ import annotations

import os
import sys

MAX_DEPTH = 10
MAX_NAME = 127


class Source:
    """An open file and how far it was read. `line_start` is the offset at which the current line would begin.

    Up to `spliced` the text at hand came from a define: its tokens stand at the place of the name, `use`.
    """

    __slots__ = ("at", "line", "line_start", "path", "spliced", "text", "use")

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.at = 0
        self.line = 1
        self.line_start = 0
        self.spliced = 0
        self.use = (1, 1, 1, 1)

    def splice(self, start: int, end: int, text: str) -> None:
        """Put `text` in the place of text[start:end] and read it next; later columns of the line stay what they are."""
        if start >= self.spliced:
            column = start - self.line_start + 1
            self.use = (self.line, column, self.line, column + end - start - 1)
            self.spliced = start + len(text)
        else:
            self.spliced += len(text) - (end - start)
        self.line_start += len(text) - (end - start)
        self.text = self.text[:start] + text + self.text[end:]
        self.at = start


def read(path: str) -> str:
    """Text of a config, one character per byte; "-" is standard input. OSError when it cannot be read."""
    if path == "-":
        return sys.stdin.buffer.read().decode("latin-1")
    with open(path, encoding="latin-1", newline="") as file:
        return file.read()


_ESCAPES = {"t": "\t", "n": "\n", "r": "\r"}


def included_name(written: str) -> str:
    """The file name of an include, from its quoted spelling; ValueError with Kamailio's words."""
    if len(written) > MAX_NAME:
        raise ValueError(f"included file name too long: {written}")
    if len(written) < 2 or written[0] != '"' or written[-1] != '"':
        raise ValueError(f"included file name must be between quotes: {written}")
    parts = []
    at = 1
    while at < len(written) - 1:
        char = written[at]
        if char == "\\":
            at += 1
            if at == len(written) - 1:
                raise ValueError(f"invalid escape at {at - 1} in included file name: {written}")
            char = _ESCAPES.get(written[at], written[at])
        parts.append(char)
        at += 1
    if not parts:
        raise ValueError(f"invalid included file name: {written}")
    return "".join(parts)


def open_included(name: str, including: str) -> Source | None:
    """`name` as it stands (from the working directory), else beside the including file; None if neither exists."""
    candidates = [name]
    if not name.startswith("/") and "/" in including:
        candidates.append(f"{os.path.dirname(including)}/{name}")
    for path in candidates:
        try:
            return Source(path, read(path))
        except OSError:
            continue
    return None
