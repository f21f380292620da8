"""Rows of CSV (RFC 4180) and where their wanted cells lie, found by one pass over the bytes."""

import numpy as np
import numpy.typing as npt
from numba import types

from tasks.text.buffers import Bytes, Offsets
from tasks.text.kernels import BYTES, MUTABLE_OFFSETS, OFFSETS, kernel, subroutine

START, END, NUM_CELLS, NUM_LINES, FAULT = range(5)
"""Columns of `rows`: its bytes without the line end, how many cells and lines it has, and what is wrong with it."""
CELL_START, CELL_END, HAS_QUOTES = range(3)
"""The last axis of `cells`: the bytes of a cell without its quotes, and whether doubled quotes are in it."""
FINE, STRAY, UNCLOSED = range(3)
"""Faults: none; something between a closing quote and the next delimiter; a quote without end."""

Table = npt.NDArray[np.int64]

_QUOTE, _LINE_FEED, _RETURN = ord('"'), ord("\n"), ord("\r")


@subroutine
def _ends_cell(byte: int, delimiter: int) -> bool:
    is_line_end = byte in (_LINE_FEED, _RETURN)  # numba has no tuple of two types
    return byte == delimiter or is_line_end


@subroutine
def _after_line(data: Bytes, at: int) -> int:
    """Where the line after the line end at a position begins."""
    return at + 2 if data[at] == _RETURN and at + 1 < data.size and data[at + 1] == _LINE_FEED else at + 1


@subroutine
def _line_end(data: Bytes, at: int) -> int:
    while at < data.size and data[at] != _LINE_FEED and data[at] != _RETURN:
        at += 1
    return at


@subroutine
def _quoted_end(data: Bytes, at: int) -> tuple[int, bool]:
    """Where the closing quote of a cell is, or the end of the data, and whether doubled quotes stand before it."""
    has_quotes = False
    while at < data.size:
        if data[at] == _QUOTE:
            if at + 1 >= data.size or data[at + 1] != _QUOTE:
                break
            has_quotes = True
            at += 1
        at += 1
    return at, has_quotes


@subroutine
def _count_lines(data: Bytes, start: int, end: int) -> int:
    num_lines = 1
    while start < end:
        start = _line_end(data, start)
        if start < end:
            num_lines += 1
            start = _after_line(data, start)
    return num_lines


@subroutine
def _read_cell(data: Bytes, at: int, delimiter: int) -> tuple[int, int, bool, int, int]:
    """Begin and end of the cell at a position, whether doubled quotes are in it, what follows it, and its fault."""
    if data.size <= at or data[at] != _QUOTE:
        begin = at
        while at < data.size and not _ends_cell(data[at], delimiter):
            at += 1
        return begin, at, False, at, FINE
    end, has_quotes = _quoted_end(data, at + 1)
    after = end + 1
    if end >= data.size:
        return at + 1, end, has_quotes, data.size, UNCLOSED
    ends_here = after == data.size or _ends_cell(data[after], delimiter)
    return at + 1, end, has_quotes, after, FINE if ends_here else STRAY


@kernel(
    types.int64(
        BYTES,
        types.int64,
        types.boolean,
        types.uint8,
        OFFSETS,
        types.int64[:, ::1],
        types.int64[:, :, ::1],
        MUTABLE_OFFSETS,
    )
)
def find_rows(
    data: Bytes, at: int, is_last: bool, delimiter: int, places: Offsets, rows: Table, cells: Table, stopped: Offsets
) -> int:
    """Write the rows of `data[at:]`, as many as `rows` has room for, and of each the cells of the wanted columns.

    `places[c]` says where in `cells[row]` the cell of column c goes, -1 for a column that is not wanted. A row that
    reaches the end of the data is left for the next call unless there will be none. Of a row whose quotes do not fit
    only the first line is taken, and a row begins at the next. Returns how many rows there are; `stopped[0]` is where
    the next one begins.
    """
    found = 0
    while at < data.size and found < rows.shape[0]:
        start, num_cells, fault = at, 0, FINE
        while fault == FINE:
            begin, end, has_quotes, at, fault = _read_cell(data, at, delimiter)
            place = places[num_cells] if num_cells < places.size else -1
            if place >= 0:
                cells[found, place, CELL_START], cells[found, place, CELL_END] = begin, end
                cells[found, place, HAS_QUOTES] = has_quotes
            num_cells += 1
            if at >= data.size or data[at] != delimiter:
                break
            at += 1
        if fault == STRAY or (fault == UNCLOSED and is_last):
            at = _line_end(data, start)
        if not is_last and at + 1 >= data.size:  # the row may go on, and its line end may be cut in two
            at = start
            break
        rows[found, START], rows[found, END] = start, at
        rows[found, NUM_CELLS], rows[found, FAULT] = num_cells, fault
        rows[found, NUM_LINES] = _count_lines(data, start, at)
        at = _after_line(data, at) if at < data.size else at
        found += 1
    stopped[0] = at
    return found
