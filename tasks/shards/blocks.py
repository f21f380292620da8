"""Blocks of tokens in Arrow files: atomic writing, and random access through a memory map."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.artifacts.digest import commit
from tasks.shards.packing import Layout, Tokens

_BATCH_BYTES = 1 << 25


class Blocks:
    """All blocks of a split: `blocks[indices]` gives an int64 array of shape (len(indices), context + 1).

    Another column than input_ids is read in the same way, with as many positions as it has.
    """

    def __init__(self, paths: Sequence[Path], column: str = "input_ids") -> None:
        self._parts = [part for path in paths for part in _mapped(path, column)]
        self._ends = np.cumsum([len(part) for part in self._parts])

    def __len__(self) -> int:
        return int(self._ends[-1]) if self._parts else 0

    @property
    def context(self) -> int:
        """Positions that have a target, per block."""
        return int(self._parts[0].shape[1]) - 1

    def __getitem__(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        if len(self._parts) == 1:
            return self._parts[0][indices].astype(np.int64)
        parts = np.searchsorted(self._ends, indices, side="right")
        rows = np.empty((len(indices), self.context + 1), np.int64)
        for part in np.unique(parts).tolist():
            here = np.flatnonzero(parts == part)
            rows[here] = self._parts[part][indices[here] - (self._ends[part - 1] if part else 0)]
        return rows


def evenly(total: int, limit: int | None) -> npt.NDArray[np.int64]:
    """At most `limit` of the indices below `total`, spread evenly."""
    if limit is None or limit >= total:
        return np.arange(total)
    return np.arange(limit) * total // limit


def write_blocks(path: Path, layout: Layout, first: int, last: int, *, batch_bytes: int = _BATCH_BYTES) -> None:
    """Write blocks first to last - 1 as an uncompressed Arrow IPC file with one column, input_ids.

    A file of more than `batch_bytes` has several record batches, of which one is in memory at a time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    head = _batch(layout.blocks(first, first + 1))
    rows = max(1, batch_bytes // head.nbytes)
    with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, head.schema) as writer:
        for start in range(first, last, rows):
            writer.write_batch(_batch(layout.blocks(start, min(start + rows, last))))
    commit(temporary, path)


def _batch(blocks: Tokens) -> pa.RecordBatch:
    values = pa.array(blocks.reshape(-1))
    return pa.record_batch([pa.FixedSizeListArray.from_arrays(values, blocks.shape[1])], names=["input_ids"])


def _mapped(path: Path, column: str) -> Iterator[Tokens]:
    with pa.memory_map(str(path)) as source:
        for chunk in pa.ipc.open_file(source).read_all().column(column).chunks:
            yield chunk.flatten().to_numpy(zero_copy_only=True).reshape(-1, chunk.type.list_size)
