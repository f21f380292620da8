"""Loss, perplexity and bits per byte with bootstrap confidence intervals over documents; intervals of shares."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.random import PCG64, Generator

from tasks.evaluation.losses import DocumentLosses, Floats, Ints


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn (Efron 1979, percentile)."""

    samples: int
    confidence: float
    seed: int


@dataclass(frozen=True)
class Figures:
    """How well a model predicts some documents."""

    loss: float
    """Mean cross-entropy, nats per token."""
    perplexity: float
    """exp(loss)."""
    bits_per_byte: float
    """Cross-entropy in bits per UTF-8 byte: comparable across tokenizers."""
    bits_per_byte_low: float
    bits_per_byte_high: float
    """Bootstrap interval over documents."""
    docs: int
    targets: int
    num_bytes: int


def figures(losses: DocumentLosses, bootstrap: Bootstrap) -> Figures:
    """Figures over all documents together."""
    low, high = bootstrap_ratio(losses.nats, losses.num_bytes, bootstrap)
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


def all_figures(losses: DocumentLosses, bootstrap: Bootstrap) -> dict[str, Any]:
    """Figures of all documents, and of each source and language apart."""
    return {
        **asdict(figures(losses, bootstrap)),
        "by_source": figures_apart(losses, losses.sources, bootstrap),
        "by_language": figures_apart(losses, losses.languages, bootstrap),
    }


def bootstrap_ratio(numerators: Floats, denominators: Floats | Ints, bootstrap: Bootstrap) -> tuple[float, float]:
    """Percentile interval of sum(numerators) / sum(denominators) when the pairs are drawn anew."""
    return interval(resampled_ratios(numerators, denominators, bootstrap), bootstrap)


def interval(resampled: Floats, bootstrap: Bootstrap) -> tuple[float, float]:
    """Percentile interval of a figure from its values in the resamples, those without one (NaN) left out."""
    tail = (1 - bootstrap.confidence) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def share_interval(hits: float, count: float, bootstrap: Bootstrap) -> tuple[float, float]:
    """Interval of a share of equal draws (Wilson 1927).

    Unlike a bootstrap's it has a width where all or none of a few are hits.
    """
    z = NormalDist().inv_cdf((1 + bootstrap.confidence) / 2)
    share, spread = hits / count, z * z / count
    middle = share + spread / 2
    half = math.sqrt(spread * (share * (1 - share) + spread / 4))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return max(low, 0.0) if hits else 0.0, min(high, 1.0) if hits < count else 1.0


def resampled_ratios(numerators: Floats, denominators: Floats | Ints, bootstrap: Bootstrap) -> Floats:
    """sum(numerators) / sum(denominators) of each resample of the pairs."""
    random = Generator(PCG64(bootstrap.seed))
    count = len(numerators)
    ratios = np.empty(bootstrap.samples)
    for index in range(bootstrap.samples):
        drawn = np.bincount(random.integers(0, count, count), minlength=count)
        below = float(drawn @ denominators)
        ratios[index] = float(drawn @ numerators) / below if below else math.nan
    return ratios


def figures_apart(losses: DocumentLosses, groups: Sequence[str], bootstrap: Bootstrap) -> dict[str, dict[str, Any]]:
    """Figures of each group of documents."""
    names = np.array(groups)
    return {name: asdict(figures(losses.only(names == name), bootstrap)) for name in sorted(set(groups))}
