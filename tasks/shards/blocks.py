"""Random access to the blocks of a split, through a memory map."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class Blocks:
    """All blocks of a split: `blocks[indices]` gives an int64 array of shape (len(indices), context + 1)."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._parts = [_mapped(path) for path in paths]
        self._ends = np.cumsum([len(part) for part in self._parts])

    def __len__(self) -> int:
        return int(self._ends[-1]) if self._parts else 0

    @property
    def context(self) -> int:
        """Positions that have a target, per block."""
        return int(self._parts[0].shape[1]) - 1

    def __getitem__(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        parts = np.searchsorted(self._ends, indices, side="right")
        rows = [self._parts[p][i - (self._ends[p - 1] if p else 0)] for p, i in zip(parts, indices, strict=True)]
        return np.stack(rows).astype(np.int64)


def evenly(total: int, limit: int | None) -> npt.NDArray[np.int64]:
    """At most `limit` of the indices below `total`, spread evenly."""
    if limit is None or limit >= total:
        return np.arange(total)
    return np.arange(limit) * total // limit


def _mapped(path: Path) -> npt.NDArray[np.unsignedinteger]:
    with pa.memory_map(str(path)) as source:
        column = pa.ipc.open_file(source).read_all().column("input_ids").chunk(0)
    width = column.type.list_size
    return column.flatten().to_numpy(zero_copy_only=True).reshape(-1, width)  # type: ignore[no-any-return]
