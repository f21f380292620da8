"""A shard of documents to the evaluation n-grams in it, and how many documents have each."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tasks.artifacts.digest import commit
from tasks.contamination.index import Index
from tasks.contamination.ngrams import NgramSizes, Numbers, find
from tasks.documents.shards import read_batches
from tasks.text.buffers import Offsets
from tasks.text.kernels import Counts, Hashes

_NO_TEXT = pa.array([], pa.large_string())


class ShardHits(NamedTuple):
    """What a scan of a shard found. Rows count from 0 through the shard."""

    rows: Numbers
    """(hits,), sorted; with keys, starts and ends, where each n-gram stands, in bytes."""
    keys: Numbers
    starts: Offsets
    ends: Offsets
    pair_rows: Numbers
    """(pairs,), sorted: with pair_keys, each different n-gram of each document."""
    pair_keys: Numbers
    pair_counts: Counts
    """How often it stands there."""
    num_ngrams: Numbers
    """(documents,): n-grams of each up to the table's bound."""


@dataclass(frozen=True)
class Scanner:
    """Finds the n-grams of an index in shards."""

    index: Index
    sizes: NgramSizes

    def scan(self, shard: Path, *, folder: Path) -> Path:
        """Write the hits of a shard to a folder, unless an earlier attempt did; where they lie."""
        path = hits_path(shard, folder)
        if not path.exists():
            _save(path, self._scan(shard))
        return path

    def _scan(self, shard: Path) -> ShardHits:
        found, num_rows = [find(_NO_TEXT, self.index.table, self.sizes)], 0
        for batch in read_batches(shard, ["text"]):
            hits = find(batch.column("text"), self.index.table, self.sizes)
            found.append(hits._replace(texts=hits.texts + np.uint32(num_rows)))
            num_rows += batch.num_rows
        rows, keys, starts, ends, num_ngrams = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        pairs, counts = np.unique(pair(rows, keys), return_counts=True)
        return ShardHits(rows, keys, starts, ends, *unpair(pairs), counts, num_ngrams)


def pair(high: Numbers, low: Numbers) -> Hashes:
    """Two numbers as one, which sorts by the first, then by the second."""
    return high.astype(np.uint64) << np.uint64(32) | low


def unpair(pairs: Hashes) -> tuple[Numbers, Numbers]:
    """Both numbers again."""
    return (pairs >> np.uint64(32)).astype(np.uint32), (pairs & np.uint64(0xFFFFFFFF)).astype(np.uint32)


def hits_path(shard: Path, folder: Path) -> Path:
    """Where the hits of a shard lie."""
    return folder / f"{shard.stem}.npz"


def read_hits(path: Path) -> ShardHits:
    """The hits of a shard."""
    with np.load(path) as arrays:
        return ShardHits(*(arrays[name] for name in ShardHits._fields))


def document_frequencies(paths: Iterable[Path], num_keys: int) -> Counts:
    """In how many documents each n-gram stands."""
    total = np.zeros(num_keys, np.int64)
    for path in paths:
        with np.load(path) as arrays:
            np.add.at(total, arrays["pair_keys"], 1)
    return total


def _save(path: Path, hits: ShardHits) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        np.savez(file, **hits._asdict())
    commit(temporary, path)
