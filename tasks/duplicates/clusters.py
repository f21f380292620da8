"""Clusters of documents from verified pairs; the first of each in source order survives.

Within a band, documents of one key form a bucket. A member is compared with the representatives of its bucket, that is
the members that matched none before them, at most MAX_REPRESENTATIVES, and with the member before it; a pair counts
when enough values of the two signatures are equal. So a bucket of n members costs at most n * (MAX_REPRESENTATIVES + 1)
comparisons, not n * n / 2; members that this leaves apart may still meet in another band. Clusters are the connected
components of the pairs that counted (and of equal texts), hence disjoint, and the root of a component is always its
first member: exactly one survives.

Memory: about 100 bytes a document (digests, order, keys, parents, similarity). Signatures are gathered, for those
documents alone that share a bucket with another, in a scratch file read through a memory map.
"""

import numpy as np
import numpy.typing as npt
from numba import types

from tasks.text.kernels import Codes, Hashes, kernel

MAX_REPRESENTATIVES = 32

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_MINIMA = types.Array(types.uint32, 2, "C", readonly=True)


def first_equal(digests: Hashes) -> Indices:
    """For each of (documents, 2) digests the index of the first that is equal, in O(n log n)."""
    order = np.lexsort((digests[:, 1], digests[:, 0])).astype(np.int64)
    arranged = digests[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (arranged[1:] != arranged[:-1]).any(axis=1)
    first = np.empty_like(order)
    first[order] = order[is_first][np.cumsum(is_first) - 1]
    return first


def sharing(keys: Hashes) -> npt.NDArray[np.bool_]:
    """Which of a band's keys occur more than once."""
    order = np.argsort(keys)
    equal = keys[order][1:] == keys[order][:-1]
    shared = np.zeros(len(keys), np.bool_)
    shared[order[1:][equal]] = True
    shared[order[:-1][equal]] = True
    return shared


class Forest:
    """Disjoint sets of documents that grow by verified pairs."""

    def __init__(self, size: int) -> None:
        self.parents = np.arange(size, dtype=np.int64)
        self.similarity = np.zeros(size, np.float64)
        """Largest similarity of a pair that counted, for each document."""

    def link_band(self, keys: Hashes, minima: Codes, min_similarity: float) -> None:
        """Verify and link the members of each bucket of one band; `minima` are the signatures, (documents, values)."""
        order = np.argsort(keys, kind="stable").astype(np.int64)
        _link(order, keys[order], minima, min_similarity, self.parents, self.similarity)

    def roots(self) -> Indices:
        """The first member of each document's cluster."""
        roots = self.parents.copy()
        while (roots != (above := roots[roots])).any():
            roots = above
        return roots


@kernel(types.int64(types.int64[::1], types.int64))
def _root(parents: Indices, at: int) -> int:
    """First member of a document's set so far; halves the path to it."""
    while parents[at] != at:
        parents[at] = parents[parents[at]]
        at = parents[at]
    return at


@kernel(
    types.bool_(
        types.int64,
        types.int64,
        _MINIMA,
        types.float64,
        types.int64[::1],
        types.float64[::1],
    )
)
def _link_pair(
    one: int, other: int, minima: Codes, min_similarity: float, parents: Indices, similarity: Floats
) -> bool:
    """Join two documents if they are similar enough; whether they are in one cluster now."""
    root, other_root = _root(parents, one), _root(parents, other)
    if root == other_root:
        return True
    equal = 0
    for index in range(minima.shape[1]):
        equal += minima[one, index] == minima[other, index]
    found = equal / minima.shape[1]
    if found < min_similarity:
        return False
    parents[max(root, other_root)] = min(root, other_root)
    similarity[one] = max(similarity[one], found)
    similarity[other] = max(similarity[other], found)
    return True


@kernel(
    types.void(
        types.int64[::1],
        types.uint64[::1],
        _MINIMA,
        types.float64,
        types.int64[::1],
        types.float64[::1],
    )
)
def _link(
    order: Indices, keys: Hashes, minima: Codes, min_similarity: float, parents: Indices, similarity: Floats
) -> None:
    """Compare the members of every run of equal keys, as the head of this module says."""
    representatives = np.empty(MAX_REPRESENTATIVES, np.int64)
    number = 0
    for at in range(order.size):
        if at == 0 or keys[at] != keys[at - 1]:
            representatives[0], number = order[at], 1
            continue
        matched = _link_pair(order[at], order[at - 1], minima, min_similarity, parents, similarity)
        for index in range(number):
            if _link_pair(order[at], representatives[index], minima, min_similarity, parents, similarity):
                matched = True
        if not matched and number < MAX_REPRESENTATIVES:
            representatives[number] = order[at]
            number += 1
