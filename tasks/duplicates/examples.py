"""Names and excerpts of documents by their number, and the report of the clusters."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.documents.shards import read_batches
from tasks.duplicates.clusters import Indices
from tasks.duplicates.names import Names
from tasks.duplicates.separation import EXACT, NEAR
from tasks.duplicates.verdicts import Verdicts

_MAX_CLUSTERS, _MAX_MEMBERS, _MAX_CHARACTERS = 20, 5, 200
_NAME = ("id", "source", "path", "position")


class Catalogue:
    """The documents of shards by number, in shard order."""

    def __init__(self, shards: Sequence[Path], starts: Indices) -> None:
        self._shards = shards
        self._starts = starts

    def names(self, documents: Indices) -> Iterator[tuple[int, str]]:
        """Id, source, path and, inside a file of many, position of each (sorted) document; texts are not read."""
        for shard, wanted, rows in self._parts(documents):
            names = (name for batch in _take(shard, rows, _NAME) for name in _names(batch))
            yield from zip(wanted.tolist(), names, strict=True)

    def excerpts(self, documents: Indices) -> dict[int, str]:
        """How each (sorted) document begins."""
        found: dict[int, str] = {}
        for shard, wanted, rows in self._parts(documents):
            texts = (text for batch in _take(shard, rows, ("text",)) for text in batch.column("text").to_pylist())
            found |= {number: text[:_MAX_CHARACTERS] for number, text in zip(wanted.tolist(), texts, strict=True)}
        return found

    def _parts(self, documents: Indices) -> Iterator[tuple[Path, Indices, Indices]]:
        """The shards that have any of the (sorted) documents, with these and their rows in the shard."""
        bounds = np.searchsorted(documents, self._starts)
        for shard, start, first, last in zip(self._shards, self._starts, bounds[:-1], bounds[1:], strict=False):
            if first < last:
                yield shard, documents[first:last], documents[first:last] - start


def describe_clusters(verdicts: Verdicts, catalogue: Catalogue, survivor_names: Names) -> dict[str, Any]:
    """How large clusters are, and the largest: who survived, how its text begins, the first members that left.

    Where the survivor is in the index, the text is that of the first member.
    """
    leaving = np.flatnonzero(~verdicts.kept)
    survivors, counts = np.unique(verdicts.survivors[leaving], return_counts=True)
    largest = survivors[np.lexsort((survivors, -counts))[:_MAX_CLUSTERS]]
    members = {one: leaving[verdicts.survivors[leaving] == one] for one in largest.tolist()}
    shown = [documents[:_MAX_MEMBERS] for documents in members.values()]
    names = dict(catalogue.names(np.unique(np.concatenate([leaving[:0], *shown]))))
    speakers = {one: one if one < len(verdicts.survivors) else int(m[0]) for one, m in members.items()}
    excerpts = catalogue.excerpts(np.unique(np.array([*speakers.values()], np.int64)))
    clusters = [
        {
            "documents": len(documents) + 1,
            "survivor": survivor_names.of(np.array([one]))[0],
            "text": excerpts[speakers[one]],
            "rejected": [_member(number, names, verdicts) for number in documents[:_MAX_MEMBERS].tolist()],
        }
        for one, documents in members.items()
    ]
    return {"clusters": len(survivors), "sizes": _histogram(counts + 1), "largest": clusters}


def _histogram(sizes: Indices) -> dict[str, int]:
    """How many clusters have 2, 3-4, 5-8, 9-16 … documents."""
    powers, counts = np.unique(np.ceil(np.log2(sizes)).astype(int), return_counts=True)
    ranges = ((2 ** (power - 1) + 1, 2**power) for power in powers.tolist())
    return {
        str(high) if low == high else f"{low}-{high}": int(count)
        for (low, high), count in zip(ranges, counts, strict=True)
    }


def _member(number: int, names: dict[int, str], verdicts: Verdicts) -> dict[str, Any]:
    rule = EXACT if verdicts.is_exact[number] else NEAR
    return {"document": names[number], "rule": rule, "similarity": round(float(verdicts.similarity[number]), 4)}


def _names(batch: pa.RecordBatch) -> list[str]:
    columns = (batch.column(name).to_pylist() for name in _NAME)
    return [
        f"{doc_id} {source}/{path}:{position}" if position else f"{doc_id} {source}/{path}"
        for doc_id, source, path, position in zip(*columns, strict=True)
    ]


def _take(shard: Path, rows: Indices, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Some (sorted) rows of a shard."""
    start = done = 0
    for batch in read_batches(shard, columns):
        last = int(np.searchsorted(rows, start + batch.num_rows))
        yield batch.take(pa.array(rows[done:last] - start))
        start, done = start + batch.num_rows, last
