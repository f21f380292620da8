"""Blocks of tokens to the tensors of a forward pass, documents kept apart."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

Ints = npt.NDArray[np.int64]
IGNORED = -100
"""Target of positions that do not count; torch's cross-entropy skips it."""


@dataclass(frozen=True)
class Batch:
    """Tensors of one forward pass over packed blocks; another objective may have a batch with other tensors."""

    inputs: torch.Tensor
    """(batch, time) token ids."""
    targets: torch.Tensor
    """(batch, time) next token, IGNORED where it is padding."""
    positions: torch.Tensor
    """(batch, time) position within the document."""
    mask: torch.Tensor
    """(batch, 1, time, time) whether a query may look at a key: same document, not later."""

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """What the forward pass takes, in order."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def split(self, rows: int) -> list[Self]:
        """Micro-batches of at most so many rows."""
        return [type(self)(*part) for part in zip(*(torch.split(t, rows) for t in self.tensors), strict=True)]


@dataclass(frozen=True)
class TextPairs(Batch):
    """Tensors of an encoder and a decoder over packed blocks: `inputs` to `mask` are the decoder's."""

    sources: torch.Tensor
    """(batch, source time) token ids that the encoder reads."""
    source_mask: torch.Tensor
    """(batch, 1, source time, source time) whether a token is of the same text as another."""
    cross_mask: torch.Tensor
    """(batch, 1, time, source time) whether a target belongs to a source."""


def make_batch(blocks: npt.NDArray[np.int64], *, begin: int, padding: int, device: torch.device) -> Batch:
    """Blocks (batch, context + 1) to tensors; a begin token starts a new document."""
    inputs, targets = blocks[:, :-1], blocks[:, 1:]
    segments = np.cumsum(inputs == begin, axis=1)
    return packed_batch(inputs, np.where(targets == padding, IGNORED, targets), segments, device=device)


def packed_batch(inputs: Ints, targets: Ints, segments: Ints, *, device: torch.device) -> Batch:
    """Rows (batch, time) to tensors; neighbours of the same segment are of one text."""
    mask = same_text(segments, segments) & np.tri(inputs.shape[1], dtype=bool)
    return Batch(
        inputs=as_tensor(inputs, device),
        targets=as_tensor(targets, device),
        positions=as_tensor(positions_in(segments), device),
        mask=as_tensor(mask[:, None], device),
    )


def positions_in(segments: Ints) -> Ints:
    """Position of each token within its text."""
    time = np.arange(segments.shape[1])
    starts = np.diff(segments, axis=1, prepend=segments[:, :1] - 1) != 0
    positions: Ints = time - np.maximum.accumulate(np.where(starts, time, 0), axis=1)
    return positions


def same_text(queries: Ints, keys: Ints) -> npt.NDArray[np.bool_]:
    """(batch, queries, keys) whether two tokens are of the same text."""
    same: npt.NDArray[np.bool_] = queries[:, :, None] == keys[:, None, :]
    return same


def text_pairs(
    sources: Ints, source_segments: Ints, inputs: Ints, targets: Ints, segments: Ints, *, device: torch.device
) -> TextPairs:
    """Rows of sources and rows of targets, whose segments say what belongs together."""
    decoder = packed_batch(inputs, targets, segments, device=device)
    return TextPairs(
        decoder.inputs,
        decoder.targets,
        decoder.positions,
        decoder.mask,
        sources=as_tensor(sources, device),
        source_mask=as_tensor(same_text(source_segments, source_segments)[:, None], device),
        cross_mask=as_tensor(same_text(segments, source_segments)[:, None], device),
    )


def num_targets(blocks: npt.NDArray[np.int64], padding: int) -> int:
    """Positions that count towards the loss."""
    return int(np.count_nonzero(blocks[:, 1:] != padding))


def as_tensor(array: npt.NDArray[np.generic], device: torch.device) -> torch.Tensor:
    """An array on a device."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device, non_blocking=True)
