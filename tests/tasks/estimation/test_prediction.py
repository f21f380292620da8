"""Predicted against actual."""

import pytest

from params.run import RunParams
from params.train import ModelParams, StopParams, TrainParams
from tasks.estimation.adapting import Target
from tasks.estimation.pace import Pace
from tasks.estimation.prediction import Figures, compared, comparison_lines, comparison_metrics, predicted
from tasks.estimation.shape import ModelShape

PARAMS = TrainParams(model=ModelParams(layers=2, width=32, heads=2), stop=StopParams(max_steps=10), batch_blocks=4)
SHAPE = ModelShape.of(PARAMS.model, vocab_size=512, context=32)
SETTINGS = RunParams()
TARGET = Target("here", 1, "fp32", on_gpu=False, available=None)


def test_a_prediction_by_hand():
    """Ten steps of 4 x 32 tokens, two seconds each; 64 blocks evaluated once take a third of 16 steps."""
    found = predicted(PARAMS, SETTINGS, SHAPE, target=TARGET, num_blocks=100, pace=Pace(2.0, 5.0, "given"))
    assert (found.tokens, found.tokens_per_s) == (1280, 64)
    assert found.training_s == pytest.approx(20 + 2 * 16 / 3, abs=0.01)  # and saving 200 kB
    assert predicted(PARAMS, SETTINGS, SHAPE, target=TARGET, num_blocks=100).training_s is None


def test_only_what_both_sides_know_is_compared(tmp_path):
    before = Figures(parameters=100, tokens=10, training_s=4.0)
    before.save(tmp_path / "predicted.json")
    assert Figures.load(tmp_path / "predicted.json") == before
    assert Figures.load(tmp_path / "none.json") is None
    found = compared(before, Figures(parameters=100, training_s=5.0, flops=7.0))
    assert [(one.name, one.ratio) for one in found] == [("parameters", 1.0), ("training_s", 1.25)]
    metrics = comparison_metrics(found)
    assert metrics["predicted.training_s"] == 4.0
    assert metrics["actual.training_s"] == 5.0
    assert metrics["actual_over_predicted.training_s"] == pytest.approx(1.25)
    assert [line.split()[0] for line in comparison_lines(found)] == ["parameters", "training"]
