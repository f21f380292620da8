"""Lines and paragraphs of a document as they end: what they begin and end with, and whether they came before.

Blank lines are no lines. A line is compared without the blanks at its end. Of the repeated ones the first million
different ones are remembered: what bounds the memory.
"""

import numpy as np
from numba import types

from tasks.text.buffers import Bytes
from tasks.text.characters import BULLET, SPACE, TERMINAL
from tasks.text.kernels import (
    BYTES,
    CLASSES,
    COUNTS,
    FNV_OFFSET,
    MUTABLE_COUNTS,
    MUTABLE_HASHES,
    Classes,
    Counts,
    Hashes,
    byte_at,
    code_before,
    code_point,
    eight_bytes,
    hash_on,
    kernel,
    subroutine,
)

NUM_LINE_MEASURES = 15
(
    NEWLINES,
    LINES,
    LINE_CHARACTERS,
    LONGEST,
    BULLETS,
    ELLIPSIS_ENDS,
    PUNCTUATED,
    SHORT,
    SHORT_UNSPACED,
    DUPLICATES,
    DUPLICATE_CHARACTERS,
    PARAGRAPHS,
    DUPLICATE_PARAGRAPHS,
    DUPLICATE_PARAGRAPH_CHARACTERS,
    REMEMBERED,
) = range(NUM_LINE_MEASURES)
MAX_REMEMBERED = 1 << 20
_LF = 0x0A


LINE_TABLE = (MUTABLE_HASHES, MUTABLE_COUNTS)


def line_table(num_lines: int) -> tuple[Hashes, Counts]:
    """A hash table for documents of so many lines, and the mark under which each slot is taken: 64 MB at most."""
    slots = 4 << min(num_lines, MAX_REMEMBERED // 2).bit_length()
    return np.empty(slots, np.uint64), np.zeros(slots, np.int64)


@subroutine
def ellipsis_weight(code: int) -> int:
    """3 for a character that is an ellipsis, 1 for a full stop (also the ideographic one), 0 for others."""
    if code in (0x2E, 0x3002):
        return 1
    return 3 if code in (0x2026, 0x22EF) else 0


@subroutine
def ellipsis_before(data: Bytes, start: int, at: int) -> int:
    """Weight of the run of such characters that ends before a position; of 3 and more it is an ellipsis."""
    weight = 0
    while at > start and weight < 3:
        code, width = code_before(data, at)
        if ellipsis_weight(code) == 0:
            break
        weight += ellipsis_weight(code)
        at -= width
    return weight


@subroutine
def _hash_bytes(data: Bytes, start: int, stop: int) -> np.uint64:
    """FNV-1a over words of eight bytes, then over the bytes that are left and the length."""
    state = np.uint64(FNV_OFFSET)
    at = start
    while at + 8 <= stop:
        state = hash_on(state, eight_bytes(data, at))
        state ^= state >> np.uint64(32)
        at += 8
    value = np.uint64(stop - start)
    for index in range(at, stop):
        value = value << np.uint64(8) | np.uint64(byte_at(data, index))
    state = hash_on(state, value)
    return state ^ state >> np.uint64(32)


@subroutine
def _is_repeated(state: np.uint64, last_slot: int, seen: Hashes, seen_in: Counts, mark: int, row: Counts) -> bool:
    """Whether a hash was met before under this mark. Open addressing over a power of two of slots."""
    slot = np.int64(state & np.uint64(last_slot))
    while seen_in[slot] == mark:
        if seen[slot] == state:
            return True
        slot = (slot + 1) & last_slot
    if row[REMEMBERED] < MAX_REMEMBERED:
        seen[slot], seen_in[slot] = state, mark
        row[REMEMBERED] += 1
    return False


@subroutine
def indented(data: Bytes, start: int, stop: int, classes: Classes) -> int:
    """Where a line that is not blank begins after its indent."""
    while start < stop:
        code, width = code_point(data, start)
        if classes[np.uint64(code)] & SPACE == 0:
            break
        start += width
    return start


@subroutine
def _end_line(
    data: Bytes,
    start: int,
    stop: int,
    length: int,
    classes: Classes,
    short: Counts,
    last_slot: int,
    seen: Hashes,
    seen_in: Counts,
    mark: int,
    row: Counts,
) -> np.uint64:
    """Count the line in data[start:stop], not blank and of `length` characters; its hash."""
    row[LINES] += 1
    row[LINE_CHARACTERS] += length
    row[LONGEST] = max(row[LONGEST], length)
    row[SHORT] += length <= short[0]
    row[SHORT_UNSPACED] += length <= short[1]
    first, _ = code_point(data, indented(data, start, stop, classes))
    row[BULLETS] += classes[first] & BULLET != 0
    code, _ = code_before(data, stop)
    row[PUNCTUATED] += classes[code] & TERMINAL != 0
    row[ELLIPSIS_ENDS] += ellipsis_before(data, start, stop) >= 3
    state = _hash_bytes(data, start, stop)
    if _is_repeated(state, last_slot, seen, seen_in, mark, row):
        row[DUPLICATES] += 1
        row[DUPLICATE_CHARACTERS] += length
    return state


@subroutine
def _end_paragraph(
    state: np.uint64, length: int, last_slot: int, seen: Hashes, seen_in: Counts, mark: int, row: Counts
) -> None:
    """Count a paragraph; `state` is made of the hashes of its lines."""
    row[PARAGRAPHS] += 1
    if _is_repeated(state, last_slot, seen, seen_in, mark, row):
        row[DUPLICATE_PARAGRAPHS] += 1
        row[DUPLICATE_PARAGRAPH_CHARACTERS] += length


@subroutine
def trimmed(data: Bytes, start: int, stop: int, classes: Classes) -> int:
    """Where a line ends without the blanks at its end; its start if it is blank."""
    while stop > start:
        code, width = code_before(data, stop)
        if classes[np.uint64(code)] & SPACE == 0:
            break
        stop -= width
    return stop


@subroutine
def count_characters(data: Bytes, start: int, stop: int) -> int:
    """Code points in data[start:stop]."""
    found = 0
    for at in range(start, stop):
        found += byte_at(data, at) & 0xC0 != 0x80
    return found


@kernel(types.int64(BYTES, types.int64, types.int64))
def count_breaks(data: Bytes, start: int, stop: int) -> int:
    """Line ends in data[start:stop]."""
    found = 0
    for at in range(start, stop):
        found += byte_at(data, at) == _LF
    return found


@subroutine
def _last_slot(num_lines: int, seen: Hashes) -> int:
    """The table is used up to here for so many lines: small ones stay in the processor's cache."""
    slots = 4
    while slots < 4 * num_lines and slots < seen.size:
        slots *= 2
    return slots - 1


@kernel(
    types.void(BYTES, types.int64, types.int64, CLASSES, COUNTS, *LINE_TABLE, types.int64, MUTABLE_COUNTS),
)
def measure_lines(
    data: Bytes,
    start: int,
    stop: int,
    classes: Classes,
    short: Counts,
    seen: Hashes,
    seen_in: Counts,
    mark: int,
    row: Counts,
) -> None:
    """Count the lines and paragraphs of the text in data[start:stop]; `seen` holds them under `mark`."""
    last_slot = _last_slot(count_breaks(data, start, stop) + 1, seen)
    paragraph, paragraph_length = np.uint64(FNV_OFFSET), 0
    at = begin = start
    while begin < stop:
        while at < stop and byte_at(data, at) != _LF:
            at += 1
        row[NEWLINES] += at < stop
        end = trimmed(data, begin, at, classes)
        if end > begin:
            length = count_characters(data, begin, end)
            state = _end_line(data, begin, end, length, classes, short, last_slot, seen, seen_in, mark, row)
            paragraph, paragraph_length = hash_on(paragraph, state), paragraph_length + length + 1
        elif paragraph_length > 0:
            _end_paragraph(paragraph, paragraph_length - 1, last_slot, seen, seen_in, mark, row)
            paragraph, paragraph_length = np.uint64(FNV_OFFSET), 0
        at += 1
        begin = at
    if paragraph_length > 0:
        _end_paragraph(paragraph, paragraph_length - 1, last_slot, seen, seen_in, mark, row)
