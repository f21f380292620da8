"""Direct preference optimization: a model learns which of two answers is better, held to where it started."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from params.objective import PreferenceParams
from tasks.training.batch import IGNORED, Batch, as_tensor, packed_batch
from tasks.training.feeds import ExampleFeed, Rows
from tasks.training.objective import logits_of

if TYPE_CHECKING:
    from tasks.model.start import StartedModel

CHOSEN, REJECTED = 0, 1
_SUMS = ("loss", "reward_margin", "reward_accuracy", "chosen_reward", "rejected_reward")


@dataclass(frozen=True)
class PairBatch(Batch):
    """Tensors of pairs: those of Batch have an axis of two behind the first, for the chosen and the rejected side."""

    numbers: torch.Tensor
    """(batch, 2, time) number of the pair within its block that a position belongs to, from 1; 0 is none."""


class PairFeed(ExampleFeed):
    """Packed pairs of answers; a block has a row of chosen and a row of rejected ones, in the same order."""

    sides = 2

    def count(self, rows: Rows) -> int:
        """Pairs."""
        return int(rows[2].max(axis=1, initial=0).sum())

    def batch(self, rows: Rows, device: torch.device) -> PairBatch:
        """The tensors of a forward pass."""
        sides = [packed_batch(*rows[first : first + 3], device=device) for first in (0, 3)]
        inputs, targets, positions, mask = (
            torch.stack(pair, dim=1) for pair in zip(*(side.tensors for side in sides), strict=True)
        )
        return PairBatch(inputs, targets, positions, mask, as_tensor(np.stack((rows[2], rows[5]), axis=1), device))


class PreferenceLoss(torch.nn.Module):
    """Loss and rewards of pairs, summed: (5,) as `_SUMS` names them.

    With p the log-probability of an answer under the model less that under the reference, the rewards are beta p, and
    a pair costs -log sigmoid(reward of the chosen - reward of the rejected) (Rafailov et al. 2023, equation 7);
    smoothing takes the order to be wrong with some probability (Mitchell 2023, equation 3).
    """

    def __init__(self, started: "StartedModel", params: PreferenceParams) -> None:
        super().__init__()
        self.model = started.model
        self._adapter = [started.adapter]  # in a list: its weights are the model's, and shall not be named twice
        self.reference = None if started.adapter is not None else deepcopy(started.model).requires_grad_(False)
        self._params = params

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        numbers = tensors[4]
        reference = self._reference_log_probs(tensors)
        ratios = _answer_log_probs(self.model, tensors) - reference
        chosen, rejected = self._params.beta * ratios[:, CHOSEN], self._params.beta * ratios[:, REJECTED]
        margin, smoothing = chosen - rejected, self._params.label_smoothing
        losses = -(1 - smoothing) * functional.logsigmoid(margin) - smoothing * functional.logsigmoid(-margin)
        there = _by_number(torch.ones_like(numbers, dtype=ratios.dtype), numbers)[:, CHOSEN] > 0
        columns = (losses, margin, (margin > 0).to(margin.dtype), chosen, rejected)
        return torch.stack([torch.where(there, column, 0.0).sum() for column in columns])

    def _reference_log_probs(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        adapter: Any = self._adapter[0]
        with torch.no_grad(), nullcontext() if adapter is None else adapter.disable_adapter():
            return _answer_log_probs(self.model if self.reference is None else self.reference, tensors)


def rewards(sums: torch.Tensor, pairs: int) -> Mapping[str, float]:
    """Means over pairs by name."""
    return {name: float(sums[at]) / max(pairs, 1) for at, name in enumerate(_SUMS) if at}


def _answer_log_probs(model: torch.nn.Module, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """(batch, 2, pairs) log-probability of each answer."""
    inputs, targets, positions, mask, numbers = tensors
    flat = [tensor.flatten(0, 1) for tensor in (inputs, positions, mask)]
    logits = logits_of(model, *flat).float()
    losses = functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
    ).view_as(targets)
    return -_by_number(losses, numbers)


def _by_number(values: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Sums of values of the same number, number 0 left out; a text has two positions at the least."""
    most = values.shape[-1] // 2 + 1
    sums = torch.zeros((*values.shape[:-1], most + 1), dtype=values.dtype, device=values.device)
    return sums.scatter_add(-1, numbers.clamp(max=most), values)[..., 1:]
