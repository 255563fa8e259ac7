"""Numbers in shared memory: what PyPy reaches them through behaves as a memoryview does, where it matters."""

from __future__ import annotations

import mmap
import struct
import sys
from typing import Any

import pytest

pytest.importorskip("cffi")  # part of PyPy; here it comes with the tests' own packages

from kamailio_py.shm.words import array, contents, empty, numbers, release, words

LIMITS = {"I": (0, 2**32 - 1), "Q": (0, 2**63 - 1), "q": (-(2**63), 2**63 - 1)}


def both(code: str) -> tuple[Any, Any]:
    memory = mmap.mmap(-1, 4096)
    return words(memory, code, writable=False), array(memory, code)


@pytest.mark.parametrize("code", LIMITS)
def test_what_one_writes_the_other_reads(code: str) -> None:
    view, cells = both(code)
    for value in (*LIMITS[code], 1, 77):
        cells[3] = value
        assert view[3] == value
        view[4] = value
        assert cells[4] == value
    assert len(cells) == len(view)


@pytest.mark.parametrize("code", LIMITS)
def test_a_value_too_large_is_refused(code: str) -> None:
    _, cells = both(code)
    with pytest.raises(OverflowError):
        cells[0] = LIMITS[code][1] + 1


@pytest.mark.parametrize("code", LIMITS)
def test_a_place_beyond_the_end_is_refused(code: str) -> None:
    for made in both(code):
        with pytest.raises(IndexError):
            made[len(made)]


@pytest.mark.parametrize("kind", [0, 1])
def test_many_at_once(kind: int) -> None:
    made = both("Q")[kind]
    assert empty(made, 0, 512)
    made[2], made[4] = 5, 6
    assert numbers(made, 1, 5) == [0, 5, 0, 6]
    assert numbers(made, 0, 6, 2) == [0, 5, 6]
    assert empty(made, 0, 2)
    assert not empty(made, 0, 3)
    assert empty(made, 5, 512)
    part = made[2:5]
    part[1] = 7
    assert made[3] == 7
    assert list(part) == [5, 7, 6]


@pytest.mark.parametrize("kind", [0, 1])
def test_released_memory_can_be_closed(kind: int) -> None:
    memory = mmap.mmap(-1, 4096)
    release(array(memory, "Q") if kind else words(memory, "Q", writable=False))
    memory.close()


@pytest.mark.parametrize("kind", [0, 1])
def test_bytes(kind: int) -> None:
    memory = mmap.mmap(-1, 4096)
    made = array(memory, "Q") if kind else words(memory, "Q", writable=False)
    text = contents(memory, made)
    assert len(text) == 4096
    text[8:12] = b"\x01\x02\x03\x04"
    assert made[1] == 0x04030201
    assert text[6:13] == b"\0\0\x01\x02\x03\x04\0"
    struct.pack_into("<I", text, 8, 77)
    assert struct.unpack_from("<I", text, 8) == (77,)
    assert text[4090:5000] == bytes(6)


def test_cpython_uses_a_memoryview() -> None:
    made = words(mmap.mmap(-1, 64), "Q", writable=True)
    assert isinstance(made, memoryview) == (sys.implementation.name == "cpython")
