"""One shard of raw documents to one of clean documents and one of those that broke a rule."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from params.clean import CleanParams
from tasks.documents.schema import DOCUMENT, REJECTED
from tasks.documents.shards import read_batches, shard_writer
from tasks.text.buffers import texts_of
from tasks.text.kernels import Counts
from tasks.text.normalization import normalize
from tasks.text.quality import Removal, judge_texts
from tasks.text.rules import Verdicts
from tasks.text.tally import SourceTally, Tally, histograms_of

NORMALIZATION = "normalization"


@dataclass(frozen=True)
class Filtered:
    """A batch after the filters."""

    kept: pa.RecordBatch
    """Documents that are fit, with clean text."""
    rejected: pa.RecordBatch
    """Those that are not, with raw text and the reason."""
    tally: Tally


def filter_shard(shard: Path, *, params: CleanParams, out: Path) -> Tally:
    """Write out/kept/, out/rejected/ and out/tally/ under the shard's name, unless an earlier attempt did.

    Rejected documents keep their raw text. Memory is bounded by the largest record batch.
    """
    kept, rejected = out / "kept" / shard.name, out / "rejected" / shard.name
    tally_path = (out / "tally" / shard.name).with_suffix(".json")
    if kept.exists() and rejected.exists() and tally_path.exists():
        return Tally.load(tally_path)
    tally = Tally()
    with shard_writer(kept, DOCUMENT) as kept_writer, shard_writer(rejected, REJECTED) as rejected_writer:
        for batch in read_batches(shard):
            filtered = filter_batch(batch, params)
            tally += filtered.tally
            if filtered.kept.num_rows:
                kept_writer.write_batch(filtered.kept)
            if filtered.rejected.num_rows:
                rejected_writer.write_batch(filtered.rejected)
    tally_path.parent.mkdir(exist_ok=True)
    tally.save(tally_path)
    return tally


def filter_batch(batch: pa.RecordBatch, params: CleanParams) -> Filtered:
    """Bring the texts into normal form and hold them against the quality rules."""
    raw = batch.column("text")
    normal = normalize(raw)
    judged = judge_texts(normal, params)
    verdicts = judged.verdicts
    index = batch.schema.get_field_index("text")
    fit = batch.set_column(index, DOCUMENT.field("text"), judged.texts).filter(pa.array(verdicts.kept))
    unfit = _with_reasons(batch, verdicts)
    shrunk = Removal(NORMALIZATION, np.zeros(len(raw), np.int64), _sizes(raw) - _sizes(normal))
    removals = (shrunk, *judged.removals)
    return Filtered(fit, unfit, _tally(batch, fit, unfit, verdicts, removals))


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


def _tally(
    batch: pa.RecordBatch,
    kept: pa.RecordBatch,
    rejected: pa.RecordBatch,
    verdicts: Verdicts,
    removals: tuple[Removal, ...],
) -> Tally:
    raw, clean, lost = (_by_source(part) for part in (batch, kept, rejected))
    rules: dict[str, Counter[str]] = {source: Counter() for source in raw}
    for source, rule in zip(rejected.column("source").to_pylist(), rejected.column("rule").to_pylist(), strict=True):
        rules[source][rule] += 1
    nothing = (0, 0)
    return Tally(
        {
            source: SourceTally(
                docs,
                clean.get(source, nothing)[0],
                size,
                clean.get(source, nothing)[1],
                lost.get(source, nothing)[1],
                rules[source],
            )
            for source, (docs, size) in raw.items()
        },
        histograms_of(verdicts.rules),
        Counter({removal.rule: int(removal.lines[verdicts.kept].sum()) for removal in removals}),
        Counter({removal.rule: int(removal.num_bytes[verdicts.kept].sum()) for removal in removals}),
    )


def _by_source(batch: pa.RecordBatch) -> dict[str, tuple[int, int]]:
    """Documents and bytes of text of each source."""
    names = batch.column("source").dictionary_encode()
    codes, sizes = names.indices.to_numpy(zero_copy_only=False), _sizes(batch.column("text"))
    return {
        name: (int((codes == code).sum()), int(sizes[codes == code].sum()))
        for code, name in enumerate(names.dictionary.to_pylist())
    }


def _sizes(texts: pa.LargeStringArray) -> Counts:
    return texts_of(texts).num_bytes
