"""Everything that is measured of a model, as one report: the same for a checkpoint, an ONNX file and a released one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from params.evaluate import EvaluateParams
from tasks.evaluation.documents import Documents
from tasks.evaluation.figures import Bootstrap, all_figures
from tasks.evaluation.language_model import LanguageModel
from tasks.evaluation.losses import DocumentLosses, document_losses


@dataclass(frozen=True)
class Evaluation:
    """What was found."""

    report: dict[str, Any]
    """Sections of evaluation.json; every number in them has a dotted name."""
    losses: dict[str, DocumentLosses]
    """By set of documents."""


def evaluate_model(
    model: LanguageModel, params: EvaluateParams, sets: Mapping[str, Documents], *, training: Sequence[Path]
) -> Evaluation:
    """Measure a model on sets of documents; `training` are the shards it learned from, where they are at hand."""
    bootstrap = Bootstrap(params.bootstrap_samples, params.confidence, params.seed)
    losses = {
        name: document_losses(model, documents, batch_tokens=params.batch_tokens) for name, documents in sets.items()
    }
    report: dict[str, Any] = {name: all_figures(found, bootstrap) for name, found in losses.items()}
    return Evaluation(report, losses)
