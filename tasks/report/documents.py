"""How long documents are and in which languages and scripts, measured on the shards of a result."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.artifacts.manifest import Manifest
from tasks.documents.shards import read_batches
from tasks.language.scripts import count_scripts
from tasks.text.buffers import texts_of

SELECTING = ("ingest", "clean", "dedup", "decontaminate")
"""Stages that drop documents."""
_FIRST_BIT = 4
NUM_BINS = 20
"""Bins of lengths: from 16 bytes on, each twice as long as the one before; the ends take what is beyond."""
_MAX_BYTES = 256_000_000
_SCRIPT_CHARACTERS = 500
_SCRIPTS = ("han", "kana", "hangul", "other")


@dataclass
class Measured:
    """Sums over documents."""

    docs: int = 0
    bytes: int = 0
    is_sample: bool = False
    """Only some shards were read, spread evenly."""
    lengths: list[int] = field(default_factory=lambda: [0] * NUM_BINS)
    by_language: Counter[str] = field(default_factory=Counter)
    """Bytes."""
    scripts: Counter[str] = field(default_factory=Counter)
    """Letters among the first characters of each document."""


def measure_documents(result: Manifest, pattern: str = "kept/*.arrow", *, scripts: bool = False) -> Measured:
    """Lengths, languages and, if asked for, scripts; of a large result only some shards are read."""
    shards = result.paths(pattern)
    chosen = _evenly(shards)
    found = Measured(is_sample=len(chosen) < len(shards))
    for shard in chosen:
        for batch in read_batches(shard, ("text", "language")):
            _add(found, batch, scripts=scripts)
    return found


def count_rejected(result: Manifest) -> Counter[tuple[str, str]]:
    """Documents that a stage dropped, by source and rule."""
    found = Counter[tuple[str, str]]()
    for shard in result.paths("rejected/*.arrow"):
        for batch in read_batches(shard, ("source", "rule")):
            counts = pa.Table.from_batches([batch]).group_by(["source", "rule"]).aggregate([([], "count_all")])
            for row in counts.to_pylist():
                found[row["source"], row["rule"]] += row["count_all"]
    return found


def reasons_of(counts: Mapping[str, int]) -> dict[str, int]:
    """Documents that a stage dropped, by rule, most first."""
    rules = {key.partition(".")[2]: count for key, count in counts.items() if key.startswith("rejected.")}
    duplicates = ("exact_duplicates", "near_duplicates", "known_duplicates")
    rules |= {key.replace("_", " "): counts[key] for key in duplicates if key in counts}
    return {rule: count for rule, count in sorted(rules.items(), key=lambda item: (-item[1], item[0])) if count}


def bin_labels() -> list[str]:
    """Edges of the bins of lengths."""
    units = ("B", "kB", "MB")
    bits = range(_FIRST_BIT, _FIRST_BIT + NUM_BINS + 1)
    return [f"{1 << (bit % 10)} {units[bit // 10]}" for bit in bits]


def _evenly(shards: Sequence[Path]) -> Sequence[Path]:
    whole = sum(shard.stat().st_size for shard in shards)
    if whole <= _MAX_BYTES:
        return shards
    number = max(1, len(shards) * _MAX_BYTES // whole)
    return [shards[index * len(shards) // number] for index in range(number)]


def _add(found: Measured, batch: pa.RecordBatch, *, scripts: bool) -> None:
    texts = batch.column("text")
    sizes = np.asarray(pc.binary_length(texts).fill_null(0))
    found.docs += len(sizes)
    found.bytes += int(sizes.sum())
    bits = np.log2(np.maximum(sizes, 1)).astype(int) - _FIRST_BIT
    counts = np.bincount(np.clip(bits, 0, NUM_BINS - 1), minlength=NUM_BINS)
    found.lengths = [int(old + new) for old, new in zip(found.lengths, counts, strict=True)]
    for language, size in _sizes(batch.column("language"), sizes):
        found.by_language[language] += size
    if scripts:
        letters = count_scripts(texts_of(texts), _SCRIPT_CHARACTERS)
        found.scripts.update({name: int(getattr(letters, name).sum()) for name in _SCRIPTS})


def _sizes(languages: pa.Array, sizes: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Iterator[tuple[str, int]]:
    grouped = pa.table({"language": languages, "size": sizes}).group_by("language").aggregate([("size", "sum")])
    for row in grouped.to_pylist():
        yield row["language"] or "unknown", int(row["size_sum"])
