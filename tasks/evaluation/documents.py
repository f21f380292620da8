"""The documents that a model is measured on: whole, or as far as they are read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.artifacts.digest import digest_value
from tasks.documents.shards import count_rows, read_batches
from tasks.shards.blocks import evenly

UNKNOWN = "unknown"
"""Stands for the language of a document where none was identified."""


@dataclass(frozen=True)
class Documents:
    """Texts with their names, all lists of the same length."""

    ids: list[str]
    sources: list[str]
    languages: list[str]
    texts: list[str]

    def __len__(self) -> int:
        return len(self.ids)


def choose_documents(shards: Sequence[Path], *, max_documents: int | None, max_bytes: int | None) -> Documents:
    """At most so many documents of the shards, spread evenly, each up to its first `max_bytes` UTF-8 bytes."""
    wanted = set(evenly(sum(map(count_rows, shards)), max_documents).tolist())
    rows = (row for number, row in enumerate(_rows(shards)) if number in wanted)
    return _gather((name, source, language, beginning(text, max_bytes)) for name, source, language, text in rows)


def same_documents(shards: Sequence[Path], num_bytes: Mapping[str, int]) -> Documents:
    """The documents with these ids, each up to as many bytes as were read of it, in the order of the shards."""
    rows = (row for row in _rows(shards) if row[0] in num_bytes)
    return _gather((name, source, language, beginning(text, num_bytes[name])) for name, source, language, text in rows)


def beginning(text: str, max_bytes: int | None) -> str:
    """As many whole characters as fit into so many UTF-8 bytes."""
    return text if max_bytes is None else text.encode()[:max_bytes].decode(errors="ignore")


def digest_documents(ids: Sequence[str], num_bytes: Sequence[int] | np.ndarray) -> str:
    """Names a set of documents and how far each is read: figures with the same digest can be compared in pairs."""
    return digest_value(sorted([name, int(size)] for name, size in zip(ids, num_bytes, strict=True)))[:32]


def _rows(shards: Sequence[Path]) -> Iterator[tuple[str, str, str, str]]:
    for shard in shards:
        for batch in read_batches(shard, ["id", "source", "text", "language"]):
            columns = (batch.column(name).to_pylist() for name in ("id", "source", "language", "text"))
            for name, source, language, text in zip(*columns, strict=True):
                yield name, source, language or UNKNOWN, text


def _gather(rows: Iterator[tuple[str, str, str, str]]) -> Documents:
    kept = [row for row in rows if row[3]]
    ids, sources, languages, texts = ([row[part] for row in kept] for part in range(4))
    return Documents(ids, sources, languages, texts)
