"""A histogram of durations with the same relative error everywhere, as HDR histograms: buckets widen as values grow.

Plain numbers, no clock. Values are seconds; below 64 microseconds a bucket is one microsecond wide, above it a 64th of
the power of two it lies in, so a percentile is at most 1.6 % too high.
"""

from __future__ import annotations

from collections.abc import Iterable

_BITS = 6
_LINEAR = 1 << _BITS

PERCENTILES = (50.0, 90.0, 99.0, 99.9)


class Histogram:
    """Counts of durations by bucket."""

    def __init__(self, packed: Iterable[int] = ()) -> None:
        """Empty, or what `pack()` gave."""
        self._counts: dict[int, int] = {}
        numbers = iter(packed)
        index = 0
        for gap, count in zip(numbers, numbers, strict=True):
            index += gap
            self._counts[index] = count

    def add(self, seconds: float) -> None:
        """Count one; what is below zero counts as zero."""
        value = int(seconds * 1e6)
        if value < _LINEAR:
            index = max(value, 0)
        else:
            shift = value.bit_length() - _BITS - 1
            index = (shift << _BITS) + (value >> shift)
        self._counts[index] = self._counts.get(index, 0) + 1

    def merge(self, other: Histogram) -> None:
        for index, count in other._counts.items():
            self._counts[index] = self._counts.get(index, 0) + count

    def __len__(self) -> int:
        return sum(self._counts.values())

    def percentile(self, percent: float) -> float:
        """Seconds that `percent` of the values do not exceed, the upper edge of a bucket; 0 where there are none."""
        wanted = len(self) * percent / 100
        seen = 0
        for index in sorted(self._counts):
            seen += self._counts[index]
            if seen >= wanted and seen:
                return _upper(index) / 1e6
        return 0.0

    def share_above(self, seconds: float) -> float:
        """The share of values in buckets that begin above `seconds`."""
        above = sum(count for index, count in self._counts.items() if _upper(index - 1) / 1e6 >= seconds)
        return above / max(len(self), 1)

    def pack(self) -> list[int]:
        """To be kept and given to a new one: how many buckets on the next filled one is, its count, and so on."""
        packed: list[int] = []
        before = 0
        for index, count in sorted(self._counts.items()):
            packed += (index - before, count)
            before = index
        return packed


def _upper(index: int) -> int:
    """The first microsecond that is above the bucket."""
    if index < 2 * _LINEAR:
        return index + 1
    shift = (index >> _BITS) - 1
    return ((index - (shift << _BITS)) + 1) << shift
