"""Names and excerpts of documents by their number, and the report of the largest clusters."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.duplicates.clusters import Indices
from tasks.duplicates.separation import EXACT, NEAR
from tasks.duplicates.verdicts import Verdicts

_MAX_CLUSTERS, _MAX_MEMBERS, _MAX_CHARACTERS = 20, 5, 200
_NAME = ("id", "source", "path", "position")


class Catalogue:
    """The documents of shards by number, in source order."""

    def __init__(self, shards: Sequence[Path], starts: Indices) -> None:
        self._shards = shards
        self._starts = starts

    def names(self, documents: Indices) -> dict[int, str]:
        """Id, source, path and, inside a file of many, position of each (sorted) document; texts are not read."""
        return {number: _name(row) for number, row in self._rows(documents, _NAME)}

    def excerpts(self, documents: Indices) -> dict[int, str]:
        """How each (sorted) document begins."""
        return {number: str(row["text"])[:_MAX_CHARACTERS] for number, row in self._rows(documents, ("text",))}

    def _rows(self, documents: Indices, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
        bounds = np.searchsorted(documents, self._starts)
        for shard, start, first, last in zip(self._shards, self._starts, bounds[:-1], bounds[1:], strict=False):
            if first < last:
                wanted = documents[first:last]
                yield from zip(wanted.tolist(), _read_rows(shard, wanted - start, columns), strict=True)


def describe_clusters(verdicts: Verdicts, catalogue: Catalogue) -> dict[str, Any]:
    """The largest clusters with who survived, how its text begins, and the first members that left."""
    leaving = np.flatnonzero(~verdicts.kept)
    survivors, counts = np.unique(verdicts.survivors[leaving], return_counts=True)
    largest = survivors[np.lexsort((survivors, -counts))[:_MAX_CLUSTERS]]
    members = {one: leaving[verdicts.survivors[leaving] == one] for one in largest.tolist()}
    shown = [documents[:_MAX_MEMBERS] for documents in members.values()]
    names = catalogue.names(np.unique(np.concatenate([largest, *shown])))
    excerpts = catalogue.excerpts(np.sort(largest))
    clusters = [
        {
            "documents": len(documents) + 1,
            "survivor": names[one],
            "text": excerpts[one],
            "rejected": [_member(number, names, verdicts) for number in documents[:_MAX_MEMBERS].tolist()],
        }
        for one, documents in members.items()
    ]
    return {"clusters": len(survivors), "largest": clusters}


def _member(number: int, names: dict[int, str], verdicts: Verdicts) -> dict[str, Any]:
    rule = EXACT if verdicts.is_exact[number] else NEAR
    return {"document": names[number], "rule": rule, "similarity": round(float(verdicts.similarity[number]), 4)}


def _name(row: dict[str, Any]) -> str:
    position = f":{row['position']}" if row["position"] else ""
    return f"{row['id']} {row['source']}/{row['path']}{position}"


def _read_rows(shard: Path, rows: Indices, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Some (sorted) rows of a shard; other columns are not decompressed."""
    with pa.memory_map(str(shard)) as source:
        fields = [pa.ipc.open_file(source).schema.get_field_index(name) for name in columns]
        reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=fields))
        start = done = 0
        for index in range(reader.num_record_batches):
            batch = reader.get_batch(index)
            last = int(np.searchsorted(rows, start + batch.num_rows))
            yield from batch.take(pa.array(rows[done:last] - start)).to_pylist()
            start, done = start + batch.num_rows, last
