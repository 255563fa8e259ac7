"""Numbers in shared memory: what PyPy reaches them through behaves as a memoryview does."""

from __future__ import annotations

import mmap
import sys

import pytest

pytest.importorskip("cffi")  # part of PyPy; here it comes with the tests' own packages

from kamailio_py.shm.words import _Words, _Words64, words

LIMITS = {"I": (0, 2**32 - 1), "Q": (0, 2**64 - 1), "q": (-(2**63), 2**63 - 1)}


def both(code: str) -> tuple[memoryview, _Words]:
    memory = mmap.mmap(-1, 4096)
    view = memoryview(memory).cast(code)  # type: ignore[call-overload]
    return view, (_Words64 if code == "Q" else _Words)(memory, view, code)


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


def test_slices() -> None:
    view, cells = both("Q")
    cells[2] = 5
    assert cells[1:4].tolist() == [0, 5, 0]
    cells[1:3] = memoryview(bytes(16)).cast("Q")
    assert view[2] == 0


def test_cpython_uses_a_memoryview() -> None:
    made = words(mmap.mmap(-1, 64), "Q")
    assert isinstance(made, memoryview if sys.implementation.name == "cpython" else _Words)
