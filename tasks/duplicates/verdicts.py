"""What becomes of each document: it survives, or another one does in its place.

Memory: about 110 bytes a document at most (digests, the order, keys of one band, parents, similarity), and 50 more for
each further band that is looked at in the same time. Signatures are gathered, for those documents alone that share a
bucket with another, in a scratch file read through a memory map.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from params.dedup import DedupParams
from tasks.duplicates.arrays import create_array
from tasks.duplicates.clusters import Flags, Floats, Indices, Pairs, first_equal, roots, sharing
from tasks.duplicates.descriptions import Descriptions
from tasks.duplicates.index import Index
from tasks.duplicates.signatures import band_keys

_CANDIDATES = "candidates.npy"
_MOST_THREADS = 4
"""Each holds the keys of a band and a table of them, 50 bytes a document."""
Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Verdicts:
    """The fate of each document, in shard order; all of shape (documents,) unless said otherwise."""

    survivors: Indices
    """Who stays in the document's place: itself, another document, or what the index holds, numbered on from there."""
    is_exact: Flags
    """Whether a document before it has the same text."""
    similarity: Floats
    """That of the first pair the document is in; 1 for an exact duplicate, 0 when there is none."""
    ranks: Indices
    """Place of the document in the order of all."""
    new_texts: Indices
    """Documents whose text is nowhere before them, by rank: what an index has to remember. None of them is empty."""
    new_signatures: Indices
    """Those of them whose signature is nowhere before them either, by rank."""

    @property
    def kept(self) -> Flags:
        """Documents that survive."""
        return np.equal(self.survivors, np.arange(len(self.survivors)))

    @property
    def num_clusters(self) -> int:
        """Clusters of two and more."""
        return len(np.unique(self.survivors[~self.kept]))

    def of_shards(self, shards: Sequence[Path], starts: Indices) -> Iterator["ShardVerdicts"]:
        """The verdicts of each shard; `starts` are the numbers of their first documents, and that of all."""
        leaves = ~self.kept
        for shard, (start, stop) in zip(shards, pairwise(starts.tolist()), strict=True):
            rows = np.flatnonzero(leaves[start:stop])
            at = rows + start
            reasons = self.is_exact[at], self.similarity[at], self.survivors[at]
            yield ShardVerdicts(shard, self.ranks[start:stop], rows, *reasons)


@dataclass(frozen=True)
class ShardVerdicts:
    """Which documents leave a shard, and why."""

    shard: Path
    ranks: Indices
    """(documents,): place of each in the order of all."""
    rows: Indices
    """(leaving,): sorted; so are the others."""
    is_exact: Flags
    similarity: Floats
    survivors: Indices

    @property
    def kept(self) -> Flags:
        """(documents,): which survive."""
        kept = np.ones(len(self.ranks), np.bool_)
        kept[self.rows] = False
        return kept


def find_survivors(
    descriptions: Descriptions,
    order: Indices,
    index: Index,
    params: DedupParams,
    *,
    scratch: Path,
    workers: int = 1,
) -> Verdicts:
    """Judge documents by rank (`order` holds their numbers from the first to the last), what the index holds first.

    Equal texts are joined, then similar ones among the first of each; texts without any byte are joined with nothing.
    """
    matching = _Matching(descriptions, order, index, params, threads=min(workers, _MOST_THREADS))
    matching.join_equal_texts()
    if params.near:
        matching.join_equal_signatures()
        matching.join_similar(scratch)
    return matching.verdicts()


class _Matching:
    """Documents by rank, each pointing to one before it: `parents` are numbers of the index, then on from there."""

    def __init__(
        self, descriptions: Descriptions, order: Indices, index: Index, params: DedupParams, *, threads: int
    ) -> None:
        self._threads = threads
        self._descriptions = descriptions
        self._order = order
        self._index = index
        self._params = params
        self._everyone = np.arange(len(order))
        self._known = index.num_documents
        self.parents = self._known + self._everyone
        self.similarity = np.zeros(len(order), np.float64)
        self.is_exact = np.zeros(len(order), np.bool_)
        self.has_text = descriptions.sizes[order, 0] > 0
        self.new_signatures = self._everyone[:0]

    def join_equal_texts(self) -> None:
        digests = self._descriptions.digests[self._order]
        first = np.where(self.has_text, first_equal(digests), self._everyone)
        known = np.where(self.has_text, self._index.find_texts(digests), -1)
        self.is_exact = (first != self._everyone) | (known >= 0)
        self.parents = np.where(known >= 0, known, self._known + first)
        self.similarity = self.is_exact.astype(np.float64)

    def join_equal_signatures(self) -> None:
        signed = np.flatnonzero(~self.is_exact & (self._descriptions.sizes[self._order, 1] > 0))
        keys = self._descriptions.band(self._params.bands, self._order[signed])
        first = signed[first_equal(keys[:, None])]
        known = self._index.find_signatures(keys)
        self.parents[signed] = np.where(known >= 0, known, self._known + first)
        self.similarity[signed] = self.parents[signed] != self._known + signed
        self.new_signatures = signed[(first == signed) & (known < 0)]

    def join_similar(self, scratch: Path) -> None:
        old, new = self._candidates()
        if len(new) == 0:
            return
        minima = create_array(scratch / _CANDIDATES, (len(old) + len(new), self._index.signature_size), np.uint32)
        self._index.copy_minima(old, minima[: len(old)])
        self._descriptions.copy_minima(self._order[new], minima[len(old) :])

        def find_in(bands: range) -> Pairs:
            pairs = Pairs(minima, len(old), self._params.min_similarity)
            for band in bands:
                old_keys = band_keys(minima[: len(old)], band, self._params)
                pairs.find_in(np.concatenate([old_keys, self._descriptions.band(band, self._order[new])]))
            return pairs

        parts = [range(first, self._params.bands, self._threads) for first in range(self._threads)]
        pairs = Pairs.of_all(self._at_once(find_in, parts))
        numbers = np.concatenate([self._index.owners(old), self._known + new])
        self.parents[new] = numbers[pairs.parents[len(old) :]]
        self.similarity[new] = pairs.similarity[len(old) :]

    def _candidates(self) -> tuple[Indices, Indices]:
        """Signatures of the index and new ones that share a bucket with a new one: only these are looked at."""
        new = self.new_signatures

        def of_band(band: int) -> tuple[Indices, Flags]:
            keys = self._descriptions.band(band, self._order[new])
            members, is_known = self._index.bucket_members(band, keys)
            return members, is_known | sharing(keys)

        old, shared = zip(*self._at_once(of_band, range(self._params.bands)), strict=True)
        return np.unique(np.concatenate(old)), new[np.logical_or.reduce(shared)]

    def _at_once(self, work: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
        """What the work makes of each item, several of them in the same time."""
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(work, items))

    def verdicts(self) -> Verdicts:
        """Follow the parents, and turn ranks into numbers."""
        tops = self._tops()
        num = len(self._order)
        survivors = np.empty(num, np.int64)
        is_old = tops < self._known
        survivors[self._order[is_old]] = num + tops[is_old]
        survivors[self._order[~is_old]] = self._order[tops[~is_old] - self._known]
        is_exact, similarity = np.empty(num, np.bool_), np.empty(num, np.float64)
        is_exact[self._order], similarity[self._order] = self.is_exact, self.similarity
        new_texts = self._order[self.has_text & ~self.is_exact]
        ranks = np.empty(num, np.int64)
        ranks[self._order] = self._everyone
        return Verdicts(survivors, is_exact, similarity, ranks, new_texts, self._order[self.new_signatures])

    def _tops(self) -> Indices:
        """The survivor of each document's cluster."""
        is_end = (self.parents < self._known) | (self.parents == self._known + self._everyone)
        ends = roots(np.where(is_end, self._everyone, self.parents - self._known))
        tops: Indices = self.parents[ends]
        old = tops < self._known
        tops[old] = self._index.survivors(tops[old])
        return tops
