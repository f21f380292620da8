"""What the quality filters look at: words, lines and scripts of documents, counted in one pass over their bytes.

Words are cut as `\\w+(?:[^\\w\\s]+\\w+)*|[^\\w\\s]` does, with marks among the \\w: of the simple rules the one
that decides most often as datatrove's word tokenizer does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from tasks.text.buffers import Bytes, Offsets, texts_of
from tasks.text.characters import ALPHABETIC, LATIN, LETTER, SPACE, UNSPACED, WORD, character_classes, lower_case
from tasks.text.kernels import (
    BYTES,
    CLASSES,
    CODES,
    FNV_OFFSET,
    HASHES,
    OFFSETS,
    Classes,
    Codes,
    Counts,
    Hashes,
    code_point,
    hash_on,
    hash_word,
    kernel,
    lower,
    subroutine,
)
from tasks.text.lines import NUM_LINE_MEASURES, count_breaks, measure_lines

Floats = npt.NDArray[np.float64]

MAX_STOP_WORDS = 63
UNSPACED_SHARE = 0.3
"""Share of its letters from which a document counts as unspaced (ChineseWebText takes 30 % Chinese): one Han character
says about as much as three Latin letters, and technical Chinese is full of Latin names."""

_CHARACTERS, _LETTERS, _UNSPACED, _LATIN, _TOKENS, _WORDS, _WORD_CHARACTERS, _ALPHABETIC, _STOPS = range(9)
_NUM_WORD_MEASURES = 9
_ROWS = types.int64[:, ::1]
_ROW = types.int64[::1]


@dataclass(frozen=True)
class Measures:
    """Counts of each document, all of shape (documents,)."""

    characters: Counts
    """Characters that are not blank."""
    letters: Counts
    """Letters and marks."""
    unspaced_letters: Counts
    """Those of scripts without spaces between words."""
    latin_letters: Counts
    tokens: Counts
    """Words, and marks of punctuation that stand outside words."""
    words: Counts
    word_characters: Counts
    """Characters of words, punctuation inside them included."""
    alphabetic_words: Counts
    """Words with at least one letter."""
    stop_words: Counts
    """How many different stop words occur."""
    lines: Counts
    """Lines that are not blank."""
    line_characters: Counts
    """Their characters, blanks at both ends left out."""
    bullet_lines: Counts
    """Lines that start with a bullet."""
    ellipsis_lines: Counts
    """Lines that end with an ellipsis."""
    duplicate_lines: Counts
    """Lines that equal an earlier line."""
    duplicate_line_characters: Counts
    """Their characters."""
    hashes: Counts
    """# signs."""
    ellipses: Counts
    """Runs of three and more full stops, or with a character such as …; …… counts once."""

    @property
    def unspaced(self) -> npt.NDArray[np.bool_]:
        """Which documents are written without spaces between words."""
        return (self.letters > 0) & (self.unspaced_letters >= UNSPACED_SHARE * self.letters)


def measure(column: pa.LargeStringArray, stop_words: Sequence[str]) -> Measures:
    """Measures of every text of a column; stop words are compared in lower case."""
    assert len(stop_words) <= MAX_STOP_WORDS, f"{len(stop_words)} stop words do not fit the {MAX_STOP_WORDS} bits"
    data, offsets = texts_of(column)
    stops = np.array([hash_word(word.lower()) for word in stop_words], np.uint64)
    words = np.zeros((len(column), _NUM_WORD_MEASURES), np.int64)
    lines = np.zeros((len(column), NUM_LINE_MEASURES), np.int64)
    _measure(data, offsets, character_classes(), lower_case(), stops, words, lines)
    words[:, _STOPS] = np.bitwise_count(words[:, _STOPS])
    return Measures(*words.T, *lines.T)


@subroutine
def _close_word(row: Counts, state: np.uint64, length: int, alphabetic: int, stops: Hashes) -> None:
    """Count a word that has ended."""
    row[_TOKENS] += 1
    row[_WORDS] += 1
    row[_WORD_CHARACTERS] += length
    row[_ALPHABETIC] += alphabetic
    for index in range(stops.size):
        if stops[index] == state:
            row[_STOPS] |= np.int64(1) << index


@kernel(types.void(BYTES, types.int64, types.int64, CLASSES, CODES, HASHES, _ROW))
def _measure_words(
    data: Bytes, start: int, stop: int, classes: Classes, lower_case: Codes, stops: Hashes, row: Counts
) -> None:
    """Count characters, letters and words of the text in data[start:stop].

    `state` and `length` run over the word and the punctuation after it, `word_state` and `word_length` end with its
    last \\w: only when another \\w follows does the punctuation in between belong to the word.
    """
    state = word_state = np.uint64(FNV_OFFSET)
    length = word_length = alphabetic = 0
    at = start
    while at <= stop:
        kind, code, width = SPACE, 0, 1
        if at < stop:
            code, width = code_point(data, at)
            kind = int(classes[code] & 0xFFFF)
        at += width
        if kind & SPACE:
            if word_length > 0:
                _close_word(row, word_state, word_length, alphabetic, stops)
                row[_TOKENS] += length - word_length
                state = np.uint64(FNV_OFFSET)
                length = word_length = alphabetic = 0
            continue
        row[_CHARACTERS] += 1
        if kind & WORD or word_length > 0:
            state = hash_on(state, lower(code, lower_case))
            length += 1
        else:
            row[_TOKENS] += 1
        if kind & WORD:
            word_state, word_length = state, length
            row[_LETTERS] += kind & LETTER != 0
            row[_UNSPACED] += kind & UNSPACED != 0
            row[_LATIN] += kind & LATIN != 0
            alphabetic |= kind & ALPHABETIC != 0


@kernel(types.void(BYTES, OFFSETS, CLASSES, CODES, HASHES, _ROWS, _ROWS))
def _measure(
    data: Bytes, offsets: Offsets, classes: Classes, lower_case: Codes, stops: Hashes, words: Counts, lines: Counts
) -> None:
    most = 1
    for text in range(offsets.size - 1):
        most = max(most, count_breaks(data, offsets[text], offsets[text + 1]) + 1)
    size = 2
    while size < 2 * most:
        size *= 2
    seen, seen_in = np.zeros(size, np.uint64), np.zeros(size, np.int64)
    for text in range(offsets.size - 1):
        start, stop = offsets[text], offsets[text + 1]
        _measure_words(data, start, stop, classes, lower_case, stops, words[text])
        measure_lines(data, start, stop, classes, lines[text], seen, seen_in, text + 1)
