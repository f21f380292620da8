"""C4's rules: which lines of a document stay, and how many sentences are in them.

After Raffel et al. 2020, section 2.2, and the code released with it (c4_utils.py in TensorFlow Datasets), which adds
the rules on long words, cookies and citations. Ours beyond that: full-width punctuation ends a line too, and every
letter of a script without spaces is a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import types

from params.clean import C4Rules
from tasks.text.buffers import Bytes, Offsets, Texts, column_of, texts_of
from tasks.text.characters import SPACE, TERMINAL, UNSPACED, WORD, character_classes
from tasks.text.kernels import (
    BYTES,
    CLASSES,
    COUNTS,
    MUTABLE_BYTES,
    MUTABLE_COUNTS,
    MUTABLE_OFFSETS,
    OFFSETS,
    ROWS,
    Classes,
    Counts,
    byte_at,
    code_before,
    code_point,
    is_ascii_letter,
    kernel,
    subroutine,
)
from tasks.text.lines import ellipsis_before, indented, trimmed
from tasks.text.measures import Rows

LINE_RULES = ("max_word_length", "terminal_punctuation", "min_words_per_line", "line_phrases")
"""The rules that lines break, in the order in which they are asked."""
_LONG_WORD, _UNPUNCTUATED, _FEW_WORDS, _PHRASE = range(4)
_BYTES = 4  # of the lines that break each rule, behind their number
_LINES, _KEPT, _CITATIONS, _CITATION_BYTES, _SENTENCES, _CURLY, _DOCUMENT_PHRASES = range(8, 15)
_NUM_MEASURES = 15
_NO_LIMIT = 1 << 62
_LF, _DOT, _CURLY_BRACKET, _OPEN, _CLOSE = map(ord, "\n.{[]")
_QUOTES = tuple(map(ord, "\"'”’」』"))
_RARITY = "etaoinshrdlcumwfgypbvkxjqz"
_CITATION_WORDS = np.frombuffer(b"edit]citation needed]", np.uint8)
_EDIT = 5


@dataclass(frozen=True)
class C4Measures:
    """Counts of each document, of shape (documents,) where nothing else is said."""

    broken_lines: Rows
    """Lines that break each of LINE_RULES, by the first that they break; (documents, rules)."""
    broken_bytes: Rows
    """Their UTF-8 bytes, line ends included; (documents, rules)."""
    lines: Counts
    """Lines that are not blank."""
    kept_lines: Counts
    """Those that break no rule."""
    citations: Counts
    citation_bytes: Counts
    sentences: Counts
    """In the lines that break no rule, as the next two."""
    curly_brackets: Counts
    document_phrases: Counts
    """How many different ones occur."""


class _Phrases(NamedTuple):
    """Phrases to be found, in lower case: those of lines, then those of documents."""

    data: Bytes
    tables: tuple[Counts, Counts, Counts, Counts]
    """Where each phrase begins in data, and the end; where in each phrase its rarest byte is (only there is it looked
    for); for every byte where its phrases begin in the last table; and there the numbers of the phrases."""


_PHRASES = (BYTES, types.UniTuple(COUNTS, 4))  # type: ignore[no-untyped-call]


def filter_lines(column: pa.LargeStringArray, rules: C4Rules) -> tuple[pa.LargeStringArray, C4Measures]:
    """Every text with only the lines that break no rule, and what was counted."""
    data, offsets = texts_of(column)
    kept, ends = np.empty(int(offsets[-1] - offsets[0]), np.uint8), np.zeros(len(offsets), np.int64)
    rows = np.zeros((len(column), _NUM_MEASURES), np.int64)
    limits = np.array(
        [
            _NO_LIMIT if rules.max_word_length is None else rules.max_word_length,
            rules.terminal_punctuation,
            rules.min_words_per_line or 0,
            rules.remove_citations,
            len(rules.line_phrases),
        ],
        np.int64,
    )
    phrases = _phrases(rules.line_phrases, rules.document_phrases)
    _filter(data, offsets, character_classes(), limits, *phrases, kept, ends, rows)
    rows[:, _DOCUMENT_PHRASES] = np.bitwise_count(rows[:, _DOCUMENT_PHRASES])
    return column_of(Texts(kept, ends)), C4Measures(rows[:, :_BYTES], rows[:, _BYTES:_LINES], *rows[:, _LINES:].T)


def _phrases(of_lines: Sequence[str], of_documents: Sequence[str]) -> _Phrases:
    phrases = [phrase.lower().encode() for phrase in (*of_lines, *of_documents)]
    rarest = [_rarest(phrase) for phrase in phrases]
    of_byte: list[list[int]] = [[] for _ in range(256)]
    for number, (phrase, at) in enumerate(zip(phrases, rarest, strict=True)):
        # bytes.upper changes ASCII only, as the comparison does.
        for byte in {phrase[at], phrase.upper()[at]}:
            of_byte[byte].append(number)
    tables = (
        np.cumsum([0, *map(len, phrases)]),
        np.array(rarest, np.int64),
        np.cumsum([0, *map(len, of_byte)]),
        np.array([number for numbers in of_byte for number in numbers], np.int64),
    )
    for table in tables:
        table.flags.writeable = False
    return _Phrases(np.frombuffer(b"".join(phrases) or b" ", np.uint8), tables)


def _rarest(phrase: bytes) -> int:
    """Where the rarest byte of a phrase is."""
    return max(range(len(phrase)), key=lambda at: _rarity(phrase[at]))


def _rarity(byte: int) -> int:
    """How rare a byte is in English: blanks, then letters by frequency, then all that is not ASCII."""
    return _RARITY.find(chr(byte)) if byte < 0x80 else len(_RARITY)


@subroutine
def _is_there(data: Bytes, at: int, start: int, stop: int, phrase: Bytes, first: int, size: int) -> bool:
    """Whether phrase[first:first + size] stands at a position within data[start:stop], upper or lower case."""
    if at < start or at + size > stop:
        return False
    for index in range(size):
        byte = data[at + index]
        lower = byte + 32 if 65 <= byte <= 90 else byte
        if lower != phrase[first + index]:
            return False
    return True


@subroutine
def _find_phrases(
    data: Bytes, at: int, start: int, stop: int, phrase: Bytes, tables: tuple[Counts, Counts, Counts, Counts]
) -> np.uint64:
    """Bits of the phrases that stand in data[start:stop] with their rarest byte at a position."""
    offsets, rarest, first, of_byte = tables
    found = np.uint64(0)
    byte = byte_at(data, at)
    for index in range(first[byte], first[byte + 1]):
        number = of_byte[index]
        size = offsets[number + 1] - offsets[number]
        if _is_there(data, at - rarest[number], start, stop, phrase, offsets[number], size):
            found |= np.uint64(1) << np.uint64(number)
    return found


@subroutine
def _ends_sentence(data: Bytes, start: int, at: int, stop: int, code: int, classes: Classes) -> bool:
    """Whether a mark such as . ends a sentence: not within a word, nor after a single letter (an initial)."""
    if code > 0x7F:
        return True
    if at + 1 < stop:
        following, _ = code_point(data, at + 1)
        if classes[following] & WORD:
            return False
    if code != _DOT or at == start:
        return True
    last, width = code_before(data, at)
    if classes[last] & WORD == 0 or at - width == start:
        return bool(classes[last] & WORD == 0)
    before, _ = code_before(data, at - width)
    return bool(classes[before] & WORD != 0)


@subroutine
def _citation_size(data: Bytes, at: int, stop: int) -> int:
    """Bytes of the citation mark that opens at a position; 0 if it is none."""
    if _is_there(data, at + 1, at, stop, _CITATION_WORDS, 0, _EDIT):
        return 1 + _EDIT
    if _is_there(data, at + 1, at, stop, _CITATION_WORDS, _EDIT, _CITATION_WORDS.size - _EDIT):
        return 1 + _CITATION_WORDS.size - _EDIT
    end = at + 1
    while end < stop and 48 <= data[end] <= 57:
        end += 1
    return end + 1 - at if end < stop and data[end] == _CLOSE else 0


@subroutine
def _copy_line(
    data: Bytes, start: int, stop: int, remove_citations: int, classes: Classes, kept: Bytes, end: int, row: Counts
) -> int:
    """Write a line without its citation marks behind `end`; where it ends there."""
    begin, at = end, start
    while at < stop:
        byte = byte_at(data, at)
        if byte == _OPEN and remove_citations:
            size = _citation_size(data, at, stop)
            if size > 0:
                row[_CITATIONS] += 1
                row[_CITATION_BYTES] += size
                at += size
                continue
        kept[np.uint64(end)] = byte
        end, at = end + 1, at + 1
    return trimmed(kept, begin, end, classes)


@subroutine
def _is_punctuated(kept: Bytes, start: int, stop: int, classes: Classes) -> bool:
    """Whether a line ends as a sentence does, and in no ellipsis."""
    if stop == start or ellipsis_before(kept, start, stop) >= 3:
        return False
    code, _ = code_before(kept, stop)
    return classes[code] & TERMINAL != 0 or code in _QUOTES


@kernel(
    types.int64(
        BYTES,
        types.int64,
        types.int64,
        CLASSES,
        COUNTS,
        *_PHRASES,
        MUTABLE_BYTES,
        types.int64,
        MUTABLE_COUNTS,
    )
)
def _filter_line(
    data: Bytes,
    start: int,
    stop: int,
    classes: Classes,
    limits: Counts,
    phrase: Bytes,
    tables: tuple[Counts, Counts, Counts, Counts],
    kept: Bytes,
    end: int,
    row: Counts,
) -> int:
    """Write the line in data[start:stop], not blank, behind `end` if it breaks no rule, and count what is in it; where
    it ends there, or -1 - rule for the rule that it breaks."""
    word = longest = words = sentences = curly = 0
    found, ended, at = np.uint64(0), False, start
    while at < stop:
        byte = byte_at(data, at)
        if tables[2][byte] < tables[2][byte + 1]:
            found |= _find_phrases(data, at, start, stop, phrase, tables)
        if word > 0 and not ended and is_ascii_letter(byte):
            word, at, longest = word + 1, at + 1, max(longest, word + 1)
            continue
        code, width = code_point(data, at)
        kind = classes[np.uint64(code)]
        if kind & SPACE:
            word = 0
        else:
            words += word == 0 or kind & UNSPACED != 0
            word = 1 if kind & UNSPACED else word + 1
            longest = max(longest, word)
            curly += code == _CURLY_BRACKET
            if kind & TERMINAL:
                ended |= _ends_sentence(data, start, at, stop, code, classes)
            elif ended and kind & WORD:
                sentences, ended = sentences + 1, False
        at += width
    if longest > limits[0]:
        return -1 - _LONG_WORD
    line_end = _copy_line(data, start, stop, limits[3], classes, kept, end, row)
    if limits[1] and not _is_punctuated(kept, end, line_end, classes):
        return -1 - _UNPUNCTUATED
    if words < limits[2]:
        return -1 - _FEW_WORDS
    row[_DOCUMENT_PHRASES] |= np.int64(found >> np.uint64(limits[4]))
    if found & ((np.uint64(1) << np.uint64(limits[4])) - np.uint64(1)):
        return -1 - _PHRASE
    row[_CURLY] += curly
    row[_SENTENCES] += sentences + 1
    return line_end


@kernel(types.void(BYTES, OFFSETS, CLASSES, COUNTS, *_PHRASES, MUTABLE_BYTES, MUTABLE_OFFSETS, ROWS))
def _filter(
    data: Bytes,
    offsets: Offsets,
    classes: Classes,
    limits: Counts,
    phrase: Bytes,
    tables: tuple[Counts, Counts, Counts, Counts],
    kept: Bytes,
    ends: Offsets,
    rows: Rows,
) -> None:
    end = 0
    for text in range(offsets.size - 1):
        row, first = rows[text], end
        begin = at = offsets[text]
        while begin < offsets[text + 1]:
            while at < offsets[text + 1] and byte_at(data, at) != _LF:
                at += 1
            stop = trimmed(data, begin, at, classes)
            at += 1
            if stop > begin:
                start = indented(data, begin, stop, classes)
                row[_LINES] += 1
                write = end + 1 if end > first else end
                line_end = _filter_line(data, start, stop, classes, limits, phrase, tables, kept, write, row)
                if line_end < 0:
                    row[-1 - line_end] += 1
                    row[_BYTES - 1 - line_end] += min(at, offsets[text + 1]) - begin
                else:
                    row[_KEPT] += 1
                    if write > first:
                        kept[write - 1] = _LF
                    end = line_end
            begin = at
        ends[text + 1] = end
