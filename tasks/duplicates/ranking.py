"""Which document comes first: an order that the documents' own columns decide, however they lie in shards.

`earliest` goes by the arrival field, then by source (in the order of the survey: that in which they first appear),
path, position in the file and id; `source_priority` by source first; `longest` by length in bytes, then as `earliest`.
What an index holds comes before everything new. Documents added day by day arrive in the order that one go would give
them when each day's arrival field, or else source and path, sorts after those of the days before.

Memory: the distinct paths, and some 50 bytes a document while the order is found.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from params.dedup import DedupParams
from tasks.documents.shards import read_batches
from tasks.duplicates.arrays import Array, joined
from tasks.duplicates.clusters import Indices

_COLUMNS = ("source", "path", "position")
_DATE_BYTES = 24
"""2024-01-31T12:34:56.789Z: of a longer one the rest is not looked at."""
_LAST = b"\xff" * _DATE_BYTES


def order_of(shards: Sequence[Path], sizes: Indices, params: DedupParams) -> Indices:
    """The documents' numbers (in shard order) from the first to the last; `sizes` are their lengths in bytes."""
    columns = _Columns(params.arrival_field)
    for shard in shards:
        columns.read(shard)
    source, path, position = columns.places()
    keys = [position, path, source]  # np.lexsort takes the first key last
    if params.arrival_field:
        keys.insert(2 if params.survivor == "source_priority" else 3, columns.arrival())
    if params.survivor == "longest":
        keys.append(-sizes)
    order = np.lexsort(keys)
    if _has_ties(keys, order):
        order = np.lexsort([*_ids(shards), *keys])
    return order.astype(np.int64)


def _has_ties(keys: Sequence[Array], order: Array) -> bool:
    tied = np.ones(max(len(order) - 1, 0), np.bool_)
    for key in keys:
        arranged = key[order]
        tied &= arranged[1:] == arranged[:-1]
    return bool(tied.any())


class _Columns:
    """What the documents are ordered by, strings replaced by numbers."""

    def __init__(self, arrival_field: str | None) -> None:
        self._arrival_field = arrival_field
        self._sources: dict[str, int] = {}
        self._paths: dict[str, int] = {}
        self._parts: list[tuple[Array, ...]] = []
        self._arrivals: list[Array] = []

    def read(self, shard: Path) -> None:
        """Add the documents of a shard."""
        wanted = (*_COLUMNS, "metadata") if self._arrival_field else _COLUMNS
        for batch in read_batches(shard, wanted):
            source, path = (_codes(batch.column(name), known) for name, known in self._tables())
            self._parts.append((source, path, np.asarray(batch.column("position"))))
            if self._arrival_field:
                dates = [_date(text, self._arrival_field) for text in batch.column("metadata").to_pylist()]
                self._arrivals.append(np.array(dates, f"S{_DATE_BYTES}"))

    def places(self) -> tuple[Array, ...]:
        """Source, path and position of every document."""
        source, path, position = (joined(parts, np.zeros(0, np.int64)) for parts in self._columns())
        return source, _ranks(self._paths)[path.astype(np.int64)], position

    def arrival(self) -> Array:
        """The date of every document."""
        return joined(self._arrivals, np.zeros(0, f"S{_DATE_BYTES}"))

    def _columns(self) -> Sequence[Sequence[Array]]:
        return list(zip(*self._parts, strict=True)) or [()] * 3

    def _tables(self) -> tuple[tuple[str, dict[str, int]], ...]:
        return ("source", self._sources), ("path", self._paths)


def _ids(shards: Sequence[Path]) -> tuple[Array, Array]:
    """The id of every document as two words, the low one first."""
    batches = (batch for shard in shards for batch in read_batches(shard, ("id",)))
    digits = "".join(f"{value:>032}" for batch in batches for value in batch.column("id").to_pylist())
    words = np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64).reshape(-1, 2)
    return words[:, 1], words[:, 0]


def _codes(column: pa.StringArray, known: dict[str, int]) -> npt.NDArray[np.int32]:
    """The number of each value; new ones get the next."""
    encoded = column.dictionary_encode()
    numbers = [known.setdefault(value, len(known)) for value in encoded.dictionary.to_pylist()]
    codes: npt.NDArray[np.int32] = np.array(numbers, np.int32)[np.asarray(encoded.indices)]
    return codes


def _ranks(known: dict[str, int]) -> npt.NDArray[np.int32]:
    """For the number of each string its place in sorted order."""
    ranks = np.zeros(len(known), np.int32)
    ranks[[known[value] for value in sorted(known)]] = np.arange(len(known))
    return ranks


def _date(metadata: str | None, field: str) -> bytes:
    """Sorts as the date does: text as it is, a number with all its digits, whatever else after everything."""
    value: Any = json.loads(metadata).get(field) if metadata else None
    if isinstance(value, str) and value:
        return value.encode()[:_DATE_BYTES]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:024.3f}".encode()
    return _LAST
