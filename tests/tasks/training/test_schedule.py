"""Learning rate schedules against values worked out by hand."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from params.errors import ParameterError
from params.optimizer import OptimizerParams, ScheduleParams
from tasks.training.schedule import (
    Horizon,
    early_decay,
    learning_rate_factor,
    momentum_at,
    num_warmup_steps,
    planned_horizon,
)

WSD = ScheduleParams(name="wsd", warmup_steps=10, decay_fraction=0.2)


def test_wsd_warms_up_stays_and_falls_linearly_to_the_last_step():
    horizon = planned_horizon(WSD, 100)
    assert horizon == Horizon(80, 100)
    factors = [learning_rate_factor(WSD, horizon, step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:80] == [1.0] * 71
    assert factors[80:] == pytest.approx([(20 - i) / 21 for i in range(20)])


def test_an_early_decay_takes_its_share_of_the_whole_run():
    # 80 steps done, a fifth of the run is decay: 20 more steps
    assert early_decay(WSD, Horizon(None, None), 80) == Horizon(80, 100)


def test_an_early_decay_never_outlasts_the_budget():
    assert early_decay(WSD, Horizon(960, 1000), 900).end == 1000


def test_cosine_is_half_way_down_in_the_middle_and_ends_at_its_floor():
    params = ScheduleParams(name="cosine", warmup_steps=0, final_factor=0.1)
    horizon = planned_horizon(params, 100)
    assert learning_rate_factor(params, horizon, 50) == pytest.approx(0.1 + 0.9 * 0.5)
    assert learning_rate_factor(params, horizon, 100) == pytest.approx(0.1)
    assert learning_rate_factor(params, horizon, 25) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)


def test_constant_stays_at_the_peak_after_the_warm_up():
    params = ScheduleParams(name="constant", warmup_steps=4)
    factors = [learning_rate_factor(params, Horizon(None, None), step) for step in (0, 1, 3, 1000)]
    assert factors == [0.25, 0.5, 1.0, 1.0]


def test_linear_falls_from_the_end_of_the_warm_up_to_its_floor():
    params = ScheduleParams(name="linear", warmup_steps=20, final_factor=0.2)
    horizon = planned_horizon(params, 120)
    assert learning_rate_factor(params, horizon, 9) == pytest.approx(0.5)
    assert learning_rate_factor(params, horizon, 20) == pytest.approx(1.0)
    assert learning_rate_factor(params, horizon, 70) == pytest.approx(0.2 + 0.8 * 0.5)
    assert learning_rate_factor(params, horizon, 120) == pytest.approx(0.2)


def test_the_1_sqrt_decay_follows_its_formula():
    params = ScheduleParams(name="wsd", warmup_steps=0, decay_fraction=0.5, decay_shape="1-sqrt")
    horizon = Horizon(99, 199)
    for done in (0, 25, 64, 100):  # the decay's progress counts from the last stable step
        expected = 1 - math.sqrt((done + 1) / 101)
        assert learning_rate_factor(params, horizon, 99 + done) == pytest.approx(expected)
    assert learning_rate_factor(params, horizon, 50) == 1.0


def test_a_decay_that_starts_early_keeps_its_shape():
    params = ScheduleParams(name="wsd", warmup_steps=0, decay_fraction=0.5, decay_shape="1-sqrt")
    horizon = early_decay(params, Horizon(None, None), 100)
    assert horizon == Horizon(100, 200)
    assert learning_rate_factor(params, horizon, 100) == pytest.approx(1 - math.sqrt(1 / 101))


def test_a_warm_up_given_as_a_share_is_one_of_the_planned_steps():
    params = ScheduleParams(name="cosine", warmup_share=0.05)
    assert num_warmup_steps(params, Horizon(None, 1000)) == 50
    assert learning_rate_factor(params, Horizon(None, 1000), 24) == pytest.approx(0.5)


def test_a_warm_up_is_given_in_steps_or_as_a_share_and_not_both():
    with pytest.raises(ValidationError, match=r"warmup_steps 5 and warmup_share 0.1: set one of them"):
        ScheduleParams(warmup_steps=5, warmup_share=0.1)


@pytest.mark.parametrize("params", [{"name": "cosine"}, {"name": "linear"}, {"name": "wsd", "warmup_share": 0.1}])
def test_a_schedule_that_needs_an_end_is_refused_without_one(params):
    with pytest.raises(ParameterError, match=r"needs stop.max_steps, max_tokens or max_epochs"):
        planned_horizon(ScheduleParams(**params), None)


@given(
    name=st.sampled_from(["wsd", "cosine", "linear", "constant"]),
    shape=st.sampled_from(["linear", "1-sqrt"]),
    steps=st.integers(1, 300),
    share=st.floats(0, 0.5),
    floor=st.floats(0, 1),
)
def test_every_schedule_rises_then_never_rises_again_and_stays_between_nothing_and_its_peak(
    name, shape, steps, share, floor
):
    params = ScheduleParams(name=name, decay_shape=shape, warmup_share=share, final_factor=floor)
    horizon = planned_horizon(params, steps)
    warmup = num_warmup_steps(params, horizon)
    factors = [learning_rate_factor(params, horizon, step) for step in range(steps)]
    assert all(0 <= factor <= 1 for factor in factors)
    after = factors[warmup:]
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(after))


@pytest.mark.parametrize(("step", "momentum"), [(0, 0.85), (150, 0.9), (300, 0.95), (10_000, 0.95)])
def test_momentum_rises_in_a_line_to_what_is_set(step, momentum):
    assert momentum_at(OptimizerParams(), step) == pytest.approx(momentum)


def test_momentum_may_be_what_is_set_from_the_start():
    assert momentum_at(OptimizerParams(momentum_warmup_steps=0), 0) == 0.95
    assert momentum_at(OptimizerParams(momentum=0.8), 0) == 0.8
