"""From n-grams found to verdicts: which documents overlap with which evaluation texts, and by how much.

The overlap of two texts is the share of the n-grams of the shorter one that stands in the other (Szymkiewicz-Simpson):
a question inside a long page, and a paragraph taken out of a long evaluation text, are both found whole. N-grams that
many training documents have count as not found, so that a licence or a set phrase makes no contamination.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.contamination.index import Index, Mask
from tasks.contamination.ngrams import Numbers
from tasks.contamination.scanning import ShardHits, pair, unpair
from tasks.text.kernels import Counts

_MIN_NGRAMS = 8
"""A document with fewer sampled n-grams is too small for its share to be estimated."""
_CHUNK = 1 << 22

Shares = npt.NDArray[np.float64]


class Rules(NamedTuple):
    """When a document counts as contaminated."""

    min_overlap: float
    is_rare: Mask
    """(keys,): n-grams that are no common phrase."""
    items: range
    """Evaluation texts to look for."""


class Overlaps(NamedTuple):
    """Documents of a shard that overlap with evaluation texts, by row; the worst of each row first."""

    rows: Numbers
    items: Numbers
    shares: Shares

    def reaching(self, min_overlap: float) -> "Overlaps":
        """Those at or above a threshold."""
        reaches = self.shares >= min_overlap
        return Overlaps(self.rows[reaches], self.items[reaches], self.shares[reaches])


def rare_keys(frequencies: Counts, max_documents: int | None) -> Mask:
    """Which n-grams are no common phrases."""
    return np.ones(len(frequencies), np.bool_) if max_documents is None else frequencies <= max_documents


def common_share(index: Index, is_rare: Mask) -> Shares:
    """Of each evaluation text, the share of its n-grams that are common phrases in the training documents."""
    num_common = np.bincount(
        index.owners, weights=np.repeat(~is_rare, np.diff(index.starts)), minlength=len(index.totals)
    )
    return num_common / np.maximum(index.totals, 1)


def find_overlaps(hits: ShardHits, index: Index, rules: Rules) -> Overlaps:
    """Every pair of document and evaluation text with an n-gram in common that is no common phrase."""
    wanted = np.flatnonzero(rules.is_rare[hits.pair_keys])
    parts = [_overlaps(hits, part, index, rules) for part in _chunks(wanted, hits, index)]
    kinds = (np.uint32, np.uint32, np.float64)
    rows, items, shares = (
        np.concatenate([np.zeros(0, kind), *(part[column] for part in parts)]).astype(kind)
        for column, kind in enumerate(kinds)
    )
    order = np.lexsort((items, -shares, rows))
    return Overlaps(rows[order], items[order], shares[order])


def worst(overlaps: Overlaps) -> Overlaps:
    """The largest overlap of each document; of equal ones that with the first evaluation text."""
    _, first = np.unique(overlaps.rows, return_index=True)
    return Overlaps(overlaps.rows[first], overlaps.items[first], overlaps.shares[first])


def _chunks(wanted: Counts, hits: ShardHits, index: Index) -> list[Counts]:
    """Pairs of whole documents that expand to a few million (document, item) pairs together."""
    keys = hits.pair_keys[wanted]
    load = np.cumsum(index.starts[keys.astype(np.int64) + 1] - index.starts[keys])
    if not len(load) or load[-1] <= _CHUNK:
        return [wanted]
    rows = hits.pair_rows[wanted]
    begins = np.flatnonzero(np.diff(rows, prepend=rows[:1] + 1))
    number = load[begins] // _CHUNK
    return np.split(wanted, begins[1:][np.diff(number) > 0])


def _overlaps(hits: ShardHits, wanted: Counts, index: Index, rules: Rules) -> Overlaps:
    places, items = index.expand(hits.pair_keys[wanted])
    is_asked = (items >= rules.items.start) & (items < rules.items.stop)
    places, items = wanted[places[is_asked]], items[is_asked]
    pairs, group = np.unique(pair(hits.pair_rows[places], items), return_inverse=True)
    rows, items = unpair(pairs)
    of_item = np.bincount(group, minlength=len(pairs)) / index.totals[items]
    occurrences = np.where(hits.pair_keys[places] < index.num_uniform, hits.pair_counts[places], 0)
    num_ngrams = hits.num_ngrams[rows].astype(np.int64)
    of_document = np.bincount(group, weights=occurrences, minlength=len(pairs)) / np.maximum(num_ngrams, 1)
    shares = np.where(num_ngrams >= _MIN_NGRAMS, np.maximum(of_item, np.minimum(of_document, 1.0)), of_item)
    return Overlaps(rows, items, shares)
