"""The passages of texts that may be repeated elsewhere: paragraphs, and runs of tokens from the start of a sentence on.

Tokens are those of the signatures (words, or single characters of unspaced scripts; case, punctuation and white space
do not count), with every run of digits taken for one 0; a passage with numbers in more than half of its tokens is a
table and left alone. A paragraph ends at a blank line. A run of `window` tokens is looked at where a line begins, after
an ideographic full stop or the like, and after . ! ? and a space: so a copied passage that is longer than the window
and a sentence is found whatever surrounds it, except less than a sentence at its end.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from params.dedup import RepeatedPassageParams
from tasks.duplicates.signatures import is_unspaced
from tasks.text.buffers import Bytes, Offsets, texts_of
from tasks.text.characters import SPACE, WORD, character_classes, lower_case
from tasks.text.kernels import (
    BYTES,
    CLASSES,
    CODES,
    FLAGS,
    FNV_OFFSET,
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
_BYTES_A_PASSAGE = 40
"""A guess at how many passages there are: where there are more, they are looked for twice."""
_LF, _ZERO = 0x0A, 0x30
_FULL_STOPS = tuple(map(ord, "。！？｡…"))
_STOPS_BEFORE_A_SPACE = tuple(map(ord, ".!?"))


class Passages(NamedTuple):
    """Passages of some texts."""

    hashes: Hashes
    """(passages,)"""
    spans: npt.NDArray[np.int64]
    """(passages, 2): from the first byte of the first token to behind the last one, within the column's bytes."""
    owners: Counts
    """(passages,): number of the text."""
    num_tokens: Counts
    """(texts,)"""
    unspaced: npt.NDArray[np.bool_]
    """(texts,): whether tokens are characters."""


def find_passages(
    column: pa.LargeStringArray, wanted: npt.NDArray[np.bool_], params: RepeatedPassageParams
) -> Passages:
    """Passages of the wanted texts of a column."""
    data, offsets = texts_of(column)
    num_tokens, unspaced = np.zeros(len(column), np.int64), np.zeros(len(column), np.bool_)
    limits = (params.min_words, params.min_characters, params.window or 0)
    classes, lowered = character_classes(), lower_case()
    room, number = 0, int(offsets[-1] - offsets[0]) // _BYTES_A_PASSAGE + len(column) + 1
    while room < number:
        room = number
        hashes, owners = np.zeros(room, np.uint64), np.zeros(room, np.int64)
        spans = np.zeros((room, 2), np.int64)
        number = _find(data, offsets, wanted, classes, lowered, limits, hashes, spans, owners, num_tokens, unspaced)
    return Passages(hashes[:number], spans[:number], owners[:number], num_tokens, unspaced)


@subroutine
def _is_digit(code: int) -> bool:
    return 0x30 <= code <= 0x39 or 0xFF10 <= code <= 0xFF19


@subroutine
def _emit(
    number: int, value: np.uint64, start: int, stop: int, text: int, hashes: Hashes, spans: Offsets, owners: Counts
) -> int:
    """Note a passage if there is room; how many there are now."""
    if number < hashes.size:
        hashes[number], owners[number] = mix(value), text
        spans[number, 0], spans[number, 1] = start, stop
    return number + 1


@subroutine
def _skip_gap(data: Bytes, at: int, stop: int, classes: Classes) -> tuple[int, bool, int]:
    """Where the next token begins, whether a run may start there, and the line ends before it."""
    newlines, may_start, after_stop = 0, False, False
    while at < stop:
        code, width = code_point(data, at)
        if classes[code] & WORD != 0:
            break
        newlines += code == _LF
        may_start |= code == _LF or code in _FULL_STOPS or (after_stop and classes[code] & SPACE != 0)
        after_stop = code in _STOPS_BEFORE_A_SPACE
        at += width
    return at, may_start, newlines


@subroutine
def _read_token(
    data: Bytes, begin: int, stop: int, classes: Classes, lower_case: Codes, single: bool
) -> tuple[np.uint64, int, bool]:
    """Hash of the token that begins there, where it ends, and whether it has a digit."""
    state, was_digit, has_number, at = np.uint64(FNV_OFFSET), False, False, begin
    while at < stop:
        code, width = code_point(data, at)
        is_digit = _is_digit(code)
        goes_on = is_digit and was_digit
        if classes[code] & WORD == 0 or (single and at > begin and not goes_on):
            break
        if not goes_on:
            state = hash_on(state, np.uint64(_ZERO) if is_digit else lower(code, lower_case))
        was_digit = is_digit
        at += width
        has_number |= is_digit
    return mix(state), at, has_number


@kernel(
    types.UniTuple(types.int64, 2)(  # type: ignore[no-untyped-call]
        BYTES,
        types.UniTuple(types.int64, 2),  # type: ignore[no-untyped-call]
        CLASSES,
        CODES,
        types.bool_,
        types.UniTuple(types.int64, 2),  # type: ignore[no-untyped-call]
        types.UniTuple(types.int64, 2),  # type: ignore[no-untyped-call]
        types.uint64[::1],
        types.int64[:, ::1],
        types.int64[::1],
    )
)
def _find_in(
    data: Bytes,
    place: tuple[int, int],
    classes: Classes,
    lower_case: Codes,
    single: bool,
    limits: tuple[int, int],
    count: tuple[int, int],
    hashes: Hashes,
    spans: Offsets,
    owners: Counts,
) -> tuple[int, int]:
    """Passages of data[place[0]:place[1]]; how many there are now, and how many tokens the text has.

    `limits` are the tokens of the shortest paragraph and of a run; `count` how many passages there are already, and the
    number of the text. The starts of runs wait in a ring of four columns: hash, tokens and numbers so far, position.
    """
    (at, stop), (shortest, window), (number, text) = place, limits, count
    ring = np.zeros((window + 1, 4), np.int64)
    power = np.uint64(1)
    for _ in range(window):
        power *= np.uint64(_BASE)
    first = waiting = tokens = numbers = 0
    rolling, paragraph = np.uint64(0), np.uint64(0)
    paragraph_tokens = paragraph_numbers = paragraph_start = paragraph_stop = 0
    while True:
        at, may_start, newlines = _skip_gap(data, at, stop, classes)
        if newlines > 1 or at == stop:
            if paragraph_tokens >= shortest and 2 * paragraph_numbers <= paragraph_tokens:
                number = _emit(number, paragraph, paragraph_start, paragraph_stop, text, hashes, spans, owners)
            paragraph, paragraph_tokens, paragraph_numbers = np.uint64(0), 0, 0
        if at == stop:
            return number, tokens
        if window > 0 and (may_start or tokens == 0):
            slot = (first + waiting) % (window + 1)
            ring[slot, 0], ring[slot, 1], ring[slot, 2], ring[slot, 3] = np.int64(rolling), tokens, numbers, at
            waiting += 1
        if paragraph_tokens == 0:
            paragraph_start = at
        token, at, has_number = _read_token(data, at, stop, classes, lower_case, single)
        rolling, paragraph = rolling * np.uint64(_BASE) + token, paragraph * np.uint64(_BASE) + token
        tokens, paragraph_tokens, paragraph_stop = tokens + 1, paragraph_tokens + 1, at
        numbers, paragraph_numbers = numbers + has_number, paragraph_numbers + has_number
        if waiting > 0 and tokens - ring[first, 1] == window:
            if 2 * (numbers - ring[first, 2]) <= window:
                value = rolling - np.uint64(ring[first, 0]) * power
                number = _emit(number, value, ring[first, 3], at, text, hashes, spans, owners)
            first, waiting = (first + 1) % (window + 1), waiting - 1


@kernel(
    types.int64(
        BYTES,
        OFFSETS,
        FLAGS,
        CLASSES,
        CODES,
        types.UniTuple(types.int64, 3),  # type: ignore[no-untyped-call]
        types.uint64[::1],
        types.int64[:, ::1],
        types.int64[::1],
        types.int64[::1],
        types.bool_[::1],
    )
)
def _find(
    data: Bytes,
    offsets: Offsets,
    wanted: npt.NDArray[np.bool_],
    classes: Classes,
    lower_case: Codes,
    limits: tuple[int, int, int],
    hashes: Hashes,
    spans: Offsets,
    owners: Counts,
    num_tokens: Counts,
    unspaced: npt.NDArray[np.bool_],
) -> int:
    """Passages of every wanted text; how many there are, and those for which there is room."""
    number = 0
    for text in range(offsets.size - 1):
        if not wanted[text]:
            continue
        place = (offsets[text], offsets[text + 1])
        unspaced[text] = is_unspaced(data, place[0], place[1], classes)
        of_text = (limits[1] if unspaced[text] else limits[0], limits[2])
        count = (number, text)
        number, num_tokens[text] = _find_in(
            data, place, classes, lower_case, unspaced[text], of_text, count, hashes, spans, owners
        )
    return number
