"""MinHash signatures of texts (Broder 1997), and the band keys that bring similar ones together.

A text is a sequence of tokens: lower-case words (runs of letters, marks, numbers and connectors) where the script puts
spaces between them, single such characters where it does not. Its shingles are the runs of `size` tokens; a text with
fewer tokens is one shingle; a text without any has no signature. Punctuation and white space do not count.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import types

from params.dedup import DedupParams
from tasks.text.buffers import Bytes, Offsets, texts_of
from tasks.text.characters import LETTER, UNSPACED, WORD, character_classes, lower_case
from tasks.text.kernels import (
    BYTES,
    CLASSES,
    CODES,
    FNV_OFFSET,
    OFFSETS,
    Classes,
    Codes,
    Counts,
    Hashes,
    byte_at,
    code_point,
    hash_on,
    is_ascii_letter,
    kernel,
    lower,
    mix,
)
from tasks.text.measures import UNSPACED_SHARE

_BLOCK = 1024
"""Shingles hashed before the permutations run over them: they stay in the first-level cache."""
_BASE = 0x9E3779B97F4A7C15
"""Base of the rolling hash over tokens, modulo 2**64; odd."""
_MASK = (1 << 64) - 1
_MUTABLE_CODES = types.uint32[::1]


class Signatures(NamedTuple):
    """MinHash of texts."""

    minima: Codes
    """(texts, bands * rows): smallest hash under each permutation."""
    bands: Hashes
    """(bands + 1, texts): one key per band of rows, and last one of the whole signature."""
    num_shingles: Counts
    """(texts,): 0 for a text without a signature."""


def sign(column: pa.LargeStringArray, params: DedupParams) -> Signatures:
    """Signatures of every text of a column."""
    data, offsets = texts_of(column)
    size = params.bands * params.rows
    minima = np.full((len(column), size), np.iinfo(np.uint32).max, np.uint32)
    num_shingles = np.zeros(len(column), np.int64)
    factors, addends = permutations(size, params.seed)
    sizes = (params.shingle_words, params.shingle_characters)
    _sign(data, offsets, character_classes(), lower_case(), sizes, factors, addends, minima, num_shingles)
    keys = np.zeros((params.bands + 1, len(column)), np.uint64)
    for band in range(params.bands):
        keys[band] = band_keys(minima, band, params)
    keys[params.bands] = whole_keys(minima)
    return Signatures(minima, keys, num_shingles)


def band_keys(minima: Codes, band: int, params: DedupParams) -> Hashes:
    """One key per signature for the rows of a band; equal keys make a bucket."""
    return _keys(minima, band * params.rows, (band + 1) * params.rows)


def whole_keys(minima: Codes) -> Hashes:
    """One key per signature for all of it: among 10**8 documents two differing ones share a key once in 4,000 runs."""
    return _keys(minima, 0, minima.shape[1])


def permutations(number: int, seed: int) -> tuple[Codes, Codes]:
    """Odd factors and addends of x -> factor * x + addend modulo 2**32, from splitmix64 (Steele et al. 2014)."""
    state, drawn = seed, []
    for _ in range(number):
        state = (state + _BASE) & _MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        drawn.append(mixed ^ (mixed >> 31))
    values = np.array(drawn, np.uint64)
    return (values >> np.uint64(32)).astype(np.uint32) | np.uint32(1), values.astype(np.uint32)


@kernel(types.uint64[::1](types.Array(types.uint32, 2, "C", readonly=True), types.int64, types.int64))
def _keys(minima: Codes, first: int, last: int) -> Hashes:
    """Hash of the values from `first` to `last` of every signature."""
    keys = np.empty(minima.shape[0], np.uint64)
    for text in range(minima.shape[0]):
        key = np.uint64(FNV_OFFSET)
        for row in range(first, last):
            key = mix(key ^ np.uint64(minima[text, row])) + np.uint64(_BASE)
        keys[text] = key
    return keys


@kernel(types.bool_(BYTES, types.int64, types.int64, CLASSES))
def is_unspaced(data: Bytes, start: int, stop: int, classes: Classes) -> bool:
    """Whether data[start:stop] is written without spaces between words."""
    letters = others = 0
    for at in range(start, stop):
        byte = byte_at(data, at)
        letters += is_ascii_letter(byte)
        others += byte > 0x7F
    if others < 3 * UNSPACED_SHARE * letters:  # a letter of an unspaced script has three bytes or four
        return False
    letters = unspaced = 0
    at = start
    while at < stop:
        code, width = code_point(data, at)
        at += width
        letters += classes[np.uint64(code)] & LETTER != 0
        unspaced += classes[np.uint64(code)] & UNSPACED != 0
    return letters > 0 and unspaced >= UNSPACED_SHARE * letters


@kernel(types.void(CODES, types.int64, CODES, CODES, _MUTABLE_CODES))
def _lower_minima(block: Codes, length: int, factors: Codes, addends: Codes, minima: Codes) -> None:
    """Run every permutation over a block of shingles; the inner loop becomes vector instructions."""
    for index in range(minima.size):
        factor, addend, least = factors[index], addends[index], minima[index]
        for at in range(length):
            least = min(least, np.uint32(factor * block[at] + addend))
        minima[index] = least


@kernel(
    types.int64(BYTES, types.int64, types.int64, CLASSES, CODES, types.int64, types.bool_, CODES, CODES, _MUTABLE_CODES)
)
def _sign_text(
    data: Bytes,
    start: int,
    stop: int,
    classes: Classes,
    lower_case: Codes,
    size: int,
    single: bool,
    factors: Codes,
    addends: Codes,
    minima: Codes,
) -> int:
    """Minima over the shingles of data[start:stop]; how many there are. `single`: each character is a token."""
    ring, block = np.zeros(size, np.uint64), np.empty(_BLOCK, np.uint32)
    oldest = np.uint64(1)
    for _ in range(size):
        oldest *= np.uint64(_BASE)
    rolling, token = np.uint64(0), np.uint64(FNV_OFFSET)
    tokens = length = shingles = slot = 0
    at, in_token = start, False
    while at <= stop:
        code, width = 0, 1
        if at < stop:
            code, width = code_point(data, at)
        is_word = at < stop and classes[np.uint64(code)] & WORD != 0
        at += width
        if in_token and (single or not is_word):
            token = mix(token)
            rolling = rolling * np.uint64(_BASE) + token - ring[slot] * oldest
            ring[slot] = token
            tokens, slot = tokens + 1, slot + 1
            if slot == size:
                slot = 0
            token, in_token = np.uint64(FNV_OFFSET), False
            if tokens >= size:
                block[length] = np.uint32(mix(rolling) >> np.uint64(32))
                length, shingles = length + 1, shingles + 1
                if length == _BLOCK:
                    _lower_minima(block, length, factors, addends, minima)
                    length = 0
        if is_word:
            token, in_token = hash_on(token, lower(code, lower_case)), True
            while not single and at < stop and is_ascii_letter(byte_at(data, at)):
                token, at = hash_on(token, byte_at(data, at) | 0x20), at + 1
    if 0 < tokens < size:
        block[0] = np.uint32(mix(rolling) >> np.uint64(32))
        length, shingles = 1, 1
    _lower_minima(block, length, factors, addends, minima)
    return shingles


@kernel(
    types.void(
        BYTES,
        OFFSETS,
        CLASSES,
        CODES,
        types.UniTuple(types.int64, 2),  # type: ignore[no-untyped-call]
        CODES,
        CODES,
        types.uint32[:, ::1],
        types.int64[::1],
    )
)
def _sign(
    data: Bytes,
    offsets: Offsets,
    classes: Classes,
    lower_case: Codes,
    sizes: tuple[int, int],
    factors: Codes,
    addends: Codes,
    minima: Codes,
    num_shingles: Counts,
) -> None:
    """Fill minima and num_shingles; `sizes` are tokens per shingle in spaced and in unspaced scripts."""
    for text in range(offsets.size - 1):
        start, stop = offsets[text], offsets[text + 1]
        single = is_unspaced(data, start, stop, classes)
        size = sizes[1] if single else sizes[0]
        found = _sign_text(data, start, stop, classes, lower_case, size, single, factors, addends, minima[text])
        num_shingles[text] = found
