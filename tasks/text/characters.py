"""Classes of characters: a table over code points, built once from the Unicode database of the interpreter."""

import sys
import unicodedata
from collections.abc import Iterable
from functools import cache

import numpy as np
import numpy.typing as npt

(
    WORD,
    SPACE,
    LETTER,
    ALPHABETIC,
    UNSPACED,
    LATIN,
    DROP,
    BREAK,
    JOINS,
    COMPOSES,
    TERMINAL,
    COUNTED,
    ALPHANUMERIC,
    BULLET,
    STICKY,
    SPLITTING,
) = (1 << bit for bit in range(16))
"""WORD: letters, marks, numbers, connectors (UTS 18, annex C; Python's \\w leaves out marks, which cuts Thai and
Hindi words). LETTER: letters and marks. ALPHABETIC: letters only. UNSPACED: letters of scripts without spaces
between words. LATIN: Latin letters. DROP: invisible, removed. BREAK: ends a line. JOINS: may be followed by a
joiner. COMPOSES: may not stay as it is in NFC. TERMINAL: ends a sentence (Sentence_Terminal of UAX 44). COUNTED: #
and what ellipses are made of. ALPHANUMERIC: letters, marks and numbers. BULLET:
begins an item of a list. STICKY: belongs to the word after it, and several in a row are one token, as in spaCy.
SPLITTING: parts two words when it stands alone between them, as in spaCy."""

ZWNJ, ZWJ = 0x200C, 0x200D

_LISTED = (*range(0x323B0), *range(0xE0000, 0xE0200))
"""Between the ideographs of plane 3 and the tags of plane 14, and beyond them, nothing is assigned but private use."""

_UNSPACED_RANGES = (
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x1AAF),  # Tai Le, New Tai Lue, Khmer symbols, Tai Tham
    (0x2E80, 0x312F),  # radicals, ideographic marks, Hiragana, Katakana, Bopomofo
    (0x31A0, 0x31FF),  # Bopomofo, strokes, Katakana
    (0x3400, 0x4DBF),  # Han, extension A
    (0x4E00, 0xA4CF),  # Han, Yi
    (0xA980, 0xA9FF),  # Javanese, Myanmar
    (0xAA60, 0xAADF),  # Myanmar, Tai Viet
    (0xF900, 0xFAFF),  # Han, compatibility
    (0xFF66, 0xFF9F),  # Katakana, half width
    (0x16FE0, 0x1B2FF),  # Tangut, Khitan, Kana supplements, Nushu
    (0x20000, 0x3FFFF),  # Han, extensions B and later
)
_LATIN_RANGES = (
    (0x0041, 0x007A),
    (0x00AA, 0x02AF),
    (0x1E00, 0x1EFF),
    (0x2C60, 0x2C7F),
    (0xA720, 0xA7FF),
    (0xAB30, 0xAB6F),
    (0xFF21, 0xFF5A),
)
_DROPPED_RANGES = (
    (0x00AD, 0x00AD),  # soft hyphen
    (0x061C, 0x061C),  # Arabic letter mark (bidi)
    (0x200B, 0x200B),  # zero-width space
    (0x200E, 0x200F),  # bidi marks
    (0x202A, 0x202E),  # bidi embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, bidi isolates
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFF9, 0xFFFB),  # interlinear annotation
    (0xFFFE, 0xFFFF),  # noncharacters
    (0xE0000, 0xE007F),  # tags
)
_JOINING_RANGES = (
    (0x0600, 0x08FF),  # Arabic, Syriac, Thaana, N'Ko, Mandaic
    (0x0900, 0x0DFF),  # the scripts of India and Sri Lanka
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x18AF),  # Khmer, Mongolian
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1CFF),  # Balinese, Sundanese, Batak, Lepcha, Vedic marks
    (0xA800, 0xA8FF),  # Syloti Nagri, Phags-pa, Saurashtra, Devanagari
    (0xA980, 0xA9FF),  # Javanese, Myanmar
    (0xAA60, 0xAA7F),  # Myanmar
    (0xABC0, 0xABFF),  # Meetei Mayek
    (0x10A00, 0x10A5F),  # Kharoshthi
    (0x11000, 0x11FFF),  # Brahmi and its descendants
)
_TERMINAL_CODES = (
    0x21, 0x2E, 0x3F, 0x589, 0x61D, 0x61E, 0x61F, 0x6D4, 0x700, 0x701, 0x702, 0x7F9, 0x837, 0x839, 0x83D, 0x83E, 0x964,
    0x965, 0x104A, 0x104B, 0x1362, 0x1367, 0x1368, 0x166E, 0x1735, 0x1736, 0x17D4, 0x17D5, 0x1803, 0x1809, 0x1944,
    0x1945, 0x1AA8, 0x1AA9, 0x1AAA, 0x1AAB, 0x1B5A, 0x1B5B, 0x1B5E, 0x1B5F, 0x1B7D, 0x1B7E, 0x1C3B, 0x1C3C, 0x1C7E,
    0x1C7F, 0x203C, 0x203D, 0x2047, 0x2048, 0x2049, 0x2E2E, 0x2E3C, 0x2E53, 0x2E54, 0x3002, 0xA4FF, 0xA60E, 0xA60F,
    0xA6F3, 0xA6F7, 0xA876, 0xA877, 0xA8CE, 0xA8CF, 0xA92F, 0xA9C8, 0xA9C9, 0xAA5D, 0xAA5E, 0xAA5F, 0xAAF0, 0xAAF1,
    0xABEB, 0xFE52, 0xFE56, 0xFE57, 0xFF01, 0xFF0E, 0xFF1F, 0xFF61,
)  # fmt: skip
"""The members of Sentence_Terminal in the scripts of today; in the older ones it has some eighty more."""
_COUNTED_CODES = tuple(map(ord, "#.。…⋯"))
_BULLET_CODES = tuple(map(ord, "-*·–•‣⁃■▪▶○●◦・"))
_STICKY_CODES = tuple(map(ord, "-/\\|^~@+."))
_SPLITTING_CODES = tuple(map(ord, "-/:=<>,"))
_EMOJI_MODIFIERS = ((0xFE0F, 0xFE0F), (0x1F3FB, 0x1F3FF))
_HANGUL_VOWELS_AND_TAILS = ((0x1161, 0x1175), (0x11A8, 0x11C2))
_BREAKS = "\n\r\x0b\x0c\x85\u2028\u2029"


@cache
def character_classes() -> npt.NDArray[np.uint16]:
    """Class bits of every code point, shape (0x110000,)."""
    categories = np.array([unicodedata.category(chr(code)) for code in _LISTED], "U2")
    major = categories.astype("U1")
    letters = np.isin(major, ["L", "M"])
    table = np.zeros(sys.maxunicode + 1, np.uint16)
    for bit, members in (
        (WORD, letters | (major == "N") | (categories == "Pc")),
        (LETTER, letters),
        (ALPHANUMERIC, letters | (major == "N")),
        (ALPHABETIC, major == "L"),
        (DROP, categories == "Cc"),
        (JOINS, categories == "So"),
        (SPACE, [chr(code).isspace() for code in _LISTED]),
    ):
        table[np.array(_LISTED)[members]] |= bit
    _mark(table, _UNSPACED_RANGES, UNSPACED, among=LETTER)
    _mark(table, _LATIN_RANGES, LATIN, among=LETTER)
    _mark(table, _JOINING_RANGES, JOINS, among=LETTER)
    _mark(table, _EMOJI_MODIFIERS, JOINS)
    _mark(table, _DROPPED_RANGES, DROP)
    _mark(table, ((code, code) for code in _may_compose()), COMPOSES)
    _mark(table, _HANGUL_VOWELS_AND_TAILS, COMPOSES)
    for codes, bit in (
        (_TERMINAL_CODES, TERMINAL),
        (_COUNTED_CODES, COUNTED),
        (_BULLET_CODES, BULLET),
        (_STICKY_CODES, STICKY),
        (_SPLITTING_CODES, SPLITTING),
    ):
        table[list(codes)] |= bit
    table[[ord("\t"), *map(ord, _BREAKS)]] &= ~np.uint16(DROP)
    table[list(map(ord, _BREAKS))] |= BREAK
    table.flags.writeable = False
    return table


@cache
def classes_between_blanks() -> npt.NDArray[np.uint16]:
    """The same where everything between blanks is of words: punctuation too."""
    table = character_classes().copy()
    table[table & SPACE == 0] |= WORD
    table.flags.writeable = False
    return table


@cache
def lower_case() -> npt.NDArray[np.uint32]:
    """The lower-case code point of each one below 0x20000; a letter whose lower case is longer than one stays."""
    table = np.arange(0x20000, dtype=np.uint32)
    for code in range(len(table)):
        lower = chr(code).lower()
        if len(lower) == 1:
            table[code] = ord(lower)
    table.flags.writeable = False
    return table


def _mark(table: npt.NDArray[np.uint16], ranges: Iterable[tuple[int, int]], bit: int, among: int = 0) -> None:
    for first, last in ranges:
        part = table[first : last + 1]
        part[(part & among) != 0 if among else slice(None)] |= bit


def _may_compose() -> set[int]:
    """Code points whose NFC_Quick_Check is No or Maybe, or that may be reordered (UAX 15, section 9)."""
    found: set[int] = set()
    for code in _LISTED:
        character = chr(code)
        parts = unicodedata.decomposition(character)
        if parts and not parts.startswith("<"):
            found.update(int(part, 16) for part in parts.split()[1:])
        if unicodedata.combining(character) or not unicodedata.is_normalized("NFC", character):
            found.add(code)
    return found
