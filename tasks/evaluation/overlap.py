"""Which evaluation texts the training text contains, n-gram by n-gram."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from params.evaluate import ContaminationParams
from tasks.contamination.index import num_bits
from tasks.contamination.ngrams import NgramSizes, SearchTable, bits_of, find, profile
from tasks.documents.shards import read_batches
from tasks.text.kernels import Counts

_ALL = np.uint64((1 << 64) - 1)


def measure_contamination(
    sets: Mapping[str, Sequence[str]], training: Sequence[Path], params: ContaminationParams
) -> dict[str, Any]:
    """For each set of texts, the share of those that stand in the training shards.

    A text is contaminated when at least `params.min_overlap` of its n-grams occur in training documents; n-grams that
    occur in more than `params.max_documents` of them are common phrases and do not count (GPT-3: 13 words and 10
    documents, Brown et al. 2020, appendix C; PaLM: 70 %, Chowdhery et al. 2022). Texts shorter than one n-gram cannot
    be told and are counted apart.
    """
    sizes = NgramSizes(params.ngram_words, params.ngram_characters, params.ngram_words, params.ngram_characters)
    hashes = {name: _hashes(texts, sizes) for name, texts in sets.items()}
    every = np.unique(np.concatenate([np.zeros(0, np.uint64), *(h for found in hashes.values() for h in found)]))
    if not every.size:
        return {name: _figures([], found, params) for name, found in hashes.items()}
    documents = _document_counts(every, training, sizes)
    counted, there = documents <= params.max_documents, (documents > 0) & (documents <= params.max_documents)
    report = dict[str, Any]()
    for name, found in hashes.items():
        coverage = []
        for text in found:
            places = np.searchsorted(every, text)
            if text.size and (total := int(counted[places].sum())):
                coverage.append(float(there[places].sum()) / total)
        report[name] = _figures(coverage, found, params)
    return report


def _figures(coverage: list[float], texts: list[Any], params: ContaminationParams) -> dict[str, Any]:
    dirty = sum(share >= params.min_overlap for share in coverage)
    return {
        "share": round(dirty / len(coverage), 6) if coverage else 0.0,
        "contaminated": dirty,
        "compared": len(coverage),
        "too_short": len(texts) - len(coverage),
        "mean_overlap": round(float(np.mean(coverage)), 6) if coverage else 0.0,
    }


def _hashes(texts: Sequence[str], sizes: NgramSizes) -> list[Any]:
    """Different n-grams of each text."""
    found = profile(pa.array(texts, pa.large_string()), sizes)
    return [np.unique(found.hashes[a:b]) for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)]


def _document_counts(keys: Any, training: Sequence[Path], sizes: NgramSizes) -> Counts:
    """In how many training documents each n-gram occurs."""
    none = np.zeros(0, np.uint64)
    table = SearchTable(keys, bits_of(keys, num_bits(len(keys))), np.zeros(0, np.int64), bits_of(none, 64), _ALL)
    counts = np.zeros(len(keys), np.int64)
    for shard in training:
        for batch in read_batches(shard, ["text"]):
            hits = find(batch.column("text"), table, sizes)
            pairs = np.unique(hits.texts.astype(np.int64) << 32 | hits.keys)
            counts += np.bincount(pairs & 0xFFFFFFFF, minlength=len(keys))
    return counts
