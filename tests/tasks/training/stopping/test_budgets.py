"""Budgets: never exceeded, and they end in time to save."""

import pytest

from params.stop import CostParams, StopParams
from tasks.training.stopping.budgets import Cost, Minutes
from tasks.training.stopping.making import step_budget


def budget(stop, tokens_per_step=100, steps_per_epoch=20):
    found = step_budget(
        StopParams.model_validate(stop), tokens_per_step=tokens_per_step, steps_per_epoch=steps_per_epoch
    )
    return None if found is None else (found.name, found.limit)


def test_the_minutes_rule_leaves_time_to_end_well_instead_of_overshooting_by_an_evaluation(seen, fires_at):
    times = [seen(elapsed_s=560, ending_s=30), seen(elapsed_s=575, ending_s=30)]
    assert fires_at(Minutes(10), times) == 2


def test_the_time_of_evaluation_saving_and_earlier_attempts_counts_because_elapsed_counts_them(seen, fires_at):
    # 9 minutes of an earlier attempt, then 20 s of this one; ending takes 50 s: 540 + 20 + 50 >= 600
    assert fires_at(Minutes(10), [seen(elapsed_s=540, ending_s=50), seen(elapsed_s=560, ending_s=50)]) == 2


def test_the_cost_is_the_price_of_the_time_and_leaves_money_to_end_well(seen, fires_at):
    # 36 an hour is 0.01 a second: 5.00 buys 500 s
    rule = Cost(CostParams(limit=5, price_per_hour=36))
    assert fires_at(rule, [seen(elapsed_s=489, ending_s=10), seen(elapsed_s=490, ending_s=10)]) == 2
    reading = rule.judge(seen(elapsed_s=250, ending_s=10), {})[1]
    assert reading is not None
    assert (reading.value, reading.left) == (pytest.approx(2.5), pytest.approx(240))


def test_a_budget_in_tokens_is_never_exceeded():
    assert budget({"max_tokens": 1000}, tokens_per_step=300) == ("max_tokens", 3)


def test_the_tightest_budget_wins():
    assert budget({"max_steps": 50, "max_tokens": 6000, "max_epochs": 2}) == ("max_epochs", 40)


def test_budgets_in_groups_are_known_in_advance_too():
    assert budget({"any": [{"max_steps": 30}, {"max_tokens": 6000}]}) == ("max_steps", 30)
    assert budget({"all": [{"max_steps": 30}, {"max_tokens": 6000}]}) == ("max_tokens", 60)
    assert budget({"max_steps": 50, "all": [{"max_steps": 30}, {"max_tokens": 6000}]}) == ("max_steps", 50)


def test_a_budget_joined_with_what_nobody_can_foresee_is_no_planned_end():
    assert budget({"all": [{"max_steps": 30}, {"patience": {}}]}) is None
    assert budget({"all": [{"max_steps": 30}, {"patience": {}}], "max_steps": 99}) == ("max_steps", 99)
