"""Shards of documents: bounded batches in, one atomic file out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from tasks.artifacts.digest import commit_in_draft

# In the thread that asks: shards are shared among workers, and a second pool of threads would stand in their way.
# Text takes 54 % of its size and a third of the time to read; with zstd at its fastest 37 %, but every stage reads and
# writes all of it.
_WRITING = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


def shard_name(index: int) -> str:
    """File name of the shard with this index; names sort as indexes do up to a million shards."""
    return f"{index:06d}.arrow"


@contextmanager
def shard_writer(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatchFileWriter]:
    """Write record batches to a shard that appears, whole, only when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema, options=_WRITING) as writer:
        yield writer
    commit_in_draft(temporary, path)


def read_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The record batches of a shard, one in memory at a time; columns that are not asked for are not unpacked."""
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(use_threads=False))
        if columns is not None:
            wanted = [reader.schema.get_field_index(name) for name in columns]
            only = pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
            reader = pa.ipc.open_file(source, options=only)
        for index in range(reader.num_record_batches):
            yield reader.get_batch(index)


def count_rows(path: Path) -> int:
    """Rows of a shard."""
    return sum(int(batch.num_rows) for batch in read_batches(path))
