"""The text a tokenizer learns from, and is measured on."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from tasks.documents.shards import read_batches

Hashes = npt.NDArray[np.uint64]


class Sample:
    """Documents of at most `max_bytes` of text: of each source the same share, those of the smallest hashes.

    A document is in or out by its id, its source and their totals alone, whatever the order or number of shards. Each
    source keeps one document at least. Iterating gives batches of texts, one record batch in memory at a time.
    """

    def __init__(self, shards: Sequence[Path], *, max_bytes: int) -> None:
        self.shards = shards
        self.num_docs = self.size = 0
        self._last: dict[str, int] = {}
        self._choose(max_bytes)

    def __iter__(self) -> Iterator[list[str]]:
        for documents in self.documents():
            yield documents.column("text").to_pylist()

    def documents(self) -> Iterator[pa.RecordBatch]:
        """The chosen documents, shard by shard."""
        for shard in self.shards:
            for batch in read_batches(shard):
                last = [self._last[source] for source in batch.column("source").to_pylist()]
                chosen = _hashes(batch) <= np.array(last, np.uint64)
                if chosen.any():
                    yield batch.filter(pa.array(chosen))

    def _choose(self, max_bytes: int) -> None:
        """Find the largest hash of each source that is let in, and count."""
        found: dict[str, list[tuple[Hashes, npt.NDArray[np.int64]]]] = defaultdict(list)
        for shard in self.shards:
            for batch in read_batches(shard):
                hashes, sizes = _hashes(batch), pc.binary_length(batch.column("text")).to_numpy()
                sources = np.array(batch.column("source").to_pylist())
                for source in np.unique(sources):
                    found[str(source)].append((hashes[sources == source], sizes[sources == source]))
        total = sum(int(sizes.sum()) for parts in found.values() for _, sizes in parts)
        for source in sorted(found):
            hashes, sizes = (np.concatenate(column) for column in zip(*found.pop(source), strict=True))
            order = np.argsort(hashes)
            reached = np.cumsum(sizes[order])
            allowed = int(reached[-1]) * min(max_bytes, total) // max(total, 1)
            last = hashes[order][max(int(np.searchsorted(reached, allowed, side="right")), 1) - 1]
            self._last[source] = int(last)
            self.num_docs += int(np.count_nonzero(hashes <= last))
            self.size += int(sizes[hashes <= last].sum())


def _hashes(batch: pa.RecordBatch) -> Hashes:
    """A hash of each id that no other choice by id (the split's, a shuffle's) goes along with."""
    ids = batch.column("id").to_pylist()
    return np.fromiter((xxhash.xxh3_64_intdigest(f"tokenizer sample {i}".encode()) for i in ids), np.uint64, len(ids))
