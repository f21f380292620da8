"""The texts of plain JSON lines, decoded by a kernel: readers on several threads would queue for the interpreter.

A line is plain when it is one object in strict JSON whose text, under a key at the top, is a string that is not blank.
The kernel says where it meets another one, and leaves what that is worth to the readers that name reasons.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from tasks.text.buffers import Bytes, Offsets, Texts
from tasks.text.kernels import (
    BYTES,
    MUTABLE_BYTES,
    MUTABLE_OFFSETS,
    byte_at,
    eight_bytes,
    kernel,
    subroutine,
    trailing_zeros,
)

_QUOTE, _BACKSLASH, _SLASH, _COMMA, _COLON = ord('"'), ord("\\"), ord("/"), ord(","), ord(":")
_OPEN, _CLOSE, _OPEN_ARRAY, _CLOSE_ARRAY = ord("{"), ord("}"), ord("["), ord("]")
_SPACE, _TAB, _FEED, _RETURN = ord(" "), ord("\t"), ord("\n"), ord("\r")
_ZERO, _NINE, _PLUS, _MINUS, _POINT = ord("0"), ord("9"), ord("+"), ord("-"), ord(".")
_KEY, _KEY_OR_END, _AFTER_KEY, _VALUE, _VALUE_OR_END, _AFTER_VALUE = range(6)
"""What the parser waits for."""
_MAX_DEPTH = 60
"""Of brackets: one bit each says whether it is an object's."""
_MAX_DIGITS, _MAX_EXPONENT_DIGITS = 100, 2
"""Of the whole part of a number, of its fraction and of its exponent; no such number is too large for JSON readers."""
_FAILED = -1
_ROOM = 8
"""Bytes that may be written past the end of a text."""

_ONES = np.uint64(0x0101010101010101)
_HIGH = np.uint64(0x80) * _ONES
_QUOTES, _BACKSLASHES, _SPACES = (np.uint64(byte) * _ONES for byte in (_QUOTE, _BACKSLASH, _SPACE))


class PlainLines(NamedTuple):
    """The texts of plain lines that follow each other, and where in the data the first other one begins."""

    texts: Texts
    stopped_at: int


def read_plain_lines(data: Bytes, at: int, key: bytes, max_lines: int) -> PlainLines:
    """The texts of the plain lines from a position on; every line ends with a line feed, also the last."""
    texts = np.empty(data.size - at + _ROOM, np.uint8)
    offsets = np.zeros(max_lines + 1, np.int64)
    num_lines, stopped_at = _read_lines(data, at, np.frombuffer(key, np.uint8), texts, offsets)
    used = texts[: offsets[num_lines]].copy()  # what waits to be written keeps no empty room
    return PlainLines(Texts(used, offsets[: num_lines + 1].copy()), stopped_at)


@subroutine
def _put(texts: Bytes, at: int, byte: int) -> int:
    texts[np.uint64(at)] = byte
    return at + 1


@subroutine
def _put_eight(texts: Bytes, at: int, word: np.uint64) -> None:
    """Written out, for then LLVM makes one store of them."""
    for byte in range(8):
        texts[np.uint64(at + byte)] = (word >> np.uint64(8 * byte)) & np.uint64(0xFF)


@subroutine
def _put_code(texts: Bytes, at: int, code: int) -> int:
    """A code point in UTF-8."""
    if code < 0x80:
        return _put(texts, at, code)
    if code < 0x800:
        return _put(texts, _put(texts, at, 0xC0 | code >> 6), 0x80 | code & 0x3F)
    if code < 0x10000:
        at = _put(texts, at, 0xE0 | code >> 12)
    else:
        at = _put(texts, _put(texts, at, 0xF0 | code >> 18), 0x80 | code >> 12 & 0x3F)
    return _put(texts, _put(texts, at, 0x80 | code >> 6 & 0x3F), 0x80 | code & 0x3F)


@subroutine
def _special(word: np.uint64) -> np.uint64:
    """Of eight bytes the first that ends a string, escapes, is a control character or is beyond ASCII: the lowest bit
    set is the highest of that byte (Mycroft's test; what it may wrongly set lies above)."""
    return (word | (word - _SPACES) | ((word ^ _QUOTES) - _ONES) | ((word ^ _BACKSLASHES) - _ONES)) & _HIGH


@subroutine
def _copy_plain(data: Bytes, at: int, texts: Bytes, end: int) -> tuple[int, int]:
    """Copy up to the next special byte."""
    while at + 8 <= data.size:
        word = eight_bytes(data, at)
        _put_eight(texts, end, word)
        special = _special(word)
        if special:
            length = int(np.int64(trailing_zeros(special) >> np.uint64(3)))
            return at + length, end + length
        at, end = at + 8, end + 8
    byte = byte_at(data, at)
    while byte >= _SPACE and byte < 0x80 and byte not in (_QUOTE, _BACKSLASH):
        at, end = at + 1, _put(texts, end, byte)
        byte = byte_at(data, at)
    return at, end


@subroutine
def _tail_length(first: int, second: int) -> int:
    """Bytes after the first of a character beyond ASCII; 0 where the two begin none (Unicode, table 3-7)."""
    low, high = 0x80, 0xBF
    if first == 0xE0:
        low = 0xA0
    elif first == 0xED:
        high = 0x9F
    elif first == 0xF0:
        low = 0x90
    elif first == 0xF4:
        high = 0x8F
    if first < 0xC2 or first > 0xF4 or second < low or second > high:
        return 0
    return 1 + (first >= 0xE0) + (first >= 0xF0)


@subroutine
def _copy_foreign(data: Bytes, at: int, texts: Bytes, end: int) -> tuple[int, int]:
    """Copy characters beyond ASCII; to _FAILED where they are not UTF-8. A line feed ends all."""
    first = byte_at(data, at)
    while first >= 0x80:
        tail = _tail_length(first, byte_at(data, at + 1))
        if tail == 0:
            return _FAILED, end
        end = _put(texts, end, first)
        for place in range(1, tail + 1):
            byte = byte_at(data, at + place)
            if byte & 0xC0 != 0x80:
                return _FAILED, end
            end = _put(texts, end, byte)
        at += tail + 1
        first = byte_at(data, at)
    return at, end


@subroutine
def _four_digits(data: Bytes, at: int) -> int:
    """A number of four hexadecimal digits; _FAILED where they are none."""
    number = 0
    for place in range(4):
        byte = byte_at(data, at + place)
        digit = byte - _ZERO if byte <= _NINE else (byte | 0x20) - 87
        if byte < _ZERO or digit > 15 or (byte > _NINE and digit < 10):
            return _FAILED
        number = number << 4 | digit
    return number


@subroutine
def _second_half(data: Bytes, at: int) -> int:
    """The lower ten bits of a code point from the escaped second half of a surrogate pair; _FAILED where it is none."""
    if at + 6 > data.size or byte_at(data, at) != _BACKSLASH or byte_at(data, at + 1) != ord("u"):
        return _FAILED
    half = _four_digits(data, at + 2)
    return half - 0xDC00 if 0xDC00 <= half < 0xE000 else _FAILED


@subroutine
def _copy_escape(data: Bytes, at: int, texts: Bytes, end: int) -> tuple[int, int]:
    """Copy what a backslash stands for, from the byte after it on; to _FAILED where it stands for nothing."""
    byte = byte_at(data, at)
    if byte == ord("n"):
        return at + 1, _put(texts, end, _FEED)
    if byte in (_QUOTE, _BACKSLASH, _SLASH):
        return at + 1, _put(texts, end, byte)
    if byte == ord("t"):
        return at + 1, _put(texts, end, _TAB)
    if byte == ord("r"):
        return at + 1, _put(texts, end, _RETURN)
    if byte == ord("b"):
        return at + 1, _put(texts, end, 8)
    if byte == ord("f"):
        return at + 1, _put(texts, end, 12)
    if byte != ord("u") or at + 5 > data.size:
        return _FAILED, end
    code = _four_digits(data, at + 1)
    if 0xD800 <= code < 0xDC00:
        low = _second_half(data, at + 5)
        return (at + 11, _put_code(texts, end, 0x10000 + ((code - 0xD800) << 10) + low)) if low >= 0 else (_FAILED, end)
    if code < 0 or 0xDC00 <= code < 0xE000:
        return _FAILED, end
    return at + 5, _put_code(texts, end, code)


@subroutine
def _copy_string(data: Bytes, at: int, texts: Bytes, end: int) -> tuple[int, int]:
    """Decode a string from the byte after its quote on; the position after its other quote, or _FAILED."""
    while at >= 0:
        at, end = _copy_plain(data, at, texts, end)
        byte = byte_at(data, at)
        if byte == _QUOTE:
            return at + 1, end
        if byte == _BACKSLASH:
            at, end = _copy_escape(data, at + 1, texts, end)
        elif byte >= 0x80:
            at, end = _copy_foreign(data, at, texts, end)
        else:
            return _FAILED, end
    return at, end


@subroutine
def _after_digits(data: Bytes, at: int) -> int:
    while _ZERO <= byte_at(data, at) <= _NINE:
        at += 1
    return at


@subroutine
def _after_number(data: Bytes, at: int) -> int:
    """The position after a number of the usual size, or _FAILED."""
    start = at + (byte_at(data, at) == _MINUS)
    at = _after_digits(data, start)
    if not 0 < at - start <= _MAX_DIGITS or (byte_at(data, start) == _ZERO and at - start > 1):
        return _FAILED
    if byte_at(data, at) == _POINT:
        start = at + 1
        at = _after_digits(data, start)
        if not 0 < at - start <= _MAX_DIGITS:
            return _FAILED
    if byte_at(data, at) | 0x20 == ord("e"):
        start = at + 1 + (byte_at(data, at + 1) in (_PLUS, _MINUS))
        at = _after_digits(data, start)
        if not 0 < at - start <= _MAX_EXPONENT_DIGITS:
            return _FAILED
    return at


@subroutine
def _after_word(data: Bytes, at: int) -> int:
    """The position after true, false or null, or _FAILED."""
    if at + 5 >= data.size:
        return _FAILED
    first, second, third, fourth = data[at], data[at + 1], data[at + 2], data[at + 3]
    if first == ord("t") and second == ord("r") and third == ord("u") and fourth == ord("e"):
        return at + 4
    if first == ord("n") and second == ord("u") and third == ord("l") and fourth == ord("l"):
        return at + 4
    is_false = first == ord("f") and second == ord("a") and third == ord("l") and fourth == ord("s")
    return at + 5 if is_false and data[at + 4] == ord("e") else _FAILED


@subroutine
def _after_scalar(data: Bytes, at: int) -> int:
    """The position after a number or a word, or _FAILED."""
    byte = byte_at(data, at)
    return _after_number(data, at) if byte == _MINUS or _ZERO <= byte <= _NINE else _after_word(data, at)


@subroutine
def _is_key(key: Bytes, texts: Bytes, start: int, end: int) -> bool:
    same = 0
    while same < key.size and start + same < end and texts[start + same] == key[same]:
        same += 1
    return same == key.size == end - start


@subroutine
def _has_ink(texts: Bytes, start: int, end: int) -> bool:
    """Whether a text is certainly more than blanks: those beyond ASCII begin with one of these four bytes."""
    for at in range(start, end):
        byte = texts[at]
        if _SPACE < byte < 0x7F or (byte >= 0xC3 and byte not in (0xE1, 0xE2, 0xE3)):
            return True
    return False


@subroutine
def _after_mark(byte: int, waits_for: int, in_object: int) -> int:
    """What is waited for after a colon, a comma or a closing bracket, or _FAILED where it cannot stand."""
    if byte == _COLON:
        return _VALUE if waits_for == _AFTER_KEY else _FAILED
    if byte == _COMMA:
        following = _KEY if in_object else _VALUE
        return following if waits_for == _AFTER_VALUE else _FAILED
    may_end = waits_for in (_AFTER_VALUE, _KEY_OR_END if in_object else _VALUE_OR_END)
    return _AFTER_VALUE if may_end and in_object == (byte == _CLOSE) else _FAILED


@subroutine
def _read_line(data: Bytes, at: int, key: Bytes, texts: Bytes, start: int) -> tuple[int, int]:
    """Write the text of a line to `texts` from `start` on; the position of the next line, or _FAILED, and its end."""
    end = start
    is_object, depth, waits_for = 0, 0, _VALUE
    is_text = has_text = False
    while True:
        byte = byte_at(data, at)
        if byte in (_SPACE, _TAB, _RETURN):
            at += 1
        elif byte == _FEED:
            is_whole = waits_for == _AFTER_VALUE and depth == 0 and has_text and _has_ink(texts, start, end)
            return at + 1 if is_whole else _FAILED, end
        elif depth == 0 and (byte != _OPEN or waits_for != _VALUE):
            return _FAILED, end
        elif byte in (_COLON, _COMMA, _CLOSE, _CLOSE_ARRAY):
            waits_for = _after_mark(byte, waits_for, is_object & 1)
            if waits_for < 0:
                return _FAILED, end
            closes = byte in (_CLOSE, _CLOSE_ARRAY)
            at, depth, is_object = at + 1, depth - closes, is_object >> closes
        elif byte == _QUOTE and waits_for not in (_AFTER_KEY, _AFTER_VALUE):
            at, stop = _copy_string(data, at + 1, texts, end)
            if at < 0:
                return _FAILED, end
            if waits_for in (_KEY, _KEY_OR_END):
                is_text = depth == 1 and _is_key(key, texts, end, stop)
                if is_text and has_text:
                    return _FAILED, end  # of two the last counts
                waits_for = _AFTER_KEY
            else:
                if is_text:
                    end, has_text, is_text = stop, True, False
                waits_for = _AFTER_VALUE
        elif waits_for not in (_VALUE, _VALUE_OR_END) or is_text:
            return _FAILED, end
        elif byte in (_OPEN, _OPEN_ARRAY):
            if depth == _MAX_DEPTH:
                return _FAILED, end
            at, depth, is_object = at + 1, depth + 1, is_object << 1 | (byte == _OPEN)
            waits_for = _KEY_OR_END if byte == _OPEN else _VALUE_OR_END
        else:
            at, waits_for = _after_scalar(data, at), _AFTER_VALUE
            if at < 0:
                return _FAILED, end


_COUNTS = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]


@kernel(_COUNTS(BYTES, types.int64, BYTES, MUTABLE_BYTES, MUTABLE_OFFSETS))
def _read_lines(data: Bytes, at: int, key: Bytes, texts: Bytes, offsets: Offsets) -> tuple[int, int]:
    """Write texts and their offsets; how many, and where the line begins that is not plain."""
    found = 0
    while at < data.size:
        following, end = _read_line(data, at, key, texts, offsets[found])
        if following < 0:
            break
        found, at = found + 1, following
        offsets[found] = end
    return found, at
