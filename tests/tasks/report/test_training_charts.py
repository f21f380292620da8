"""The training part of the report, of phases by hand."""

import json
import re

import pytest

from params.run import RunParams
from tasks.artifacts.record import RunRecord
from tasks.report.results import RunResults, Training
from tasks.report.training_charts import training_body

POINTS = [
    {"step": 10, "loss": 1.1, "accuracy": 0.4, "reward_margin": 0.1},
    {"step": 20, "loss": 0.9, "accuracy": 0.6, "val_loss": 1.0, "val_accuracy": 0.5, "val_chrf": 30.0},
    {"step": 30, "loss": 0.7, "accuracy": 0.8, "val_loss": 0.8, "val_accuracy": 0.7, "val_chrf": 40.0},
]


@pytest.mark.parametrize(
    ("objective", "unit"),
    [("classify", "nats per text"), ("preference", "nats per pair"), ("seq2seq", "nats per token")],
)
def test_what_an_objective_measures_is_drawn_beside_its_loss(tmp_path, objective, unit):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "metrics.jsonl").write_text("".join(json.dumps(point) + "\n" for point in POINTS))
    phase = Training("train.tell", tmp_path, {"objective": objective}, None)
    page = training_body(RunResults(RunRecord.begin("mine.yaml", {}), {}, (phase,)), RunParams())
    assert unit in page
    told = re.sub(r"<[^>]+>", "|", page)
    for name in ("accuracy", "chrF2 (0 to 100)", "reward margin"):  # whatever there is
        assert f"|{name}|" in told
    assert "macro F1" not in told
