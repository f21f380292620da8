"""Loss, perplexity and bits per byte, with bootstrap confidence intervals over documents."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tasks.evaluation.losses import DocumentLosses, Floats, Ints


@dataclass(frozen=True)
class Figures:
    """How well a model predicts some documents."""

    loss: float
    """Mean cross-entropy, nats per token, the end of text included."""
    perplexity: float
    """exp(loss)."""
    bits_per_byte: float
    """Cross-entropy in bits per UTF-8 byte: comparable across tokenizers."""
    bits_per_byte_low: float
    bits_per_byte_high: float
    """Bootstrap interval over documents (Efron 1979, percentile)."""
    docs: int
    targets: int
    num_bytes: int


def figures(losses: DocumentLosses, *, samples: int, confidence: float, seed: int) -> Figures:
    """Figures over all documents together."""
    low, high = bootstrap_ratio(losses.nats, losses.num_bytes, samples=samples, confidence=confidence, seed=seed)
    loss = float(losses.nats.sum() / losses.num_targets.sum())
    return Figures(
        loss=round(loss, 6),
        perplexity=round(math.exp(min(loss, 700.0)), 4),
        bits_per_byte=round(float(losses.nats.sum() / losses.num_bytes.sum() / math.log(2)), 6),
        bits_per_byte_low=round(low / math.log(2), 6),
        bits_per_byte_high=round(high / math.log(2), 6),
        docs=len(losses.ids),
        targets=int(losses.num_targets.sum()),
        num_bytes=int(losses.num_bytes.sum()),
    )


def figures_by_source(losses: DocumentLosses, **settings: Any) -> dict[str, dict[str, Any]]:
    """Figures of each source apart."""
    sources = np.array(losses.sources)
    return {source: asdict(figures(_subset(losses, sources == source), **settings)) for source in sorted(set(sources))}


def bootstrap_ratio(
    numerators: Floats, denominators: Ints, *, samples: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Percentile interval of sum(numerators) / sum(denominators) when the pairs are drawn anew."""
    random = np.random.Generator(np.random.PCG64(seed))
    count = len(numerators)
    ratios = np.empty(samples)
    for index in range(samples):
        drawn = np.bincount(random.integers(0, count, count), minlength=count)
        below = float(drawn @ denominators)
        ratios[index] = float(drawn @ numerators) / below if below else math.nan
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(ratios, [tail, 1 - tail])
    return float(low), float(high)


def _subset(losses: DocumentLosses, chosen: Any) -> DocumentLosses:
    indices = np.flatnonzero(chosen)
    return DocumentLosses(
        ids=[losses.ids[i] for i in indices],
        sources=[losses.sources[i] for i in indices],
        nats=losses.nats[indices],
        num_bytes=losses.num_bytes[indices],
        num_targets=losses.num_targets[indices],
    )
