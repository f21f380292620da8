"""MinHash signatures of texts (Broder 1997), and the band keys that bring similar ones together.

A text is a sequence of tokens: lower-case words (runs of letters, marks, numbers and connectors) where the script puts
spaces between them, single such characters where it does not. Its shingles are the runs of `size` tokens; a text with
fewer tokens is one shingle; a text without any has no signature. Punctuation and white space do not count.
"""

from functools import cache
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
    eight_bytes,
    is_ascii_letter,
    kernel,
    leading_zeros,
    lower,
    mix,
    subroutine,
    trailing_zeros,
)
from tasks.text.measures import UNSPACED_SHARE

_BLOCK = 1024
"""Tokens hashed before the permutations run over their shingles: they stay in the first-level cache."""
_BASE = 0x9E3779B97F4A7C15
"""Base of the rolling hash over tokens, modulo 2**64; odd."""
_MASK = (1 << 64) - 1
_ONES, _HIGH, _GATHER = 0x0101010101010101, 0x8080808080808080, 0x0102040810204080
"""One in each of eight bytes, the highest bit of each, and the factor that brings their lowest bits into one byte."""
_WINDOW, _FEW = 64, 16
"""Bytes read at once, and of those so few that the next ones are better read one by one."""
_SMALL = 0x2020202020202020
"""Makes eight letters small. A digit stays, an underscore becomes 127, which no token has."""
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


@cache
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
    others = 0
    for at in range(start, stop):
        others += byte_at(data, at) > 0x7F
    if others == 0:
        return False
    letters, enough = 0, others / (3 * UNSPACED_SHARE)  # a letter of an unspaced script has three bytes or four
    for at in range(start, stop):
        letters += is_ascii_letter(byte_at(data, at))
        if letters > enough:
            return False
    letters = unspaced = 0
    at = start
    while at < stop:
        code, width = code_point(data, at)
        at += width
        letters += classes[np.uint64(code)] & LETTER != 0
        unspaced += classes[np.uint64(code)] & UNSPACED != 0
    return letters > 0 and unspaced >= UNSPACED_SHARE * letters


@kernel(types.void(types.uint64[::1], types.int64, types.uint64[::1], _MUTABLE_CODES))
def _hash_shingles(tokens: Hashes, size: int, sums: Hashes, block: Codes) -> None:
    """Hash as many shingles as the block has room for: polynomials of the hashes of `size` tokens, mixed.

    `sums` is room for as many. The inner loops become vector instructions, here and below.
    """
    for at in range(block.size):
        sums[at] = tokens[at]
    for place in range(1, size):
        for at in range(block.size):
            sums[at] = sums[at] * np.uint64(_BASE) + tokens[at + place]
    for at in range(block.size):
        block[at] = np.uint32(mix(sums[at]) >> np.uint64(32))


@kernel(types.void(_MUTABLE_CODES, CODES, CODES, _MUTABLE_CODES))
def _lower_minima(block: Codes, factors: Codes, addends: Codes, minima: Codes) -> None:
    """Run every permutation over a block of shingles."""
    for index in range(minima.size):
        factor, addend, least = factors[index], addends[index], minima[index]
        for at in range(block.size):
            least = min(least, np.uint32(factor * block[at] + addend))
        minima[index] = least


@subroutine
def _window(data: Bytes, at: int) -> tuple[np.uint64, np.uint64]:
    """Which of 64 bytes are ASCII letters, digits or underscores, and which are above ASCII: a bit for each.

    Eight bytes at once: one below 128 to which 128 - n is added has its highest bit set when it is n or more.
    """
    ones, high, gather = np.uint64(_ONES), np.uint64(_HIGH), np.uint64(_GATHER)
    words = wide = np.uint64(0)
    for index in range(8):
        eight = eight_bytes(data, at + 8 * index)
        plain = eight & ~high
        small = plain | ones * np.uint64(0x20)
        letter = (small + ones * np.uint64(0x80 - 0x61)) & ~(small + ones * np.uint64(0x80 - 0x7B))
        digit = (plain + ones * np.uint64(0x80 - 0x30)) & ~(plain + ones * np.uint64(0x80 - 0x3A))
        underscore = ~((plain ^ ones * np.uint64(0x5F)) + ones * np.uint64(0x7F))
        word = (letter | digit | underscore) & ~eight & high
        words |= (((word >> np.uint64(7)) * gather) >> np.uint64(56)) << np.uint64(8 * index)
        wide |= ((((eight & high) >> np.uint64(7)) * gather) >> np.uint64(56)) << np.uint64(8 * index)
    return words, wide


@subroutine
def _append(code: np.uint64, state: np.uint64, part: np.uint64, filled: int) -> tuple[np.uint64, np.uint64, int]:
    """The hash of a token with the UTF-8 of one more character; in ASCII as _SMALL makes it."""
    left, first = np.int64(0), code | np.uint64(0x20)
    if code >= np.uint64(0x80):
        left = np.int64(1) + np.int64(code >= np.uint64(0x800)) + np.int64(code >= np.uint64(0x10000))
        lead = np.uint64(0xFF00) >> np.uint64(left + 1) & np.uint64(0xFF)  # as many ones as bytes, and a nought
        first = lead | code >> np.uint64(6 * left)
    part |= first << np.uint64(8 * filled)
    filled += 1
    while True:
        if filled == 8:
            state, part, filled = mix(state ^ part), np.uint64(0), 0
        if left == 0:
            return state, part, filled
        left -= 1
        byte = code >> np.uint64(6 * left) & np.uint64(0x3F) | np.uint64(0x80)
        part |= byte << np.uint64(8 * filled)
        filled += 1


@subroutine
def _window_tokens(data: Bytes, at: int, stop: int, hashes: Hashes, filled: int) -> tuple[int, int]:
    """Add the hashes of the ASCII tokens of the 64 bytes from a position on; how many there are now, where they end.

    Only those that surely end before the window or the text does, or before a byte above ASCII. Where they lie is read
    off a pattern of bits, so that no branch depends on their lengths, which nobody could predict.
    """
    words, wide = _window(data, at)
    limit = min(trailing_zeros(wide), np.uint64(stop - at))
    if limit == 0:
        return filled, at
    used = limit - leading_zeros(~(words << (np.uint64(_WINDOW) - limit)))
    if used == 0:
        return filled, at
    words &= np.uint64(_MASK) >> (np.uint64(_WINDOW) - used)
    starts = words & ~(words << np.uint64(1))
    ends = ~words & words << np.uint64(1)
    while starts != 0:
        first, last = trailing_zeros(starts), trailing_zeros(ends)
        hashes[np.uint64(filled)] = _plain_token(data, at + int(first), last - first)
        starts, ends, filled = starts & starts - np.uint64(1), ends & ends - np.uint64(1), filled + 1
    return filled, at + int(used)


@subroutine
def _plain_token(data: Bytes, at: int, num_bytes: np.uint64) -> np.uint64:
    """The hash of an ASCII token of so many bytes; the eight that follow its start and those after it can be read."""
    state, small = np.uint64(FNV_OFFSET), np.uint64(_SMALL)
    while num_bytes > np.uint64(8):
        state = mix(state ^ (eight_bytes(data, at) | small))
        at, num_bytes = at + 8, num_bytes - np.uint64(8)
    used = np.uint64(_MASK) >> np.uint64(64) - num_bytes * np.uint64(8)
    return mix(state ^ (eight_bytes(data, at) | small) & used)


@subroutine
def _token(data: Bytes, at: int, stop: int, classes: Classes, lower_case: Codes) -> tuple[np.uint64, int]:
    """The hash of the word that starts at a position, and where it ends.

    It goes over the UTF-8 of the word in lower case, eight bytes at once, the last ones filled up with zeros.
    """
    state, part, filled = np.uint64(FNV_OFFSET), np.uint64(0), 0
    while at < stop:
        code, width = code_point(data, at)
        if classes[np.uint64(code)] & WORD == 0:
            break
        state, part, filled = _append(lower(code, lower_case), state, part, filled)
        at += width
    return mix(state ^ part) if filled else state, at


@subroutine
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
    room: tuple[Hashes, Hashes, Codes],
) -> int:
    """Minima over the shingles of data[start:stop]; how many there are. `single`: each character is a token."""
    tokens, sums, block = room
    filled = num_shingles = 0
    at = start
    slow_until = stop if single else start
    last = data.size - _WINDOW - 8  # a window from there on, and eight bytes from within it, can be read
    while at < stop:
        begin = at
        if slow_until <= at < last:
            filled, at = _window_tokens(data, at, stop, tokens, filled)
            if at < begin + _FEW:
                slow_until = at + 2 * _FEW
        if at == begin:
            code, width = code_point(data, at)
            at += width
            if classes[np.uint64(code)] & WORD != 0:
                if single:
                    tokens[np.uint64(filled)] = mix(np.uint64(FNV_OFFSET) ^ lower(code, lower_case))
                else:
                    tokens[np.uint64(filled)], at = _token(data, begin, stop, classes, lower_case)
                filled += 1
        if filled >= _BLOCK + size - 1:
            number = filled - size + 1
            _hash_shingles(tokens, size, sums, block[:number])
            _lower_minima(block[:number], factors, addends, minima)
            for index in range(size - 1):
                tokens[index] = tokens[number + index]
            filled, num_shingles = size - 1, num_shingles + number
    number = filled - size + 1
    if num_shingles == 0 and 0 < filled < size:  # all of the text is one
        size, number = filled, 1
    if number > 0:
        _hash_shingles(tokens, size, sums, block[:number])
        _lower_minima(block[:number], factors, addends, minima)
        num_shingles += number
    return num_shingles


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
    number = _BLOCK + _WINDOW
    room = np.empty(number + max(sizes), np.uint64), np.empty(number, np.uint64), np.empty(number, np.uint32)
    for text in range(offsets.size - 1):
        start, stop = offsets[text], offsets[text + 1]
        single = is_unspaced(data, start, stop, classes)
        size = sizes[1] if single else sizes[0]
        num_shingles[text] = _sign_text(
            data, start, stop, classes, lower_case, size, single, factors, addends, minima[text], room
        )
