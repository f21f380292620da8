"""Encode the documents and pack them into token shards."""

import shutil
from pathlib import Path
from typing import Literal

from params.errors import SourceError
from params.shard import ShardParams
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.stage import stage

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_SCRATCH = "scratch"


@stage(version=1)
def shard(params: ShardParams, tokenizer: Manifest, splits: Manifest, *, out: Path, run: Run) -> Metrics:
    """Token blocks of every split, packed in document order, with a table of where each document lies."""
    counts: dict[str, int] = {}
    for split in SPLITS:
        counts |= _shard_split(split, params, tokenizer, splits, out=out, run=run)
    if counts["train_blocks"] < 2:
        raise SourceError(
            f"the training split has {counts['train_tokens']:,} tokens, less than two blocks of shard.context "
            f"{params.context}; bring more text or lower --set shard.context"
        )
    shutil.rmtree(out / _SCRATCH)
    num_bytes = sum(counts[f"{split}_bytes"] for split in SPLITS)
    num_tokens = sum(counts[f"{split}_tokens"] for split in SPLITS)
    return Metrics(
        counts=counts,
        values={"bytes_per_token": num_bytes / max(num_tokens, 1)},
        headline=f"{counts['train_tokens'] / 1e6:,.2f} M training tokens in {counts['train_blocks']:,} blocks",
        speed=(num_bytes / 1e6, "MB"),
    )


def _shard_split(
    split: Split, params: ShardParams, tokenizer: Manifest, splits: Manifest, *, out: Path, run: Run
) -> dict[str, int]:
    from tasks.shards.encoding import Encoded, encode_shard
    from tasks.shards.joining import join_blocks, join_tables
    from tasks.tokenizer.encoder import Encoder
    from tasks.tokenizer.files import special_ids

    ids, encoder = special_ids(tokenizer.folder), Encoder(tokenizer.folder)

    def encode(source: Path) -> Encoded:
        scratch = out / _SCRATCH / split
        into = Encoded(scratch / f"{source.stem}.npy", scratch / source.name)
        if not into.done:
            encode_shard(source, into, encoder=encoder, begin=ids.begin)
        return into

    encoded = run.map(encode, splits.paths(f"{split}/*.arrow"), name=f"encode {split}")
    num_blocks = join_blocks(
        encoded,
        out / split,
        context=params.context,
        rows=params.blocks_per_shard,
        begin=ids.begin,
        padding=ids.padding,
    )
    totals = join_tables(encoded, out / "documents" / f"{split}.arrow")
    return {
        f"{split}_docs": totals.num_docs,
        f"{split}_bytes": totals.num_bytes,
        f"{split}_tokens": totals.num_tokens,
        f"{split}_blocks": num_blocks,
    }
