"""What whoever writes a kamailio.cfg is told when it is wrong."""

from __future__ import annotations

from kamailio_py.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """Where something stands in a config file; lines and columns count from 1, the end is inclusive."""

    path: str
    line: int
    column: int
    end_line: int = 0
    end_column: int = 0

    def __str__(self) -> str:
        """Kamailio's wording of a place: one column, a range of columns, or a range of lines."""
        if self.end_line > self.line:
            return f"from line {self.line}, column {self.column} to line {self.end_line}, column {self.end_column}"
        if self.end_column > self.column:
            return f"line {self.line}, column {self.column}-{self.end_column}"
        return f"line {self.line}, column {self.column}"


class CfgError(Exception):
    """An error in a config file, worded for the person who wrote it.

    `hint` says how to mend it, where that can be guessed ("did you mean ..."); it is empty otherwise.
    """

    def __init__(self, position: Position, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.position = position
        self.message = message
        self.hint = hint

    path = property(lambda self: self.position.path)
    line = property(lambda self: self.position.line)
    column = property(lambda self: self.position.column)

    def __str__(self) -> str:
        text = f"parse error in config file {self.position.path}, {self.position}: {self.message}"
        return f"{text} ({self.hint})" if self.hint else text


class CfgWarning(CfgError):
    """What Kamailio accepts and would show only at run time; `--strict` makes errors of these."""

    def __str__(self) -> str:
        text = f"{self.position.path}, {self.position}: {self.message}"
        return f"{text} ({self.hint})" if self.hint else text


class CfgErrors(Exception):
    """All errors found in one reading of a config, in the order of the file."""

    def __init__(self, errors: list[CfgError]) -> None:
        super().__init__(f"{len(errors)} errors in the config")
        self.errors = errors
