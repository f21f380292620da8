"""Documents of files that have gone, as far as nothing that is still there says the same."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.documents.shards import read_batches

NEW = ":new"
"""Ends the source of a document that the champion has not seen, in what a retraining learns from."""
_COLUMNS = ("id", "source", "path")


@dataclass(frozen=True)
class WithdrawnFile:
    """A file that a model has learned from and that is no longer there as it was."""

    source: str
    path: str
    num_docs: int
    """Documents of it that are nowhere else."""


def find_withdrawn(gone: Iterable[str], learned: Sequence[Path], present: Sequence[Path]) -> list[WithdrawnFile]:
    """Files with withdrawn documents; `gone` are survey's lines of files, the others shards of documents.

    A document is told by the hash of its raw text: one that moved to another file was not withdrawn.
    """
    wanted = {(line["source"], line["path"]) for line in map(json.loads, gone)}
    if not wanted:
        return []
    lost: dict[str, tuple[str, str]] = {}
    for shard in learned:
        for batch in read_batches(shard, _COLUMNS):
            columns = (batch.column(name).to_pylist() for name in _COLUMNS)
            for doc_id, source, path in zip(*columns, strict=True):
                file = (source.removesuffix(NEW), path.partition("!/")[0])
                if file in wanted:
                    lost[doc_id] = file
    for shard in present:
        for batch in read_batches(shard, ("id",)):
            for doc_id in batch.column("id").to_pylist():
                lost.pop(doc_id, None)
    counts = Counter(lost.values())
    return [WithdrawnFile(source, path, counts[source, path]) for source, path in sorted(counts)]
