"""Blocks of tokens to the tensors of a forward pass, documents kept apart."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

IGNORED = -100
"""Target of positions that do not count; torch's cross-entropy skips it."""


@dataclass(frozen=True)
class Batch:
    """Tensors of one forward pass over packed blocks."""

    inputs: torch.Tensor
    """(batch, time) token ids."""
    targets: torch.Tensor
    """(batch, time) next token, IGNORED where it is padding."""
    positions: torch.Tensor
    """(batch, time) position within the document."""
    mask: torch.Tensor
    """(batch, 1, time, time) whether a query may look at a key: same document, not later."""

    def split(self, rows: int) -> list["Batch"]:
        """Micro-batches of at most so many rows."""
        tensors = (self.inputs, self.targets, self.positions, self.mask)
        return [Batch(*part) for part in zip(*(torch.split(t, rows) for t in tensors), strict=True)]


def make_batch(blocks: npt.NDArray[np.int64], *, begin: int, padding: int, device: torch.device) -> Batch:
    """Blocks (batch, context + 1) to tensors; a begin token starts a new document."""
    inputs, targets = blocks[:, :-1], blocks[:, 1:]
    starts = inputs == begin
    segments = np.cumsum(starts, axis=1)
    time = np.arange(inputs.shape[1])
    last_start = np.maximum.accumulate(np.where(starts, time, 0), axis=1)
    same = segments[:, :, None] == segments[:, None, :]
    mask = same & np.tri(len(time), dtype=bool)
    return Batch(
        inputs=_tensor(inputs, device),
        targets=_tensor(np.where(targets == padding, IGNORED, targets), device),
        positions=_tensor(time - last_start, device),
        mask=_tensor(mask[:, None], device),
    )


def num_targets(blocks: npt.NDArray[np.int64], padding: int) -> int:
    """Positions that count towards the loss."""
    return int(np.count_nonzero(blocks[:, 1:] != padding))


def _tensor(array: npt.NDArray[np.generic], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device, non_blocking=True)
