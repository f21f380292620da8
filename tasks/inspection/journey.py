"""One document's way through the results of a run: from its file to its split, or to the rule that dropped it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.artifacts.manifest import Manifest
from tasks.documents.shards import read_batches
from tasks.inspection.sampling import Row, take_rows

SIDES = ("kept", "rejected", "train", "validation", "test")
"""Folders of a result that hold documents."""
_ID = re.compile(r"[0-9a-f]{6,32}")
_PLACE = re.compile(r"(?P<source>[^/]+)/(?P<path>.+?)(?::(?P<position>\d+))?")
_PLACE_COLUMNS = ("id", "source", "path", "position")
_MOST_NAMED = 10


@dataclass(frozen=True)
class Place:
    """Which document of a corpus: its text and where it stood, for two documents may have the same text."""

    id: str
    source: str
    path: str
    position: int

    def __str__(self) -> str:
        position = f":{self.position}" if self.position else ""
        return f"{self.source}/{self.path}{position}"


@dataclass(frozen=True)
class Step:
    """Where one stage left a document."""

    stage: str
    side: str
    """Folder of the result: kept, rejected or a split."""
    shard: str
    row: int
    document: Row


def find_places(reference: str, first: Manifest) -> list[Place]:
    """Documents that a reference may mean, at most a few: an id or its beginning, or source/path with or without :line.

    `first` is the result that holds all documents, those of the quarantine too.
    """
    found = []
    for shard in _shards(first):
        for batch in read_batches(shard, _PLACE_COLUMNS):
            for row in batch.filter(_matches(batch, reference)).to_pylist():
                found.append(Place(**row))
                if len(found) == _MOST_NAMED:
                    return found
    return found


def follow(place: Place, results: Sequence[Manifest]) -> list[Step]:
    """The steps of a document through results in order; the last one is where it was dropped or where it is now."""
    steps = []
    for result in results:
        step = next((step for shard in _shards(result) for step in _steps(place, result, shard)), None)
        if step is not None:
            steps.append(step)
            if step.side == "rejected":
                break
    return steps


def holds_documents(result: Manifest) -> bool:
    """Whether a result has shards of documents with their texts."""
    return any("text" in pa.ipc.open_file(pa.memory_map(str(shard))).schema.names for shard in _shards(result)[:1])


def _shards(result: Manifest) -> list[Path]:
    return [path for side in SIDES for path in result.paths(f"{side}/*.arrow")]


def _steps(place: Place, result: Manifest, shard: Path) -> Iterator[Step]:
    start = 0
    for batch in read_batches(shard, _PLACE_COLUMNS):
        same = pc.equal(batch.column("id"), place.id)
        for column in ("source", "path", "position"):
            same = pc.and_(same, pc.equal(batch.column(column), getattr(place, column)))
        for row in (np.flatnonzero(same.to_numpy(zero_copy_only=False)) + start).tolist():
            (document,) = take_rows(shard, np.array([row]))
            yield Step(result.stage, shard.parent.name, shard.name, row, document)
        start += batch.num_rows


def _matches(batch: pa.RecordBatch, reference: str) -> pa.BooleanArray:
    """Rows that a reference names; one that reads as an id may be a path as well."""
    found = pa.array(np.zeros(batch.num_rows, np.bool_))
    if _ID.fullmatch(reference):
        found = pc.starts_with(batch.column("id"), reference)
    if (place := _PLACE.fullmatch(reference)) is None:
        return found
    whole = _at(batch, place["source"], reference.partition("/")[2])
    if place["position"] is not None:  # a colon may also stand in a file's name
        there = _at(batch, place["source"], place["path"])
        whole = pc.or_(whole, pc.and_(there, pc.equal(batch.column("position"), int(place["position"]))))
    return pc.or_(found, whole)


def _at(batch: pa.RecordBatch, source: str, path: str) -> pa.BooleanArray:
    return pc.and_(pc.equal(batch.column("source"), source), pc.equal(batch.column("path"), path))
