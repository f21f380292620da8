"""Two models on the same documents or rows, by a paired bootstrap."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.evaluation.figures import Bootstrap, resampled_ratios
from tasks.evaluation.losses import DocumentLosses, Floats


@dataclass(frozen=True)
class Comparison:
    """How much better the new model is, in units of the figure that decides (below zero: worse).

    That is bits per byte of documents, which are texts or conversations of which the answers count, or the figure of
    models that are judged by rows, such as accuracy.
    """

    gain: float
    low: float
    """The gain is above this with the stated confidence (one-sided)."""
    confidence: float
    probability: float
    """Share of the resamples in which the gain is above what was asked for."""
    docs: int
    new: float
    """The figure of the new model."""
    champion: float
    figure: str = "served.bits_per_byte"
    """Of evaluation.json in a bundle: what decides."""
    why: str = "training ended with plain text"
    """Why this figure and no other."""
    unit: str = "bits per byte"
    """The figure in words."""


@dataclass(frozen=True)
class Costs:
    """What each document or row adds to a figure: the sum of costs over that of weights, the less the better."""

    ids: list[str]
    costs: Floats
    weights: Floats

    def only(self, ids: Collection[str]) -> "Costs":
        """Those of some documents."""
        wanted = set(ids)
        places = np.array([place for place, name in enumerate(self.ids) if name in wanted], np.int64)
        return Costs([self.ids[place] for place in places], self.costs[places], self.weights[places])

    @property
    def ratio(self) -> float:
        """The figure over all of them."""
        return float(self.costs.sum() / self.weights.sum())


def bits_per_byte(losses: DocumentLosses) -> Costs:
    """The cross-entropy of documents in bits per byte."""
    return Costs(losses.ids, losses.nats / math.log(2), losses.num_bytes.astype(np.float64))


def compare(new: Costs, champion: Costs, bootstrap: Bootstrap, *, asked: float) -> Comparison:
    """Compare two models document by document; `asked` is the gain that the new one must exceed.

    Documents are drawn with replacement, both models' losses of a document together, so that what makes a document
    easy or hard for both cancels out (paired bootstrap: Koehn 2004, Statistical significance tests for machine
    translation evaluation).
    """
    theirs = dict(zip(champion.ids, champion.costs, strict=True))
    assert set(theirs) == set(new.ids), "the same documents"
    saved = np.array([theirs[name] for name in new.ids]) - new.costs
    gains = resampled_ratios(saved, new.weights, bootstrap)
    return Comparison(
        gain=round(float(saved.sum() / new.weights.sum()), 6),
        low=round(float(np.quantile(gains, 1 - bootstrap.confidence)), 6),
        confidence=bootstrap.confidence,
        probability=round(float((gains > asked).mean()), 4),
        docs=len(new.ids),
        new=round(new.ratio, 6),
        champion=round(champion.ratio, 6),
    )


def is_enough(found: Comparison, mode: Literal["better", "no_worse"], margin: float) -> bool:
    """Whether a model may take the champion's place: better by more than the margin, or no worse by more than it."""
    return found.low > margin if mode == "better" else found.low >= -margin


def asked_gain(mode: Literal["better", "no_worse"], margin: float) -> float:
    """The gain that must be exceeded."""
    return margin if mode == "better" else 0.0 - margin
