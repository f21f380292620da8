"""Rules that end a run that learns nothing more, on sequences computed by hand, and the faults of other trainers."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from params.stop import GradientNoiseParams, NoChangeParams, PatienceParams, PlateauParams
from tasks.training.stopping.convergence import GradientNoise, NoChange, Patience
from tasks.training.stopping.observation import Observation
from tasks.training.stopping.plateau import Plateau


def evaluations(losses, **metrics):
    return [Observation(10 * i, 1.0, 1.0, loss, 0.0, 0.0, metrics=metrics) for i, loss in enumerate(losses, 1)]


def steps(values, name):
    return [Observation(i, 1.0, 1.0, None, 0.0, 0.0, metrics={name: value}) for i, value in enumerate(values, 1)]


def test_slow_steady_gains_smaller_than_min_delta_add_up_and_do_not_trip_patience(fires_at):
    # transformers' Trainer: 0.006 an evaluation with threshold 0.01 stops after two. Here every second is 0.012.
    falling = evaluations([5.0 - 0.006 * i for i in range(40)])
    assert fires_at(Patience(PatienceParams(evals=2, min_delta=0.01)), falling) is None


def test_patience_counts_from_the_first_evaluation_without_gain(fires_at):
    assert fires_at(Patience(PatienceParams(evals=3)), evaluations([4.0, 3.0, 3.1, 3.2, 3.0, 2.9])) == 5


def test_a_nan_at_the_first_evaluation_never_becomes_the_best_and_blocks_nothing(fires_at):
    # Composer: a first NaN becomes best, and no later value is smaller than NaN.
    rule = Patience(PatienceParams(evals=3))
    assert fires_at(rule, evaluations([math.nan, 3.0, 2.0, 1.0])) is None
    assert fires_at(rule, evaluations([math.nan, 3.0, 2.0, 2.0, 2.0, 2.0])) == 6


def test_nothing_but_nan_ends_by_patience_instead_of_never(fires_at):
    # Ray's plateau never stops on NaN.
    assert fires_at(Patience(PatienceParams(evals=3)), evaluations([math.nan] * 5)) == 3


def test_a_relative_gain_is_a_share_of_the_accepted_best(fires_at):
    # 1 % of 4.0 is 0.04: 3.97 is none, 3.95 is one; 1 % of 3.95 is 0.0395: 3.92 is none
    rule = Patience(PatienceParams(evals=2, min_delta=0.01, relative=True))
    assert fires_at(rule, evaluations([4.0, 3.97, 3.95, 3.92, 3.92])) == 5


def test_patience_follows_any_metric_upwards(fires_at):
    accuracies = [
        Observation(i, 1.0, 1.0, 9.0 - i, 0.0, 0.0, metrics={"acc": a}) for i, a in enumerate((0.5, 0.6, 0.6))
    ]
    assert fires_at(Patience(PatienceParams(evals=1, metric="acc", direction="up")), accuracies) == 3


def test_a_gain_within_the_error_of_the_evaluation_is_none(fires_at):
    # errors of 0.02: two of them are 0.04
    losses = [4.0, 3.97, 3.95, 3.93]
    unsure = evaluations(losses, val_loss_se=0.02)
    assert fires_at(Patience(PatienceParams(evals=1, min_z=2.0)), unsure) == 2
    assert fires_at(Patience(PatienceParams(evals=2, min_z=2.0)), unsure) is None  # 3.95 is 0.05 below 4.0
    assert fires_at(Patience(PatienceParams(evals=1)), unsure) is None


def test_patience_does_not_look_at_steps_without_its_metric(seen, fires_at):
    assert fires_at(Patience(PatienceParams(evals=1)), [seen(i) for i in range(20)]) is None


def test_a_noisy_plateau_ends_by_slope(fires_at):
    # Ray's plateau asks for a small standard deviation, which noise never lets it have.
    noise = random.Random(1)
    flat = evaluations([3.0 + noise.gauss(0, 0.05) for _ in range(60)])
    assert fires_at(Plateau(PlateauParams(evals=20, min_gain=0.1)), flat) == 20


def test_a_slow_steady_gain_is_no_plateau_where_it_is_more_than_asked_for(fires_at):
    # Ray stops on it, since the values hardly vary. 0.006 an evaluation is 0.114 over the 19 gaps of 20.
    falling = evaluations([5.0 - 0.006 * i for i in range(60)])
    assert fires_at(Plateau(PlateauParams(evals=20, min_gain=0.1)), falling) is None
    assert fires_at(Plateau(PlateauParams(evals=20, min_gain=0.12)), falling) == 20


def test_the_line_of_a_plateau_is_not_bent_by_one_bad_evaluation(fires_at):
    losses = [5.0 - 0.1 * i for i in range(12)]
    losses[10] = 50.0
    assert fires_at(Plateau(PlateauParams(evals=12, min_gain=0.5)), evaluations(losses)) is None


def test_a_plateau_of_the_training_loss_in_steps(fires_at):
    # falls by 0.01 a step for 100 steps, then is flat; the window of 40 steps holds 20 means of 2
    losses = [3.0 - 0.01 * min(i, 100) for i in range(300)]
    seen = [Observation(i, loss, 1.0, None, 0.0, 0.0) for i, loss in enumerate(losses, 1)]
    fired = fires_at(Plateau(PlateauParams(metric="loss", steps=40, min_gain=0.02)), seen)
    assert fired is not None
    assert 115 <= fired <= 140  # once half of the window is flat, the median slope is 0


def test_a_plateau_ignores_nan_and_can_be_relative_and_upwards(fires_at):
    values = [math.nan, 0.50, 0.50, 0.51, 0.51]
    seen = steps(values, "acc")
    assert (
        fires_at(Plateau(PlateauParams(metric="acc", evals=4, direction="up", min_gain=0.05, relative=True)), seen) == 5
    )


def test_weights_that_stand_still_for_so_many_steps_end_the_run(fires_at):
    ratios = [1e-3, 1e-8, 1e-8, 1e-3, 1e-8, 1e-8, 1e-8]
    assert fires_at(NoChange(NoChangeParams(rate=1e-6, steps=3)), steps(ratios, "update_ratio")) == 7
    assert fires_at(NoChange(NoChangeParams(rate=1e-6, steps=3)), steps([math.nan] * 9, "update_ratio")) is None


def test_a_gradient_below_its_measured_noise_ends_the_run(fires_at):
    rule = GradientNoise(GradientNoiseParams(ratio=0.5, steps=20))
    loud = [Observation(i, 1.0, 0.4, None, 0.0, 0.0, metrics={"grad_noise": 1.0}) for i in range(30)]
    clear = [Observation(i, 1.0, 0.6, None, 0.0, 0.0, metrics={"grad_noise": 1.0}) for i in range(30)]
    assert fires_at(rule, loud) == 20
    assert fires_at(rule, clear) is None


def test_without_measured_noise_the_spread_of_the_norm_stands_for_it(fires_at):
    # norms 0 and 2 in turn: median 2 of the sorted middle, deviations 0 and 2 -> MAD 1, spread 1.4826
    rule = GradientNoise(GradientNoiseParams(ratio=2.0, steps=20))
    turns = [Observation(i, 1.0, 2.0 * (i % 2), None, 0.0, 0.0) for i in range(30)]
    steady = [Observation(i, 1.0, 2.0, None, 0.0, 0.0) for i in range(30)]
    assert fires_at(rule, turns) == 20
    assert fires_at(rule, steady) is None


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30), st.integers(1, 5), st.floats(0, 1))
def test_patience_is_what_it_is_defined_to_be(losses, evals, min_delta):
    """Against the definition, written down anew: the number of evaluations since the last accepted best."""
    best, since, expected = math.inf, 0, None
    for number, loss in enumerate(losses, 1):
        if loss < best - min_delta or best == math.inf:
            best, since = loss, 0
        else:
            since += 1
        if since >= evals:
            expected = number
            break
    rule, memory, found = Patience(PatienceParams(evals=evals, min_delta=min_delta)), {}, None
    for number, one in enumerate(evaluations(losses), 1):
        memory, reading = rule.judge(one, json.loads(json.dumps(memory)))
        if reading is not None and reading.fires:
            found = number
            break
    # best - loss > delta and loss < best - delta may differ in the last bit
    if not any(abs(abs(a - b) - min_delta) < 1e-9 for a in losses for b in losses):
        assert found == expected


@pytest.mark.parametrize("wrong", [{}, {"evals": 5, "steps": 50}])
def test_a_plateau_has_one_window(wrong):
    with pytest.raises(ValueError, match="by evals or by steps"):
        PlateauParams(**wrong)
