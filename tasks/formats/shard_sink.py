"""Where records go: shards of kept and rejected documents, in bounded batches, part by part."""

from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import xxhash

from tasks.documents.schema import DOCUMENT, REJECTED
from tasks.documents.shards import shard_name, shard_writer
from tasks.formats.records import Document, Malformed, Record

_BATCH_BYTES = 4_000_000
_BATCH_ROWS = 50_000


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

    def add(self, source: str, path: str, record: Record) -> None:
        """Write a record to its side."""
        if self._bytes >= self._part_bytes:
            self._end_part()
            self._begin_part()
        text = record.text
        size = len(text) if text.isascii() else len(text.encode())
        self._bytes += size
        tally = self._tallies.get(source)
        if tally is None:
            tally = self._tallies[source] = _Tally()
        if isinstance(record, Document):
            tally.docs_kept += 1
            tally.bytes_kept += size
            self._kept.add(source, path, record, size)
        else:
            tally.rejected[record.rule] += 1
            self._rejected.add(source, path, record, size)

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
        self._records: list[Record] = []
        self._sources: list[str] = []
        self._paths: list[str] = []
        self._bytes = 0

    def add(self, source: str, path: str, record: Record, num_bytes: int) -> None:
        if self._writer is None:
            return
        self._records.append(record)
        self._sources.append(source)
        self._paths.append(path)
        self._bytes += num_bytes
        if self._bytes >= _BATCH_BYTES or len(self._records) >= _BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._writer is None or not self._records:
            return
        self._writer.write_batch(pa.RecordBatch.from_arrays(self._columns(), schema=self._schema))
        self._records, self._sources, self._paths, self._bytes = [], [], [], 0

    def _columns(self) -> list[pa.Array]:
        texts = pa.array([record.text for record in self._records], pa.large_string())
        unknown = pa.nulls(len(texts), pa.string())
        metadata = [record.metadata if isinstance(record, Document) else None for record in self._records]
        columns = [
            pa.array(_ids(texts), pa.string()),
            pa.array(self._sources, pa.string()),
            pa.array(self._paths, pa.string()),
            pa.array([record.position for record in self._records], pa.int64()),
            texts,
            pa.array(metadata, pa.string()),
            unknown,
        ]
        bad = [record for record in self._records if isinstance(record, Malformed)]
        for name in self._schema.names[len(columns) :]:
            columns.append(pa.array([getattr(record, name) for record in bad], self._schema.field(name).type))
        return columns


def _ids(texts: pa.Array) -> list[str]:
    """XXH3-128 of each text, taken of Arrow's own bytes."""
    offsets = np.frombuffer(texts.buffers()[1], np.int64, len(texts) + 1).tolist()
    data = memoryview(texts.buffers()[2] or b"")
    digest = xxhash.xxh3_128_hexdigest
    return [digest(data[start:end]) for start, end in pairwise(offsets)]
