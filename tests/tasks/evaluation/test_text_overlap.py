"""chrF and exact match, done by hand."""

import pytest

from tasks.evaluation.text_overlap import chrf, exact_match


def test_the_same_text_is_a_hundred_and_another_one_nothing():
    assert chrf(["磨坊 mill"], ["磨坊 mill"]) == pytest.approx(100)
    assert chrf(["abc"], ["xyz"]) == 0
    assert chrf([""], ["xyz"]) == 0


def test_chrf_is_the_mean_over_lengths_with_recall_four_times_as_heavy():
    # "ab c" against "abd": letters 2 of 3 and 2 of 3, pairs (ab, bc) and (ab, bd) 1 of 2, triples 0 of 1
    precision = recall = (2 / 3 + 1 / 2 + 0) / 3
    assert chrf(["ab c"], ["abd"]) == pytest.approx(100 * precision)
    # "a" against "ab": only single letters on both sides: precision 1, recall 1/2
    precision, recall = 1.0, 0.5
    assert chrf(["a"], ["ab"]) == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))


def test_a_corpus_is_counted_as_a_whole():
    # letters: 1 of 3 written match, of 4 wanted; pairs: 0 of 1 written, of 2 wanted
    precision, recall = (1 / 3 + 0) / 2, (1 / 4 + 0) / 2
    assert chrf(["a", "xy"], ["ab", "cd"]) == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))


def test_exact_match_looks_past_blanks_at_the_ends():
    assert exact_match([" 面粉", "no"], ["面粉", "yes"]) == 0.5
