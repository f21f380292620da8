"""Documents to a token stream, and the stream to blocks of fixed size."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.artifacts.digest import commit

Tokens = npt.NDArray[np.unsignedinteger]


def token_dtype(vocab_size: int) -> np.dtype[np.unsignedinteger]:
    """The narrowest of uint16 and uint32 that holds every id."""
    return np.dtype(np.uint16) if vocab_size <= 1 << 16 else np.dtype(np.uint32)


def pack_blocks(pieces: Iterable[Tokens], *, context: int, rows: int, begin: int, padding: int) -> Iterator[Tokens]:
    """Cut a stream into arrays of up to `rows` blocks, each (blocks, context + 1).

    The stream is begin d1 begin d2 … begin: each piece brings its documents with their begin tokens, and the last
    begin token is added here. Block k holds tokens k * context to k * context + context, so neighbours share one
    token and every token of the stream but the first is a target exactly once. The last block is filled up with
    padding. A stream without documents gives no block.
    """
    wanted = rows * context + 1
    held: list[Tokens] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        while size >= wanted:
            stream = np.concatenate(held)
            yield _rows(stream[:wanted], context)
            held, size = [stream[wanted - 1 :]], size - wanted + 1
    if size:
        stream = np.concatenate([*held, np.array([begin], dtype=held[0].dtype)])
        missing = -(len(stream) - 1) % context
        yield _rows(np.concatenate([stream, np.full(missing, padding, dtype=stream.dtype)]), context)


def write_blocks(path: Path, blocks: Tokens) -> None:
    """Write (blocks, context + 1) tokens as an uncompressed Arrow IPC file with one column, input_ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width = blocks.shape[1]
    values = pa.array(blocks.reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(values, width)
    batch = pa.record_batch([column], names=["input_ids"])
    temporary = path.with_name(path.name + ".tmp")
    with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    commit(temporary, path)


def _rows(stream: Tokens, context: int) -> Tokens:
    windows = np.lib.stride_tricks.sliding_window_view(stream, context + 1)
    return np.ascontiguousarray(windows[::context])
