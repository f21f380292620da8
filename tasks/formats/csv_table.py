"""CSV and TSV with a header: a document per row, of which only the wanted cells become Python objects.

The dialect is RFC 4180: quotes are doubled within quoted cells, which may span lines. Of a row whose quotes do not fit
one line is quarantined, and reading goes on at the next: a lone quote does not swallow what follows. In TSV, where many
writers quote nothing, such a line is taken literally if it then has as many cells as the header.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.formats.byte_stream import ByteStream
from tasks.formats.charset import decode
from tasks.formats.chunks import text_chunks
from tasks.formats.fields import metadata_of, read_text
from tasks.formats.records import Malformed, ReadOptions, Record, Unusable, excerpt, too_large
from tasks.formats.row_batches import Buffer, Row, read_rows

_TAB = "\t"
_MAX_HEADER_BYTES = 1 << 20


@dataclass(frozen=True)
class _Header:
    names: tuple[str, ...]
    delimiter: str
    num_lines: int
    """Lines up to its end."""


def read_csv(stream: ByteStream, options: ReadOptions) -> Iterator[Record]:
    """A document per row; positions are the lines at which rows begin.

    The delimiter is the comma, or else the semicolon or the tab if only with it the header has the text column.
    """
    return _read(stream, options, delimiters=(",", ";", _TAB))


def read_tsv(stream: ByteStream, options: ReadOptions) -> Iterator[Record]:
    """A document per row of tab-separated cells; positions are the lines at which rows begin."""
    return _read(stream, options, delimiters=(_TAB,))


def _read(stream: ByteStream, options: ReadOptions, delimiters: tuple[str, ...]) -> Iterator[Record]:
    line = 0
    try:
        buffer = Buffer(text_chunks(stream))
        header = _find_header(buffer.data[:_MAX_HEADER_BYTES], options, delimiters)
        wanted = dict.fromkeys((options.text_field, *options.metadata_fields))
        columns = {name: header.names.index(name) for name in wanted if name in header.names}
        for row in read_rows(buffer, header.delimiter, tuple(columns.values()), options.max_bytes):
            line = row.line
            if line > header.num_lines and (row.data or row.num_cells != 1):
                yield _record(row, header, tuple(columns), options)
    except Unusable as problem:
        yield problem.at(line + 1)


def _find_header(data: bytes, options: ReadOptions, delimiters: tuple[str, ...]) -> _Header:
    """The first row that is not blank, split by the first delimiter with which it has the text column."""
    headers = [_header(data, delimiter) for delimiter in delimiters]
    found = next((header for header in headers if options.text_field in header.names), headers[0])
    if found.names and options.text_field not in found.names:
        names = ", ".join(found.names[:20])
        raise Unusable("missing_text", f"no column {options.text_field!r}; columns are {names[:1000]}", data[:1000])
    return found


def _header(data: bytes, delimiter: str) -> _Header:
    lines = io.StringIO(data.decode("latin-1"), newline="")  # bytes as characters: only the names are decoded
    rows = csv.reader(lines, delimiter=delimiter)
    try:
        names = next((row for row in rows if row), [])
        decoded = (decode(name.encode("latin-1")).strip() for name in names)
        return _Header(tuple(decoded), delimiter, rows.line_num)
    except csv.Error as error:
        raise Unusable("malformed_csv", f"no header: {error}", data[:1000]) from None


def _record(row: Row, header: _Header, wanted: tuple[str, ...], options: ReadOptions) -> Record:
    cells = row.cells
    if row.size_bytes > options.max_bytes:
        return too_large(row.line, row.size_bytes, options, row.data)
    if row.fault:
        literal = row.data.split(_TAB.encode()) if header.delimiter == _TAB else []
        if len(literal) != len(header.names):
            return Malformed(row.line, "malformed_csv", row.fault, excerpt(row.data))
        cells = [literal[header.names.index(name)] for name in wanted]
    elif row.num_cells != len(header.names):
        detail = f"{row.num_cells} cells, but the header has {len(header.names)}"
        measured = float(row.num_cells), float(len(header.names))
        return Malformed(row.line, "wrong_columns", detail, excerpt(row.data), *measured)
    try:
        values = dict(zip(wanted, map(decode, cells), strict=True))
    except Unusable as problem:
        return Malformed(row.line, problem.rule, problem.detail, excerpt(row.data))
    metadata = metadata_of(values, options.metadata_fields) if options.metadata_fields else None
    return read_text(row.line, values[options.text_field], metadata, options)
