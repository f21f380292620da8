"""Learning rate schedules against values worked out by hand."""

import math

import pytest

from params.train import ScheduleParams
from tasks.training.schedule import Horizon, early_decay, learning_rate_factor, planned_horizon

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
