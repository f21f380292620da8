"""Parquet: a document per row, row group by row group, of which only the text column is read."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.formats.charset import decode
from tasks.formats.records import (
    Malformed,
    ReadOptions,
    Record,
    Unusable,
    document_or_empty,
    excerpt,
    too_large,
)

_ROWS_PER_BATCH = 1024


def read_parquet(path: Path, options: ReadOptions) -> Iterator[Record]:
    """A document per row; rows count from 1. A damaged row group costs only itself."""
    try:
        table = pq.ParquetFile(path, memory_map=True, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as error:
        yield Malformed(0, "not_what_its_name_says", f"not a Parquet file: {_first_line(error)}")
        return
    with table:
        if problem := _column_problem(table.schema_arrow, options.text_field):
            yield Malformed(0, "missing_text", problem)
            return
        row = 0
        for group in range(table.num_row_groups):
            yield from _read_group(table, group, row, options)
            row += table.metadata.row_group(group).num_rows


def _read_group(table: pq.ParquetFile, group: int, row: int, options: ReadOptions) -> Iterator[Record]:
    end = row + table.metadata.row_group(group).num_rows
    try:
        batches = table.iter_batches(_ROWS_PER_BATCH, row_groups=[group], columns=[options.text_field])
        for batch in batches:
            for value in _values(batch.column(0)):
                row += 1
                yield _record(row, value, options)
    except (pa.ArrowException, OSError) as error:
        detail = f"rows {row + 1} to {end} cannot be read: {_first_line(error)}"
        yield Malformed(row + 1, "damaged_parquet", detail)


def _record(row: int, value: bytes | None, options: ReadOptions) -> Record:
    if value is None:
        return Malformed(row, "missing_text", f"{options.text_field!r} is null")
    if len(value) > options.max_bytes:
        return too_large(row, len(value), options, value)
    try:
        return document_or_empty(row, decode(value))
    except Unusable as problem:
        return Malformed(row, problem.rule, problem.detail, excerpt(value))


def _values(column: pa.Array) -> list[bytes | None]:
    """Values as bytes: a writer may have put into a string column what is not UTF-8, which one row shall pay for."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    binary: list[bytes | None] = column.cast(pa.large_binary()).to_pylist()
    return binary


def _column_problem(schema: pa.Schema, field: str) -> str | None:
    index = schema.get_field_index(field)
    if index < 0:
        return f"no column {field!r}; columns are {', '.join(schema.names[:20])}"
    kind = schema.field(index).type
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    binary = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    if any(test(value) for test in (*tests, *binary)):
        return None
    return f"column {field!r} holds {kind}, not strings"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
