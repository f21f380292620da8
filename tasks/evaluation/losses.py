"""Cross-entropy of held-out blocks, attributed to the documents they came from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from tasks.shards.blocks import Blocks, evenly
from tasks.tokenizer.vocabulary import spelled_bytes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
BlockLosses = Callable[[Ints], Floats]
"""Blocks (batch, context + 1) to the cross-entropy of each target, (batch, context), in nats."""


@dataclass(frozen=True)
class DocumentLosses:
    """Sums over the evaluated part of each document; the end of text is a target without bytes."""

    ids: list[str]
    sources: list[str]
    nats: Floats
    num_bytes: Ints
    num_targets: Ints


def document_losses(
    blocks: Blocks,
    documents: Path,
    block_losses: BlockLosses,
    *,
    token_bytes: Ints,
    padding: int,
    batch_blocks: int,
    max_blocks: int | None,
) -> DocumentLosses:
    """Losses of a split's documents, from at most `max_blocks` of its blocks, spread evenly.

    A document that goes on in a second block is seen there without what stands before, as in training.
    """
    table = _read_table(documents)
    starts: Ints = table.column("offset").to_numpy()
    nats, num_bytes, num_targets = (np.zeros(len(starts)) for _ in range(3))
    indices = evenly(len(blocks), max_blocks)
    for first in range(0, len(indices), batch_blocks):
        chosen = indices[first : first + batch_blocks]
        rows = blocks[chosen]
        losses, targets = block_losses(rows), rows[:, 1:]
        at = chosen[:, None] * blocks.context + np.arange(1, blocks.context + 1)
        counted = targets != padding
        owner = np.searchsorted(starts, at[counted], side="left") - 1
        np.add.at(nats, owner, losses[counted])
        np.add.at(num_bytes, owner, token_bytes[targets[counted]])
        np.add.at(num_targets, owner, 1)
    seen = num_targets > 0
    names = table.filter(pa.array(seen))
    return DocumentLosses(
        ids=names.column("id").to_pylist(),
        sources=names.column("source").to_pylist(),
        nats=nats[seen],
        num_bytes=num_bytes[seen].astype(np.int64),
        num_targets=num_targets[seen].astype(np.int64),
    )


def bytes_per_token_id(tokenizer: Tokenizer) -> Ints:
    """UTF-8 bytes that each id stands for; special tokens stand for none."""
    return np.array([len(spelled) for spelled in spelled_bytes(tokenizer)], np.int64)


def write_losses(path: Path, losses: DocumentLosses) -> None:
    """Keep the losses document by document, for paired comparisons with other models."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            "id": losses.ids,
            "source": losses.sources,
            "nats": np.round(losses.nats, 4),
            "num_bytes": losses.num_bytes,
            "num_targets": losses.num_targets,
        }
    )
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _read_table(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()
