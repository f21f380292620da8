"""The order in which documents are packed, where it is not that of the split."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.shards.documents import Index
from tasks.shards.packing import Indices

_LAST = np.uint64((1 << 64) - 1)
Places = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Order:
    """Documents one after the other, some of them more than once."""

    documents: Indices
    """Rows in the split."""
    breaks: Indices
    """Positions in `documents` between two of which no document occurs twice."""


def spread(index: Index, copies: Indices, *, shuffled: bool) -> Order:
    """Every copy at its place on a line from 0 to 1, copies of one document at equal distances.

    A document has a place u, by its hash where documents are shuffled, otherwise by its row among those of its source,
    so that sources run side by side in the ratio of the mixture. Copy c of n lies at (c + u) / n: sources and rounds
    are spread evenly, and two copies meet only where the whole corpus has nothing to put between them. Reading by hash
    is reading at random: on a corpus larger than memory that asks for a solid-state disk.

    Memory: 32 bytes for each copy while they are sorted, 8 afterwards.
    """
    places = index.hashes if shuffled else _places_by_source(index)
    most = int(copies.max(initial=1))
    documents, keys = [], []
    for copy in range(most):
        rows = np.flatnonzero(copies > copy)
        times = copies[rows].astype(np.uint64)
        documents.append(rows)
        keys.append(np.uint64(copy) * (_LAST // times) + places[rows] // times)
    key = np.concatenate(keys)
    order = np.argsort(key, kind="stable")
    rounds = np.arange(1, most + 1, dtype=np.uint64) * (_LAST // np.uint64(max(most, 1)))
    return Order(np.concatenate(documents)[order], np.searchsorted(key[order], rounds).astype(np.int64))


def _places_by_source(index: Index) -> Places:
    places = np.zeros(index.num_docs, np.uint64)
    for number in range(len(index.names)):
        rows = np.flatnonzero(index.sources == number)
        places[rows] = np.arange(len(rows), dtype=np.uint64) * (_LAST // np.uint64(max(len(rows), 1)))
    return places
