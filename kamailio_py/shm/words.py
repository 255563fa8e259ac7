"""Shared memory seen as numbers: `words[i]` reads or writes the i-th one of a width.

CPython's memoryviews are that. PyPy's take a fifth of a microsecond for each, so there the numbers are reached through
its cffi, which its compiler turns into a single instruction.
"""

from __future__ import annotations

import mmap
import sys
from typing import Any

_C_TYPES = {"I": "uint32_t *", "Q": "uint64_t *", "q": "int64_t *"}


def words(memory: mmap.mmap, code: str) -> Any:
    """What behaves as `memoryview(memory).cast(code)`; `code` is one of I, Q and q."""
    view = memoryview(memory).cast(code)  # type: ignore[call-overload]
    if sys.implementation.name != "pypy":
        return view
    return (_Words64 if code == "Q" else _Words)(memory, view, code)


class _Words:
    __slots__ = ("_cells", "_view")

    def __init__(self, memory: mmap.mmap, view: memoryview, code: str) -> None:
        import cffi

        ffi = cffi.FFI()
        self._view = view
        self._cells = ffi.cast(_C_TYPES[code], ffi.from_buffer(memory))

    def __getitem__(self, at: Any) -> Any:
        return self._cells[at] if type(at) is int else self._view[at]

    def __setitem__(self, at: Any, value: Any) -> None:
        if type(at) is int:
            self._cells[at] = value
        else:
            self._view[at] = value

    def __len__(self) -> int:
        return len(self._view)

    def release(self) -> None:
        self._view.release()


class _Words64(_Words):
    """Read with a sign, which nearly none has set: a read without costs three times as much there."""

    __slots__ = ("_signed",)

    def __init__(self, memory: mmap.mmap, view: memoryview, code: str) -> None:
        super().__init__(memory, view, code)
        import cffi

        self._signed = cffi.FFI().cast(_C_TYPES["q"], self._cells)

    def __getitem__(self, at: Any) -> Any:
        if type(at) is not int:
            return self._view[at]
        value = self._signed[at]
        return value if value >= 0 else value + 2**64
