"""Stop rules: what fires when, and what wins."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from params.train import PatienceParams, StopParams
from tasks.training.stopping import Minutes, Observation, Patience, RuleState, judge_all, make_rules, step_budget


def seen(step=1, loss=1.0, grad_norm=1.0, val_loss=None, elapsed_s=0.0, ending_s=0.0):
    return Observation(step, loss, grad_norm, val_loss, elapsed_s, ending_s)


def evaluations_until_stop(rule: Patience, losses: list[float]) -> int | None:
    state: RuleState = {}
    for count, loss in enumerate(losses, 1):
        state, reason = rule.judge(seen(val_loss=loss), state)
        if reason:
            return count
    return None


def test_patience_adds_up_gains_smaller_than_min_delta():
    # 0.006 an evaluation with min_delta 0.01: every second evaluation is a gain of 0.012 over the accepted best
    falling = [5.0 - 0.006 * i for i in range(40)]
    assert evaluations_until_stop(Patience(PatienceParams(evals=2, min_delta=0.01)), falling) is None


def test_patience_counts_from_the_first_evaluation_without_gain():
    assert evaluations_until_stop(Patience(PatienceParams(evals=3)), [4.0, 3.0, 3.1, 3.2, 3.0, 2.9]) == 5


def test_patience_does_not_let_a_nan_become_the_best():
    assert evaluations_until_stop(Patience(PatienceParams(evals=3)), [math.nan, 3.0, 2.0, 1.0]) is None


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30), st.integers(1, 5), st.integers(1, 30))
def test_patience_resumed_from_its_saved_state_decides_the_same(losses, evals, cut):
    rule = Patience(PatienceParams(evals=evals))
    state: RuleState = {}
    reasons = []
    for index, loss in enumerate(losses):
        if index == cut:
            state = dict(state)  # as JSON would bring it back
        state, reason = rule.judge(seen(val_loss=loss), state)
        reasons.append(reason is not None)
    first = reasons.index(True) + 1 if True in reasons else None
    assert first == evaluations_until_stop(rule, losses)


def test_the_minutes_rule_leaves_time_to_end_well():
    rule = Minutes(10)
    assert rule.judge(seen(elapsed_s=560, ending_s=30), {})[1] is None
    assert rule.judge(seen(elapsed_s=575, ending_s=30), {})[1] is not None


def test_a_budget_in_tokens_is_never_exceeded():
    budget = step_budget(StopParams(max_tokens=1000), tokens_per_step=300, steps_per_epoch=99)
    assert budget is not None
    assert budget.limit == 3


def test_the_tightest_budget_wins():
    params = StopParams(max_steps=50, max_tokens=6000, max_epochs=2)
    budget = step_budget(params, tokens_per_step=100, steps_per_epoch=20)
    assert budget is not None
    assert (budget.name, budget.limit) == ("max_epochs", 40)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_broken_run_outranks_a_reached_target(loss):
    rules = make_rules(StopParams(max_steps=1, target_loss=9.0), tokens_per_step=1, steps_per_epoch=1)
    _, fired = judge_all(rules, seen(step=1, loss=loss, val_loss=1.0), {})
    assert [decision.verdict for _, decision in fired] == ["broken", "converged", "budget"]


def test_a_run_without_any_limit_is_refused():
    with pytest.raises(ValueError, match="max_steps, max_epochs, max_tokens, max_minutes, patience"):
        StopParams(target_loss=1.0)
