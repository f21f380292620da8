"""Which blocks each step trains on: a function of the step alone, so that resuming needs no skipping."""

import numpy as np
import numpy.typing as npt
from numpy.random import PCG64, Generator

Indices = npt.NDArray[np.int64]


class DataOrder:
    """Blocks in a fresh random order every epoch; a batch may span the end of one and the start of the next."""

    def __init__(self, num_blocks: int, *, batch_blocks: int, seed: int) -> None:
        self.num_blocks = num_blocks
        self.batch_blocks = batch_blocks
        self.seed = seed
        self._epochs: dict[int, Indices] = {}

    def batch(self, step: int) -> Indices:
        """Indices of the blocks of a step (from 0), each of every epoch exactly once."""
        first = step * self.batch_blocks
        positions = np.arange(first, first + self.batch_blocks)
        epochs, within = np.divmod(positions, self.num_blocks)
        self._epochs = {epoch: self._permutation(epoch) for epoch in np.unique(epochs).tolist()}
        return np.array([self._epochs[e][w] for e, w in zip(epochs.tolist(), within.tolist(), strict=True)])

    def epochs(self, steps: int) -> float:
        """Passes over the data after so many steps."""
        return steps * self.batch_blocks / self.num_blocks

    def _permutation(self, epoch: int) -> Indices:
        if epoch in self._epochs:
            return self._epochs[epoch]
        return Generator(PCG64([self.seed, epoch])).permutation(self.num_blocks)
