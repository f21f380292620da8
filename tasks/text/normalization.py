"""Normal form of texts: NFC, one kind of line end, nothing invisible, no trailing blanks, no long gaps.

Kept as they are: the width of characters and punctuation (，！“” stay), tabs, indentation (also by ideographic spaces)
and case. Removed: control, zero-width, bidirectional and tag characters, soft hyphens and byte order marks. The joiners
U+200C and U+200D stay right after a letter or mark of a script that spells with them (Arabic, Indic, Khmer, Mongolian,
…) or after a symbol (emoji sequences), and go elsewhere. Line and paragraph separators, form feeds and vertical tabs
become line ends. Blank lines at both ends go; between paragraphs at most two stay.
"""

import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from tasks.text.buffers import Bytes, Offsets, Texts, column_of, texts_of
from tasks.text.characters import BREAK, COMPOSES, DROP, JOINS, SPACE, ZWJ, ZWNJ, character_classes
from tasks.text.kernels import (
    BYTES,
    CLASSES,
    MUTABLE_BYTES,
    MUTABLE_OFFSETS,
    OFFSETS,
    ROWS,
    Classes,
    code_point,
    kernel,
    subroutine,
)
from tasks.text.splicing import Replacement, splice

_MAX_BREAKS = 3
"""Line ends in a row: two blank lines."""
_LF, _CR = 0x0A, 0x0D

Rows = npt.NDArray[np.int64]
_NOWHERE = np.empty((0, 3), np.int64)


def normalize(column: pa.LargeStringArray) -> pa.LargeStringArray:
    """Every text in its normal form; applied twice it changes nothing more."""
    data, offsets = texts_of(column)
    cleaned = np.empty(int(offsets[-1] - offsets[0]), np.uint8)
    ends = np.zeros(len(offsets), np.int64)
    composes = _clean(data, offsets, character_classes(), cleaned, ends)
    made = column_of(Texts(cleaned, ends))
    return _compose(made) if composes else made


def _compose(column: pa.LargeStringArray) -> pa.LargeStringArray:
    """NFC of the lines that may not be in it, no line end composes with anything. By the standard library: pyarrow's
    utf8_normalize decomposes (apache/arrow#51225)."""
    texts = texts_of(column)
    found = np.empty((_find_lines(texts.data, texts.offsets, character_classes(), _NOWHERE), 3), np.int64)
    _find_lines(texts.data, texts.offsets, character_classes(), found)
    replacements = []
    for text, start, stop in found.tolist():
        before = texts.data[start:stop].tobytes()
        composed = unicodedata.normalize("NFC", before.decode()).encode()
        if composed != before:
            replacements.append(Replacement(text, start, stop, composed))
    return splice(texts, replacements) if replacements else column


@kernel(types.int64(BYTES, OFFSETS, CLASSES, ROWS))
def _find_lines(data: Bytes, offsets: Offsets, classes: Classes, found: Rows) -> int:
    """How many lines may not be in NFC; writes as many as there is room for: which text, where they start and stop."""
    num = 0
    for text in range(offsets.size - 1):
        at = start = offsets[text]
        composes = False
        while at < offsets[text + 1]:
            code, width = code_point(data, at)
            composes |= classes[np.uint64(code)] & COMPOSES != 0
            at += width
            if code == _LF or at == offsets[text + 1]:
                if composes:
                    if num < found.shape[0]:
                        found[num, 0], found[num, 1], found[num, 2] = text, start, at
                    num += 1
                start, composes = at, False
    return num


@subroutine
def _stays(code: int, kind: int, before: int, classes: Classes) -> bool:
    """Whether a character that is no line end stays, after the character that was kept before it."""
    if code in (ZWJ, ZWNJ):
        return before >= 0 and classes[before] & JOINS != 0
    return kind & DROP == 0


@kernel(types.bool_(BYTES, OFFSETS, CLASSES, MUTABLE_BYTES, MUTABLE_OFFSETS))
def _clean(data: Bytes, offsets: Offsets, classes: Classes, cleaned: Bytes, ends: Offsets) -> bool:
    """Write the texts without what is dropped; whether one may not be in NFC."""
    end, composes = 0, False
    for text in range(offsets.size - 1):
        begin = end
        write, breaks, before = begin, 0, -1
        at, stop = offsets[text], offsets[text + 1]
        while at < stop:
            code, width = code_point(data, at)
            kind = classes[code]
            if kind & BREAK:
                is_half = code == _CR and at + 1 < stop and data[at + 1] == _LF
                if not is_half and end > begin and breaks < _MAX_BREAKS:
                    cleaned[end] = _LF
                    end += 1
                    breaks += 1
                write, before = end, -1
            elif _stays(code, kind, before, classes):
                for index in range(width):
                    cleaned[write + index] = data[at + index]
                write += width
                before = code
                composes |= kind & COMPOSES != 0
                if kind & SPACE == 0:
                    end, breaks = write, 0
            at += width
        ends[text + 1] = end - breaks if end > begin else end
        end = ends[text + 1]
    return composes
