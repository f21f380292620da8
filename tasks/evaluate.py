"""Measure the trained model on the held-out documents."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from params.errors import EvaluationError
from params.evaluate import EvaluateParams
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run, num_cores
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.evaluation.language_model import LanguageModel

SPLITS = ("validation", "test")
REPORT = "evaluation.json"


@stage(version=2)
def evaluate(params: EvaluateParams, model: Manifest, splits: Manifest, *, out: Path, run: Run) -> Metrics:
    """evaluation.json with all figures by dotted name, and the losses of each document in documents/."""
    from tasks.evaluation.trained_model import TrainedModel, chosen_device

    trained = TrainedModel(
        model.folder / "model",
        threads=run.settings.threads or num_cores(),
        device=chosen_device(run.settings.device),
    )
    report: dict[str, Any] = {"documents": splits.digest, "model": model.digest}
    for split in SPLITS:
        report[split] = _measure(trained, params, splits, split, out)
    write_atomic(out / REPORT, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return _metrics(report)


def _measure(model: "LanguageModel", params: EvaluateParams, splits: Manifest, split: str, out: Path) -> dict[str, Any]:
    """Figures of one split; its losses are kept document by document."""
    from tasks.evaluation.documents import choose_documents
    from tasks.evaluation.figures import Bootstrap, all_figures
    from tasks.evaluation.losses import document_losses, write_losses

    documents = choose_documents(
        splits.paths(f"{split}/*.arrow"), max_documents=params.max_documents, max_bytes=params.max_document_bytes
    )
    if not documents.ids:
        raise EvaluationError(f"the {split} split has no text to evaluate on; raise split.{split} or bring more text")
    losses = document_losses(model, documents, batch_tokens=params.batch_tokens)
    write_losses(out / "documents" / f"{split}.arrow", losses)
    return all_figures(losses, Bootstrap(params.bootstrap_samples, params.confidence, params.seed))


def _metrics(report: dict[str, Any]) -> Metrics:
    from tasks.evaluation.naming import numbers_of

    test = report["test"]
    return Metrics(
        headline=f"test: {test['bits_per_byte']:.3f} bits per byte, perplexity {test['perplexity']:,.1f}",
        speed=(sum(report[split]["targets"] for split in SPLITS), "tokens"),
        counts={f"{split}_docs": report[split]["docs"] for split in SPLITS},
        values=numbers_of(report),
    )
