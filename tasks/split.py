"""Training, validation and test documents, by a hash that no other document has a say in."""

from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pyarrow as pa
import xxhash

from params.errors import SourceError
from params.split import SplitParams
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import read_batches, shard_writer
from tasks.stage import stage

SPLITS = ("train", "validation", "test")
_HASHES = 1 << 64


@stage(version=3)
def split(params: SplitParams, unique: Manifest, *, out: Path, run: Run) -> Metrics:
    """Share the documents out to train/, validation/ and test/; a shard is written where it has a row."""
    unit = partial(_split_shard, params=params, out=out)
    counts = sum(run.map(unit, unique.paths("kept/*.arrow"), name="split shard"), Counter[str]())
    num_docs = counts.total()
    _check_sides(params, counts)
    sides = {f"{side}_docs": counts[side] for side in SPLITS}
    return Metrics(
        counts={"docs_in": num_docs, "docs_kept": num_docs, "docs_rejected": 0, **sides},
        headline=", ".join(f"{counts[side]:,} {side}" for side in SPLITS),
        speed=(num_docs, "documents"),
    )


def side_of(doc_id: str, params: SplitParams) -> str:
    """The split of a document: a function of its id, the salt and the shares.

    Validation lies at the lower end of the hash and test at the upper, so that a larger share takes documents from
    training and never from the other.
    """
    value = xxhash.xxh3_64_intdigest(f"{params.salt}\0{doc_id}".encode())
    if value < params.validation * _HASHES:
        return "validation"
    return "test" if value >= (1 - params.test) * _HASHES else "train"


def _split_shard(shard: Path, *, params: SplitParams, out: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    with ExitStack() as files:
        writers: dict[str, pa.RecordBatchFileWriter] = {}
        for batch in read_batches(shard):
            sides = [side_of(doc_id, params) for doc_id in batch.column("id").to_pylist()]
            counts.update(sides)
            for side in sorted(set(sides)):
                if side not in writers:
                    writers[side] = files.enter_context(shard_writer(out / side / shard.name, DOCUMENT))
                writers[side].write_batch(batch.filter(pa.array([found == side for found in sides])))
    return counts


def _check_sides(params: SplitParams, counts: Counter[str]) -> None:
    num_docs = counts.total()
    if num_docs < len(SPLITS):
        raise SourceError(
            f"split: {num_docs} documents are too few: training, validation and test need one each at the very least; "
            "add text, or loosen the rules of clean and dedup that rejected the rest"
        )
    shares = {"train": 1 - params.validation - params.test, "validation": params.validation, "test": params.test}
    for side in SPLITS:
        if not counts[side]:
            larger = min(0.3, max(0.1, 20 / num_docs))
            remedy = "smaller shares" if side == "train" else f"--set split.{side}={larger:.2f}"
            raise SourceError(
                f"split: none of {num_docs} documents fell to {side}, whose share is {shares[side]:.3g}; "
                f"add text or try {remedy}"
            )
