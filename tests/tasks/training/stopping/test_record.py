"""The record of readings, and the replay of other rules on a recorded curve."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from params.stop import StopParams
from tasks.training.stopping.judging import judge_all
from tasks.training.stopping.making import make_rules
from tasks.training.stopping.observation import Observation, weightiest
from tasks.training.stopping.record import StoppingFile, decisions, last_readings
from tasks.training.stopping.replay import replay

STOP = {"max_steps": 400, "patience": {"evals": 2}, "target_loss": 1.0}


def rules_of(stop):
    return make_rules(StopParams.model_validate(stop), tokens_per_step=10, steps_per_epoch=100)


def train(path: Path, val_losses, first=1, states=None):
    """Judge 10 steps to each evaluation and record as the loop does."""
    file, states = StoppingFile(path), states or {}
    for step in range(first, 10 * len(val_losses) + 1):
        val_loss = val_losses[step // 10 - 1] if step % 10 == 0 else None
        states, fired = judge_all(rules_of(STOP), Observation(step, 3.0, 1.0, val_loss, 0.0, 0.0), states)
        if val_loss is not None or step % 5 == 0:
            file.add(step, states, evaluated=val_loss is not None)
        if fired:
            decision = weightiest(fired)
            assert decision is not None
            file.decide(step, decision, "stop")
            break
    return states


def test_every_evaluation_of_every_rule_is_recorded_and_the_last_is_found(tmp_path: Path):
    path = tmp_path / "stopping.jsonl"
    train(path, [3.0, 2.5, 2.6, 2.7])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for rule in ("non_finite", "max_steps", "patience", "target_loss"):
        assert [line["step"] for line in lines if line.get("rule") == rule and line["step"] % 10 == 0] == [
            10,
            20,
            30,
            40,
        ]
    last = {reading.rule: reading for reading in last_readings(path)}
    assert (last["patience"].word, last["patience"].value, last["patience"].threshold) == ("fires", 2.0, 2.0)
    assert (last["target_loss"].word, last["target_loss"].value, last["target_loss"].threshold) == ("quiet", 2.7, 1.0)
    assert (last["max_steps"].value, last["max_steps"].threshold) == (40.0, 400.0)
    ((step, decision, what),) = decisions(path)
    assert (step, decision.rule, what) == (40, "patience", "stop")


def test_the_record_grows_with_evaluations_and_changes_not_with_steps(tmp_path: Path):
    path = tmp_path / "stopping.jsonl"
    train(path, [3.0 - 0.1 * i for i in range(10)])  # 100 steps, 10 evaluations, 4 rules
    # at step 5 every rule is new; then 10 evaluations of 4 rules
    assert len(path.read_text().splitlines()) == 4 + 10 * 4


def test_a_resumed_record_forgets_what_came_after_the_checkpoint(tmp_path: Path):
    path = tmp_path / "stopping.jsonl"
    train(path, [3.0, 2.5, 2.6])
    StoppingFile(path).cut(20)
    assert {json.loads(line)["step"] for line in path.read_text().splitlines()} == {5, 10, 20}


def curve(val_losses, every=10):
    """Points as the loop records them: the mean loss every 5 steps, the validation loss every 10."""
    points = []
    for step in range(5, every * len(val_losses) + 1, 5):
        point = {"step": step, "loss": 3.0, "grad_norm": 1.0, "tokens": 10 * step, "time_ms": 1_000 * step}
        if step % every == 0:
            point["val_loss"] = val_losses[step // every - 1]
        points.append(point)
    return points


def replayed(stop, points):
    return replay(points, StopParams.model_validate(stop), tokens_per_step=10, steps_per_epoch=100)


def test_replay_tells_the_step_and_the_validation_loss_at_which_another_patience_would_have_fired():
    points = curve([3.0, 2.5, 2.6, 2.6, 2.2, 2.0])
    told = replayed({"patience": {"evals": 2}}, points)
    (fired,) = told.fired
    assert (fired.step, fired.decision.rule, fired.val_loss) == (40, "patience", 2.6)
    assert (told.num_steps, told.last_val_loss, told.best_val_loss, told.best_step) == (60, 2.0, 2.0, 60)
    told = replayed({"patience": {"evals": 3}}, points)
    assert told.fired == ()
    (quiet,) = [one for one in told.quiet if one.rule == "patience"]
    assert quiet.text == "gained: best val_loss 2.0000"


def test_replay_goes_on_after_the_first_rule_so_that_all_are_compared():
    told = replayed({"max_steps": 35, "max_tokens": 200, "max_minutes": 0.5}, curve([3.0] * 4))
    # 20 steps are 200 tokens; the clock of the points says 30 s after the first point (step 5) at step 35
    assert [(one.step, one.decision.rule) for one in told.fired] == [
        (20, "max_tokens"),
        (35, "max_steps"),
        (35, "max_minutes"),
    ]


def test_replay_of_a_metric_that_the_curve_has_not_says_so():
    told = replayed({"max_steps": 9, "metric": {"name": "f1", "above": 0.5}}, curve([3.0]))
    assert [one.text for one in told.quiet if one.rule == "metric"] == [
        "never read: this curve does not have its metric"
    ]


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=12), st.integers(1, 4))
def test_replay_of_the_rules_of_a_run_finds_the_step_at_which_it_stopped(val_losses, evals):
    stop = {"max_steps": 70, "patience": {"evals": evals}, "target_loss": 0.5}
    states, stopped = {}, None
    for step in range(1, 10 * len(val_losses) + 1):
        val_loss = val_losses[step // 10 - 1] if step % 10 == 0 else None
        states, fired = judge_all(rules_of(stop), Observation(step, 3.0, 1.0, val_loss, 0.0, 0.0), states)
        if fired:
            stopped = (step, fired[0].rule)
            break
    told = replayed(stop, curve(val_losses)).fired
    first = min(told, key=lambda one: one.step, default=None)
    assert (first and first.step) == (stopped and stopped[0])
    assert stopped is None or stopped[1] in {one.decision.rule for one in told if one.step == stopped[0]}


def test_an_empty_curve_replays_to_nothing():
    told = replayed(STOP, [])
    assert (told.fired, told.num_steps, told.last_val_loss) == ((), 0, None)


@pytest.mark.parametrize("name", ["elapsed_s", "time_ms"])
def test_the_clock_of_a_curve_is_its_training_time_where_recorded(name):
    points = [{"step": step, "loss": 1.0, "time_ms": 9_000_000 + 1000 * step} for step in (10, 20, 30)]
    if name == "elapsed_s":
        points = [{**point, "elapsed_s": 60.0 * point["step"]} for point in points]
    told = replayed({"max_minutes": 0.25 if name == "time_ms" else 15}, points)
    # by time_ms 15 s are over 15 s after step 10, that is by step 30; by elapsed_s 15 min by step 20
    assert [one.step for one in told.fired] == [30 if name == "time_ms" else 20]
