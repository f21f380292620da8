"""Lines of a document: bullets, ellipses and repetitions. Blank lines count nowhere."""

import numpy as np
from numba import types

from tasks.text.buffers import Bytes
from tasks.text.characters import SPACE
from tasks.text.kernels import (
    BYTES,
    CLASSES,
    FNV_OFFSET,
    Classes,
    Counts,
    Hashes,
    code_point,
    hash_on,
    kernel,
    subroutine,
)

NUM_LINE_MEASURES = 8
_LINES, _CHARACTERS, _BULLETS, _ELLIPSIS_ENDS, _DUPLICATES, _DUPLICATE_CHARACTERS, _HASHES, _ELLIPSES = range(8)
_LF, _HASH = 0x0A, 0x23
_BULLET_CODES = tuple(map(ord, "-*·–•‣⁃■▪▶○●◦・"))


@subroutine
def _is_bullet(code: int) -> bool:
    """Whether a line that begins so is an item of a list."""
    return code in _BULLET_CODES


@subroutine
def _ellipsis_weight(code: int) -> int:
    """3 for a character that is an ellipsis, 1 for a full stop (also the ideographic one), 0 for others."""
    if code in (0x2E, 0x3002):
        return 1
    return 3 if code in (0x2026, 0x22EF) else 0


@subroutine
def _is_new(state: np.uint64, seen: Hashes, seen_in: Counts, mark: int) -> bool:
    """Whether a hash was not yet met under this mark; remembers it. Open addressing over a power of two of slots."""
    slot = np.int64(state & np.uint64(seen.size - 1))
    while seen_in[slot] == mark:
        if seen[slot] == state:
            return False
        slot = (slot + 1) & (seen.size - 1)
    seen[slot], seen_in[slot] = state, mark
    return True


@kernel(types.int64(BYTES, types.int64, types.int64))
def count_breaks(data: Bytes, start: int, stop: int) -> int:
    """Line ends in data[start:stop]."""
    found = 0
    for at in range(start, stop):
        found += data[at] == _LF
    return found


@kernel(
    types.void(
        BYTES, types.int64, types.int64, CLASSES, types.int64[::1], types.uint64[::1], types.int64[::1], types.int64
    )
)
def measure_lines(
    data: Bytes, start: int, stop: int, classes: Classes, row: Counts, seen: Hashes, seen_in: Counts, mark: int
) -> None:
    """Count the lines of the text in data[start:stop]; `seen` holds the hashes of lines, valid under `mark`.

    `length` and `state` run over the line from its first character that is not blank; `end_length` and `end_state`
    are what they were at the last one.
    """
    state = end_state = np.uint64(FNV_OFFSET)
    length = end_length = run = 0
    ends_so = False
    at = start
    while at <= stop:
        code, width = _LF, 1
        if at < stop:
            code, width = code_point(data, at)
        at += width
        weight = _ellipsis_weight(code)
        if weight == 0 and run > 0:
            row[_ELLIPSES] += run >= 3
            ends_so, run = run >= 3, 0
        if code == _LF:
            if end_length > 0:
                row[_LINES] += 1
                row[_CHARACTERS] += end_length
                row[_ELLIPSIS_ENDS] += ends_so
                if not _is_new(end_state, seen, seen_in, mark):
                    row[_DUPLICATES] += 1
                    row[_DUPLICATE_CHARACTERS] += end_length
            state = end_state = np.uint64(FNV_OFFSET)
            length, end_length, ends_so = 0, 0, False
            continue
        is_blank = classes[code] & SPACE != 0
        if length == 0 and is_blank:
            continue
        run += weight
        row[_BULLETS] += length == 0 and _is_bullet(code)
        row[_HASHES] += code == _HASH
        state, length = hash_on(state, code), length + 1
        if not is_blank:
            end_state, end_length = state, length
            ends_so = False
