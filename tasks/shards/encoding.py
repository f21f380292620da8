"""One shard of documents to token ids."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.artifacts.digest import commit
from tasks.documents.shards import read_batches
from tasks.shards.packing import Tokens, token_dtype
from tasks.tokenizer.encoder import Encoder

DOCUMENT_TABLE = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),  # UTF-8 bytes of the text
        pa.field("num_tokens", pa.int64(), nullable=False),  # begin token not counted
        pa.field("offset", pa.int64(), nullable=False),  # of its begin token in the split's stream
    ]
)


@dataclass(frozen=True)
class Encoded:
    """Where the tokens and the document table of an encoded shard lie."""

    tokens: Path
    documents: Path

    @property
    def done(self) -> bool:
        """Whether an earlier attempt finished this shard."""
        return self.tokens.exists() and self.documents.exists()


def encode_shard(shard: Path, into: Encoded, *, encoder: Encoder, begin: int) -> None:
    """Write a shard's tokens, each document led by the begin token, and its table of documents.

    Offsets count from the start of this shard; joining moves them.
    """
    dtype = token_dtype(encoder.reference.get_vocab_size())
    pieces: list[Tokens] = []
    tables: list[pa.RecordBatch] = []
    offset = 0
    for batch in read_batches(shard):
        ids, bounds = encoder.encode(batch.column("text").to_pylist())
        pieces.append(np.insert(ids, bounds[:-1], begin).astype(dtype))
        starts = offset + bounds[:-1] + np.arange(batch.num_rows)
        num_bytes = pc.binary_length(batch.column("text")).cast(pa.int64())
        columns = [batch.column("id"), batch.column("source"), num_bytes, pa.array(np.diff(bounds)), pa.array(starts)]
        tables.append(pa.record_batch(columns, schema=DOCUMENT_TABLE))
        offset += len(ids) + batch.num_rows
    _save(into.tokens, np.concatenate(pieces) if pieces else np.empty(0, dtype=dtype))
    write_table(into.documents, tables)


def write_table(path: Path, batches: list[pa.RecordBatch]) -> None:
    """Write a table of documents as an Arrow IPC file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, DOCUMENT_TABLE) as writer:
        for batch in batches:
            writer.write_batch(batch)
    commit(temporary, path)


def _save(path: Path, tokens: Tokens) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        np.save(file, tokens)
    commit(temporary, path)
