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
        return ((number, _name(row)) for number, row in self._rows(documents, _NAME))

    def excerpts(self, documents: Indices) -> dict[int, str]:
        """How each (sorted) document begins."""
        return {number: str(row["text"])[:_MAX_CHARACTERS] for number, row in self._rows(documents, ("text",))}

    def _rows(self, documents: Indices, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
        bounds = np.searchsorted(documents, self._starts)
        for shard, start, first, last in zip(self._shards, self._starts, bounds[:-1], bounds[1:], strict=False):
            if first < last:
                wanted = documents[first:last]
                yield from zip(wanted.tolist(), _read_rows(shard, wanted - start, columns), strict=True)


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


def _name(row: dict[str, Any]) -> str:
    position = f":{row['position']}" if row["position"] else ""
    return f"{row['id']} {row['source']}/{row['path']}{position}"


def _read_rows(shard: Path, rows: Indices, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Some (sorted) rows of a shard."""
    start = done = 0
    for batch in read_batches(shard, columns):
        last = int(np.searchsorted(rows, start + batch.num_rows))
        yield from batch.take(pa.array(rows[done:last] - start)).to_pylist()
        start, done = start + batch.num_rows, last
