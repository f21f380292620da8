"""The encoded shards of a split as one long array of tokens on disk."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numba import types

from tasks.shards.packing import Indices, Tokens
from tasks.text.kernels import MUTABLE_BYTES, OFFSETS, kernel

_BYTES = types.Array(types.uint8, 1, "C", readonly=True)


class TokenStream:
    """Tokens by their position over all parts.

    Each call opens what it reads and closes it again, so that neither files nor pages stay.
    """

    def __init__(self, paths: Sequence[Path], dtype: np.dtype[np.unsignedinteger]) -> None:
        self.dtype = dtype
        self._paths = list(paths)
        sizes = [path.stat().st_size // dtype.itemsize for path in paths]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, start: int, into: Tokens) -> None:
        """Fill an array with the tokens from a position on."""
        stop, size = start + len(into), self.dtype.itemsize
        for part in range(self._part(start), len(self._paths)):
            begins, ends = self._starts[part], self._starts[part + 1]
            if begins >= stop:
                break
            low, high = int(max(start, begins)), int(min(stop, ends))
            with self._paths[part].open("rb", buffering=0) as file:
                file.seek((low - int(begins)) * size)
                file.readinto(into[low - start : high - start].view(np.uint8).data)

    def gather(self, sources: Indices, targets: Indices, lengths: Indices, into: Tokens) -> None:
        """Copy runs of tokens from positions of the stream to positions of an array; no run spans two parts."""
        order = np.argsort(sources, kind="stable")
        order = order[lengths[order] > 0]
        sources, targets, lengths = sources[order], targets[order], lengths[order]
        parts = np.searchsorted(self._starts, sources, side="right") - 1
        bounds = np.flatnonzero(np.diff(parts, prepend=-1, append=len(self._paths)))
        size = self.dtype.itemsize
        for first, last in pairwise(bounds.tolist()):
            part = int(parts[first])
            mapped = np.memmap(self._paths[part], np.uint8, mode="r")
            here = slice(first, last)
            offsets = (sources[here] - self._starts[part]) * size
            _copy_runs(np.asarray(mapped), offsets, targets[here] * size, lengths[here] * size, into.view(np.uint8))

    def _part(self, position: int) -> int:
        return int(np.searchsorted(self._starts, position, side="right")) - 1


@kernel(types.void(_BYTES, OFFSETS, OFFSETS, OFFSETS, MUTABLE_BYTES))
def _copy_runs(data: Tokens, sources: Indices, targets: Indices, sizes: Indices, into: Tokens) -> None:
    for run in range(sizes.size):
        source, target = sources[run], targets[run]
        for byte in range(sizes[run]):
            into[target + byte] = data[source + byte]
