"""Who becomes champion."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.registry.promotion import Standing, decide

CHAMPION = Standing(3, 1.30, "tests")


def promoted(new, champion=CHAMPION, failed=(), min_improvement=0.0):
    return decide(new, champion, failed, min_improvement=min_improvement).promote


def test_the_first_model_becomes_champion():
    assert promoted(Standing(1, 9.0, "tests"), champion=None)


def test_better_wins_equal_and_worse_do_not():
    assert promoted(Standing(4, 1.29, "tests"))
    assert not promoted(Standing(4, 1.30, "tests"))
    assert not promoted(Standing(4, 1.31, "tests"))


def test_the_gain_must_reach_the_minimum():
    assert promoted(Standing(4, 1.25, "tests"), min_improvement=0.04)
    assert not promoted(Standing(4, 1.27, "tests"), min_improvement=0.04)


def test_figures_from_other_documents_are_not_compared():
    decision = decide(Standing(4, 0.5, "others"), CHAMPION, [], min_improvement=0.0)
    assert not decision.promote
    assert "measured on other test documents" in decision.text


def test_a_failed_gate_is_named_and_never_promoted():
    decision = decide(Standing(1, 0.1, "tests"), None, ["verdict"], min_improvement=0.0)
    assert not decision.promote
    assert decision.text == "version 1 (0.1000 bits per byte) is not promoted, its gate failed: verdict"


@given(st.floats(0.1, 5), st.floats(0.1, 5), st.floats(0, 1))
def test_two_models_never_both_beat_each_other(first, second, min_improvement):
    a, b = Standing(1, first, "tests"), Standing(2, second, "tests")
    assert not (promoted(a, b, min_improvement=min_improvement) and promoted(b, a, min_improvement=min_improvement))
