"""N-grams of texts as 64-bit hashes, and where those of an index occur.

A text is a sequence of tokens: lower-case words (runs of letters, marks, numbers and connectors), single characters
where the script puts no spaces between words; punctuation and white space do not count. An n-gram is the shortest run
of tokens that weighs as much as `words` words or `characters` characters, so that mixed text has n-grams too: with 13
and 26, ten words and six characters are one. Where a run ends decides where it begins, so the same passage has the
same n-grams in whatever text it stands.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from tasks.text.buffers import Bytes, Offsets, texts_of
from tasks.text.characters import UNSPACED, WORD, character_classes, lower_case
from tasks.text.kernels import (
    BYTES,
    CLASSES,
    CODES,
    FNV_OFFSET,
    HASHES,
    MUTABLE_OFFSETS,
    OFFSETS,
    Classes,
    Codes,
    Counts,
    Hashes,
    code_point,
    hash_on,
    kernel,
    lower,
    mix,
    subroutine,
)

_BASE = 0x9E3779B97F4A7C15
"""Base of the prefix hashes, modulo 2**64; odd."""
_RING = 512
"""Tokens remembered: a power of two above the longest n-gram."""
_MUTABLE_HASHES = types.uint64[::1]
_MUTABLE_CODES = types.uint32[::1]
_WEIGHTS = types.UniTuple(types.int64, 6)  # type: ignore[no-untyped-call]
_TABLE = types.Tuple((HASHES, HASHES, OFFSETS, HASHES, types.uint64))  # type: ignore[no-untyped-call]
_FIRST_CAPACITY = 1 << 16
_CHUNK = 1 << 20

Weights = tuple[int, int, int, int, int, int]
Numbers = npt.NDArray[np.uint32]


class NgramSizes(NamedTuple):
    """How long an n-gram is."""

    words: int
    characters: int
    min_words: int
    """From so many words, or characters, on a text shorter than one n-gram counts as one."""
    min_characters: int

    @property
    def weights(self) -> Weights:
        """Weight of an n-gram, of a word and of a character in it; the same for the shortest text."""
        words, characters, min_words, min_characters = self
        return words * characters, characters, words, min_words * min_characters, min_characters, min_words


class Profiles(NamedTuple):
    """The n-grams of texts."""

    hashes: Hashes
    """Of all texts, one after the other, as they occur."""
    offsets: Offsets
    """(texts + 1,): those of text i are `hashes[offsets[i]:offsets[i + 1]]`; none of a text that is too short."""
    num_tokens: Counts
    num_unspaced: Counts
    """Tokens that are single characters."""
    anchors: Hashes
    """Hash of the end of a text shorter than one n-gram, as long as the shortest text; 0 for others."""
    whole: Hashes
    """Hash of all tokens."""


class SearchTable(NamedTuple):
    """The n-grams to look for."""

    keys: Hashes
    """Sorted."""
    filter: Hashes
    """Bits of `keys`: a Bloom filter with one hash."""
    lengths: Counts
    """Tokens of the texts that are shorter than one n-gram, each number once."""
    anchors: Hashes
    """Bits of the ends of those texts."""
    bound: np.uint64
    """Largest hash of the uniform sample of n-grams; all ones when every n-gram is in `keys`."""


class Hits(NamedTuple):
    """Where n-grams of a table occur."""

    texts: Numbers
    keys: Numbers
    """Places in `SearchTable.keys`."""
    starts: Offsets
    """In bytes from the beginning of the text."""
    ends: Offsets
    num_ngrams: Numbers
    """(texts of the column,): n-grams of each up to the table's bound."""


def profile(column: pa.LargeStringArray, sizes: NgramSizes) -> Profiles:
    """The n-grams of every text of a column."""
    data, offsets = texts_of(column)
    most = (int(offsets[-1] - offsets[0]) + len(column)) // 2 + len(column)  # a token has two bytes, or one at the end
    made = Profiles(
        hashes=np.empty(most, np.uint64),
        offsets=np.zeros(len(column) + 1, np.int64),
        num_tokens=np.zeros(len(column), np.int64),
        num_unspaced=np.zeros(len(column), np.int64),
        anchors=np.zeros(len(column), np.uint64),
        whole=np.zeros(len(column), np.uint64),
    )
    _profile(data, offsets, character_classes(), lower_case(), sizes.weights, _powers(), *made)
    return made._replace(hashes=made.hashes[: made.offsets[-1]])


def find(column: pa.LargeStringArray, table: SearchTable, sizes: NgramSizes) -> Hits:
    """Every occurrence of the table's n-grams in a column."""
    data, offsets = texts_of(column)
    searched = table.keys, table.filter, table.lengths, table.anchors, np.uint64(table.bound)
    capacity = _FIRST_CAPACITY
    while True:
        texts, keys = np.empty(capacity, np.uint32), np.empty(capacity, np.uint32)
        starts, ends = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
        num_ngrams = np.zeros(len(column), np.uint32)
        found = (texts, keys, starts, ends, num_ngrams)
        num = _find(data, offsets, character_classes(), lower_case(), sizes.weights, _powers(), searched, *found)
        if num <= capacity:
            return Hits(texts[:num].copy(), keys[:num].copy(), starts[:num].copy(), ends[:num].copy(), num_ngrams)
        capacity = num


def bits_of(hashes: Hashes, num_bits: int) -> Hashes:
    """A set of hashes as bits, `num_bits` of them, a power of two of at least 64."""
    bits: Hashes = np.zeros(num_bits // 64, np.uint64)
    for start in range(0, len(hashes), _CHUNK):
        places = hashes[start : start + _CHUNK] & np.uint64(num_bits - 1)
        np.bitwise_or.at(bits, (places >> np.uint64(6)).astype(np.int64), np.uint64(1) << (places & np.uint64(63)))
    return bits


def _powers() -> Hashes:
    """Powers of the base."""
    with np.errstate(over="ignore"):
        powers: Hashes = np.cumprod(np.array([1] + [_BASE] * (_RING - 1), np.uint64), dtype=np.uint64)
    return powers


@subroutine
def _next_token(
    data: Bytes, at: int, stop: int, classes: Classes, lower_case: Codes
) -> tuple[int, int, np.uint64, bool]:
    """Start, end and hash of the first token from a position on, and whether it is a single character.

    Start and end are `stop` when there is none.
    """
    start, kind, state = stop, 0, np.uint64(FNV_OFFSET)
    while at < stop:
        code, width = code_point(data, at)
        kind = classes[code]
        if kind & WORD:
            start = at
            state = hash_on(state, lower(code, lower_case))
            at += width
            break
        at += width
    unspaced = start < stop and kind & UNSPACED != 0
    if not unspaced:
        while at < stop:
            code, width = code_point(data, at)
            if classes[code] & (WORD | UNSPACED) != WORD:
                break
            state = hash_on(state, lower(code, lower_case))
            at += width
    return start, at, mix(state), unspaced


@subroutine
def _left(sums: Counts, left: int, total: int, least: int) -> int:
    """First token of the shortest run that ends here and weighs at least `least`; `left` was it one token ago."""
    while total - sums[(left + 1) & (_RING - 1)] >= least:
        left += 1
    return left


@subroutine
def _run_hash(prefix: np.uint64, prefixes: Hashes, powers: Hashes, left: int, count: int) -> np.uint64:
    """Hash of the tokens from `left` to the last of `count`."""
    return mix(prefix - prefixes[left & (_RING - 1)] * powers[count - left])


@kernel(
    types.void(
        BYTES,
        OFFSETS,
        CLASSES,
        CODES,
        _WEIGHTS,
        HASHES,
        _MUTABLE_HASHES,
        MUTABLE_OFFSETS,
        types.int64[::1],
        types.int64[::1],
        _MUTABLE_HASHES,
        _MUTABLE_HASHES,
    )
)
def _profile(
    data: Bytes,
    offsets: Offsets,
    classes: Classes,
    lower_case: Codes,
    weights: Weights,
    powers: Hashes,
    hashes: Hashes,
    ends: Offsets,
    num_tokens: Counts,
    num_unspaced: Counts,
    anchors: Hashes,
    whole: Hashes,
) -> None:
    """Fill what Profiles holds."""
    full, of_word, of_character, least, tail_word, tail_character = weights
    prefixes, sums, tails = np.zeros(_RING, np.uint64), np.zeros(_RING, np.int64), np.zeros(_RING, np.int64)
    end = 0
    for text in range(offsets.size - 1):
        at, stop = offsets[text], offsets[text + 1]
        prefix, total, tail_total, count, left, unspaced, begin = np.uint64(0), 0, 0, 0, 0, 0, end
        prefixes[0], sums[0], tails[0] = 0, 0, 0
        while True:
            start, at, token, single = _next_token(data, at, stop, classes, lower_case)
            if start >= stop:
                break
            prefix = prefix * np.uint64(_BASE) + token
            total += of_character if single else of_word
            tail_total += tail_character if single else tail_word
            unspaced += single
            count += 1
            slot = count & (_RING - 1)
            prefixes[slot], sums[slot], tails[slot] = prefix, total, tail_total
            left = _left(sums, left, total, full)
            if total >= full:
                hashes[end] = _run_hash(prefix, prefixes, powers, left, count)
                end += 1
        if end == begin and tail_total >= least:
            hashes[end] = _run_hash(prefix, prefixes, powers, 0, count)
            anchors[text] = _run_hash(prefix, prefixes, powers, _left(tails, 0, tail_total, least), count)
            end += 1
        ends[text + 1] = end
        num_tokens[text], num_unspaced[text], whole[text] = count, unspaced, mix(prefix)


@subroutine
def _has(bits: Hashes, value: np.uint64) -> bool:
    """Whether a set of bits may hold a hash."""
    place = value & np.uint64(bits.size * 64 - 1)
    return bool(bits[np.int64(place >> np.uint64(6))] >> (place & np.uint64(63)) & np.uint64(1))


@subroutine
def _place(keys: Hashes, bits: Hashes, value: np.uint64) -> int:
    """Place of a value in sorted keys, or -1."""
    if not _has(bits, value):
        return -1
    low, high = 0, keys.size
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < keys.size and keys[low] == value else -1


@subroutine
def _note(
    hits: int, hit: tuple[int, int, int, int], texts: Numbers, found: Numbers, starts: Offsets, ends: Offsets
) -> int:
    """Write a hit if there is room; how many there are."""
    if hits < found.size:
        texts[hits], found[hits], starts[hits], ends[hits] = hit
    return hits + 1


@kernel(
    types.int64(
        BYTES,
        OFFSETS,
        CLASSES,
        CODES,
        _WEIGHTS,
        HASHES,
        _TABLE,
        _MUTABLE_CODES,
        _MUTABLE_CODES,
        MUTABLE_OFFSETS,
        MUTABLE_OFFSETS,
        _MUTABLE_CODES,
    )
)
def _find(
    data: Bytes,
    offsets: Offsets,
    classes: Classes,
    lower_case: Codes,
    weights: Weights,
    powers: Hashes,
    table: tuple[Hashes, Hashes, Counts, Hashes, np.uint64],
    texts: Numbers,
    found: Numbers,
    starts: Offsets,
    ends: Offsets,
    num_ngrams: Numbers,
) -> int:
    """Write the hits as far as there is room; how many there are."""
    keys, bits, lengths, anchors, bound = table
    full, of_word, of_character, least, tail_word, tail_character = weights
    prefixes, begins = np.zeros(_RING, np.uint64), np.zeros(_RING, np.int64)
    sums, tails = np.zeros(_RING, np.int64), np.zeros(_RING, np.int64)
    hits = 0
    for text in range(offsets.size - 1):
        first, stop = offsets[text], offsets[text + 1]
        prefix, total, tail_total, count, left, tail, at = np.uint64(0), 0, 0, 0, 0, 0, first
        prefixes[0], sums[0], tails[0] = 0, 0, 0
        while True:
            start, at, token, single = _next_token(data, at, stop, classes, lower_case)
            if start >= stop:
                break
            begins[count & (_RING - 1)], prefix = start - first, prefix * np.uint64(_BASE) + token
            total += of_character if single else of_word
            tail_total += tail_character if single else tail_word
            count, slot = count + 1, (count + 1) & (_RING - 1)
            prefixes[slot], sums[slot], tails[slot] = prefix, total, tail_total
            left, tail = _left(sums, left, total, full), _left(tails, tail, tail_total, least)
            if total >= full:
                value = _run_hash(prefix, prefixes, powers, left, count)
                num_ngrams[text] += value <= bound
                place = _place(keys, bits, value)
                if place >= 0:
                    hit = text, place, begins[left & (_RING - 1)], at - first
                    hits = _note(hits, hit, texts, found, starts, ends)
            if lengths.size and tail_total >= least and _has(anchors, _run_hash(prefix, prefixes, powers, tail, count)):
                for length in lengths:
                    if length <= count:
                        value = _run_hash(prefix, prefixes, powers, count - length, count)
                        place = _place(keys, bits, value)
                        if place >= 0:
                            hit = text, place, begins[(count - length) & (_RING - 1)], at - first
                            hits = _note(hits, hit, texts, found, starts, ends)
    return hits
