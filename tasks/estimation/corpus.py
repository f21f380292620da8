"""What is known of the text before training: from results in the store, else from stated assumptions."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from params.pipeline import PipelineParams
from params.survey import SurveyParams
from tasks.artifacts.manifest import Manifest
from tasks.files.listing import list_files
from tasks.files.places import Root

_KEPT = 0.7
"""Share of raw text that cleaning and deduplication leave, where nothing is known: web text keeps less, books more."""
_BYTES_PER_TOKEN_4K = 3.1
"""Measured on English documentation with a vocabulary of 4,096."""
_BYTES_PER_DOUBLING = 0.168
"""So that 131,072 entries give 3.94, as Dubey et al. (2024, section 3.2) measured. Chinese differs less than one would
think: three bytes a character, one to one and a half characters a token."""


@dataclass(frozen=True)
class Corpus:
    """The training text in bytes, tokens and blocks."""

    vocab_size: int
    bytes_per_token: float
    text_bytes: int | None
    """Raw text of all sources."""
    train_tokens: int | None
    num_blocks: int | None
    notes: tuple[str, ...]
    """Which of these figures the store knew, and what was assumed for the others."""


def corpus_of(params: PipelineParams, results: Mapping[str, Manifest], *, listed_bytes: int | None) -> Corpus:
    """What the results of earlier stages say, by stage name, and assumptions for the rest; `listed_bytes` is the size
    of the raw text for want of a survey."""
    notes: list[str] = []
    vocab_size = _count(results, "train_tokenizer", "vocab_size")
    if vocab_size is None:
        vocab_size = params.train_tokenizer.vocab_size
        notes.append(f"vocabulary: {vocab_size:,}, as asked for; the tokenizer is not trained yet")
    text_bytes = _count(results, "survey", "bytes") or listed_bytes
    if (shards := results.get("shard")) is not None and not shards.is_pending:
        counts, values = shards.metrics.counts, shards.metrics.values
        notes.append(f"text: {counts['train_tokens']:,} training tokens, counted by the shard stage")
        per_token = values["bytes_per_token"]
        return Corpus(vocab_size, per_token, text_bytes, counts["train_tokens"], counts["train_blocks"], tuple(notes))
    per_token = assumed_bytes_per_token(vocab_size)
    if text_bytes is None:
        notes.append("text: unknown, as the sources are not here")
        return Corpus(vocab_size, per_token, None, None, None, tuple(notes))
    tokens, told = _assumed_tokens(params, results, text_bytes, per_token)
    blocks = max(1, tokens // params.shard.context)
    return Corpus(vocab_size, per_token, text_bytes, tokens, blocks, (*notes, told))


def listed_bytes(params: SurveyParams, roots: Mapping[str, Root]) -> int | None:
    """Size of the files that the sources ask for, none of them read; None where a source is not here."""
    total = 0
    for source in params.sources:
        root = roots[source.name]
        if isinstance(root, Path) and not root.exists():
            return None
        listing = list_files(root, source.include, source.exclude)
        for path in listing.paths:
            if isinstance(root, Path):
                total += (root if root.is_file() else root / path).stat().st_size
            else:
                total += listing.entries[path].size_bytes or 0
    return total


def assumed_bytes_per_token(vocab_size: int) -> float:
    """UTF-8 bytes of a token by the size of the vocabulary."""
    return max(1.0, _BYTES_PER_TOKEN_4K + _BYTES_PER_DOUBLING * math.log2(vocab_size / 4096))


def _assumed_tokens(
    params: PipelineParams, results: Mapping[str, Manifest], text_bytes: int, per_token: float
) -> tuple[int, str]:
    kept, stage = _KEPT, None
    for name in ("clean", "dedup"):
        if (share := _kept_share(results, name)) is not None:
            kept, stage = (share if stage is None else kept * share), name
    trained = 1 - params.split.validation - params.split.test
    tokens = round(text_bytes * kept * trained / per_token)
    if params.shard.max_tokens is not None:
        tokens = min(tokens, params.shard.max_tokens)
    how = "kept as documents were" if stage else "assumed to be kept"
    told = f"text: {text_bytes / 1e6:,.1f} MB raw, {kept:.0%} {how}, {per_token:.2f} bytes a token assumed"
    return tokens, told


def _kept_share(results: Mapping[str, Manifest], stage: str) -> float | None:
    docs_in, docs_kept = _count(results, stage, "docs_in"), _count(results, stage, "docs_kept")
    return docs_kept / docs_in if docs_in and docs_kept is not None else None


def _count(results: Mapping[str, Manifest], stage: str, name: str) -> int | None:
    result = results.get(stage)
    return None if result is None or result.is_pending else result.metrics.counts.get(name)
