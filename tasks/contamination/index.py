"""The index of evaluation n-grams: which occur where, at a bounded size."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tasks.contamination.evaluation import Items
from tasks.contamination.ngrams import Numbers, SearchTable, bits_of
from tasks.text.kernels import Counts, Hashes

MAX_NGRAMS = 3_000_000
"""More are sampled by their hash: about 20 MB of evaluation text are indexed whole, in 65 MB of memory (300 MB while
the index is built)."""
_MIN_SAMPLE = 32
"""N-grams that every text keeps, so that a question is always compared whole."""
_MAX_ITEMS = 100
"""An n-gram of more evaluation texts is the wording of the set (a prompt, a licence), no text in particular."""
_MAX_UINT64 = (1 << 64) - 1

Number = TypeVar("Number", np.int64, np.uint64)
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Index:
    """Evaluation n-grams and the items they stand in."""

    table: SearchTable
    starts: Counts
    """(keys + 1,): key k stands in the items `owners[starts[k]:starts[k + 1]]`."""
    owners: Numbers
    totals: Counts
    """(items,): indexed n-grams of each."""
    is_repeated: Mask
    """(items,): the same words as an earlier item of its set, which stands for it."""
    is_too_short: Mask
    """(items,): fewer words than can tell."""
    is_unreadable: Mask
    """(items,): no text but a record that could not be read."""

    @property
    def num_uniform(self) -> int:
        """Keys of the uniform sample: the first ones, for it is made of the smallest hashes."""
        return int(np.searchsorted(self.table.keys, self.table.bound, side="right"))

    def expand(self, keys: Numbers) -> tuple[Counts, Numbers]:
        """Every (place in `keys`, item) such that the item has the key."""
        counts = self.starts[keys.astype(np.int64) + 1] - self.starts[keys]
        places = np.repeat(np.arange(len(keys)), counts)
        within = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
        return places, self.owners[np.repeat(self.starts[keys], counts) + within]


def build_index(items: Items, *, max_ngrams: int = MAX_NGRAMS) -> Index:
    """Index every n-gram, or a sample of them where they are more than `max_ngrams`."""
    num_tokens = _gather(items, "num_tokens", np.int64)
    anchors = _gather(items, "anchor", np.uint64)
    lengths = _lengths(items)
    num_ngrams = int(lengths.sum())
    is_repeated = _repeated(items, lengths)
    bound = _MAX_UINT64 if num_ngrams <= max_ngrams else int(_MAX_UINT64 * (max_ngrams / num_ngrams))
    keys, starts, owners = _group(*_sample(items, is_repeated, np.uint64(bound)))
    is_short = (anchors != 0) & ~is_repeated
    return Index(
        table=SearchTable(
            keys=keys,
            filter=bits_of(keys, num_bits(len(keys))),
            lengths=np.unique(num_tokens[is_short]),
            anchors=bits_of(anchors[is_short], num_bits(int(is_short.sum()))),
            bound=np.uint64(bound),
        ),
        starts=starts,
        owners=owners,
        totals=np.bincount(owners, minlength=len(items)),
        is_repeated=is_repeated,
        is_too_short=lengths == 0,
        is_unreadable=num_tokens < 0,
    )


def _group(hashes: Hashes, owners: Numbers) -> tuple[Hashes, Counts, Numbers]:
    """Keys, starts and owners of an index, without the wording of the sets."""
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    is_first = np.concatenate([[True], hashes[1:] != hashes[:-1]])[: len(hashes)]
    counts = np.diff(np.append(np.flatnonzero(is_first), len(hashes)))
    is_text = counts <= _MAX_ITEMS
    starts = np.concatenate([[0], np.cumsum(counts[is_text])]).astype(np.int64)
    return hashes[is_first][is_text], starts, owners[np.repeat(is_text, counts)]


def _sample(items: Items, is_repeated: Mask, bound: np.uint64) -> tuple[Hashes, Numbers]:
    """(n-gram, item) of the n-grams up to `bound`, and of the smallest of each item."""
    hashes, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint32)]
    for start, batch in items.batches("ngrams"):
        column = batch.column("ngrams")
        lengths = np.diff(column.offsets.to_numpy())
        values = column.flatten().to_numpy()
        rank = np.arange(len(values)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        owner = np.repeat(np.arange(start, start + len(lengths), dtype=np.uint32), lengths)
        stays = ((values <= bound) | (rank < _MIN_SAMPLE)) & ~is_repeated[owner]
        hashes.append(values[stays])
        owners.append(owner[stays])
    return np.concatenate(hashes), np.concatenate(owners)


def _repeated(items: Items, lengths: Counts) -> Mask:
    """Items whose words an earlier item of the same set has; those without words are not compared."""
    whole = _gather(items, "whole", np.uint64)
    repeated = np.zeros(len(items), np.bool_)
    for start, stop in zip(items.bounds[:-1], items.bounds[1:], strict=True):
        _, first = np.unique(whole[start:stop], return_index=True)
        later = np.ones(stop - start, np.bool_)
        later[first] = False
        repeated[start:stop] = later & (lengths[start:stop] > 0)
    return repeated


def _lengths(items: Items) -> Counts:
    """Different n-grams of each item."""
    lengths = (np.diff(batch.column("ngrams").offsets.to_numpy()) for _, batch in items.batches("ngrams"))
    return np.concatenate([np.zeros(0, np.int64), *lengths])


def _gather(items: Items, column: str, kind: type[Number]) -> npt.NDArray[Number]:
    values: npt.NDArray[Number] = np.concatenate(
        [np.zeros(0, kind), *(batch.column(column).to_numpy() for _, batch in items.batches(column))]
    )
    return values


def num_bits(number: int) -> int:
    """Between 8 and 16 bits for each of a number of hashes; a power of two."""
    return max(64, 1 << (8 * number).bit_length())
