"""One shard of raw documents to one of clean documents and one of those that broke a rule."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from params.clean import CleanParams
from tasks.documents.schema import DOCUMENT, REJECTED
from tasks.documents.shards import read_batches, shard_writer
from tasks.text.buffers import texts_of
from tasks.text.measures import measure
from tasks.text.normalization import normalize
from tasks.text.rules import Verdicts, judge


@dataclass(frozen=True)
class Tally:
    """What became of documents."""

    docs_in: int = 0
    docs_kept: int = 0
    bytes_in: int = 0
    """Raw text, UTF-8."""
    bytes_kept: int = 0
    """Clean text, UTF-8."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Documents by the rule they broke."""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.docs_in + other.docs_in,
            self.docs_kept + other.docs_kept,
            self.bytes_in + other.bytes_in,
            self.bytes_kept + other.bytes_kept,
            self.rejected + other.rejected,
        )


def filter_shard(shard: Path, *, params: CleanParams, out: Path) -> Tally:
    """Write out/kept/ and out/rejected/ under the shard's name, unless an earlier attempt did.

    Rejected documents keep their raw text. Memory is bounded by the largest record batch.
    """
    kept, rejected = out / "kept" / shard.name, out / "rejected" / shard.name
    if not (kept.exists() and rejected.exists()):
        with shard_writer(kept, DOCUMENT) as kept_writer, shard_writer(rejected, REJECTED) as rejected_writer:
            for batch in read_batches(shard):
                fit, unfit = filter_batch(batch, params)
                if fit.num_rows:
                    kept_writer.write_batch(fit)
                if unfit.num_rows:
                    rejected_writer.write_batch(unfit)
    return _tally(shard, kept, rejected)


def filter_batch(batch: pa.RecordBatch, params: CleanParams) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Documents that are fit, with clean text, and those that are not, with raw text and the reason."""
    clean = normalize(batch.column("text"))
    verdicts = judge(params, measure(clean, params.words.stop_words))
    index = batch.schema.get_field_index("text")
    fit = batch.set_column(index, DOCUMENT.field("text"), clean).filter(pa.array(verdicts.kept))
    return fit, _with_reasons(batch, verdicts)


def _with_reasons(batch: pa.RecordBatch, verdicts: Verdicts) -> pa.RecordBatch:
    rows = np.flatnonzero(~verdicts.kept)
    broken = [verdicts.rules[verdicts.first[row]] for row in rows]
    reasons = [
        pa.array([rule.name for rule in broken], pa.string()),
        pa.array([rule.values[row] for rule, row in zip(broken, rows, strict=True)], pa.float64()),
        pa.array([rule.threshold for rule in broken], pa.float64()),
        pa.nulls(len(rows), pa.string()),
    ]
    return pa.RecordBatch.from_arrays([*batch.take(pa.array(rows)).columns, *reasons], schema=REJECTED)


def _tally(shard: Path, kept: Path, rejected: Path) -> Tally:
    docs_in, bytes_in = _size(shard)
    docs_kept, bytes_kept = _size(kept)
    rules = Counter(rule for batch in read_batches(rejected) for rule in batch.column("rule").to_pylist())
    return Tally(docs_in, docs_kept, bytes_in, bytes_kept, rules)


def _size(shard: Path) -> tuple[int, int]:
    """Documents of a shard and the bytes of their texts."""
    sizes = [(b.num_rows, int(texts_of(b.column("text")).num_bytes.sum())) for b in read_batches(shard)]
    return sum(rows for rows, _ in sizes), sum(size for _, size in sizes)
