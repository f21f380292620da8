"""Where records go: shards of kept and rejected documents, in bounded batches, part by part."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import xxhash

from tasks.documents.schema import DOCUMENT, REJECTED
from tasks.documents.shards import shard_name, shard_writer
from tasks.formats.records import Document, Record

_BATCH_BYTES = 4_000_000
_BATCH_ROWS = 50_000


class ShardSink:
    """Writes the records of one group of files to `kept/NNNNNN.arrow` and `rejected/NNNNNN.arrow`.

    After `part_bytes` of text a further pair of shards begins, NNNNNN_0001.arrow and so on, so that also the documents
    of a single huge file come in shards of a bounded size. A pair that an interrupted attempt left is not written
    again: the same group makes the same bytes.
    """

    def __init__(self, out: Path, group: int, part_bytes: int) -> None:
        self.counts: Counter[str] = Counter()
        self._out = out
        self._group = group
        self._part_bytes = part_bytes
        self._part = -1
        self._bytes = 0
        self._files = ExitStack()
        self._kept = self._rejected = _Rows(DOCUMENT)

    def __enter__(self) -> "ShardSink":
        self._begin_part()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._end_part()
        else:
            self._files.__exit__(kind, error, trace)  # nothing gets its final name

    def add(self, source: str, path: str, record: Record) -> None:
        """Write a record to its side."""
        if self._bytes >= self._part_bytes:
            self._end_part()
            self._begin_part()
        data = record.text.encode()
        row = (xxhash.xxh3_128_hexdigest(data), source, path, record.position, record.text, None, None)
        self._bytes += len(data)
        self.counts[f"{source}/docs_in"] += 1
        if isinstance(record, Document):
            self.counts[f"{source}/docs_kept"] += 1
            self.counts[f"{source}/bytes_kept"] += len(data)
            self._kept.add(row, len(data))
        else:
            self.counts[f"{source}/rejected.{record.rule}"] += 1
            self._rejected.add((*row, record.rule, record.value, record.threshold, record.detail), len(data))

    def _begin_part(self) -> None:
        self._part += 1
        self._bytes = 0
        name = shard_name(self._group)
        if self._part:
            name = name.replace(".", f"_{self._part:04d}.")
        paths = self._out / "kept" / name, self._out / "rejected" / name
        exist = all(path.exists() for path in paths)
        self._kept, self._rejected = (
            _Rows(schema, None if exist else self._files.enter_context(shard_writer(path, schema)))
            for path, schema in zip(paths, (DOCUMENT, REJECTED), strict=True)
        )

    def _end_part(self) -> None:
        self._kept.flush()
        self._rejected.flush()
        self._files.close()


class _Rows:
    """Rows on their way to a writer, or to nowhere when the shard is there already."""

    def __init__(self, schema: pa.Schema, writer: pa.RecordBatchFileWriter | None = None) -> None:
        self._schema = schema
        self._writer = writer
        self._rows: list[tuple[Any, ...]] = []
        self._bytes = 0

    def add(self, row: tuple[Any, ...], num_bytes: int) -> None:
        if self._writer is None:
            return
        self._rows.append(row)
        self._bytes += num_bytes
        if self._bytes >= _BATCH_BYTES or len(self._rows) >= _BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._writer is None or not self._rows:
            return
        columns = zip(*self._rows, strict=True)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, self._schema.types, strict=True)]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._rows, self._bytes = [], 0
