"""What is known of the text before training: from results in the store, else from stated assumptions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from params.pipeline import PipelineParams
from params.survey import SurveyParams
from tasks.artifacts.manifest import Manifest
from tasks.files.listing import list_files
from tasks.files.places import Root
from tasks.training.extent import TWO_SIDED

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


def corpus_of_examples(
    corpus: Corpus, params: PipelineParams, encoded: Manifest | None, *, listed_bytes: int | None
) -> Corpus:
    """The same with the examples that a phase learns from in the place of text.

    `params` have the sections train and encode as the phase has them; `encoded` is its result of encode, if stored, and
    `listed_bytes` the size of its files for want of one.
    """
    context = params.encode.context or params.shard.context
    if encoded is not None and not encoded.is_pending:
        counts = encoded.metrics.counts
        blocks = counts["train_blocks"]
        told = f"examples: {counts['train_examples']:,} in {blocks:,} blocks, counted by the encode stage"
        return replace(corpus, train_tokens=blocks * context, num_blocks=blocks, notes=(*_vocabulary(corpus), told))
    if listed_bytes is None:
        told = "examples: unknown, as encode.sources are not here"
        return replace(corpus, train_tokens=None, num_blocks=None, notes=(*_vocabulary(corpus), told))
    sides = 2 if params.train.objective in TWO_SIDED else 1
    tokens = round(listed_bytes * (1 - params.encode.validation) / corpus.bytes_per_token / sides)
    told = f"examples: {listed_bytes / 1e6:,.1f} MB taken for text, {corpus.bytes_per_token:.2f} bytes a token assumed"
    blocks = max(1, math.ceil(tokens / context))
    return replace(corpus, train_tokens=tokens, num_blocks=blocks, notes=(*_vocabulary(corpus), told))


def listed_bytes(params: SurveyParams, roots: Mapping[str, Root]) -> int | None:
    """Size of the files that the sources ask for, none of them read; None where a source is not here."""
    sizes = [size_of_files(roots[source.name], source.include, source.exclude) for source in params.sources]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def size_of_files(root: Root, include: Sequence[str], exclude: Sequence[str] = ()) -> int | None:
    """Bytes of the files in a place; None where it is not here."""
    if isinstance(root, Path) and not root.exists():
        return None
    listing, total = list_files(root, include, exclude), 0
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


def _vocabulary(corpus: Corpus) -> tuple[str, ...]:
    return tuple(note for note in corpus.notes if note.startswith("vocabulary"))


def _kept_share(results: Mapping[str, Manifest], stage: str) -> float | None:
    docs_in, docs_kept = _count(results, stage, "docs_in"), _count(results, stage, "docs_kept")
    return docs_kept / docs_in if docs_in and docs_kept is not None else None


def _count(results: Mapping[str, Manifest], stage: str, name: str) -> int | None:
    result = results.get(stage)
    return None if result is None or result.is_pending else result.metrics.counts.get(name)
