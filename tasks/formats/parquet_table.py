"""Parquet: a document per row, row group by row group, of which only the wanted columns are read."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.formats.columns import Projection, project, read_batch, rows_per_batch
from tasks.formats.records import Malformed, ReadOptions, Record, Unusable

_DAMAGES = (pa.ArrowException, OSError, UnicodeDecodeError)  # the last for names that are no UTF-8


def read_parquet(file: Path | BinaryIO, options: ReadOptions) -> Iterator[Record]:
    """A document per row; rows count from 1. A damaged row group costs only itself."""
    try:
        table = pq.ParquetFile(file, memory_map=True, pre_buffer=False)
    except _DAMAGES as error:
        yield Malformed(0, "not_what_its_name_says", f"not a Parquet file: {_first_line(error)}")
        return
    with table:
        try:
            projection = project(table.schema_arrow, options)
        except Unusable as problem:
            yield problem.at(0)
            return
        except _DAMAGES as error:
            yield Malformed(0, "damaged_parquet", f"its schema cannot be read: {_first_line(error)}")
            return
        row = 0
        for group in range(table.num_row_groups):
            yield from _read_group(table, group, row, projection, options)
            row += table.metadata.row_group(group).num_rows


def _read_group(
    table: pq.ParquetFile, group: int, row: int, projection: Projection, options: ReadOptions
) -> Iterator[Record]:
    found = table.metadata.row_group(group)  # what it says of its columns may be damaged and then ends the process
    num_rows, end = rows_per_batch(found.total_byte_size, found.num_rows), row + found.num_rows
    names = [".".join((column.top, *column.steps)) for column in projection.columns]
    try:
        for batch in table.iter_batches(num_rows, row_groups=[group], columns=names):
            yield from read_batch(batch, projection, row, options)
            row += batch.num_rows
    except _DAMAGES as error:
        detail = f"rows {row + 1} to {end} cannot be read: {_first_line(error)}"
        yield Malformed(row + 1, "damaged_parquet", detail)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
