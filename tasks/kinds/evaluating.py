"""A model on held-out rows, as one report: the same for a checkpoint, an ONNX file and a released one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from params.evaluate import EvaluateParams
from tasks.evaluation.figures import Bootstrap
from tasks.evaluation.overlap import measure_contamination
from tasks.kinds.kind import Kind, RowModel
from tasks.kinds.rows import Rows, RowScores

_SAMPLES = 32


def evaluate_rows(
    kind: Kind, model: RowModel, rows: Rows, params: EvaluateParams, *, training: Sequence[Path]
) -> tuple[RowScores, dict[str, Any]]:
    """What a model says to each row, and the sections of evaluation.json; `training` are shards of training text."""
    scores = model.score(rows)
    bootstrap = Bootstrap(params.bootstrap_samples, params.confidence, params.seed)
    report: dict[str, Any] = {kind.section: kind.figures(scores, bootstrap)}
    if training and params.contamination is not None:
        report["contamination"] = measure_contamination({kind.section: rows.asked}, training, params.contamination)
    return scores, report


def some_samples(rows: Rows, scores: RowScores) -> list[dict[str, str]]:
    """Some rows, spread evenly, with what the model says to them."""
    said = dict(zip(scores.ids, scores.said, strict=True))
    shown = rows.some(_SAMPLES)
    return [{"prompt": asked, "continuation": said[name]} for name, asked in zip(shown.ids, shown.asked, strict=True)]
