"""Classification: a text's label is told from the hidden state at its last token."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from tasks.training.batch import IGNORED

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class LabelLoss(torch.nn.Module):
    """A transformers model for sequence classification with its loss over packed texts.

    The class itself takes one text a row and looks at its last token; packed, the same head is put on the last token of
    every text. Gives the summed cross-entropy, then the confusion matrix row by row: true label, predicted label.
    """

    def __init__(self, model: "PreTrainedModel") -> None:
        super().__init__()
        self.model = model
        config: Any = model.config
        self._num_labels = int(config.num_labels)

    def forward(
        self, inputs: torch.Tensor, targets: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        model: Any = self.model
        hidden = model.base_model(
            input_ids=inputs, attention_mask=mask, position_ids=positions, use_cache=False
        ).last_hidden_state
        logits = model.score(hidden).float().flatten(0, 1)
        wanted = targets.flatten()
        loss = functional.cross_entropy(logits, wanted, ignore_index=IGNORED, reduction="sum")
        return torch.cat([loss.reshape(1), self._confusion(logits.detach(), wanted).to(loss.dtype)])

    def _confusion(self, logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        labels = self._num_labels
        there = wanted != IGNORED
        cells = torch.where(there, wanted, 0) * labels + logits.argmax(dim=-1)
        counts = torch.zeros(labels * labels, dtype=torch.float32, device=logits.device)
        return counts.scatter_add(0, cells, there.to(torch.float32))


def label_metrics(sums: torch.Tensor, texts: int) -> Mapping[str, float]:
    """Accuracy, and the mean over labels of F1, labels that are neither true nor predicted left out."""
    confusion = sums[1:]
    matrix = confusion.view(round(len(confusion) ** 0.5), -1)
    hits, true, predicted = matrix.diagonal(), matrix.sum(dim=1), matrix.sum(dim=0)
    known = (true + predicted) > 0
    f1 = 2 * hits[known] / (true + predicted)[known]
    return {
        "accuracy": float(hits.sum()) / max(texts, 1),
        "macro_f1": float(f1.mean()) if len(f1) else 0.0,
    }
