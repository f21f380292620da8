"""Where personal data may begin: one pass over the bytes, so that the exact checks see a few places only.

Each position is looked at a bounded number of times, whatever the text, so the pass is linear.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from tasks.text.buffers import Bytes, Offsets, Texts
from tasks.text.kernels import BYTES, MUTABLE_OFFSETS, OFFSETS, Counts, kernel, subroutine

AT, DOTTED, COLONS, NUMBER, PLUS, BRACKET, COUNTRY, KEY = range(8)
"""What was seen: an @ between letters; four numbers with dots; a group of four hexadecimal digits and a colon; digits
in the shape of a phone, card or identity number; + or an opening bracket before a digit; two capitals and two
digits; the first characters of a key."""

_NOTHING, _DIGIT, _FIRST, _SIGN = range(4)
_HORIZON = 24
"""Bytes within which the digits of a number are counted; 19 digits in groups of four take 23."""
_MIN_PHONE_DIGITS = 7


class Candidates(NamedTuple):
    """Places in texts, in order; all of shape (candidates,)."""

    texts: Counts
    """Index of the text."""
    positions: Counts
    """Byte in the data of all texts."""
    signs: Counts
    """AT, DOTTED, …"""


def find_candidates(texts: Texts) -> Candidates:
    """All places where a kind of personal data may begin."""
    capacity = int(texts.offsets[-1] - texts.offsets[0])  # one a byte at most; memory that stays untouched costs none
    found = Candidates(*(np.empty(capacity, np.int64) for _ in range(3)))
    count = _scan(texts.data, texts.offsets, _starts(), *found)
    return Candidates(*(part[:count] for part in found))


def _starts() -> npt.NDArray[np.uint8]:
    """What each byte may begin."""
    table = np.zeros(256, np.uint8)
    table[list(b"0123456789")] = _DIGIT
    table[list(b"AgesS-")] = _FIRST
    table[list(b"@+(")] = _SIGN
    return table


@subroutine
def _is_digit(byte: int) -> bool:
    return 0x30 <= byte <= 0x39


@subroutine
def _is_letter(byte: int) -> bool:
    return 0x61 <= (byte | 0x20) <= 0x7A


@subroutine
def _is_hex(byte: int) -> bool:
    return _is_digit(byte) or 0x61 <= (byte | 0x20) <= 0x66


@subroutine
def _is_word(byte: int) -> bool:
    return _is_digit(byte) or _is_letter(byte) or byte == 0x5F


@subroutine
def _is_capital(byte: int) -> bool:
    return 0x41 <= byte <= 0x5A


@subroutine
def _is_gap(byte: int) -> bool:
    """A blank, full stop or hyphen, one of which may stand between the groups of a number."""
    return byte in (0x20, 0x2D, 0x2E)


@subroutine
def _is_fraction(data: Bytes, start: int, at: int) -> bool:
    """Whether a digit and a full stop stand before."""
    return at - 2 >= start and data[at - 1] == 0x2E and _is_digit(data[at - 2])


@subroutine
def _end_of_digits(data: Bytes, at: int, stop: int) -> int:
    """Where the run of digits that starts here ends."""
    while at < stop and _is_digit(data[at]):
        at += 1
    return at


@subroutine
def _spells(data: Bytes, at: int, stop: int, word: bytes) -> bool:
    """Whether a lower-case word stands here, in either case; a hyphen in it matches - only."""
    if at + len(word) > stop:
        return False
    for index in range(len(word)):
        byte = data[at + index]
        if 0x41 <= byte <= 0x5A:
            byte |= 0x20
        if byte != word[index]:
            return False
    return True


@subroutine
def _starts_key(data: Bytes, at: int, stop: int) -> bool:
    """Whether the first characters of a key stand here."""
    if at + 12 > stop:
        return False
    second = data[at + 1] | 0x20
    first = data[at]
    if first == 0x41:
        return (second == 0x6B or second == 0x73) and (
            _spells(data, at, stop, b"akia") or _spells(data, at, stop, b"asia")
        )
    if first == 0x67:
        if second == 0x68:
            return bool(data[at + 3] == 0x5F)
        return second == 0x69 and _spells(data, at, stop, b"github_pat_")
    if first == 0x65:
        return bool(data[at + 1] == 0x79 and data[at + 2] == 0x4A)
    if first == 0x2D:
        return data[at + 1] == 0x2D and _spells(data, at, stop, b"-----begin ")
    return second == 0x65 and data[at + 2] | 0x20 == 0x63 and _spells(data, at, stop, b"secret")


@subroutine
def _end_of_address(data: Bytes, at: int, stop: int) -> int:
    """Where four numbers below 1,000 with dots between end, or -1."""
    for part in range(4):
        end = _end_of_digits(data, at, min(at + 4, stop))
        if end == at or end - at > 3:
            return -1
        if part == 3:
            return end
        if end >= stop or data[end] != 0x2E:
            return -1
        at = end + 1
    return -1


@subroutine
def _is_decimal(data: Bytes, end: int, stop: int) -> bool:
    """Whether digits that end here go on with one full stop and digits, and no further full stop and digit."""
    if end + 1 >= stop or data[end] != 0x2E or not _is_digit(data[end + 1]):
        return False
    end = _end_of_digits(data, end + 1, min(stop, end + _HORIZON))
    return end + 1 >= stop or data[end] != 0x2E or not _is_digit(data[end + 1])


@subroutine
def _count_digits(data: Bytes, at: int, stop: int) -> int:
    """Digits from here on, single gaps and closing brackets between them, within the horizon."""
    found, gaps = 0, 0
    for index in range(at, min(at + _HORIZON, stop)):
        if _is_digit(data[index]):
            found, gaps = found + 1, 0
        elif gaps < 2 and (_is_gap(data[index]) or data[index] == 0x29):
            gaps += 1
        else:
            break
    return found


@subroutine
def _may_be_number(data: Bytes, start: int, at: int, end: int, stop: int) -> bool:
    """Whether the digits data[at:end] begin something in the shape of a phone, card or identity number."""
    length = end - at
    if length >= 11:
        return length <= 19
    if end >= stop:
        return length >= _MIN_PHONE_DIGITS
    if length == 3 and data[at] == 0x30 and data[end] == 0xEF:
        return True
    if _is_decimal(data, end, stop):
        return False
    if _count_digits(data, at, stop) < _MIN_PHONE_DIGITS:
        return False
    before = at - 1
    if before >= start and _is_gap(data[before]):
        before -= 1
    return before < start or not _is_digit(data[before]) or length >= _MIN_PHONE_DIGITS or length in (3, 4)


@subroutine
def _sign_of_digits(data: Bytes, start: int, at: int, end: int, stop: int) -> int:
    """What the digits data[at:end] may begin, or -1; they begin a word or number."""
    if end - at <= 3 and end < stop and data[end] == 0x2E and _end_of_address(data, at, stop) > 0:
        return DOTTED
    is_group = at + 5 <= stop and data[at + 4] == 0x3A and 0x32 <= data[at] <= 0x33
    if is_group and _is_hex(data[at + 1]) and _is_hex(data[at + 2]) and _is_hex(data[at + 3]):
        return COLONS
    return NUMBER if _may_be_number(data, start, at, end, stop) else -1


@subroutine
def _starts_account(data: Bytes, start: int, at: int, end: int, stop: int) -> bool:
    """Whether two capitals before, and two digits and more after, begin an international account number."""
    if at - 2 < start or end - at < 2 or not (_is_capital(data[at - 1]) and _is_capital(data[at - 2])):
        return False
    return at + 10 <= stop and (at - 3 < start or not _is_word(data[at - 3]))


@subroutine
def _sign_of_mark(data: Bytes, start: int, at: int, stop: int) -> int:
    """What an @, + or opening bracket may begin, or -1."""
    if at + 1 >= stop:
        return -1
    before = data[at - 1] if at > start else 0x20
    after = data[at + 1]
    if data[at] == 0x40:
        return AT if (_is_word(before) or before in (0x2B, 0x2D)) and (_is_digit(after) or _is_letter(after)) else -1
    if not _is_digit(after) or _is_word(before):
        return -1
    if data[at] == 0x2B:
        return PLUS
    closing = at + 4
    return BRACKET if closing < stop and data[closing] == 0x29 and _end_of_digits(data, at + 1, stop) == closing else -1


@kernel(types.int64(BYTES, OFFSETS, BYTES, MUTABLE_OFFSETS, MUTABLE_OFFSETS, MUTABLE_OFFSETS))
def _scan(data: Bytes, offsets: Offsets, starts: Bytes, texts: Counts, positions: Counts, signs: Counts) -> int:
    """Fill in the candidates; returns how many there are."""
    count = 0
    for text in range(offsets.size - 1):
        start, stop = offsets[text], offsets[text + 1]
        at = start
        while at < stop:
            what = starts[data[at]]
            if what == _NOTHING:
                at += 1
                continue
            sign, place, end = -1, at, at + 1
            is_inside = at > start and (_is_word(data[at - 1]) or _is_fraction(data, start, at))
            if what == _DIGIT:
                end = _end_of_digits(data, at, stop)
                if not is_inside:
                    sign = _sign_of_digits(data, start, at, end, stop)
                elif _starts_account(data, start, at, end, stop):
                    sign, place = COUNTRY, at - 2
            elif what == _SIGN:
                sign = _sign_of_mark(data, start, at, stop)
            elif (data[at] | 0x20 == 0x73 or not is_inside) and _starts_key(data, at, stop):
                sign = KEY
            if sign >= 0:
                texts[count], positions[count], signs[count] = text, place, sign
                count += 1
            at = end
    return count
