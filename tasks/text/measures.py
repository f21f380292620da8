"""What the quality filters look at: characters, words, lines and n-grams of documents, counted in one pass.

Words are cut as `\\w+(?:[^\\w\\s]+\\w+)*` does, with marks among the \\w, but at a single - / : = < > or comma before a
letter, and with the dashes and slashes right before them: of the simple rules the ones that decide most often as
datatrove's word tokenizer (spaCy's) does. Every letter of a script without spaces is a word of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from tasks.text.buffers import Bytes, Offsets, texts_of
from tasks.text.characters import character_classes, classes_between_blanks
from tasks.text.kernels import BYTES, CLASSES, COUNTS, OFFSETS, ROWS, Classes, Counts, Hashes, kernel
from tasks.text.lines import LINE_TABLE, NUM_LINE_MEASURES, count_breaks, line_table, measure_lines
from tasks.text.ngrams import NGRAM_SCRATCH, Ids, measure_ngrams, ngram_scratch
from tasks.text.tokens import (
    LETTERS,
    NUM_TOKEN_MEASURES,
    STOP_CHARACTERS,
    STOP_TABLE,
    STOP_WORDS,
    UNSPACED_LETTERS,
    find_stop_words,
    measure_tokens,
    stop_table,
)

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

UNSPACED_SHARE = 0.3
"""Share of its letters from which a document counts as unspaced (ChineseWebText takes 30 % Chinese): one Han character
says about as much as three Latin letters, and technical Chinese is full of Latin names."""


@dataclass(frozen=True)
class Measures:
    """Counts of each document, of shape (documents,) where nothing else is said."""

    length: Counts
    """All characters."""
    characters: Counts
    """Those that are not blank."""
    alphanumeric: Counts
    """Letters, marks and numbers."""
    letters: Counts
    """Letters and marks."""
    unspaced_letters: Counts
    """Those of scripts without spaces between words."""
    latin_letters: Counts
    hashes: Counts
    """# signs."""
    ellipses: Counts
    """Runs of three and more full stops, or with a character such as …; …… counts once."""
    tokens: Counts
    """Words, and marks of punctuation that stand outside words."""
    words: Counts
    word_characters: Counts
    """Characters of words, punctuation inside them included."""
    alphabetic_words: Counts
    """Words with at least one letter."""
    stop_words: Counts
    """How many different ones occur."""
    stop_characters: Counts
    newlines: Counts
    lines: Counts
    """Lines that are not blank."""
    line_characters: Counts
    """Their characters, blanks at the end left out."""
    longest_line: Counts
    bullet_lines: Counts
    """Lines that start with a bullet."""
    ellipsis_lines: Counts
    """Lines that end with an ellipsis."""
    punctuated_lines: Counts
    """Lines that end with what ends a sentence."""
    short_lines: Counts
    short_lines_unspaced: Counts
    """The same by the limit for unspaced scripts."""
    duplicate_lines: Counts
    """Lines that equal an earlier line."""
    duplicate_line_characters: Counts
    paragraphs: Counts
    """Lines up to a blank one."""
    duplicate_paragraphs: Counts
    duplicate_paragraph_characters: Counts
    remembered: Counts
    """Different lines and paragraphs, up to the limit of the memory."""
    ngrams: Rows
    """Characters in n-grams, as asked for; (documents, sizes)."""

    def take(self, rows: Rows) -> "Measures":
        """Those of some documents."""
        return Measures(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def unspaced(self) -> npt.NDArray[np.bool_]:
        """Which documents are written without spaces between words."""
        return (self.letters > 0) & (self.unspaced_letters >= UNSPACED_SHARE * self.letters)


@dataclass(frozen=True)
class NgramSizes:
    """Which n-grams are measured, and how."""

    sizes: tuple[int, ...] = ()
    num_top: int = 0
    """For so many of the sizes the most frequent n-gram; for the others all that came before."""
    count_single: bool = False
    """The most frequent n-gram counts even if it occurs once."""

    @property
    def row(self) -> list[int]:
        """The last two as the kernel reads them."""
        return [self.num_top, int(self.count_single)]


@dataclass(frozen=True)
class Request:
    """What is to be measured; anything that is always the same is not here."""

    stop_words: Sequence[str] = ()
    stop_characters: Sequence[str] = ()
    short_line_lengths: tuple[int, int] = (30, 30)
    ngrams: NgramSizes = NgramSizes()
    """In spaced scripts."""
    ngrams_unspaced: NgramSizes = NgramSizes()
    split_at_blanks: bool = False


def measure(column: pa.LargeStringArray, request: Request) -> Measures:
    """Measures of every text of a column."""
    data, offsets = texts_of(column)
    sizes, sizes_unspaced = (np.array(of.sizes, np.int64) for of in (request.ngrams, request.ngrams_unspaced))
    width = max(len(sizes), len(sizes_unspaced))
    tokens, lines, ngrams = (
        np.zeros((len(column), columns), np.int64) for columns in (NUM_TOKEN_MEASURES, NUM_LINE_MEASURES, width)
    )
    arguments: tuple[Any, ...] = (
        data,
        offsets,
        classes_between_blanks() if request.split_at_blanks else character_classes(),
        *stop_table(request.stop_words, request.stop_characters),
        np.array(request.short_line_lengths),
        *line_table(_most_lines(data, offsets)),
        sizes,
        sizes_unspaced,
        np.array([request.ngrams.row, request.ngrams_unspaced.row]),
        *ngram_scratch(int(np.diff(offsets).max(initial=0))),
        tokens,
        lines,
        ngrams,
    )
    _measure(*arguments)
    tokens[:, [STOP_WORDS, STOP_CHARACTERS]] = np.bitwise_count(tokens[:, [STOP_WORDS, STOP_CHARACTERS]])
    return Measures(*[*tokens.T, *lines.T, ngrams])


@kernel(types.int64(BYTES, OFFSETS))
def _most_lines(data: Bytes, offsets: Offsets) -> int:
    """Lines of the document that has most of them."""
    most = 0
    for text in range(offsets.size - 1):
        most = max(most, count_breaks(data, offsets[text], offsets[text + 1]) + 1)
    return most


_SIGNATURE = (
    *(BYTES, OFFSETS, CLASSES, *STOP_TABLE),
    *(COUNTS, *LINE_TABLE, COUNTS, COUNTS, ROWS, *NGRAM_SCRATCH),
    *(ROWS, ROWS, ROWS),
)


@kernel(types.void(*_SIGNATURE))
def _measure(
    data: Bytes,
    offsets: Offsets,
    classes: Classes,
    stops: Hashes,
    word_bits: Counts,
    character_bits: Counts,
    short: Counts,
    lines_seen: Hashes,
    seen_in: Counts,
    sizes: Counts,
    sizes_unspaced: Counts,
    how: Rows,
    keys: Hashes,
    ends: Counts,
    places: Ids,
    groups: Ids,
    counts: Ids,
    table: Hashes,
    tokens: Rows,
    lines: Rows,
    ngrams: Rows,
) -> None:
    base = 1
    for text in range(offsets.size - 1):
        start, stop, row = offsets[text], offsets[text + 1], tokens[text]
        num = measure_tokens(data, start, stop, classes, keys, ends, row)
        find_stop_words(keys, num, stops, word_bits, character_bits, row)
        measure_lines(data, start, stop, classes, short, lines_seen, seen_in, text + 1, lines[text])
        unspaced = row[UNSPACED_LETTERS] > 0 and row[UNSPACED_LETTERS] >= UNSPACED_SHARE * row[LETTERS]
        wanted = sizes_unspaced if unspaced else sizes
        top, single = how[int(unspaced)]
        base = measure_ngrams(num, wanted, top, single, base, keys, ends, places, groups, counts, table, ngrams[text])
