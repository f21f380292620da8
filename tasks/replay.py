"""The training text of a retraining from the champion: all that is new, and as much old text as it can come to read."""

from collections import Counter
from functools import partial
from pathlib import Path

import pyarrow as pa
import xxhash

from params.base import Params
from tasks.arrivals.withdrawal import NEW
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.contamination.linking import link_shard
from tasks.context import Run
from tasks.documents.shards import count_rows, read_batches, shard_writer
from tasks.retraining.sizes import sizes_by_source
from tasks.stage import stage

_HELD_OUT = ("validation", "test")
_HASHES = 1 << 64


class ReplayParams(Params):
    """How much old text."""

    max_bytes: int
    """Most bytes of old training text of each source, about: documents are drawn by hash."""


@stage(version=1)
def replay(params: ReplayParams, splits: Manifest, *, out: Path, run: Run) -> Metrics:
    """train/ with new documents and the drawn old ones; validation/ and test/ as they came."""
    for side in _HELD_OUT:
        for shard in splits.paths(f"{side}/*.arrow"):
            link_shard(shard, out / side / shard.name)
    shards = splits.paths("train/*.arrow")
    sizes = sizes_by_source(shards)
    shares = {name: 1.0 if name.endswith(NEW) else min(params.max_bytes / max(sizes[name], 1), 1.0) for name in sizes}
    unit = partial(_draw, shares=shares, folder=out / "train")
    counts = sum(run.map(unit, shards, name="draw from shard"), Counter[str]())
    kept, left = counts["kept"], counts["left"]
    return Metrics(
        counts={"train_docs": kept, "old_docs_left": left},
        headline=f"{kept:,} of {kept + left:,} training documents, the new ones and a share of the old",
        speed=(sum(sizes.values()) / 1e6, "MB"),
    )


def _draw(shard: Path, *, shares: dict[str, float], folder: Path) -> Counter[str]:
    """The shard without old documents whose hash is over the share of their source."""
    target, counts = folder / shard.name, Counter[str]()
    if min(shares.values()) >= 1.0:
        link_shard(shard, target)
        return Counter(kept=count_rows(shard))
    drawn: list[pa.RecordBatch] = []
    for batch in read_batches(shard):
        rows = zip(batch.column("id").to_pylist(), batch.column("source").to_pylist(), strict=True)
        chosen = [
            xxhash.xxh3_64_intdigest(f"replay\0{doc_id}".encode()) < shares[name] * _HASHES for doc_id, name in rows
        ]
        counts.update(kept=sum(chosen), left=len(chosen) - sum(chosen))
        if any(chosen):
            drawn.append(batch.filter(pa.array(chosen)))
    if drawn:
        with shard_writer(target, drawn[0].schema) as writer:
            for batch in drawn:
                writer.write_batch(batch)
    return counts
