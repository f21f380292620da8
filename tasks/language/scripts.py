"""How much of a text is Han, kana, hangul and other letters, counted over its first characters."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import types

from tasks.text.buffers import Bytes, Offsets, Texts
from tasks.text.characters import LETTER, character_classes
from tasks.text.kernels import BYTES, OFFSETS, Counts, code_point, kernel

_OTHER, _HAN, _KANA, _HANGUL, _SIMPLIFIED, _TRADITIONAL, _SMALL = 1, 2, 4, 8, 16, 32, 64
_NUM_BITS = 7
_HAN_RANGES = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
_KANA_RANGES = ((0x3041, 0x309F), (0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F))
_HANGUL_RANGES = ((0x1100, 0x11FF), (0x3131, 0x318E), (0xA960, 0xA97C), (0xAC00, 0xD7FB))
_CHARSETS = ((0x4E00, 0x9FFF), "gb2312", "big5")
"""A character of GB 2312 that is not in Big5 is simplified, the other way round traditional (or rare in both)."""


@dataclass(frozen=True)
class Scripts:
    """Letters of each text by script, and where its sample ends; all of shape (documents,)."""

    other: Counts
    han: Counts
    kana: Counts
    hangul: Counts
    simplified: Counts
    """Han characters that only simplified Chinese writes."""
    traditional: Counts
    """Han characters that only traditional Chinese writes."""
    small: Counts
    """Letters from a to z."""
    ends: Counts
    """Byte in the data of all texts after the sample."""


def count_scripts(texts: Texts, sample_characters: int) -> Scripts:
    """Letters by script among the first characters of each text."""
    counts = np.zeros((len(texts.offsets) - 1, _NUM_BITS), np.int64)
    ends = np.zeros(len(counts), np.int64)
    _count(texts.data, texts.offsets, _script_bits(), sample_characters, counts, ends)
    other, han, kana, hangul, simplified, traditional, small = counts.T
    return Scripts(other, han, kana, hangul, simplified, traditional, small, ends)


@cache
def _script_bits() -> npt.NDArray[np.uint8]:
    """Script of every code point, shape (0x110000,)."""
    is_letter = (character_classes() & LETTER) != 0
    table = np.where(is_letter, np.uint8(_OTHER), np.uint8(0))
    for ranges, bit in ((_HAN_RANGES, _HAN), (_KANA_RANGES, _KANA), (_HANGUL_RANGES, _HANGUL)):
        for first, last in ranges:
            table[first : last + 1] = np.where(is_letter[first : last + 1], np.uint8(bit), np.uint8(0))
    (first, last), simplified, traditional = _CHARSETS
    for code in range(first, last + 1):
        is_simplified, is_traditional = _has(simplified, code), _has(traditional, code)
        if is_simplified != is_traditional:
            table[code] |= _SIMPLIFIED if is_simplified else _TRADITIONAL
    table[ord("a") : ord("z") + 1] |= _SMALL
    table.flags.writeable = False
    return table


def _has(charset: str, code: int) -> bool:
    return bool(chr(code).encode(charset, "ignore"))


@kernel(types.void(BYTES, OFFSETS, BYTES, types.int64, types.int64[:, ::1], types.int64[::1]))
def _count(data: Bytes, offsets: Offsets, table: Bytes, most: int, counts: Counts, ends: Counts) -> None:
    for text in range(offsets.size - 1):
        at, stop, seen = offsets[text], offsets[text + 1], 0
        while at < stop and seen < most:
            code, width = code_point(data, at)
            bits = table[code]
            for index in range(_NUM_BITS):
                counts[text, index] += bits >> index & 1
            at += width
            seen += 1
        ends[text] = at
