"""Rows of delimited text from a stream: memory is bounded by the longest row that is wanted."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tasks.formats.records import Unusable

_ROWS_AT_ONCE = 1024
_MIN_BYTES = 1 << 16
_KEPT_OF_LONG = 1 << 16
_FAULTS = ("", "something stands between a closing quote and the next delimiter", "a quoted cell does not end")


class Row(NamedTuple):
    """A row, or one line of what is none."""

    line: int
    """From 1."""
    data: bytes
    """Without its line end; of a line over the limit only the beginning."""
    size_bytes: int
    cells: list[bytes]
    """Of the wanted columns."""
    num_cells: int
    fault: str = ""
    """What is wrong with its quotes."""


class Buffer:
    """What of a stream is in memory: from the row that is read on."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.data = b""
        self.used = 0
        """Where the row that is read next begins."""
        self.problem: Unusable | None = None
        """Why the stream cannot be read to its end."""
        self.at_end = False
        self._chunks = chunks
        self.go_on()

    @property
    def is_whole(self) -> bool:
        """Whether the data reach to the end of the file."""
        return self.at_end and self.problem is None

    def go_on(self) -> None:
        """Drop what was used, and add at least as much as is left, so that a long row is looked at few times."""
        parts, missing = [self.data[self.used :]], max(len(self.data) - self.used, _MIN_BYTES)
        while missing > 0 and not self.at_end:
            try:
                parts.append(next(self._chunks, b""))
            except Unusable as problem:
                self.problem = problem
            self.at_end = self.problem is not None or not parts[-1]
            missing -= len(parts[-1])
        self.data, self.used = b"".join(parts), 0


def read_rows(buffer: Buffer, delimiter: str, columns: tuple[int, ...], max_bytes: int) -> Iterator[Row]:
    """The rows of a stream with the cells of some columns; Unusable at the end of a stream that was cut.

    A quoted cell that does not end within `max_bytes` is one whose closing quote is missing.
    """
    line = 1
    while buffer.data:
        for row, num_lines in _whole_rows(buffer, delimiter, columns, line):
            yield row
            line = row.line + num_lines
        if buffer.used == 0 and buffer.at_end:
            break
        if buffer.used == 0 and len(buffer.data) > max_bytes:
            yield _give_up(buffer, line)
            line += 1
        else:
            buffer.go_on()
    if buffer.problem:
        raise Unusable(buffer.problem.rule, buffer.problem.detail, buffer.data)


def _whole_rows(buffer: Buffer, delimiter: str, columns: tuple[int, ...], line: int) -> Iterator[tuple[Row, int]]:
    """Each whole row in the buffer, and how many lines it has."""
    from tasks.formats.csv_rows import find_rows

    places = np.full(max(columns, default=-1) + 1, -1)
    places[list(columns)] = range(len(columns))
    rows = np.empty((_ROWS_AT_ONCE, 5), np.int64)
    cells = np.empty((_ROWS_AT_ONCE, max(len(columns), 1), 3), np.int64)
    next_row = np.zeros(1, np.int64)
    data = np.frombuffer(buffer.data, np.uint8)
    while num_rows := find_rows(data, buffer.used, buffer.is_whole, ord(delimiter), places, rows, cells, next_row):
        buffer.used = int(next_row[0])
        spans = cells[:num_rows, : len(columns)].tolist()
        for (start, end, num_cells, num_lines, fault), found in zip(rows[:num_rows].tolist(), spans, strict=True):
            row_cells = [_cell(buffer.data, *span) for span in found] if num_cells > places.size - 1 else []
            row = Row(line, buffer.data[start:end], end - start, row_cells, num_cells, _FAULTS[fault])
            yield row, num_lines
            line += num_lines


def _cell(data: bytes, start: int, end: int, has_quotes: int) -> bytes:
    cell = data[start:end]
    return cell.replace(b'""', b'"') if has_quotes else cell


def _give_up(buffer: Buffer, line: int) -> Row:
    """Take one line out of the buffer, in which no row ends."""
    beginning, size_bytes = buffer.data[:_KEPT_OF_LONG], 0
    while (end := _line_end(buffer.data)) == len(buffer.data) and not buffer.at_end:
        size_bytes += end
        buffer.used = end
        buffer.go_on()
    size_bytes += end
    buffer.data = buffer.data[end:].removeprefix(b"\r").removeprefix(b"\n")
    return Row(line, beginning[:size_bytes], size_bytes, [], 0, _FAULTS[2])


def _line_end(data: bytes) -> int:
    """Where the first line of some data ends."""
    end = data.find(b"\n")
    end = len(data) if end < 0 else end
    before = data.find(b"\r", 0, end)
    return end if before < 0 else before
