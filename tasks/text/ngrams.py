"""Words in a row that come again: the share of the most frequent ones, and of those that occurred before.

A longer run of words can only repeat where the shorter runs at its place and at the next place do, so each size looks
at the places that are left: after the pairs few are.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from tasks.text.kernels import COUNTS, MUTABLE_COUNTS, MUTABLE_HASHES, Counts, Hashes, kernel, subroutine

MAX_TOKENS = 1 << 20
"""Tokens of a document whose repetition is measured, from its start: what bounds the memory."""

Ids = npt.NDArray[np.uint32]
_IDS = types.uint32[::1]


class NgramScratch(NamedTuple):
    """Memory for the tokens of one document and for their repeated runs."""

    keys: Hashes
    """Hash of each token."""
    ends: Counts
    """Characters up to the end of each token, blanks left out; one longer, from 0."""
    places: Ids
    """Where the runs of the current size start that repeat."""
    groups: Ids
    """Which run stands there: equal numbers for equal runs."""
    counts: Ids
    """How often each occurs."""
    table: Hashes
    """A hash table of a power of two of slots: in each the key of a run, and its number on top of `base` when it was
    written, so that older slots count as free."""


NGRAM_SCRATCH = (MUTABLE_HASHES, MUTABLE_COUNTS, _IDS, _IDS, _IDS, MUTABLE_HASHES)


def ngram_scratch(num_tokens: int) -> NgramScratch:
    """Memory for documents of so many tokens, or of MAX_TOKENS if that is fewer: 60 MB at most."""
    size = min(num_tokens, MAX_TOKENS) + 1
    slots = 1 << (2 * size - 1).bit_length()
    return NgramScratch(
        np.empty(size, np.uint64),
        np.zeros(size + 1, np.int64),
        np.empty(size, np.uint32),
        np.empty(size, np.uint32),
        np.empty(size, np.uint32),
        np.zeros(2 * slots, np.uint64),
    )


@subroutine
def _group(key: np.uint64, base: int, num: int, last_slot: int, counts: Ids, table: Hashes) -> int:
    """Count a run; its number, which is `num` for one that is new. The bits of a key are spread as in MurmurHash3."""
    mixed = (key ^ key >> np.uint64(33)) * np.uint64(0xFF51AFD7ED558CCD)
    slot = (mixed ^ mixed >> np.uint64(33)) & np.uint64(last_slot)
    while table[slot << np.uint64(1) | np.uint64(1)] >= np.uint64(base):
        if table[slot << np.uint64(1)] == key:
            found = np.uint32(table[slot << np.uint64(1) | np.uint64(1)] - np.uint64(base))
            counts[found] += np.uint32(1)
            return int(found)
        slot = (slot + np.uint64(1)) & np.uint64(last_slot)
    table[slot << np.uint64(1)], table[slot << np.uint64(1) | np.uint64(1)] = key, np.uint64(base + num)
    counts[num] = 1
    return num


@subroutine
def _keep_repeated(made: int, places: Ids, groups: Ids, counts: Ids) -> int:
    """Drop the runs that occur once; how many places are left."""
    kept = 0
    for index in range(made):
        places[kept], groups[kept] = places[index], groups[index]
        kept += counts[groups[index]] > 1
    return kept


@subroutine
def _last_slot(size: int) -> int:
    """The table is used up to here for so many runs: small ones stay in the processor's cache."""
    slots = 4
    while slots < 2 * size:
        slots *= 2
    return slots - 1


@subroutine
def _words(num_tokens: int, base: int, keys: Hashes, places: Ids, groups: Ids, counts: Ids, table: Hashes) -> int:
    """Places of the words that repeat."""
    num, last_slot = 0, _last_slot(num_tokens)
    for index in range(num_tokens):
        group = _group(keys[index], base, num, last_slot, counts, table)
        num += group == num
        places[index], groups[index] = index, group
    return _keep_repeated(num_tokens, places, groups, counts)


@subroutine
def _one_longer(left: int, base: int, places: Ids, groups: Ids, counts: Ids, table: Hashes) -> int:
    """Places of the runs that repeat, one word longer than those at the first `left` places."""
    made, num, last_slot = 0, 0, _last_slot(left)
    for index in range(left - 1):
        if places[index + 1] == places[index] + 1:
            key = np.uint64(groups[index]) << np.uint64(32) | np.uint64(groups[index + 1])
            group = _group(key, base, num, last_slot, counts, table)
            num += group == num
            places[made], groups[made] = places[index], group
            made += 1
    return _keep_repeated(made, places, groups, counts)


@subroutine
def _top_characters(size: int, left: int, ends: Counts, places: Ids, groups: Ids, counts: Ids) -> int:
    """Characters in the run that occurs most often, single spaces between its words; the first one of several."""
    best, most = 0, 0
    for index in range(left):
        if counts[groups[index]] > most:
            best, most = places[index], counts[groups[index]]
    return int(most * (ends[best + size] - ends[best] + size - 1))


@subroutine
def _duplicate_characters(size: int, left: int, ends: Counts, places: Ids, groups: Ids, counts: Ids) -> int:
    """Characters in runs that occurred before, read from the start: after such a run goes on behind it."""
    found, free = 0, 0
    for index in range(left):
        counts[groups[index]] = 0
    for index in range(left):
        place, group = places[index], groups[index]
        if place >= free:
            if counts[group] > 0:
                found += ends[place + size] - ends[place]
                free = place + size
            counts[group] = 1
    return found


@kernel(types.int64(types.int64, COUNTS, types.int64, types.int64, types.int64, *NGRAM_SCRATCH, MUTABLE_COUNTS))
def measure_ngrams(
    num_tokens: int,
    sizes: Counts,
    num_top: int,
    count_single: int,
    base: int,
    keys: Hashes,
    ends: Counts,
    places: Ids,
    groups: Ids,
    counts: Ids,
    table: Hashes,
    row: Counts,
) -> int:
    """Write to `row` the characters of the most frequent run for the first `num_top` sizes, then those of duplicate
    runs for the other sizes. The memory stands as in NgramScratch; the base for the next document is returned."""
    longest, left = 0, num_tokens
    for index in range(sizes.size):
        longest = max(longest, sizes[index])
        if count_single and index < num_top and sizes[index] <= num_tokens:
            row[index] = ends[sizes[index]] + sizes[index] - 1
    for size in range(1, longest + 1):
        before = left
        if size == 1:
            left = _words(num_tokens, base, keys, places, groups, counts, table)
        else:
            left = _one_longer(left, base, places, groups, counts, table)
        base += before
        if left == 0:
            break
        for index in range(sizes.size):
            if sizes[index] == size:
                if index < num_top:
                    row[index] = _top_characters(size, left, ends, places, groups, counts)
                else:
                    row[index] = _duplicate_characters(size, left, ends, places, groups, counts)
    return base
