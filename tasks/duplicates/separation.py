"""Shards of documents to shards of survivors and shards of duplicates."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.documents.schema import DOCUMENT, REJECTED
from tasks.documents.shards import read_batches, shard_writer
from tasks.duplicates.clusters import Indices
from tasks.duplicates.names import Names

EXACT, NEAR = "exact_duplicate", "near_duplicate"


@dataclass(frozen=True)
class Duplicates:
    """The documents of one shard that leave it."""

    shard: Path
    rows: Indices
    is_exact: npt.NDArray[np.bool_]
    similarity: npt.NDArray[np.float64]
    survivors: Indices
    """Number of who stays in the place of each."""


def separate_shard(duplicates: Duplicates, *, names: Names, min_similarity: float | None, out: Path) -> None:
    """Write out/kept/ and out/rejected/ under the shard's name, unless an earlier attempt did.

    `names` has the survivors'.
    """
    kept, rejected = (out / folder / duplicates.shard.name for folder in ("kept", "rejected"))
    if kept.exists() and rejected.exists():
        return
    reasons = _reasons(duplicates, names, min_similarity)
    start = done = 0
    with shard_writer(kept, DOCUMENT) as kept_writer, shard_writer(rejected, REJECTED) as rejected_writer:
        for batch in read_batches(duplicates.shard):
            last = int(np.searchsorted(duplicates.rows, start + batch.num_rows))
            leaving = duplicates.rows[done:last] - start
            staying = np.delete(np.arange(batch.num_rows), leaving)
            if len(staying):
                kept_writer.write_batch(batch.take(pa.array(staying)))
            if len(leaving):
                columns = [*batch.take(pa.array(leaving)).columns, *(r[done:last] for r in reasons)]
                rejected_writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=REJECTED))
            start, done = start + batch.num_rows, last


def _reasons(duplicates: Duplicates, names: Names, min_similarity: float | None) -> list[pa.Array]:
    """The columns rule, value, threshold and detail."""
    exact = duplicates.is_exact
    return [
        pa.array(np.where(exact, EXACT, NEAR).tolist(), pa.string()),
        pa.array(duplicates.similarity, pa.float64()),
        pa.array(np.where(exact, 1.0, min_similarity or 0.0), pa.float64()),
        pa.array(names.of(duplicates.survivors), pa.string()),
    ]
