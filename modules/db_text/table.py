"""One table of db_text: a file whose first line names the columns, with a row in each other line.

    id(int,auto) username(string) received(string,null)
    1:bob:
    2:o\\:neil:10.1.1.1

Rows are kept in memory and read again when the file has changed; what was only appended is read alone. A row is
written by appending it, any other change by a new file in place of the old one, both while the directory is locked.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kamailio_py.dataclass import dataclass
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Time, Value

_COLUMN = re.compile(r"(?P<name>[^\s(]+)\((?P<type>[a-zA-Z]+)(?:,(?P<flag>null|auto))?\)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "0": "\0"}
_UNESCAPE = re.compile(r"\\(.)", re.DOTALL)

READERS: dict[str, Callable[[str], Value]] = {
    "i": int,
    "d": float,
    "s": str,
    "b": lambda text: text.encode("latin-1"),
    "t": lambda text: Time(int(text)),
}
"""How a column is read, by the first letter of its type."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: str
    nullable: bool
    auto: bool


class TextTable:
    """A table's columns and rows, as they are in the file."""

    def __init__(self, path: Path, delimiter: str, empty_strings: bool) -> None:
        """With `empty_strings` an empty field of a string column is a string, else it is null if it may be."""
        self.path = path
        self.columns: list[Column] = []
        self.rows: list[tuple[Value, ...]] = []
        self._delimiter = delimiter
        self._empty_strings = empty_strings
        self._header = ""
        self._seen = (0, 0, 0)  # inode, size, time of the last change
        self._escape = str.maketrans(
            {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", "\0": "\\0", delimiter: f"\\{delimiter}"}
        )
        self._field = re.compile(rf"{re.escape(delimiter)}((?:[^{re.escape(delimiter)}\\]|\\.)*)")

    # reading

    def refresh(self) -> None:
        """Read what has changed. DbError if there is no such table or it cannot be understood."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                seen = (status.st_ino, status.st_size, status.st_mtime_ns)
                if seen == self._seen:
                    return
                inode, size, _ = self._seen
                if inode == status.st_ino and 0 < size <= status.st_size and self._ends_as_before(file, size):
                    self._read_rows(file.read().decode("latin-1"))
                else:
                    file.seek(0)
                    self._read(file.read().decode("latin-1"))
                self._seen = seen
        except OSError as error:
            raise DbError(f"table {self.path.name} does not exist! ({self.path}: {error.strerror})") from None

    def _ends_as_before(self, file: object, size: int) -> bool:
        """Whether what was read before still ends with the same row; the file is then read on from there."""
        last = self._line(self.rows[-1]).encode("latin-1") if self.rows else self._header.encode("latin-1")
        file.seek(max(0, size - len(last) - 1))  # type: ignore[attr-defined]
        found = file.read(len(last) + 1)  # type: ignore[attr-defined]
        return bool(found == last + b"\n")

    def _read(self, text: str) -> None:
        self._header, _, rest = text.partition("\n")
        self.columns = []
        for word in self._header.split():
            match = _COLUMN.fullmatch(word)
            kind = match["type"][0].lower() if match else ""
            if match is None or kind not in READERS:
                raise DbError(f"could not load database from file [{self.path.name}]: line 1: no column: {word}")
            self.columns.append(Column(match["name"], kind, match["flag"] == "null", match["flag"] == "auto"))
        self.rows = []
        self._read_rows(rest)

    def _read_rows(self, text: str) -> None:
        for line in text.split("\n"):
            if line:
                try:
                    self.rows.append(self._row(line))
                except ValueError as error:
                    place = f"line {len(self.rows) + 2}"
                    raise DbError(f"could not load database from file [{self.path.name}]: {place}: {error}") from None

    def _row(self, line: str) -> tuple[Value, ...]:
        fields = self._field.findall(self._delimiter + line)
        if len(fields) != len(self.columns):
            raise ValueError(f"{len(fields)} fields, {len(self.columns)} columns")
        return tuple(self._value(column, text) for column, text in zip(self.columns, fields, strict=True))

    def _value(self, column: Column, text: str) -> Value:
        if not text:
            if column.nullable and not (self._empty_strings and column.kind == "s"):
                return None
            if column.kind in "sb":
                return READERS[column.kind]("")
            raise ValueError(f"null value not allowed - field {column.name}")
        try:
            return READERS[column.kind](_UNESCAPE.sub(self._unescaped, text) if "\\" in text else text)
        except ValueError:
            raise ValueError(f"field {column.name}: {text}") from None

    def _unescaped(self, match: re.Match[str]) -> str:
        if match[1] == self._delimiter:
            return self._delimiter
        if match[1] not in _ESCAPES:
            raise ValueError(match[0])
        return _ESCAPES[match[1]]

    # writing; the directory is locked

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No other process changes a table of this directory meanwhile; the rows are as they are in the file."""
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            self.refresh()
            yield
        finally:
            os.close(directory)

    def append(self, row: tuple[Value, ...]) -> None:
        with self.path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(end - 1, 0))
            gap = b"" if file.read(1) == b"\n" else b"\n"
            file.write(gap + self._line(row).encode("latin-1") + b"\n")
        self.rows.append(row)
        self._note()

    def rewrite(self, rows: Sequence[tuple[Value, ...]]) -> None:
        """A file with these rows in place of the one there is."""
        new = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        lines = [self._header, *map(self._line, rows)]
        status = self.path.stat()
        with new.open("wb") as file:
            file.write("\n".join(lines).encode("latin-1") + b"\n")
        os.chmod(new, status.st_mode & 0o7777)
        if (status.st_uid, status.st_gid) != (os.getuid(), os.getgid()) and os.getuid() == 0:
            os.chown(new, status.st_uid, status.st_gid)
        new.replace(self.path)
        self.rows = list(rows)
        self._note()

    def _note(self) -> None:
        status = self.path.stat()
        self._seen = (status.st_ino, status.st_size, status.st_mtime_ns)

    def _line(self, row: tuple[Value, ...]) -> str:
        return self._delimiter.join(map(self._text, row))

    def _text(self, value: Value) -> str:
        if isinstance(value, float):
            return f"{value:.2f}"
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        return "" if value is None else str(value).translate(self._escape)
