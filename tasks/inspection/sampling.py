"""Random documents out of shards: the same ones for the same seed, and only their rows are unpacked."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.documents.shards import read_batches

Row = dict[str, Any]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Some documents, and how many there were to choose from."""

    rows: list[Row]
    among: int


def sample_documents(shards: Sequence[Path], number: int, *, seed: int, where: dict[str, str]) -> Sample:
    """At most `number` random rows, in shard order, of those whose columns have the values of `where`."""
    matching = [_matching(shard, where) for shard in shards]
    ends = np.cumsum([0, *map(len, matching)])
    among = int(ends[-1])
    chosen = np.array(sorted(random.Random(seed).sample(range(among), min(number, among))), np.int64)
    rows: list[Row] = []
    for shard, found, (start, end) in zip(shards, matching, pairwise(ends), strict=True):
        inside = chosen[(chosen >= start) & (chosen < end)] - start
        rows.extend(take_rows(shard, found[inside]))
    return Sample(rows, among)


def take_rows(shard: Path, rows: Indices) -> Iterator[Row]:
    """Some (sorted) rows of a shard."""
    start = done = 0
    for batch in read_batches(shard) if len(rows) else ():
        last = int(np.searchsorted(rows, start + batch.num_rows))
        yield from batch.take(pa.array(rows[done:last] - start)).to_pylist()
        start, done = start + batch.num_rows, last


def _matching(shard: Path, where: dict[str, str]) -> Indices:
    """Numbers of the rows that have the wanted values."""
    flags = [np.ones(0, np.bool_)]
    for batch in read_batches(shard, [*where] or ["position"]):
        found = np.ones(batch.num_rows, np.bool_)
        for column, value in where.items():
            found &= pc.equal(batch.column(column), value).to_numpy(zero_copy_only=False)
        flags.append(found)
    return np.flatnonzero(np.concatenate(flags))
