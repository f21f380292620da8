"""The unique documents of all batches as one result; those of new batches bear it in the name of their source."""

from functools import partial
from pathlib import Path

import pyarrow as pa

from params.base import Params
from tasks.arrivals.withdrawal import NEW
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.contamination.linking import link_shard
from tasks.context import Run
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import read_batches, shard_writer
from tasks.stage import stage


class GatherParams(Params):
    """Which of the batches are new."""

    new: tuple[str, ...] = ()
    """Digests of what was unique in batches that the champion has not seen."""


@stage(version=2)
def gather(params: GatherParams, *batches: Manifest, out: Path, run: Run) -> Metrics:
    """kept/ of every batch, its shards linked; the documents of a new batch are of source NAME:new."""
    for number, batch in enumerate(batches):
        is_new = batch.digest in params.new
        shards = batch.paths("kept/*.arrow")
        unit = partial(_rename if is_new else _link, folder=out / "kept", prefix=f"{number:05d}")
        run.map(unit, shards, name="gather shard")
    num_docs = sum(batch.metrics.counts["docs_kept"] for batch in batches)
    new_docs = sum(batch.metrics.counts["docs_kept"] for batch in batches if batch.digest in params.new)
    return Metrics(
        counts={"docs_in": num_docs, "docs_kept": num_docs, "docs_rejected": 0, "new_docs": new_docs},
        headline=f"{num_docs:,} documents of {len(batches)} batches, {new_docs:,} of them new",
    )


def _link(shard: Path, *, folder: Path, prefix: str) -> None:
    link_shard(shard, folder / f"{prefix}-{shard.name}")


def _rename(shard: Path, *, folder: Path, prefix: str) -> None:
    target = folder / f"{prefix}-{shard.name}"
    if target.exists():
        return
    place = DOCUMENT.get_field_index("source")
    with shard_writer(target, DOCUMENT) as writer:
        for batch in read_batches(shard):
            named = pa.array([f"{source}{NEW}" for source in batch.column(place).to_pylist()], pa.string())
            writer.write_batch(batch.set_column(place, DOCUMENT.field(place), named))
