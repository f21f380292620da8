"""The documents of a split: what packing must know of each, and the table that stays."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from tasks.documents.shards import shard_writer
from tasks.shards.encoding import ENCODED, Encoded
from tasks.shards.packing import Indices

DOCUMENT_TABLE = ENCODED.append(pa.field("offset", pa.int64()))
"""`offset`: of the begin token in the stream; null where the documents are not packed as one stream in this order."""

_TABLE_ROWS = 16_384
Hashes = npt.NDArray[np.uint64]
Map = Callable[..., list[Any]]
"""Run.map: a function over items, results in their order."""


@dataclass(frozen=True)
class Index:
    """What packing knows of a split's documents: 8 bytes each, and 10 more where their order or share is asked for."""

    starts: Indices
    """Position in the encoded stream of each document's begin token, and the end of the stream."""
    hashes: Hashes
    """A hash of each document's id; empty where nothing asks for it."""
    sources: npt.NDArray[np.uint16]
    """The source of each document, as its number in `names`; empty where nothing asks for it."""
    names: tuple[str, ...]

    @property
    def lengths(self) -> Indices:
        """Tokens of each document."""
        return np.diff(self.starts) - 1

    @property
    def num_docs(self) -> int:
        """Documents of the split."""
        return len(self.starts) - 1


def read_index(encoded: Sequence[Encoded], *, seed: int | None, run_map: Map) -> Index:
    """The index of a split's encoded shards; with a seed, also hashes and sources."""

    def read(part: Encoded) -> tuple[Indices, Hashes, list[pa.Array]]:
        columns = ["num_tokens"] if seed is None else ["num_tokens", "id", "source"]
        batches = list(read_columns(part.documents, columns))
        sizes = [batch.column("num_tokens").to_numpy() + 1 for batch in batches]
        if seed is None:
            return _joined(sizes, np.int64), np.zeros(0, np.uint64), []
        ids = (doc_id for batch in batches for doc_id in batch.column("id").to_pylist())
        hashes = np.fromiter((xxhash.xxh3_64_intdigest(doc_id.encode(), seed) for doc_id in ids), np.uint64)
        return _joined(sizes, np.int64), hashes, [batch.column("source").dictionary_encode() for batch in batches]

    parts = run_map(read, encoded, name="read index")
    sources = [column for part in parts for column in part[2]]
    names = sorted({name for column in sources for name in column.dictionary.to_pylist()})
    numbers = [_numbers(column, names) for column in sources]
    sizes = _joined([part[0] for part in parts], np.int64)
    return Index(
        starts=np.concatenate([[0], np.cumsum(sizes)]),
        hashes=_joined([part[1] for part in parts], np.uint64),
        sources=_joined(numbers, np.uint16),
        names=tuple(names),
    )


def write_documents(path: Path, encoded: Sequence[Encoded], offsets: Indices | None) -> None:
    """The table of a split's documents, in batches of a fixed size whatever the shards; once written it stays."""
    if path.exists():
        return
    row = 0
    with shard_writer(path, DOCUMENT_TABLE) as writer:
        for batch in _rebatched(b for part in encoded for b in read_columns(part.documents)):
            at = pa.nulls(len(batch), pa.int64()) if offsets is None else pa.array(offsets[row : row + len(batch)])
            writer.write_batch(pa.record_batch([*batch.columns, at], schema=DOCUMENT_TABLE))
            row += len(batch)


def count_bytes(path: Path) -> int:
    """UTF-8 bytes of all documents of a table."""
    return sum(pc.sum(batch.column("num_bytes")).as_py() or 0 for batch in read_columns(path, ["num_bytes"]))


def read_columns(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The record batches of a table, one in memory at a time, with the wanted columns only."""
    with pa.memory_map(str(path)) as source:
        names = pa.ipc.open_file(source).schema.names
        fields = None if columns is None else [names.index(column) for column in columns]
        reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=fields))
        for index in range(reader.num_record_batches):
            yield reader.get_batch(index)


def _rebatched(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of _TABLE_ROWS; each is copied, since a slice is not written as a whole batch is."""
    held: list[pa.RecordBatch] = []
    num_rows = 0
    for batch in batches:
        while num_rows + len(batch) >= _TABLE_ROWS:
            missing = _TABLE_ROWS - num_rows
            yield _copied([*held, batch.slice(0, missing)])
            held, num_rows, batch = [], 0, batch.slice(missing)
        held.append(batch)
        num_rows += len(batch)
    if num_rows:
        yield _copied(held)


def _copied(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.concat_batches([batches[0].slice(0, 0), *batches])


def _numbers(column: pa.DictionaryArray, names: Sequence[str]) -> npt.NDArray[np.uint16]:
    known = np.array([names.index(name) for name in column.dictionary.to_pylist()], np.uint16)
    numbers: npt.NDArray[np.uint16] = known[column.indices.to_numpy()]
    return numbers


def _joined(parts: list[Any], dtype: type[np.generic]) -> Any:
    return np.concatenate([np.zeros(0, dtype), *parts])
