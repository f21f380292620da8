"""Tokenizing and packing by the shard stage's own parts, and by `datasets.map` with `tokenizers`: the same blocks.

    python tests/bench/packing_peer.py TOKENIZER_FOLDER TEXTS.jsonl [megabytes]

Both begin with documents in an Arrow file and end with blocks in one; times are of processor, over all threads, after
imports, compilation and the loading of the vocabulary. The peer packs as the stage does (blocks share one token, the
rest of a batch is carried over to the next), so that ids can be compared. It calls the Rust tokenizer directly, which
is faster than through transformers.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import shard_writer
from tasks.shards.blocks import Blocks, write_blocks
from tasks.shards.encoding import Encoded, encode_shard, led_by
from tasks.shards.greedy import Greedy
from tasks.shards.packing import BlockFormat, Copies, token_dtype
from tasks.shards.stream import TokenStream
from tasks.tokenizer.encoder import Encoder
from tasks.tokenizer.files import load_tokenizer, special_ids

CONTEXT = 256
_BATCH_BYTES = 4_000_000
_PEER_ROWS = 1000  # batch size of datasets.map, its default
Blocks2D = npt.NDArray[np.int64]


def main() -> None:
    """Print both speeds and their ratio."""
    folder, corpus = Path(sys.argv[1]), Path(sys.argv[2])
    limit = float(sys.argv[3]) * 1e6 if len(sys.argv) > 3 else 20e6
    texts = list(_read(corpus, limit))
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    blocks, ours_s = ours(texts, folder)
    expected, peer_s = peer_datasets(texts, folder)
    assert np.array_equal(blocks[: len(expected)], expected), "the blocks differ"
    print(f"BENCH pack.ours {megabytes / ours_s:.1f} MB/cpu-s")
    print(f"BENCH pack.datasets {megabytes / peer_s:.1f} MB/cpu-s")
    print(f"BENCH pack_vs_datasets {peer_s / ours_s:.1f} x")


def ours(texts: list[str], tokenizer: Path, *, context: int = CONTEXT) -> tuple[Blocks2D, float]:
    """All blocks, (blocks, context + 1), and the processor seconds of encoding, packing and writing them."""
    ids, encoder = special_ids(tokenizer), Encoder(tokenizer)
    led_by(ids.begin, np.zeros(0, np.uint32), np.zeros(1, np.int64), np.dtype(np.uint16))  # compiles the kernel
    encoder.encode(["loaded, and checked"])
    with tempfile.TemporaryDirectory() as name:
        source = _write(Path(name) / "documents.arrow", texts)
        began = time.process_time()
        encoded = Encoded(source.with_name("part.tokens"), source.with_name("part.arrow"))
        encode_shard(source, encoded, encoder=encoder, begin=ids.begin)
        stream = TokenStream([encoded.tokens], token_dtype(ids.vocab_size))
        layout = Greedy(stream, Copies(np.array([0, len(stream)])), BlockFormat(context, ids.begin, ids.padding))
        write_blocks(source.with_name("blocks.arrow"), layout, 0, layout.num_blocks)
        spent = time.process_time() - began
        blocks = Blocks([source.with_name("blocks.arrow")])
        return blocks[np.arange(len(blocks))], spent


def peer_datasets(texts: list[str], tokenizer: Path, *, context: int = CONTEXT) -> tuple[Blocks2D, float]:
    """The same by two calls of datasets.map; without the last block, which is not full."""
    from datasets import Dataset, disable_caching, disable_progress_bars

    disable_progress_bars()
    disable_caching()
    begin, encoder = special_ids(tokenizer).begin, load_tokenizer(tokenizer)
    carried: list[int] = []

    def encode(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        found = encoder.encode_batch_fast(batch["text"], add_special_tokens=False)
        return {"input_ids": [[begin, *encoding.ids] for encoding in found]}

    def pack(batch: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        stream = carried + list(chain.from_iterable(batch["input_ids"]))
        last = (len(stream) - 1) // context * context
        carried[:] = stream[last:]
        return {"input_ids": [stream[start : start + context + 1] for start in range(0, last, context)]}

    def mapped(data: Any, function: Any) -> Any:
        return data.map(function, batched=True, batch_size=_PEER_ROWS, remove_columns=data.column_names)

    with tempfile.TemporaryDirectory() as name:
        table = Path(name) / "texts"
        Dataset.from_dict({"text": texts}).save_to_disk(table)
        began = time.process_time()
        packed = mapped(mapped(Dataset.load_from_disk(table), encode), pack)
        spent = time.process_time() - began
        return np.array(packed.with_format("numpy")["input_ids"], dtype=np.int64), spent


def _write(path: Path, texts: list[str]) -> Path:
    with shard_writer(path, DOCUMENT) as writer:
        for batch in _batches(texts):
            ids, known, unknown = [f"{n:032x}" for n in range(len(batch))], ["bench"] * len(batch), [None] * len(batch)
            columns = [ids, known, known, [0] * len(batch), pa.array(batch, pa.large_string()), unknown, unknown]
            writer.write_batch(pa.record_batch(columns, schema=DOCUMENT))
    return path


def _batches(texts: list[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text.encode())
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _read(path: Path, limit: float) -> Iterator[str]:
    size = 0
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            text = json.loads(line)["text"]
            size += len(text.encode())
            yield text
            if size >= limit:
                return


if __name__ == "__main__":
    main()
