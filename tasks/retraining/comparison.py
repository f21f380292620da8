"""The new model against the champion on old and on new held-out text: what was gained, and what was forgotten."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks.arrivals.withdrawal import NEW
from tasks.evaluation.losses import DocumentLosses


@dataclass(frozen=True)
class Comparison:
    """Bits per byte of both models on the same documents."""

    figures: Mapping[str, float]
    """Of old, new and whole text: old.champion, old.candidate, old.loss …, without the part that has no text."""
    max_forgetting: float

    @property
    def holds(self) -> tuple[str, ...]:
        """Why the new model must not take the champion's place."""
        forgotten = self.figures.get("old.loss", 0.0)
        if forgotten <= self.max_forgetting:
            return ()
        return (f"it forgets {forgotten:.4f} bits per byte of old text, limit {self.max_forgetting:g}",)

    def __str__(self) -> str:
        """One line."""
        parts = [part for part in ("old", "new") if f"{part}.loss" in self.figures]
        said = [
            f"{part} text {self.figures[f'{part}.candidate']:.4f} against {self.figures[f'{part}.champion']:.4f}"
            for part in parts
        ]
        return f"bits per byte against the champion: {', '.join(said)}"


def compare(candidate: DocumentLosses, champion: DocumentLosses, *, max_forgetting: float) -> Comparison:
    """Sums over the same held-out documents; what the champion has not seen is new."""
    assert (candidate.ids, candidate.sources) == (champion.ids, champion.sources), "both read the same documents"
    is_new = np.array([source.endswith(NEW) for source in candidate.sources], np.bool_)
    figures: dict[str, float] = {}
    for part, chosen in (("old", ~is_new), ("new", is_new), ("whole", np.ones_like(is_new))):
        if not chosen.any():
            continue
        mine, theirs = (_bits_per_byte(losses.only(chosen)) for losses in (candidate, champion))
        figures |= {f"{part}.candidate": mine, f"{part}.champion": theirs, f"{part}.loss": mine - theirs}
    return Comparison(figures, max_forgetting)


def _bits_per_byte(losses: DocumentLosses) -> float:
    return float(losses.nats.sum() / losses.num_bytes.sum() / math.log(2))
