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
import pyarrow.compute as pc
from numba import types

from tasks.text.buffers import Bytes, Offsets, Texts, column_of, texts_of
from tasks.text.characters import BREAK, COMPOSES, DROP, JOINS, SPACE, ZWJ, ZWNJ, character_classes
from tasks.text.kernels import (
    BYTES,
    CLASSES,
    MUTABLE_BYTES,
    MUTABLE_OFFSETS,
    OFFSETS,
    Classes,
    code_point,
    kernel,
    subroutine,
)

_MAX_BREAKS = 3
"""Line ends in a row: two blank lines."""
_LF, _CR = 0x0A, 0x0D

Flags = npt.NDArray[np.bool_]


def normalize(column: pa.LargeStringArray) -> pa.LargeStringArray:
    """Every text in its normal form; applied twice it changes nothing more."""
    data, offsets = texts_of(column)
    cleaned = np.empty(int(offsets[-1] - offsets[0]), np.uint8)
    ends = np.zeros(len(offsets), np.int64)
    composes = np.zeros(len(column), np.bool_)
    _clean(data, offsets, character_classes(), cleaned, ends, composes)
    made = column_of(Texts(cleaned, ends))
    return _compose(made, composes) if composes.any() else made


def _compose(column: pa.LargeStringArray, which: Flags) -> pa.LargeStringArray:
    """NFC of some texts. By the standard library: pyarrow's utf8_normalize decomposes (apache/arrow#51225)."""
    mask = pa.array(which)
    composed = [unicodedata.normalize("NFC", text.as_py()) for text in column.filter(mask)]
    return pc.replace_with_mask(column, mask, pa.array(composed, pa.large_string()))


@subroutine
def _stays(code: int, kind: int, before: int, classes: Classes) -> bool:
    """Whether a character that is no line end stays, after the character that was kept before it."""
    if code in (ZWJ, ZWNJ):
        return before >= 0 and classes[before] & JOINS != 0
    return kind & DROP == 0


@kernel(types.void(BYTES, OFFSETS, CLASSES, MUTABLE_BYTES, MUTABLE_OFFSETS, types.bool_[::1]))
def _clean(data: Bytes, offsets: Offsets, classes: Classes, cleaned: Bytes, ends: Offsets, composes: Flags) -> None:
    """Write the texts without what is dropped, and mark those that may not be in NFC."""
    end = 0
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
                if kind & COMPOSES:
                    composes[text] = True
                if kind & SPACE == 0:
                    end, breaks = write, 0
            at += width
        ends[text + 1] = end - breaks if end > begin else end
        end = ends[text + 1]
