"""The order in which documents are packed, where it is not that of the split."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.shards.documents import Index
from tasks.shards.mixture import Counts
from tasks.shards.packing import Rows

_LAST = np.uint64((1 << 64) - 1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: its multiples lie far apart on the line
Places = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Order:
    """Documents one after the other, some of them more than once."""

    documents: Rows
    """Rows in the split."""
    breaks: list[int]
    """Positions in `documents` between two of which no document occurs twice."""


def spread(index: Index, copies: Counts, *, shuffled: bool) -> Order:
    """Every copy at its place on a line from 0 to 1, copies of one document at equal distances.

    A document has a place u: by its hash and its row where documents are shuffled (the row keeps apart documents of the
    same text), otherwise by its row among those of its source, so that sources run side by side in the ratio of the
    mixture. Copy c of n lies at (c + u) / n: sources and rounds
    are spread evenly, and two copies meet only where the whole corpus has nothing to put between them. Reading by hash
    is reading at random: on a corpus larger than memory that asks for a solid-state disk.

    Memory: 24 bytes for each copy while they are sorted, 4 afterwards.
    """
    places = _places_by_hash(index) if shuffled else _places_by_source(index)
    most, num_copies = int(copies.max(initial=1)), int(copies.sum())
    documents, keys = np.empty(num_copies, np.uint32), np.empty(num_copies, np.uint64)
    filled = 0
    for copy in range(most):
        rows = np.flatnonzero(copies > copy)
        here = slice(filled, filled + len(rows))
        times = copies[rows].astype(np.uint64)
        documents[here] = rows
        keys[here] = np.uint64(copy) * (_LAST // times) + places[rows] // times
        filled += len(rows)
    rounds = [np.uint64(number) * (_LAST // np.uint64(most)) for number in range(1, most + 1)]
    breaks = [int(np.count_nonzero(keys < end)) for end in rounds]
    return Order(documents[np.argsort(keys, kind="stable")], breaks)


def _places_by_hash(index: Index) -> Places:
    return index.hashes + np.arange(index.num_docs, dtype=np.uint64) * _GOLDEN


def _places_by_source(index: Index) -> Places:
    places = np.zeros(index.num_docs, np.uint64)
    for number in range(len(index.names)):
        rows = np.flatnonzero(index.sources == number)
        places[rows] = np.arange(len(rows), dtype=np.uint64) * (_LAST // np.uint64(max(len(rows), 1)))
    return places
