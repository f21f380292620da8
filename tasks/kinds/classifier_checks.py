"""The checks that an exported classifier must pass against the trained one, on held-out rows."""

from pathlib import Path

import numpy as np
import torch

from tasks.graph.checks import Check
from tasks.graph.tokenizer_checks import tokenizer_results
from tasks.kinds.rows import Rows
from tasks.kinds.trained_classifier import TrainedClassifier
from tasks.serving.classifier import OnnxClassifier


def check_classifier(served: Path, source: Path, rows: Rows, *, max_logit_difference: float) -> list[Check]:
    """Logits of each row alone and in one padded batch, labels, their names, and the tokenizer."""
    model = OnnxClassifier(served)
    reference = TrainedClassifier(source, threads=1, device=torch.device("cpu"))
    texts = [model.encode(text, truncate=True) for text in rows.asked]
    right = np.stack([reference.logits(reference.encode(text)) for text in rows.asked])
    alone = np.concatenate([model.logits([text]) for text in texts])
    together = model.logits(texts)
    names = float(model.labels != reference.labels)
    return [
        Check("logits", _difference(alone, right), max_logit_difference, f"{len(rows)} texts, one by one"),
        Check("ragged_batch", _difference(together, right), max_logit_difference, "all texts in one padded batch"),
        Check("labels", _other_labels(alone, right, 2 * max_logit_difference), 0.0, f"{len(rows)} texts"),
        Check("label_names", names, 0.0, f"{len(reference.labels)} labels in the order of the logits"),
        *(Check(name, value, 0.0, detail) for name, value, detail in tokenizer_results(served, source)),
    ]


def _difference(made: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(made - right).max())


def _other_labels(made: np.ndarray, right: np.ndarray, tie: float) -> float:
    """Texts with another label, unless the trained model itself holds the two within `tie` logits of each other."""
    places, mine = np.arange(len(made)), made.argmax(-1)
    return float((right.max(-1) - right[places, mine] > tie).sum())
