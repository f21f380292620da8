"""Two models on the same documents, by a paired bootstrap."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.evaluation.figures import Bootstrap, resampled_ratios
from tasks.evaluation.losses import DocumentLosses


@dataclass(frozen=True)
class Comparison:
    """How much better the new model predicts the documents, in bits per byte (below zero: worse).

    Documents are texts, or conversations of which the answers count.
    """

    gain: float
    low: float
    """The gain is above this with the stated confidence (one-sided)."""
    confidence: float
    probability: float
    """Share of the resamples in which the gain is above what was asked for."""
    docs: int
    new: float
    """Bits per byte of the new model."""
    champion: float
    figure: str = "served.bits_per_byte"
    """Of evaluation.json in a bundle: what decides."""
    why: str = "training ended with plain text"
    """Why this figure and no other."""


def compare(new: DocumentLosses, champion: DocumentLosses, bootstrap: Bootstrap, *, asked: float) -> Comparison:
    """Compare two models document by document; `asked` is the gain that the new one must exceed.

    Documents are drawn with replacement, both models' losses of a document together, so that what makes a document
    easy or hard for both cancels out (paired bootstrap: Koehn 2004, Statistical significance tests for machine
    translation evaluation).
    """
    theirs = dict(zip(champion.ids, champion.nats, strict=True))
    assert set(theirs) == set(new.ids), "the same documents"
    saved = np.array([theirs[name] for name in new.ids]) - new.nats
    gains = resampled_ratios(saved, new.num_bytes, bootstrap) / math.log(2)
    total = float(new.num_bytes.sum() * math.log(2))
    return Comparison(
        gain=round(float(saved.sum()) / total, 6),
        low=round(float(np.quantile(gains, 1 - bootstrap.confidence)), 6),
        confidence=bootstrap.confidence,
        probability=round(float((gains > asked).mean()), 4),
        docs=len(new.ids),
        new=round(float(new.nats.sum()) / total, 6),
        champion=round(float(champion.nats.sum()) / total, 6),
    )


def is_enough(found: Comparison, mode: Literal["better", "no_worse"], margin: float) -> bool:
    """Whether a model may take the champion's place: better by more than the margin, or no worse by more than it."""
    return found.low > margin if mode == "better" else found.low >= -margin


def asked_gain(mode: Literal["better", "no_worse"], margin: float) -> float:
    """The gain in bits per byte that must be exceeded."""
    return margin if mode == "better" else 0.0 - margin
