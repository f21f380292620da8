"""Shards of documents to shards of survivors and shards of duplicates."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from params.dedup import DedupParams, RepeatedPassageParams
from tasks.artifacts.digest import write_atomic
from tasks.documents.schema import DOCUMENT, REJECTED
from tasks.documents.shards import read_batches, shard_writer
from tasks.duplicates.clusters import Flags, Indices
from tasks.duplicates.cutting import Cut, cut_texts
from tasks.duplicates.names import Names
from tasks.duplicates.repeats import Repeated
from tasks.duplicates.verdicts import ShardVerdicts
from tasks.text.buffers import texts_of

EXACT, NEAR = "exact_duplicate", "near_duplicate"

Reason = tuple[str, float, float, str | None]
"""Rule, value, threshold and detail."""


@dataclass(frozen=True)
class Separated:
    """What the separation of some documents counted."""

    counts: Counter[str] = field(default_factory=Counter)
    """Documents and bytes kept and cut; documents by the rule that dropped them for repeated passages."""
    examples: dict[int, str] = field(default_factory=dict)
    """By number of a repeated passage: how it reads."""

    def __add__(self, other: "Separated") -> "Separated":
        return Separated(self.counts + other.counts, self.examples | other.examples)


def separate_shard(
    judged: ShardVerdicts, *, names: Names, repeated: Repeated | None, params: DedupParams, out: Path, scratch: Path
) -> Separated:
    """Write out/kept/ and out/rejected/ under the shard's name, unless an earlier attempt did.

    `names` has the survivors'; `repeated` the passages to cut, if any.
    """
    done = scratch / judged.shard.stem / "separated.json"
    if done.exists():
        counts, examples = json.loads(done.read_text(encoding="utf-8"))
        return Separated(Counter(counts), {int(number): text for number, text in examples.items()})
    separated, start, keeps = Separated(), 0, judged.kept
    kept_path, rejected_path = (out / folder / judged.shard.name for folder in ("kept", "rejected"))
    with shard_writer(kept_path, DOCUMENT) as kept_writer, shard_writer(rejected_path, REJECTED) as rejected_writer:
        for batch in read_batches(judged.shard):
            rows = slice(start, start + batch.num_rows)
            cut = _cut(batch, keeps[rows], judged.ranks[rows], repeated, params.repeated_passages)
            reasons = _reasons(judged, rows, names, params)
            reasons |= {row: (*reason, None) for row, reason in cut.dropped.items()}
            kept = _kept(batch, reasons, cut)
            separated += _count(batch, kept, cut)
            if kept.num_rows:
                kept_writer.write_batch(kept)
            if reasons:
                rejected_writer.write_batch(_rejected(batch, reasons))
            start += batch.num_rows
    write_atomic(done, json.dumps([separated.counts, separated.examples], ensure_ascii=False))
    return separated


def _count(batch: pa.RecordBatch, kept: pa.RecordBatch, cut: Cut) -> Separated:
    texts, lengths = kept.column("text"), texts_of(batch.column("text")).num_bytes
    cut_bytes = sum(int(lengths[row]) - len(text.encode()) for row, text in cut.texts.items())
    sizes = {"docs_kept": len(texts), "bytes_kept": int(texts_of(texts).num_bytes.sum())}
    counts = Counter({**sizes, "docs_cut": len(cut.texts), "bytes_cut": cut_bytes})
    counts.update(rule for rule, _, _ in cut.dropped.values())
    return Separated(counts, cut.examples)


def _cut(
    batch: pa.RecordBatch,
    kept: Flags,
    ranks: Indices,
    repeated: Repeated | None,
    params: RepeatedPassageParams | None,
) -> Cut:
    if repeated is None or params is None or len(repeated.hashes) == 0:
        return Cut({}, {}, {})
    return cut_texts(batch.column("text"), kept, ranks, repeated, params)


def _reasons(judged: ShardVerdicts, rows: slice, names: Names, params: DedupParams) -> dict[int, Reason]:
    """Why duplicates leave, by their row in the batch."""
    first, last = np.searchsorted(judged.rows, (rows.start, rows.stop))
    survivors = names.of(judged.survivors[first:last])
    figures = zip(
        (judged.rows[first:last] - rows.start).tolist(),
        judged.is_exact[first:last].tolist(),
        judged.similarity[first:last].tolist(),
        survivors,
        strict=True,
    )
    least = params.min_similarity or 0.0
    return {
        row: (EXACT, 1.0, 1.0, name) if is_exact else (NEAR, similarity, least, name)
        for row, is_exact, similarity, name in figures
    }


def _kept(batch: pa.RecordBatch, reasons: dict[int, Reason], cut: Cut) -> pa.RecordBatch:
    """What stays of a batch."""
    rows = np.delete(np.arange(batch.num_rows), list(reasons))
    kept = batch.take(pa.array(rows))
    if not cut.texts:
        return kept
    texts = [cut.texts.get(row, text) for row, text in zip(rows.tolist(), kept.column("text").to_pylist(), strict=True)]
    at = DOCUMENT.get_field_index("text")
    columns = [pa.array(texts, pa.large_string()) if n == at else column for n, column in enumerate(kept.columns)]
    return pa.RecordBatch.from_arrays(columns, schema=DOCUMENT)


def _rejected(batch: pa.RecordBatch, reasons: dict[int, Reason]) -> pa.RecordBatch:
    """What leaves it, as it was."""
    rows = sorted(reasons)
    added = [
        pa.array([reasons[row][at] for row in rows], REJECTED.field(len(DOCUMENT) + at).type)
        for at in range(len(REJECTED) - len(DOCUMENT))
    ]
    return pa.RecordBatch.from_arrays([*batch.take(pa.array(rows)).columns, *added], schema=REJECTED)
