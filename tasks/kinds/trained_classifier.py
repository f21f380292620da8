"""A classifier in torch, as training leaves it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tasks.evaluation.trained_model import NO_LIMIT, load_transformers
from tasks.graph.reference import steady
from tasks.serving.classifier import batches, softmax
from tasks.tokenizer.files import load_tokenizer, special_ids

Array = npt.NDArray[Any]


class TrainedClassifier:
    """A transformers folder for sequence classification, in float32."""

    def __init__(self, folder: Path, *, threads: int, device: torch.device, weights: Path | None = None) -> None:
        """Load a folder, with the weights of a checkpoint in the place of its own where `weights` names some."""
        from transformers import AutoModelForSequenceClassification

        kind, attention = AutoModelForSequenceClassification, "eager"
        model = load_transformers(kind, folder, threads=threads, weights=weights, attention=attention)
        self.model, self.device = model.to(device), device
        self.tokenizer = load_tokenizer(folder)
        self.labels = labels_of(folder)
        self.context = int(getattr(model.config, "max_position_embeddings", None) or NO_LIMIT)
        if model.config.pad_token_id is None:
            model.config.pad_token_id = special_ids(folder).padding

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, as far as the context holds them."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)[: self.context]

    def logits(self, tokens: Sequence[int]) -> Array:
        """Logits (labels) of one text, by the class's own forward pass."""
        with steady():
            return np.asarray(self.model(input_ids=torch.tensor([list(tokens)])).logits[0].numpy())

    def probabilities(self, rows: Sequence[Sequence[int]]) -> Array:
        """Probabilities (rows, labels), in batches of rows of like length."""
        padding = int(self.model.config.pad_token_id)
        made = np.empty((len(rows), len(self.labels)), np.float64)
        for places in batches([len(row) for row in rows]):
            width = max(len(rows[place]) for place in places)
            tokens = torch.tensor([[*rows[p], *[padding] * (width - len(rows[p]))] for p in places])
            mask = torch.tensor([[1] * len(rows[p]) + [0] * (width - len(rows[p])) for p in places])
            with torch.inference_mode():
                found = self.model(input_ids=tokens.to(self.device), attention_mask=mask.to(self.device)).logits
            made[places] = softmax(found.float().cpu().numpy())
        return made


def labels_of(folder: Path) -> list[str]:
    """The names of the labels of a transformers folder, in the order of its logits."""
    named = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("id2label") or {}
    return [str(named[number]) for number in sorted(named, key=int)]
