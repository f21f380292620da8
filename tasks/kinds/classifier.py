"""Classifiers: models that tell the label of a text."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tasks.evaluation.comparison import Costs
from tasks.examples.labelled import read_labelled
from tasks.kinds.kind import CLASSIFIER, Kind, Measured, RowModel
from tasks.kinds.rows import Rows, RowScores

if TYPE_CHECKING:
    import torch

    from params.export import ExportParams
    from params.gate import GateParams
    from tasks.evaluation.figures import Bootstrap
    from tasks.graph.checks import Check

_CHECKED, _TIMED = 64, 64
_SMALLEST = 1e-12
"""Stands for the probability of a label that a model does not know."""


class _Tells(Protocol):
    """A classifier, whichever file it comes from."""

    labels: list[str]

    def probabilities(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        """Probabilities (rows, labels)."""
        ...


@dataclass(frozen=True)
class LabelModel:
    """A classifier that can be asked rows."""

    model: _Tells
    encode: Any
    """Token ids of a text, as far as the context holds them."""

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Probabilities (texts, labels)."""
        return self.model.probabilities([self.encode(text) for text in texts])

    def score(self, rows: Rows) -> RowScores:
        """What it says to each text; a label that it does not know is always missed."""
        found = self.probabilities(rows.asked)
        places = {label: place for place, label in enumerate(self.model.labels)}
        given = [found[at, places[label]] if label in places else 0.0 for at, label in enumerate(rows.wanted)]
        return RowScores(
            ids=rows.ids,
            wanted=rows.wanted,
            said=[self.model.labels[place] for place in found.argmax(-1)],
            confidence=found.max(-1),
            nats=-np.log(np.maximum(given, _SMALLEST)),
            num_targets=np.ones(len(rows), np.int64),
            num_bytes=np.array([len(label.encode()) for label in rows.wanted], np.int64),
        )


class Classifier(Kind):
    """Judged by the accuracy of its labels."""

    name, section, figure, unit = CLASSIFIER, "classification", "accuracy", "accuracy"
    loss, fields = "log_loss", ("text", "label")
    objective = "classify"
    speed_unit, command = "texts", "classify"
    runner = ("tasks.serving.classifier", "classify.py")

    def read(self, row: Any) -> tuple[str, str]:
        """Text and label of a row."""
        found = read_labelled(row)
        return found.text, found.label

    def trained(self, folder: Path, *, threads: int, device: "torch.device", weights: Path | None = None) -> RowModel:
        """A transformers folder."""
        from tasks.kinds.trained_classifier import TrainedClassifier

        model = TrainedClassifier(folder, threads=threads, device=device, weights=weights)
        return LabelModel(model, model.encode)

    def served(self, folder: Path, *, threads: int) -> LabelModel:
        """An exported folder."""
        from functools import partial

        from tasks.serving.classifier import OnnxClassifier

        model = OnnxClassifier(folder, threads=threads)
        return LabelModel(model, partial(model.encode, truncate=True))

    def figures(self, scores: RowScores, bootstrap: "Bootstrap") -> dict[str, Any]:
        """Accuracy, macro F1, each label apart, calibration."""
        from tasks.kinds.labels import label_figures

        return label_figures(scores, bootstrap)

    def costs(self, scores: RowScores) -> Costs:
        """One for each wrong label."""
        return Costs(scores.ids, (~scores.is_right).astype(np.float64), np.ones(len(scores.ids)))

    def told(self, ratio: float) -> float:
        """Accuracy from the share of errors."""
        return 1 - ratio

    def check(self, served: Path, source: Path, rows: Rows, params: "ExportParams") -> "list[Check]":
        """Logits and labels of some rows."""
        from tasks.kinds.classifier_checks import check_classifier

        return check_classifier(served, source, rows.some(_CHECKED), max_logit_difference=params.max_logit_difference)

    def measure_variants(self, folders: Mapping[str, Path], rows: Rows) -> dict[str, Measured]:
        """Loss per text, divergence and agreement of labels against the first, and texts per second one at a time."""
        models = {name: self.served(folder, threads=1) for name, folder in folders.items()}
        base = next(iter(models.values())).probabilities(rows.asked)
        losses = {name: float(model.score(rows).nats.mean()) for name, model in models.items()}
        first = next(iter(losses.values()))
        return {
            name: Measured(_quality(losses[name], first, base, model.probabilities(rows.asked)), _speed(model, rows))
            for name, model in models.items()
        }

    def samples(self, folder: Path, prompts: Sequence[str]) -> list[dict[str, str]]:
        """The label of each text and its probability."""
        from tasks.serving.classifier import OnnxClassifier

        found = OnnxClassifier(folder).classify(prompts, truncate=True)
        told = [f"{one['label']} ({one['probability']:.1%})" for one in found]
        return [{"prompt": text, "continuation": label} for text, label in zip(prompts, told, strict=True)]

    def limits(self, gate: "GateParams", figures: Mapping[str, float]) -> Sequence[tuple[str, float, float]]:
        """Better than always saying the commonest label, with the confidence of the evaluation's intervals."""
        if gate.min_over_majority is None:
            return ()
        name = f"served.{self.section}.over_majority_low"
        return ((name, figures[name], gate.min_over_majority),)


def _quality(loss: float, first: float, base: np.ndarray, mine: np.ndarray) -> Any:
    from tasks.compression.quality import Quality

    right, made = np.maximum(base, _SMALLEST), np.maximum(mine, _SMALLEST)
    return Quality(
        loss=loss,
        loss_increase=loss - first,
        kl=float((right * np.log(right / made)).sum(-1).mean()),
        top1_agreement=float((base.argmax(-1) == mine.argmax(-1)).mean()),
    )


def _speed(model: LabelModel, rows: Rows) -> float:
    """Median over some texts, each alone."""
    from statistics import median

    seconds = []
    for text in rows.some(_TIMED).asked:
        started = time.perf_counter()
        model.probabilities([text])
        seconds.append(time.perf_counter() - started)
    return 1 / median(seconds)
