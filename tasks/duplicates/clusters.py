"""Which documents duplicate one before them, from verified pairs, and who survives.

Documents are numbered by rank: the order in which they arrive, or whatever order the survivor rule asks for, decided by
their contents and never by how they lie in shards. A pair counts when its two signatures share a bucket (the documents
of one key within a band) and enough of their values are equal. A document is dropped when it forms such a pair with
any document before it, kept or dropped, and then points to the first of these; what it points to in the end survives.
So a cluster is a tree with exactly one survivor, no two survivors form a pair that counts, and whether a document is
dropped depends on it and those before it alone: adding documents day by day drops exactly what one go drops. (With the
connected components of pairs, a late document that resembles two early survivors would make one of them a duplicate
after the fact.)

In a bucket a document is compared with the first MAX_COMPARED of it, each signature counted once, until one matches:
n documents of boilerplate cost n comparisons, n unlike ones at most n * MAX_COMPARED and never n * n / 2. Pairs beyond
this mostly meet in another band. The limit looks at earlier documents alone, so it changes nothing of the above.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import types

from tasks.text.kernels import Codes, Hashes, kernel

MAX_COMPARED = 64

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
_MINIMA = types.Array(types.uint32, 2, "C", readonly=True)


def first_equal(digests: Hashes) -> Indices:
    """For each of (documents, words) digests the index of the first that is equal; linear, as `sharing` is."""
    first = np.empty(len(digests), np.int64)
    _find_first(digests, _slots(len(digests)), first)
    return first


def sharing(keys: Hashes) -> Flags:
    """Which of a band's keys occur more than once, in linear time and 16 to 32 bytes a key."""
    shared = np.zeros(len(keys), np.bool_)
    _mark_shared(keys, _slots(len(keys)), shared)
    return shared


def roots(parents: Indices) -> Indices:
    """Where the way from each document to the one it points to ends; a survivor points to itself."""
    found = parents.copy()
    while (found != (above := found[found])).any():
        found = above
    return found


class Pairs:
    """The first partner of every document, found band by band in any order."""

    def __init__(self, minima: Codes, num_known: int, min_similarity: float | None) -> None:
        """`minima` are distinct signatures by rank, (documents, values); the first `num_known` look for no partner."""
        self.parents = np.arange(len(minima), dtype=np.int64)
        """First document that each resembles; itself where there is none."""
        self.similarity = np.zeros(len(minima), np.float64)
        """Share of equal values with that one."""
        self._minima = minima
        self._num_known = num_known
        self._min_similarity = min_similarity or 0.0

    @classmethod
    def of_all(cls, parts: "Sequence[Pairs]") -> "Pairs":
        """What was found by several, each in other bands."""
        whole = parts[0]
        for part in parts[1:]:
            is_before = part.parents < whole.parents
            whole.parents[is_before] = part.parents[is_before]
            whole.similarity[is_before] = part.similarity[is_before]
        return whole

    def find_in(self, keys: Hashes) -> None:
        """Compare the members of each bucket of a band."""
        shared = np.flatnonzero(sharing(keys))
        order = shared[np.argsort(keys[shared], kind="stable")]
        arranged = keys[order]
        _find(order, arranged, self._minima, self._num_known, self._min_similarity, self.parents, self.similarity)


def _slots(number: int) -> Indices:
    """An empty table for open addressing: a power of two of at least twice the entries, all -1."""
    return np.full(1 << (2 * number).bit_length(), -1, np.int64)


@kernel(types.void(types.uint64[:, ::1], types.int64[::1], types.int64[::1]))
def _find_first(digests: Hashes, table: Indices, first: Indices) -> None:
    """`table` gets the first with each digest."""
    words = digests.shape[1]
    for at in range(digests.shape[0]):
        slot = np.int64(digests[at, 0] & np.uint64(table.size - 1))
        while table[slot] >= 0:
            other, same = table[slot], 0
            while same < words and digests[other, same] == digests[at, same]:
                same += 1
            if same == words:
                break
            slot = (slot + 1) & (table.size - 1)
        if table[slot] < 0:
            table[slot] = at
        first[at] = table[slot]


@kernel(types.void(types.uint64[::1], types.int64[::1], types.bool_[::1]))
def _mark_shared(keys: Hashes, table: Indices, shared: Flags) -> None:
    """`table` gets the first with each key."""
    for at in range(keys.size):
        slot = np.int64(keys[at] & np.uint64(table.size - 1))
        while table[slot] >= 0 and keys[table[slot]] != keys[at]:
            slot = (slot + 1) & (table.size - 1)
        if table[slot] < 0:
            table[slot] = at
        else:
            shared[at] = shared[table[slot]] = True


@kernel(
    types.void(
        types.int64[::1],
        types.uint64[::1],
        _MINIMA,
        types.int64,
        types.float64,
        types.int64[::1],
        types.float64[::1],
    )
)
def _find(
    order: Indices,
    keys: Hashes,
    minima: Codes,
    num_known: int,
    min_similarity: float,
    parents: Indices,
    similarity: Floats,
) -> None:
    """Compare the members of every run of equal keys, as the head of this module says."""
    start = 0
    for at in range(order.size):
        if keys[at] != keys[start]:
            start = at
        one = order[at]
        if one < num_known:
            continue
        for place in range(start, min(at, start + MAX_COMPARED)):
            other = order[place]
            if other >= parents[one]:
                break
            equal = 0
            for index in range(minima.shape[1]):
                equal += minima[one, index] == minima[other, index]
            found = equal / minima.shape[1]
            if found >= min_similarity:
                parents[one], similarity[one] = other, found
                break
