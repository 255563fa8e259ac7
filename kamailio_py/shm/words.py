"""Shared memory seen as numbers, `words[i]` reads or writes the i-th one of a width, and as bytes, by slices.

CPython's memoryviews and mmaps are that. PyPy's take a fifth and a seventh of a microsecond each time, so there whoever
writes has an array and a buffer of its cffi, which its compiler turns into single instructions. Such an array knows
slices that are iterated and no more, so other code asks `numbers` and `empty`. Words of 64 bits are read with a sign
there, which none of them uses: without one each value might be a long one.
"""

from __future__ import annotations

import mmap
import sys
from typing import Any

_ARRAYS = {"B": "uint8_t[]", "I": "uint32_t[]", "Q": "int64_t[]", "q": "int64_t[]"}


def words(memory: mmap.mmap, code: str, writable: bool) -> Any:
    """The memory as numbers; `code` is one of B, I, Q and q."""
    if writable and sys.implementation.name == "pypy":
        return array(memory, code)
    return memoryview(memory).cast(code)  # type: ignore[call-overload]


def array(memory: mmap.mmap, code: str) -> Any:
    """The same through cffi."""
    from kamailio_py.libc import ffi

    return ffi.from_buffer(_ARRAYS[code], memory)


def contents(memory: mmap.mmap, words: Any) -> Any:
    """The memory as bytes; `words` are those of 64 bits upon it."""
    if isinstance(words, memoryview):
        return memory
    from kamailio_py.libc import ffi

    return ffi.buffer(words)


def numbers(words: Any, first: int, end: int, step: int = 1) -> list[int]:
    """Those from `first` to before `end`."""
    if isinstance(words, memoryview):
        return words[first:end:step].tolist()
    return [words[at] for at in range(first, end, step)]


def empty(words: Any, first: int, end: int) -> bool:
    """Whether all of them are zero, which is told far faster than what they are."""
    part = words[first:end]
    if isinstance(part, memoryview):
        found = part.tobytes()
    else:
        from kamailio_py.libc import ffi

        found = ffi.buffer(part)[:]
    return found == bytes(len(found))


def release(words: Any) -> None:
    """Let go of the memory."""
    if isinstance(words, memoryview):
        words.release()
    else:
        from kamailio_py.libc import ffi

        ffi.release(words)
