"""Rules on a value that was asked for."""

import math

from params.stop import MemorisationParams, MetricParams, TargetTrainLossParams
from tasks.training.stopping.observation import Observation
from tasks.training.stopping.targets import Memorisation, MetricBound, TargetLoss, TargetTrainLoss


def steps(losses):
    return [Observation(i, loss, 1.0, None, 0.0, 0.0) for i, loss in enumerate(losses, 1)]


def accuracies(values):
    return [Observation(i, 1.0, 1.0, None, 0.0, 0.0, metrics={"acc": value}) for i, value in enumerate(values, 1)]


def test_a_target_is_reached_at_its_value_and_not_by_nan(seen, fires_at):
    losses = [seen(val_loss=loss) for loss in (3.0, math.nan, -math.inf + math.inf, 2.0)]
    assert fires_at(TargetLoss(2.0), losses) == 4


def test_a_loss_of_zero_after_a_nan_step_is_not_what_the_rules_get_to_see(seen, fires_at):
    # Trainer's NaN filter logs loss 0.0 after a NaN step; the raw loss is NaN, and NaN never passes a bound.
    assert fires_at(MetricBound(MetricParams(name="loss", below=0.5)), [seen(loss=math.nan)] * 3) is None


def test_one_lucky_batch_does_not_reach_the_training_target(fires_at):
    losses = [3.0] * 30 + [0.1] + [3.0] * 30
    assert fires_at(TargetTrainLoss(TargetTrainLossParams(loss=2.0, smoothing_steps=10)), steps(losses)) is None


def test_the_smoothed_training_loss_is_corrected_for_its_start_at_zero(fires_at):
    # uncorrected, the mean of constant 3.0 would be 0.3 after one step and below 2.0 for ten
    assert fires_at(TargetTrainLoss(TargetTrainLossParams(loss=2.0, smoothing_steps=10)), steps([3.0] * 50)) is None
    assert fires_at(TargetTrainLoss(TargetTrainLossParams(loss=3.1, smoothing_steps=10)), steps([3.0] * 50)) == 10


def test_the_exponential_mean_by_hand(fires_at):
    # steps 2: m = (m + x) / 2 from 0, over 1 - 1/2^n: 4; (1 + 2) / 2 ... -> 4.0, 2.667, 1.714
    rule = TargetTrainLoss(TargetTrainLossParams(loss=1.72, smoothing_steps=2))
    assert fires_at(rule, steps([4.0, 2.0, 1.0])) == 3
    rule = TargetTrainLoss(TargetTrainLossParams(loss=1.71, smoothing_steps=2))
    assert fires_at(rule, steps([4.0, 2.0, 1.0])) is None


def test_any_logged_metric_in_either_direction_so_many_times_in_a_row(fires_at):
    above = MetricBound(MetricParams(name="acc", above=0.9, in_a_row=2))
    assert fires_at(above, accuracies([0.95, 0.8, 0.9, 0.91])) == 4
    below = MetricBound(MetricParams(name="acc", below=0.1))
    assert fires_at(below, accuracies([0.95, math.nan, 0.1])) == 3


def test_memorisation_is_a_gap_that_stays(fires_at):
    # training loss 1.0 throughout; gaps 0.4, 0.6, 0.4, 0.6, 0.7
    seen = [Observation(i, 1.0, 1.0, 1.0 + gap, 0.0, 0.0) for i, gap in enumerate((0.4, 0.6, 0.4, 0.6, 0.7))]
    rule = Memorisation(MemorisationParams(max_gap=0.5, evals=2, smoothing_steps=10))
    assert fires_at(rule, seen) == 5


def test_a_gap_of_one_lucky_batch_is_no_memorisation(fires_at):
    losses = [2.0] * 50 + [0.5] + [2.0] * 50
    seen = [Observation(i, loss, 1.0, 2.1 if loss == 0.5 else None, 0.0, 0.0) for i, loss in enumerate(losses)]
    assert fires_at(Memorisation(MemorisationParams(max_gap=0.5, evals=1, smoothing_steps=20)), seen) is None
