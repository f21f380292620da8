"""Numbers and ticks as a report writes them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.report.numerals import duration, figure, share, short, size, tick_labels, ticks


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (999, "999"), (1_234, "1.23 k"), (999_999, "1 M"), (1_234_567, "1.23 M"), (5e12, "5 T")],
)
def test_three_digits_and_a_unit(value, text):
    assert short(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1 min 0 s"), (3599.6, "1 h 0 min"), (7260, "2 h 1 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_sizes_and_shares():
    assert (size(320), size(1_500_000)) == ("320 B", "1.5 MB")
    assert (share(1, 8), share(1, 0)) == ("12.5 %", "0 %")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "True"),
        (1234, "1,234"),
        (1620.4, "1,620.4"),
        (0.00001, "1.00e-05"),
        (2.5, "2.5"),
        (0.0, "0"),
    ],
)
def test_figures(value, text):
    assert figure(value) == text


def test_a_figure_without_decimals_keeps_its_noughts():
    assert figure(1620.0, 0) == "1,620"


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 8))
def test_ticks_are_evenly_spaced_within_the_bounds_and_not_too_many(low, span, most):
    high = low + span
    found = ticks(low, high, most)
    assert len(found) <= most
    room = 1e-6 * max(abs(low), abs(high), span)
    assert all(low - room <= value <= high + room for value in found)
    steps = [after - before for before, after in pairwise(found)]
    assert not steps or max(steps) - min(steps) <= room


def test_the_ticks_of_a_plain_range():
    assert ticks(0, 1) == [0, 0.25, 0.5, 0.75, 1]
    assert ticks(3, 7.4) == [3, 4, 5, 6, 7]


def test_labels_tell_neighbours_apart():
    assert tick_labels([1619.5, 1620.0, 1620.5]) == ["1.6195 k", "1.62 k", "1.6205 k"]
    assert tick_labels([0.0, 0.25, 0.5]) == ["0", "0.25", "0.5"]
