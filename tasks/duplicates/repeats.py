"""Which passages many documents share, found with 16 bytes a passage on disk and a bounded part of them in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from params.dedup import RepeatedPassageParams
from tasks.documents.shards import read_batches
from tasks.duplicates.arrays import joined, load_array, save_array
from tasks.duplicates.clusters import Indices
from tasks.duplicates.passages import find_passages
from tasks.duplicates.verdicts import ShardVerdicts
from tasks.text.kernels import Hashes

_SHOWN = 20
_PARTITION = 4_000_000
"""Passages looked at together: about 200 MB while they are sorted."""


@dataclass(frozen=True)
class Repeated:
    """The passages that enough documents have, by hash: 24 bytes each."""

    hashes: Hashes
    firsts: Indices
    """Rank of the first document with each."""
    counts: Indices
    """Documents with each."""

    def look_up(self, hashes: Hashes) -> Indices:
        """The number of each passage here, or -1."""
        if len(self.hashes) == 0:
            return np.full(len(hashes), -1, np.int64)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[at] == hashes, at, -1)

    @property
    def most_frequent(self) -> Indices:
        """Numbers of the passages that reports show."""
        return np.lexsort((self.hashes, -self.counts))[:_SHOWN]


def list_passages(judged: ShardVerdicts, *, params: RepeatedPassageParams, folder: Path) -> Path:
    """The file with hash and rank of every passage of a shard's survivors, sorted, each once a document."""
    path = folder / judged.shard.stem / "passages.npy"
    if not path.exists():
        start, kept, found = 0, judged.kept, [np.zeros((0, 2), np.uint64)]
        for batch in read_batches(judged.shard, ("text",)):
            rows = slice(start, start + batch.num_rows)
            passages = find_passages(batch.column("text"), kept[rows], params)
            found.append(np.stack([passages.hashes, judged.ranks[rows][passages.owners].astype(np.uint64)], axis=1))
            start += batch.num_rows
        save_array(path, _distinct(np.concatenate(found)).T)
    return path


def find_repeated(paths: Sequence[Path], min_documents: int, partition: int = _PARTITION) -> Repeated:
    """What at least so many documents have; hashes are counted range by range, `partition` passages at a time."""
    lists = [load_array(path) for path in paths]
    total = sum(hashes.shape[1] for hashes in lists)
    num_ranges = -(-total // partition) or 1
    bounds = [(number << 64) // num_ranges for number in range(num_ranges)]
    parts = [
        _repeated_in(lists, low, high, min_documents) for low, high in zip(bounds, [*bounds[1:], None], strict=True)
    ]
    return Repeated(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _repeated_in(
    lists: Sequence[npt.NDArray[np.uint64]], low: int, high: int | None, min_documents: int
) -> tuple[Hashes, Indices, Indices]:
    pieces = []
    for hashes, ranks in lists:
        first = np.searchsorted(hashes, np.uint64(low))
        last = len(hashes) if high is None else np.searchsorted(hashes, np.uint64(high))
        pieces.append(np.stack([hashes[first:last], ranks[first:last]], axis=1))
    rows = _distinct(joined(pieces, np.zeros((0, 2), np.uint64)))
    hashes, starts, counts = np.unique(rows[:, 0], return_index=True, return_counts=True)
    enough = counts >= min_documents
    return hashes[enough], rows[starts[enough], 1].astype(np.int64), counts[enough]


def _distinct(rows: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Sorted by hash, then by rank; each pair once."""
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    is_new = np.ones(len(rows), np.bool_)
    is_new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return rows[is_new]
