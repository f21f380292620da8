"""Tokens of a document as they are found: hashed, counted, and kept for the n-grams."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import types

from tasks.text.buffers import Bytes
from tasks.text.characters import (
    ALPHABETIC,
    ALPHANUMERIC,
    COUNTED,
    LATIN,
    LETTER,
    SPACE,
    SPLITTING,
    STICKY,
    UNSPACED,
    WORD,
)
from tasks.text.kernels import (
    BYTES,
    CLASSES,
    FNV_OFFSET,
    MUTABLE_COUNTS,
    MUTABLE_HASHES,
    Classes,
    Counts,
    Hashes,
    code_point,
    hash_letters,
    hash_on,
    hash_word,
    kernel,
    subroutine,
)
from tasks.text.lines import ellipsis_before, ellipsis_weight

NUM_TOKEN_MEASURES = 14
(
    LENGTH,
    CHARACTERS,
    ALPHANUMERICS,
    LETTERS,
    UNSPACED_LETTERS,
    LATIN_LETTERS,
    HASHES,
    ELLIPSES,
    TOKENS,
    WORDS,
    WORD_CHARACTERS,
    ALPHABETIC_WORDS,
    STOP_WORDS,
    STOP_CHARACTERS,
) = range(NUM_TOKEN_MEASURES)
_HASH, _SLASH, _DOT = map(ord, "#/.")
_STOP_SLOTS = 1024


class StopTable(NamedTuple):
    """A hash table of stop words, each with its bit in the word list and in the character list."""

    keys: Hashes
    word_bits: Counts
    character_bits: Counts


STOP_TABLE = (MUTABLE_HASHES, MUTABLE_COUNTS, MUTABLE_COUNTS)


def stop_table(words: Sequence[str], characters: Sequence[str]) -> StopTable:
    """Words in lower case, upper case and with a capital count as one."""
    table = StopTable(
        np.zeros(_STOP_SLOTS, np.uint64), np.zeros(_STOP_SLOTS, np.int64), np.zeros(_STOP_SLOTS, np.int64)
    )
    for stops, bits in ((words, table.word_bits), (characters, table.character_bits)):
        for index, word in enumerate(stops):
            for form in {word.lower(), word.upper(), word.capitalize()}:
                bits[_slot_of(hash_word(form), table)] |= 1 << index
    return table


def _slot_of(key: int, table: StopTable) -> int:
    slot = key % _STOP_SLOTS
    while table.keys[slot] not in (0, key):
        slot = (slot + 1) % _STOP_SLOTS
    table.keys[slot] = key
    return slot


@subroutine
def _add_token(key: np.uint64, length: int, num: int, keys: Hashes, ends: Counts, row: Counts) -> int:
    """Count a token and keep it for the n-grams; how many are kept now."""
    row[TOKENS] += 1
    if num >= keys.size:
        return num
    index = np.uint64(num)
    keys[index] = key
    ends[index + np.uint64(1)] = ends[index] + length
    return num + 1


@subroutine
def _add_word(key: np.uint64, length: int, kinds: int, num: int, keys: Hashes, ends: Counts, row: Counts) -> int:
    """Count a token that is a word; `kinds` are the classes of its characters."""
    row[WORDS] += 1
    row[WORD_CHARACTERS] += length
    row[ALPHABETIC_WORDS] += kinds & ALPHABETIC != 0
    return _add_token(key, length, num, keys, ends, row)


@subroutine
def _add_single(key: np.uint64, kind: int, num: int, keys: Hashes, ends: Counts, row: Counts) -> int:
    """Count a character that stands alone: a letter of an unspaced script is a word, a mark a token, a blank none."""
    if kind & UNSPACED:
        return _add_word(key, 1, kind, num, keys, ends, row)
    return num if kind & SPACE else _add_token(key, 1, num, keys, ends, row)


@subroutine
def _add_marks(
    data: Bytes, start: int, stop: int, num: int, classes: Classes, keys: Hashes, ends: Counts, row: Counts
) -> int:
    """Count the punctuation in data[start:stop]: a token each, or one for several of the same that stick together."""
    state, length, before = np.uint64(FNV_OFFSET), 0, -1
    at = start
    while at < stop:
        code, width = code_point(data, at)
        at += width
        if length > 0 and not (code == before and classes[code] & STICKY != 0):
            num = _add_token(state, length, num, keys, ends, row)
            state, length = np.uint64(FNV_OFFSET), 0
        state, length, before = hash_on(state, code), length + 1, code
    return _add_token(state, length, num, keys, ends, row) if length > 0 else num


@subroutine
def _end_token(
    data: Bytes,
    word_end: int,
    at: int,
    word_state: np.uint64,
    word_length: int,
    kinds: int,
    num: int,
    classes: Classes,
    keys: Hashes,
    ends: Counts,
    row: Counts,
) -> int:
    """Count the word that ended at `word_end`, if there is one, and the marks from there up to `at`."""
    if word_length > 0:
        num = _add_word(word_state, word_length, kinds, num, keys, ends, row)
    if word_end < at:
        num = _add_marks(data, word_end, at, num, classes, keys, ends, row)
    return num


@subroutine
def _count_mark(data: Bytes, start: int, at: int, code: int, row: Counts) -> None:
    """Count a # sign, or an ellipsis at the character that makes it one."""
    if code == _HASH:
        row[HASHES] += 1
        return
    before = ellipsis_before(data, start, at)
    row[ELLIPSES] += before < 3 and before + ellipsis_weight(code) >= 3


@subroutine
def _part(
    mark: int, marks: int, kind: int, classes: Classes, is_path: bool, is_dotted: bool
) -> tuple[bool, bool, bool]:
    """Whether the marks between two words part them, the second beginning with a character of this kind, and whether
    the whole looks like a path or an address so far, and like a name with dots: those stay whole."""
    is_path |= mark == _SLASH and (is_dotted or marks > 1)
    is_dotted |= mark == _DOT and kind & ALPHABETIC != 0
    parts = marks == 1 and not is_path and kind & ALPHABETIC != 0 and classes[mark] & SPLITTING != 0
    return parts, is_path, is_dotted and not parts


@subroutine
def _write_characters(
    row: Counts, characters: int, blanks: int, unspaced: int, letters: int, alphanumerics: int, latin: int
) -> None:
    row[LENGTH], row[CHARACTERS] = characters, characters - blanks
    row[ALPHANUMERICS], row[LETTERS] = alphanumerics + unspaced, letters + unspaced
    row[UNSPACED_LETTERS], row[LATIN_LETTERS] = unspaced, latin


@kernel(
    types.int64(BYTES, types.int64, types.int64, CLASSES, MUTABLE_HASHES, MUTABLE_COUNTS, MUTABLE_COUNTS),
)
def measure_tokens(
    data: Bytes, start: int, stop: int, classes: Classes, keys: Hashes, ends: Counts, row: Counts
) -> int:
    """Count characters and tokens of the text in data[start:stop]; how many tokens are kept.

    `state` and `length` run over the word and the marks after it; `word_state`, `word_length` and `word_end` stand at
    its last letter or number: the marks behind it belong to the word only when another one follows.
    """
    state = word_state = np.uint64(FNV_OFFSET)
    length = word_length = kinds = num = mark = 0
    characters = blanks = letters = alphanumerics = latin = unspaced = 0
    is_path, is_dotted, at, word_end = False, False, start, start
    while at < stop:
        code, width = code_point(data, at)
        kind = int(classes[np.uint64(code)])
        characters += 1
        if kind & COUNTED:
            _count_mark(data, start, at, code, row)
        if kind & (WORD | UNSPACED) == WORD:
            if length > word_length > 0:
                parts, is_path, is_dotted = _part(mark, length - word_length, kind, classes, is_path, is_dotted)
                if parts:
                    num = _end_token(data, word_end, at, word_state, word_length, kinds, num, classes, keys, ends, row)
                    state, length, kinds = np.uint64(FNV_OFFSET), 0, 0
            state, at = hash_on(state, code), at + width
            state, end = hash_letters(state, data, at, stop)
            run, at = end - at, end
            kinds |= kind | (ALPHABETIC if run > 0 else 0)
            letters += run + (kind & LETTER != 0)
            alphanumerics += run + (kind & ALPHANUMERIC != 0)
            latin += run + (kind & LATIN != 0)
            characters, length = characters + run, length + 1 + run
            word_state, word_length, word_end = state, length, at
            continue
        if kind & (SPACE | UNSPACED) or (word_length == 0 and not kind & STICKY):
            if length > 0:
                num = _end_token(data, word_end, at, word_state, word_length, kinds, num, classes, keys, ends, row)
                state, length, word_length, kinds, is_path, is_dotted = np.uint64(FNV_OFFSET), 0, 0, 0, False, False
            num = _add_single(hash_on(state, code), kind, num, keys, ends, row)
            unspaced += kind & UNSPACED != 0
            blanks += kind & (SPACE | UNSPACED) == SPACE
        else:
            word_end = word_end if length > 0 else at
            state, length, mark = hash_on(state, code), length + 1, code
        at += width
    if length > 0:
        num = _end_token(data, word_end, at, word_state, word_length, kinds, num, classes, keys, ends, row)
    _write_characters(row, characters, blanks, unspaced, letters, alphanumerics, latin)
    return num


@kernel(types.void(MUTABLE_HASHES, types.int64, *STOP_TABLE, MUTABLE_COUNTS))
def find_stop_words(
    keys: Hashes, num: int, stops: Hashes, word_bits: Counts, character_bits: Counts, row: Counts
) -> None:
    """Set the bits of the stop words among the first `num` tokens; the table stands as in StopTable."""
    for index in range(num):
        slot = np.int64(keys[index] & np.uint64(stops.size - 1))
        while stops[slot] != np.uint64(0):
            if stops[slot] == keys[index]:
                row[STOP_WORDS] |= word_bits[slot]
                row[STOP_CHARACTERS] |= character_bits[slot]
                break
            slot = (slot + 1) & (stops.size - 1)
