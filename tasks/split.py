"""Training, validation and test documents, by a hash that no other document has a say in."""

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
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
_TRAIN, _VALIDATION, _TEST = range(3)
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


def sides_of(ids: Sequence[bytes], params: SplitParams) -> npt.NDArray[np.uint8]:
    """The place in SPLITS of each document: a function of its id, the salt and the shares.

    Validation lies at the lower end of the hash and test at the upper, so that a larger share takes documents from
    training and never from the other.
    """
    salt, digest = f"{params.salt}\0".encode(), xxhash.xxh3_64_intdigest
    hashes = np.array([digest(salt + doc_id) for doc_id in ids], np.uint64)
    sides = np.where(_are_below(hashes, 1 - params.test), _TRAIN, _TEST)
    return np.where(_are_below(hashes, params.validation), _VALIDATION, sides).astype(np.uint8)


def _are_below(hashes: npt.NDArray[np.uint64], share: float) -> npt.NDArray[np.bool_]:
    """Which hashes are in the lower share of all, exactly: whole numbers, not rounded ones, are compared."""
    bound = math.ceil(share * _HASHES)
    return np.full(len(hashes), True) if bound >= _HASHES else hashes < np.uint64(bound)


def _split_shard(shard: Path, *, params: SplitParams, out: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    with ExitStack() as files:
        writers: dict[str, pa.RecordBatchFileWriter] = {}
        for batch in read_batches(shard):
            sides = sides_of(batch.column("id").cast(pa.binary()).to_pylist(), params)
            for number in np.unique(sides).tolist():
                side, chosen = SPLITS[number], sides == number
                if side not in writers:
                    writers[side] = files.enter_context(shard_writer(out / side / shard.name, DOCUMENT))
                writers[side].write_batch(batch.filter(pa.array(chosen)))
                counts[side] += int(chosen.sum())
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
