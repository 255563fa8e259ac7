"""Percentiles of the histogram lie within its error of the exact ones, whatever the values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamailio_py.bench.histogram import Histogram

DURATIONS = st.floats(min_value=0, max_value=3600, allow_nan=False)


def filled(values: list[float]) -> Histogram:
    made = Histogram()
    for value in values:
        made.add(value)
    return made


@given(st.lists(DURATIONS, min_size=1, max_size=200), st.sampled_from([1.0, 50.0, 90.0, 99.0, 99.9, 100.0]))
def test_a_percentile_is_at_most_a_64th_or_a_microsecond_too_high(values: list[float], percent: float) -> None:
    exact = sorted(values)[math.ceil(len(values) * percent / 100) - 1]
    found = filled(values).percentile(percent)
    assert exact * 0.999999 <= found <= exact * (1 + 1 / 63) + 1.1e-6


@given(st.lists(DURATIONS, max_size=50), st.lists(DURATIONS, max_size=50))
def test_merging_is_as_if_all_had_been_added_to_one(first: list[float], second: list[float]) -> None:
    merged = filled(first)
    merged.merge(filled(second))
    assert merged.pack() == filled(first + second).pack()
    assert len(merged) == len(first) + len(second)


@given(st.lists(DURATIONS, max_size=50))
def test_packed_it_is_the_whole_of_it(values: list[float]) -> None:
    made = filled(values)
    again = Histogram(made.pack())
    assert again.pack() == made.pack()
    assert [again.percentile(percent) for percent in (50, 99, 100)] == [made.percentile(p) for p in (50, 99, 100)]


def test_what_was_early_counts_as_nothing() -> None:
    assert filled([-0.5]).percentile(50) == pytest.approx(1e-6)


def test_nothing_counted_has_no_percentile() -> None:
    assert Histogram().percentile(99) == 0
