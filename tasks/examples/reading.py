"""Rows of example files: JSON lines, JSON and Parquet; what is no row is told with its place and reason."""

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.files.places import RawFile
from tasks.formats.byte_stream import ByteStream
from tasks.formats.chunks import text_chunks
from tasks.formats.compression import Unpacked
from tasks.formats.json_lines import parse
from tasks.formats.line_batches import TooLong, line_batches
from tasks.formats.records import MEGABYTE, Unusable
from tasks.formats.registry import format_of

_ROWS = 1_000


class Row(NamedTuple):
    """A value and where it stood: its line, row or number from 1; an Unusable is a row that cannot be read."""

    position: int
    value: Any


def read_rows(file: RawFile, *, max_bytes: int) -> Iterator[Row]:
    """The rows of a file by the end of its name; a damaged rest of the file is its last row."""
    name = file.name.lower()
    position = 0
    try:
        for row in _parquet(file) if name.endswith((".parquet", ".pq")) else _json(file, max_bytes):
            position = row.position
            yield row
    except Unusable as problem:
        yield Row(position + 1, problem)


def _parquet(file: RawFile) -> Iterator[Row]:
    try:
        with pq.ParquetFile(file if isinstance(file, Path) else io.BytesIO(_whole(file))) as table:
            position = 0
            for batch in table.iter_batches(_ROWS):
                for value in batch.to_pylist():
                    position += 1
                    yield Row(position, value)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise Unusable("damaged_parquet", (str(error).splitlines() or [type(error).__name__])[0]) from None


def _whole(file: RawFile) -> bytes:
    with closing(file.open("rb") if isinstance(file, Path) else file.open()) as opened:
        parts = []
        while data := opened.read(1 << 20):
            parts.append(data)
    return b"".join(parts)


def _json(file: RawFile, max_bytes: int) -> Iterator[Row]:
    form = format_of(file.name)
    with closing(file.open("rb") if isinstance(file, Path) else file.open()) as opened:
        stream: ByteStream = opened
        if form.codec is not None:
            stream = Unpacked(stream, form.codec)
        chunks = text_chunks(stream)
        first = next(chunks, b"")
        if first.lstrip()[:1] == b"[":
            yield from _array(b"".join((first, *chunks)))
            return
        number = 0
        for lines in line_batches((chunk for part in ((first,), chunks) for chunk in part), max_bytes):
            for line in lines:
                number += 1
                if isinstance(line, TooLong):
                    yield Row(number, _too_large(line.size_bytes, max_bytes))
                elif line.strip():
                    yield Row(number, _value(line))


def _array(data: bytes) -> Iterator[Row]:
    for number, value in enumerate(parse(data), start=1):
        yield Row(number, value)


def _value(line: bytes) -> Any:
    try:
        return parse(line)
    except Unusable as problem:
        return problem


def _too_large(size: int, limit: int) -> Unusable:
    sizes = f"{size / MEGABYTE:.1f} MB of {limit / MEGABYTE:.1f} MB"
    return Unusable("too_large", f"{sizes} that encode.max_example_mb allows")


def shown(value: Any) -> str:
    """A row as it can be kept beside its reason."""
    if isinstance(value, Unusable):
        return value.data.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, default=str)
