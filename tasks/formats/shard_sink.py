"""Where records go: shards of kept and rejected documents, in bounded batches, part by part."""

from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from tasks.documents.schema import DOCUMENT, REJECTED
from tasks.documents.shards import shard_name, shard_writer
from tasks.formats.records import Document, Documents, Malformed, Record, Records
from tasks.text.buffers import Texts, column_of

_BATCH_BYTES = 4_000_000
_BATCH_ROWS = 50_000
_REASONS = REJECTED.names[len(DOCUMENT.names) :]


class ShardSink:
    """Writes the records of one group of files to `kept/NNNNNN.arrow` and `rejected/NNNNNN.arrow`.

    After `part_bytes` of text a further pair of shards begins, NNNNNN_0001.arrow and so on, so that also the documents
    of a single huge file come in shards of a bounded size. A pair that an interrupted attempt left is not written
    again: the same group makes the same bytes.
    """

    def __init__(self, out: Path, group: int, part_bytes: int) -> None:
        self._out = out
        self._group = group
        self._part_bytes = part_bytes
        self._part = -1
        self._bytes = 0
        self._files = ExitStack()
        self._kept = self._rejected = _Rows(DOCUMENT)
        self._tallies: dict[str, _Tally] = {}

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

    @property
    def counts(self) -> Counter[str]:
        """What was written, as `source/docs_in`, `source/docs_kept`, `source/bytes_kept`, `source/rejected.RULE`."""
        return Counter({f"{source}/{key}": n for source, tally in self._tallies.items() for key, n in tally.items()})

    def add(self, source: str, path: str, record: Records) -> None:
        """Write a record, or many, to its side."""
        tally = self._tallies.get(source)
        if tally is None:
            tally = self._tallies[source] = _Tally()
        if isinstance(record, Documents):
            self._add_many(source, path, record, tally)
            return
        text = record.text.encode()
        size = len(text)
        self._make_room()
        self._bytes += size
        if isinstance(record, Document):
            tally.docs_kept += 1
            tally.bytes_kept += size
            self._kept.add(source, path, record, text)
        else:
            tally.rejected[record.rule] += 1
            self._rejected.add(source, path, record, text)

    def _add_many(self, source: str, path: str, documents: Documents, tally: "_Tally") -> None:
        """In pieces, so that parts end where they do when documents come one by one."""
        data, ends = documents.texts
        first, last = 0, len(ends) - 1
        while first < last:
            self._make_room()
            full_at = ends[first] + self._part_bytes - self._bytes
            stop = min(last, int(np.searchsorted(ends, full_at)))
            size = int(ends[stop] - ends[first])
            self._bytes += size
            tally.docs_kept += stop - first
            tally.bytes_kept += size
            self._kept.add_many(source, path, documents.position + first, Texts(data, ends[first : stop + 1]))
            first = stop

    def _make_room(self) -> None:
        if self._bytes >= self._part_bytes:
            self._end_part()
            self._begin_part()

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


class _Tally:
    """What was written of one source."""

    def __init__(self) -> None:
        self.docs_kept = 0
        self.bytes_kept = 0
        self.rejected: Counter[str] = Counter()

    def items(self) -> list[tuple[str, int]]:
        num_kept, num_in = self.docs_kept, self.docs_kept + self.rejected.total()
        rejected = [(f"rejected.{rule}", num) for rule, num in self.rejected.items()]
        return [("docs_in", num_in), ("docs_kept", num_kept), ("bytes_kept", self.bytes_kept), *rejected]


class _Rows:
    """Rows on their way to a writer, or to nowhere when the shard is there already."""

    def __init__(self, schema: pa.Schema, writer: pa.RecordBatchFileWriter | None = None) -> None:
        self._schema = schema
        self._writer = writer
        self._columns: dict[str, list[Any]] = {name: [] for name in schema.names if name != "text"}
        self._texts: list[bytes | memoryview] = []
        """One after the other, in pieces of one or more."""
        self._sizes: list[int] = []
        self._bytes = 0

    def add(self, source: str, path: str, record: Record, text: bytes) -> None:
        """Take a record; `text` is its own in UTF-8, which is what is kept of it."""
        if self._writer is None:
            return
        columns = self._columns
        columns["id"].append(xxhash.xxh3_128_hexdigest(text))
        columns["source"].append(source)
        columns["path"].append(path)
        columns["position"].append(record.position)
        columns["metadata"].append(record.metadata if isinstance(record, Document) else None)
        columns["language"].append(None)
        if isinstance(record, Malformed):
            for name in _REASONS:
                columns[name].append(getattr(record, name))
        self._texts.append(text)
        self._sizes.append(len(text))
        self._bytes += len(text)
        if self._is_full:
            self.flush()

    def add_many(self, source: str, path: str, position: int, texts: Texts) -> None:
        """Take documents, the first of them at a position, in batches that end where they do when they come one by
        one."""
        data, ends = texts
        first, last = 0, len(ends) - 1
        while self._writer is not None and first < last:
            full_at = int(np.searchsorted(ends, ends[first] + _BATCH_BYTES - self._bytes))
            stop = min(last, full_at, first + _BATCH_ROWS - len(self._sizes))
            self._take(source, path, position + first, Texts(data, ends[first : stop + 1]))
            if self._is_full:
                self.flush()
            first = stop

    def _take(self, source: str, path: str, position: int, texts: Texts) -> None:
        number, start, stop = len(texts.offsets) - 1, int(texts.offsets[0]), int(texts.offsets[-1])
        view = texts.data.data
        columns = self._columns
        columns["id"] += [xxhash.xxh3_128_hexdigest(view[one:other]) for one, other in pairwise(texts.offsets.tolist())]
        columns["source"] += [source] * number
        columns["path"] += [path] * number
        columns["position"] += range(position, position + number)
        columns["metadata"] += [None] * number
        columns["language"] += [None] * number
        self._texts.append(view[start:stop])
        self._sizes += texts.num_bytes.tolist()
        self._bytes += stop - start

    @property
    def _is_full(self) -> bool:
        return self._bytes >= _BATCH_BYTES or len(self._sizes) >= _BATCH_ROWS

    def flush(self) -> None:
        if self._writer is None or not self._sizes:
            return
        columns = [
            self._text_column() if field.name == "text" else pa.array(self._columns[field.name], field.type)
            for field in self._schema
        ]
        for values in (*self._columns.values(), self._texts, self._sizes):
            values.clear()
        self._bytes = 0
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def _text_column(self) -> pa.LargeStringArray:
        """The texts in UTF-8; much faster than to let Arrow encode them."""
        ends = np.zeros(len(self._sizes) + 1, np.int64)
        np.cumsum(self._sizes, out=ends[1:])
        return column_of(Texts(np.frombuffer(b"".join(self._texts), np.uint8), ends))
