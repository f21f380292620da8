"""What an objective reads from disk for a step, and the tensors that it makes of that."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from tasks.shards.blocks import Blocks
from tasks.tokenizer.files import SpecialIds
from tasks.training.batch import IGNORED, Batch, make_batch, packed_batch

Ints = npt.NDArray[np.int64]
Rows = tuple[Ints, ...]
"""Arrays of as many rows as there are blocks."""


class Feed(Protocol):
    """The blocks of one side of a split."""

    @property
    def context(self) -> int:
        """Positions of a block, by which tokens are counted."""
        ...

    def __len__(self) -> int:
        """Blocks."""
        ...

    def read(self, indices: Ints, draw: int) -> Rows:
        """Blocks by their indices; what is drawn at random is another for each number `draw`."""
        ...

    def empty(self, count: int) -> Rows:
        """Blocks without anything to learn, to fill a batch."""
        ...

    def count(self, rows: Rows) -> int:
        """What the loss of these blocks is a sum over: targets, or pairs."""
        ...

    def batch(self, rows: Rows, device: torch.device) -> Batch:
        """The tensors of a forward pass."""
        ...


class TokenFeed:
    """Blocks of a stream of documents, whose every token is learned."""

    def __init__(self, paths: Sequence[Path], ids: SpecialIds) -> None:
        self._blocks = Blocks(paths)
        self._ids = ids

    @property
    def context(self) -> int:
        """Positions of a block."""
        return self._blocks.context

    def __len__(self) -> int:
        return len(self._blocks)

    def read(self, indices: Ints, draw: int) -> Rows:
        """Blocks by their indices."""
        return (self._blocks[indices],)

    def empty(self, count: int) -> Rows:
        """Blocks of padding."""
        return (np.full((count, self.context + 1), self._ids.padding),)

    def count(self, rows: Rows) -> int:
        """Targets."""
        return int(np.count_nonzero(rows[0][:, 1:] != self._ids.padding))

    def batch(self, rows: Rows, device: torch.device) -> Batch:
        """The tensors of a forward pass."""
        return make_batch(rows[0], begin=self._ids.begin, padding=self._ids.padding, device=device)


class ExampleFeed:
    """Packed examples, a row for each block, of which some positions are learned."""

    sides = 1

    def __init__(self, paths: Sequence[Path], ids: SpecialIds) -> None:
        self._columns = [Blocks(paths, name) for name in ("input_ids", "targets", "segments")]
        self._ids = ids

    @property
    def context(self) -> int:
        """Positions of a block."""
        return self._columns[0].context + 1  # a target for every token: none stands behind the last

    def __len__(self) -> int:
        return len(self._columns[0]) // self.sides

    def read(self, indices: Ints, draw: int) -> Rows:
        """Tokens, targets and segments of blocks, those of a second side after those of the first."""
        rows = [indices * self.sides + side for side in range(self.sides)]
        return tuple(column[index] for index in rows for column in self._columns)

    def empty(self, count: int) -> Rows:
        """Blocks of padding."""
        rows = (count, self.context)
        return (np.full(rows, self._ids.padding), np.full(rows, IGNORED), np.zeros(rows, np.int64)) * self.sides

    def count(self, rows: Rows) -> int:
        """Targets."""
        return int(sum(np.count_nonzero(targets != IGNORED) for targets in rows[1::3]))

    def batch(self, rows: Rows, device: torch.device) -> Batch:
        """The tensors of a forward pass."""
        tokens, targets, segments = rows
        return packed_batch(tokens, targets, segments, device=device)


def joined(rows: Rows, more: Rows) -> Rows:
    """Blocks, and further ones after them."""
    return tuple(np.concatenate(pair) for pair in zip(rows, more, strict=True))


def share(rows: Rows, first: int, step: int) -> Rows:
    """Every step-th block from one on."""
    return tuple(array[first::step] for array in rows)
