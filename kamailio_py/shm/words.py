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
    return _Words(memory, view, _C_TYPES[code]) if sys.implementation.name == "pypy" else view


class _Words:
    __slots__ = ("_cells", "_view")

    def __init__(self, memory: mmap.mmap, view: memoryview, c_type: str) -> None:
        import cffi

        ffi = cffi.FFI()
        self._view = view
        self._cells = ffi.cast(c_type, ffi.from_buffer(memory))

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
