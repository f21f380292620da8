"""Two runs on the same documents."""

import math

import pytest

from tasks.report.comparison import comparison_body, paired
from tasks.report.words import Words


def test_the_change_is_that_of_the_sums_and_a_constant_one_has_no_width(pair):
    """Each document of 100 bytes costs 10 nats less: 10 / 100 / ln 2 bits per byte."""
    earlier, later = (hand.results() for hand in pair)
    found = list(paired(later, earlier))
    assert [(one.name, one.docs) for one in found] == [("", 20), ("books", 10), ("web", 10)]
    for one in found:
        assert (one.change, one.low, one.high) == pytest.approx([-0.1 / math.log(2)] * 3)


def test_runs_without_a_common_document_say_so(hand, pair):
    without = hand.data().trained().results()
    assert "They share no test document." in comparison_body(pair[1].results(), without, role=Words("x", "x"))


def test_a_gain_is_told_as_one(pair):
    earlier, later = (hand.results() for hand in pair)
    assert 'class="dot c2"' in comparison_body(later, earlier, role=Words("x", "x"))
    assert 'class="dot c3"' in comparison_body(earlier, later, role=Words("x", "x"))
