"""Arrow IPC, as a file, as a stream and as `datasets` saves it: a document per row, batch by batch.

A file in Arrow's file format holds the same messages as a stream, between its magic and its footer, so both are read
from front to back: nothing needs to seek, and a file that was cut gives the batches before the cut.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc as ipc

from tasks.formats.byte_stream import ByteStream
from tasks.formats.columns import Projection, project, read_batch
from tasks.formats.records import Malformed, ReadOptions, Record, Unusable

_FILE_MAGIC = b"ARROW1\0\0"
_FEATHER_1 = b"FEA1"
_CONTINUATION = b"\xff\xff\xff\xff"  # stands before every message since Arrow 0.15
_MAX_MESSAGE_BYTES = 1 << 28


def read_arrow(file: Path | ByteStream, options: ReadOptions) -> Iterator[Record]:
    """A document per row; rows count from 1, and those of a damaged batch, which costs only itself, are not counted.

    A path is mapped into memory, and only the wanted columns are read. Of a stream, one batch at a time is in memory.
    """
    stream = None if isinstance(file, Path) else _ExactStream(file)
    try:
        with pa.PythonFile(stream, mode="r") if stream else _mapped(file) as source:
            if _begins(source, stream):
                projection, reader = _open(source, stream, options)
                yield from _read_batches(reader, source, projection, options)
    except Unusable as problem:
        yield problem.at(0)


def _mapped(path: Path) -> pa.NativeFile:
    return pa.memory_map(str(path)) if path.stat().st_size else pa.BufferReader(b"")  # nothing cannot be mapped


def _begins(source: pa.NativeFile, stream: "_ExactStream | None") -> bool:
    """Go to the first message; False for an empty file."""
    begin = source.read(8)
    if begin.startswith(_FEATHER_1):
        raise Unusable("not_what_its_name_says", "Feather version 1 is not read; write the table as version 2")
    if begin.startswith(_CONTINUATION):
        if stream is None:
            source.seek(0)
        else:
            stream.put_back(begin)
    elif begin and begin != _FILE_MAGIC:
        raise Unusable("not_what_its_name_says", f"no Arrow file begins with the bytes {begin.hex(' ')}")
    return bool(begin)


def _open(
    source: pa.NativeFile, stream: "_ExactStream | None", options: ReadOptions
) -> tuple[Projection, ipc.RecordBatchStreamReader]:
    """The wanted columns and a reader of them; for this the schema is read twice."""
    start = None if stream else source.tell()
    try:
        message = ipc.read_message(source)
        projection = project(ipc.read_schema(message), options)
        if stream is None:
            source.seek(start)
        else:
            stream.put_back(message.serialize().to_pybytes())
        wanted = sorted({column.index for column in projection.columns})
        return projection, ipc.open_stream(source, options=ipc.IpcReadOptions(included_fields=wanted))
    except (pa.ArrowException, OSError, EOFError) as error:
        raise Unusable("damaged_arrow", str(error)) from None


def _read_batches(
    reader: ipc.RecordBatchStreamReader, source: pa.NativeFile, projection: Projection, options: ReadOptions
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
        except (pa.ArrowException, OSError) as error:
            if source.tell() == failed_at:  # there is nothing left
                return
            failed_at = source.tell()
            detail = f"a batch after row {row} cannot be read: {error}; later rows are counted without its own"
            yield Malformed(row + 1, "damaged_arrow", detail)


class _ExactStream:
    """A stream as Arrow wants it: a read gives all that was asked for."""

    closed = False

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._head = b""
        self._position = 0

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end."""
        if size > _MAX_MESSAGE_BYTES:
            limit = f"below {_MAX_MESSAGE_BYTES / 1e6:,.0f} MB"
            raise Unusable("damaged_arrow", f"a message of {size / 1e6:,.0f} MB; write the table in batches {limit}")
        parts = [self._head[:size]]
        self._head = self._head[size:]
        missing = size - len(parts[0])
        while missing and (part := self._stream.read(missing)):
            parts.append(part)
            missing -= len(part)
        self._position += size - missing
        return b"".join(parts)

    def put_back(self, data: bytes) -> None:
        """Let what was read be read again."""
        self._head = data + self._head
        self._position -= len(data)

    def tell(self) -> int:
        """How many bytes were read."""
        return self._position

    def close(self) -> None:
        """Nothing; who opened the stream closes it."""
        self.closed = True
