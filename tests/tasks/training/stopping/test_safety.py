"""Rules that keep a run from going on broken."""

import math

import pytest

from params.stop import DivergenceParams, LossSpikeParams
from tasks.training.stopping.observation import Observation
from tasks.training.stopping.safety import Divergence, LossSpike, NonFinite

# Half of the twenty losses are 0.1 off the median 3.0, half are on it: MAD 0.05, robust deviation 0.0741
LEVEL = [2.9, 3.0, 3.1, 3.0] * 5


def steps(losses):
    return [Observation(i, loss, 1.0, None, 0.0, 0.0) for i, loss in enumerate(losses, 1)]


def actions(rule, losses):
    memory, found = {}, []
    for one in steps(losses):
        memory, reading = rule.judge(one, memory)
        if reading is not None and reading.fires:
            found.append((one.step, reading.action))
    return found


@pytest.mark.parametrize(
    ("loss", "grad_norm"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf), (-math.inf, 1.0)]
)
def test_a_nan_step_is_seen_before_the_update(seen, fires_at, loss, grad_norm):
    assert NonFinite().guards
    assert fires_at(NonFinite(), [seen(), seen(loss=loss, grad_norm=grad_norm)]) == 2


def test_a_loss_that_stays_over_its_level_is_divergence_and_a_single_spike_is_not(fires_at):
    rule = Divergence(DivergenceParams(deviations=6, steps=3, window=20))
    assert fires_at(rule, steps([*LEVEL, 9.0, 9.0, 3.0, 9.0, 9.0])) is None
    assert fires_at(rule, steps([*LEVEL, 9.0, 9.0, 9.0])) == 23


def test_the_level_of_divergence_is_not_drawn_up_by_what_diverges(fires_at):
    # 15 of 20 steps in a row at 9.0: were they counted into the window, its median would be 9.0 long before
    assert fires_at(Divergence(DivergenceParams(steps=15, window=20)), steps([*LEVEL, *[9.0] * 15])) == 35


def test_a_rise_within_the_noise_is_no_divergence(fires_at):
    assert fires_at(Divergence(DivergenceParams(deviations=6, steps=3, window=20)), steps([*LEVEL, *[3.4] * 9])) is None


def test_a_loss_that_never_varied_needs_more_than_a_hair_to_diverge(fires_at):
    rule = Divergence(DivergenceParams(deviations=6, steps=1, window=20))
    assert fires_at(rule, steps([3.0] * 20 + [3.01])) is None  # the deviation is at least 0.003
    assert fires_at(rule, steps([3.0] * 20 + [3.02])) == 21


def test_a_spike_leaps_over_median_and_mad_and_does_not_count_into_them():
    spike = LossSpike(LossSpikeParams(action="skip_step", deviations=10, window=20, max_times=2, within_steps=10))
    assert spike.guards
    assert actions(spike, [*LEVEL, 3.7]) == []  # 10 x 0.0741 over 3.0 is 3.741
    assert actions(spike, [*LEVEL, 3.8]) == [(21, "skip_step")]
    assert actions(spike, [*LEVEL, 9.0, 3.0, 9.0]) == [(21, "skip_step"), (23, "skip_step")]


def test_too_many_spikes_in_a_row_of_steps_break_the_run_off():
    spike = LossSpike(LossSpikeParams(action="rewind", deviations=10, window=20, max_times=2, within_steps=10))
    assert actions(spike, [*LEVEL, 9.0, 9.0, 9.0]) == [(21, "rewind"), (22, "rewind"), (23, "stop")]
    spread = [*LEVEL, 9.0, *LEVEL[:9], 9.0, *LEVEL[:9], 9.0]
    assert [action for _, action in actions(spike, spread)] == ["rewind"] * 3
