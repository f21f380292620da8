"""One shard of documents to token ids."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import types

from tasks.artifacts.digest import commit_in_draft
from tasks.documents.shards import read_batches, shard_writer
from tasks.shards.packing import Indices, Tokens, token_dtype
from tasks.text.kernels import CODES, OFFSETS, kernel
from tasks.tokenizer.encoder import Encoder

ENCODED = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),  # UTF-8 bytes of the text
        pa.field("num_tokens", pa.int64(), nullable=False),  # begin token not counted
    ]
)


@dataclass(frozen=True)
class Encoded:
    """Where the tokens (raw, each document led by the begin token) and the documents of an encoded shard lie."""

    tokens: Path
    documents: Path

    @property
    def done(self) -> bool:
        """Whether an earlier attempt finished this shard."""
        return self.tokens.exists() and self.documents.exists()


def encode_shard(shard: Path, into: Encoded, *, encoder: Encoder, begin: int) -> None:
    """Write a shard's tokens, each document led by the begin token, and its table of documents."""
    dtype = token_dtype(encoder.vocab_size)
    into.tokens.parent.mkdir(parents=True, exist_ok=True)
    temporary = into.tokens.with_name(into.tokens.name + ".tmp")
    with temporary.open("wb") as file, shard_writer(into.documents, ENCODED) as table:
        for batch in read_batches(shard):
            texts = batch.column("text")
            ids, bounds = encoder.encode(texts.to_pylist())
            file.write(led_by(begin, ids, bounds, dtype).data)
            known = [batch.column(name) for name in ("id", "source", "path", "position")]
            sizes = [pc.binary_length(texts).cast(pa.int64()), pa.array(np.diff(bounds))]
            table.write_batch(pa.record_batch([*known, *sizes], schema=ENCODED))
    commit_in_draft(temporary, into.tokens)


def led_by(begin: int, ids: Tokens, bounds: Indices, dtype: np.dtype[np.unsignedinteger]) -> Tokens:
    """Documents ids[bounds[i]:bounds[i + 1]] one after the other, each with the begin token before it."""
    out = np.empty(len(ids) + len(bounds) - 1, dtype)
    _lead(begin, ids, bounds, out)
    return out


@kernel(
    [
        types.void(types.int64, CODES, OFFSETS, types.uint16[::1]),
        types.void(types.int64, CODES, OFFSETS, types.uint32[::1]),
    ]
)
def _lead(begin: int, ids: Tokens, bounds: Indices, out: Tokens) -> None:
    for document in range(bounds.size - 1):
        out[bounds[document] + document] = begin
        for at in range(bounds[document], bounds[document + 1]):
            out[at + document + 1] = ids[at]
