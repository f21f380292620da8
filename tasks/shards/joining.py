"""Encoded shards of documents to the blocks and the document table of a whole split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.documents.shards import shard_name
from tasks.shards.encoding import Encoded, write_table
from tasks.shards.packing import Tokens, pack_blocks, write_blocks


@dataclass(frozen=True)
class Totals:
    """What a split holds; begin tokens are not counted."""

    num_docs: int
    num_bytes: int
    num_tokens: int


def join_blocks(encoded: Sequence[Encoded], folder: Path, *, context: int, rows: int, begin: int, padding: int) -> int:
    """Pack the encoded shards, in order, into block files; the number of blocks."""
    pieces: Iterator[Tokens] = (np.load(part.tokens, mmap_mode="r") for part in encoded)
    num_blocks = 0
    packed = pack_blocks(
        (piece for piece in pieces if len(piece)), context=context, rows=rows, begin=begin, padding=padding
    )
    for index, blocks in enumerate(packed):
        write_blocks(folder / shard_name(index), blocks)
        num_blocks += len(blocks)
    return num_blocks


def join_tables(encoded: Sequence[Encoded], path: Path) -> Totals:
    """Write the document table of a split, offsets counted over the whole stream; its totals."""
    batches: list[pa.RecordBatch] = []
    moved = num_docs = num_bytes = num_tokens = 0
    for part in encoded:
        size = len(np.load(part.tokens, mmap_mode="r"))
        with pa.memory_map(str(part.documents)) as source:
            reader = pa.ipc.open_file(source)
            for index in range(reader.num_record_batches):
                batch = reader.get_batch(index)
                offset = pc.add(batch.column("offset"), moved)
                batches.append(
                    batch.set_column(batch.schema.get_field_index("offset"), batch.schema.field("offset"), offset)
                )
                num_docs += batch.num_rows
                num_bytes += pc.sum(batch.column("num_bytes")).as_py() or 0
                num_tokens += pc.sum(batch.column("num_tokens")).as_py() or 0
        moved += size
    write_table(path, batches)
    return Totals(num_docs, num_bytes, num_tokens)
