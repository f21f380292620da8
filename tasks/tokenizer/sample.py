"""The text a tokenizer learns from."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc

from tasks.documents.shards import read_batches


class Sample:
    """Batches of texts, the same every time, at most `max_bytes`, taken evenly over the shards."""

    def __init__(self, shards: list[Path], *, max_bytes: int) -> None:
        self.shards = shards
        self.max_bytes = max_bytes
        self.num_docs = 0
        self.size = 0

    def __iter__(self) -> Iterator[list[str]]:
        self.num_docs = self.size = 0
        for index, shard in enumerate(self.shards):
            allowed = self.max_bytes * (index + 1) // len(self.shards)
            for batch in read_batches(shard):
                if self.size >= allowed:
                    break
                texts = batch.column("text")
                self.num_docs += len(texts)
                self.size += pc.sum(pc.binary_length(texts)).as_py() or 0
                yield texts.to_pylist()
