"""What stop rules come to before anything runs."""

import pytest

from params.stop import PatienceParams, StopParams
from params.train import TrainParams
from tasks.estimation.plan import token_plan


def plan_of(stop: StopParams, *, num_blocks: int | None = 100, batch_blocks: int = 4):
    return token_plan(TrainParams(stop=stop, batch_blocks=batch_blocks), context=32, num_blocks=num_blocks)


def test_the_tightest_rule_sets_the_steps():
    """100 blocks in batches of 4 are 25 steps an epoch; 5,000 tokens are 39 steps of 128."""
    plan = plan_of(StopParams(max_steps=60, max_tokens=5_000, max_epochs=2))
    assert (plan.steps, plan.rule, plan.tokens) == (39, "max_tokens", 39 * 128)
    assert plan.epochs == pytest.approx(39 / 25)


def test_open_ended_runs_say_so():
    plan = plan_of(StopParams(patience=PatienceParams()))
    assert (plan.steps, plan.tokens, plan.may_end_earlier) == (None, None, ("patience",))


def test_epochs_wait_for_the_text():
    plan = plan_of(StopParams(max_epochs=2), num_blocks=None)
    assert plan.tokens is None
    assert "once the text is sharded" in (plan.missing or "")
    assert plan_of(StopParams(max_epochs=2, max_steps=7), num_blocks=None).missing is None


def test_minutes_end_a_run_that_is_too_slow_for_its_budget():
    """A minute less ten seconds at a second a step."""
    plan = plan_of(StopParams(max_steps=200, max_minutes=1))
    assert plan.limited(step_s=0.1, elsewhere_s=10).rule == "max_steps"
    slow = plan.limited(step_s=1.0, elsewhere_s=10)
    assert (slow.steps, slow.rule) == (50, "max_minutes")
    assert slow.epochs == pytest.approx(2)


def test_minutes_alone_make_a_plan_once_the_pace_is_known():
    plan = plan_of(StopParams(max_minutes=1))
    assert plan.steps is None
    assert plan.limited(step_s=2.0, elsewhere_s=0).steps == 30
