"""Text that was UTF-8 and was read as Latin-1 or Windows-1252, as in cafÃ© or ä¸\xadæ–‡, made right again.

A kernel finds lines that may hold some, ftfy judges and mends these lines only, with all its other fixes off: the width
of characters, quotation marks and Chinese punctuation stay. Comes before normalization, which drops the control
characters that such text is full of. Text of other encodings read wrongly (GBK, Big5) is left alone: charset detection
at ingest is the place for it, and what one guesses from the characters is often wrong.
"""

import re
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from tasks.text.buffers import Bytes, Offsets, texts_of
from tasks.text.kernels import BYTES, OFFSETS, Counts, kernel, subroutine
from tasks.text.splicing import Replacement, splice

if TYPE_CHECKING:
    from ftfy import TextFixerConfig

Flags = npt.NDArray[np.bool_]

_LF = 0x0A
_HAN = re.compile("[\u2e80-\u9fff\uf900-\ufaff]")


def repair(column: pa.LargeStringArray) -> tuple[pa.LargeStringArray, Flags]:
    """Every text made right, and which texts that changed."""
    texts = texts_of(column)
    lines = np.empty((int(texts.offsets[-1] - texts.offsets[0]) // 3 + 1, 3), np.int64)
    count = _find_lines(texts.data, texts.offsets, lines)
    changed = np.zeros(len(column), np.bool_)
    replacements = []
    for text, start, stop in lines[:count].tolist():
        line = texts.data[start:stop].tobytes()
        mended = _mend(line.decode()).encode()
        if mended != line:
            changed[text] = True
            replacements.append(Replacement(text, start, stop, mended))
    return splice(texts, replacements) if replacements else column, changed


def _mend(line: str) -> str:
    import ftfy

    return str(ftfy.fix_encoding(line, _only_encoding(has_han=_HAN.search(line) is not None)))


@cache
def _only_encoding(*, has_han: bool) -> "TextFixerConfig":
    """Settings of ftfy; C1 controls among Han are what broken UTF-8 left, not the marks of Windows-1252."""
    import ftfy

    return ftfy.TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_c1_controls=not has_han,
        fix_line_breaks=False,
        fix_surrogates=False,
        remove_control_chars=False,
        normalization=None,
        explain=False,
    )


@subroutine
def _continuation(data: Bytes, at: int, stop: int) -> int:
    """Width of a character that stands for a byte from 0x80 to 0xBF in Windows-1252 or Latin-1; 0 for others."""
    if at + 1 >= stop:
        return 0
    first, second = data[at], data[at + 1]
    if first == 0xC2:
        return 2
    if first == 0xC5:
        return 2 if second in (0x92, 0x93, 0xA0, 0xA1, 0xB8, 0xBD, 0xBE) else 0
    if (first == 0xC6 and second == 0x92) or (first == 0xCB and second in (0x86, 0x9C)):
        return 2
    return 3 if first == 0xE2 and second in (0x80, 0x82, 0x84) else 0


@subroutine
def _is_suspect(data: Bytes, at: int, stop: int) -> bool:
    """Whether a C1 control, or a letter for a leading byte and characters for all its continuations, stand here."""
    code = data[at + 1]
    if data[at] == 0xC2:
        return bool(code <= 0x9F and code != 0x85)
    if not 0x82 <= code <= 0xB4:
        return False
    width = _continuation(data, at + 2, stop)
    if width == 0:
        return code == 0x83 and at + 2 < stop and data[at + 2] == 0x20
    if code < 0xA0 or (code == 0xA2 and width == 3 and data[at + 3] == 0x82):
        return True
    for _ in range(2 if code >= 0xB0 else 1):
        at += width
        width = _continuation(data, at + 2, stop)
        if width == 0:
            return False
    return True


@kernel(types.int64(BYTES, OFFSETS, types.int64[:, ::1]))
def _find_lines(data: Bytes, offsets: Offsets, lines: Counts) -> int:
    """Fill in text, start and stop of each line that may hold mojibake; returns how many."""
    count = 0
    for text in range(offsets.size - 1):
        at, stop = offsets[text], offsets[text + 1]
        begin = at
        while at < stop:
            byte = data[at]
            if byte == _LF:
                begin = at + 1
            elif (byte == 0xC2 or byte == 0xC3) and _is_suspect(data, at, stop):
                while at < stop and data[at] != _LF:
                    at += 1
                lines[count, 0], lines[count, 1], lines[count, 2] = text, begin, at
                count += 1
                begin = at + 1
            at += 1
    return count
