"""Arrow IPC, as a file, as a stream and as `datasets` saves it: a document per row, batch by batch.

A file in Arrow's file format holds the same messages as a stream, between its magic and its footer. So both are read
from front to back, and a file that was cut gives the batches before the cut.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc as ipc

from tasks.formats.columns import Projection, project, read_batch
from tasks.formats.records import Malformed, ReadOptions, Record, Unusable

_FILE_MAGIC = b"ARROW1\0\0"
_FEATHER_1 = b"FEA1"
_CONTINUATION = b"\xff\xff\xff\xff"  # stands before every message since Arrow 0.15

_DAMAGES = (pa.ArrowException, OSError, UnicodeDecodeError)  # the last for names that are no UTF-8


def read_arrow(path: Path, options: ReadOptions) -> Iterator[Record]:
    """A document per row; rows count from 1, and those of a damaged batch, which costs only itself, are not counted.

    The file is mapped into memory, so that of a batch only the wanted columns are read.
    """
    if not path.stat().st_size:  # nothing cannot be mapped
        return
    try:
        with pa.memory_map(str(path)) as source:
            projection, reader = _open(source, options)
            yield from _read_batches(reader, source, projection, options)
    except Unusable as problem:
        yield problem.at(0)


def _open(source: pa.MemoryMappedFile, options: ReadOptions) -> tuple[Projection, ipc.RecordBatchStreamReader]:
    """The wanted columns and a reader of them; for this the schema is read twice."""
    begin = source.read(8)
    if begin.startswith(_FEATHER_1):
        raise Unusable("not_what_its_name_says", "Feather version 1 is not read; write the table as version 2")
    if begin != _FILE_MAGIC and not begin.startswith(_CONTINUATION):
        raise Unusable("not_what_its_name_says", f"no Arrow file begins with the bytes {begin.hex(' ')}", begin)
    start = len(begin) if begin == _FILE_MAGIC else 0
    try:
        source.seek(start)
        projection = project(ipc.open_stream(source).schema, options)
        source.seek(start)
        wanted = sorted({column.top_index for column in projection.columns})
        return projection, ipc.open_stream(source, options=ipc.IpcReadOptions(included_fields=wanted))
    except _DAMAGES as error:
        raise Unusable("damaged_arrow", str(error)) from None


def _read_batches(
    reader: ipc.RecordBatchStreamReader, source: pa.MemoryMappedFile, projection: Projection, options: ReadOptions
) -> Iterator[Record]:
    row, failed_at = 0, -1
    while True:
        try:
            batch = reader.read_next_batch()
            for record in read_batch(batch, projection, row, options):
                row = record.position
                yield record
        except StopIteration:
            return
        except _DAMAGES as error:
            if source.tell() == failed_at:  # there is nothing left
                return
            failed_at = source.tell()
            detail = f"a batch after row {row} cannot be read: {error}; later rows are counted without its own"
            yield Malformed(row + 1, "damaged_arrow", detail)
