"""Figures of a classifier on held-out rows, with bootstrap intervals over the rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.evaluation.figures import Bootstrap, interval
from tasks.kinds.rows import Floats, Ints, RowScores

_BINS = 15
"""Of the calibration error, as in Guo et al. 2017 (On calibration of modern neural networks)."""
_DIGITS = 6


@dataclass(frozen=True)
class _Tally:
    """Rows by label, of all rows or of each resample: (…, labels)."""

    hits: Ints
    wanted: Ints
    said: Ints

    @property
    def precision(self) -> Floats:
        """Share of what was said that is right; NaN for a label that was never said."""
        return _shares(self.hits, self.said)

    @property
    def recall(self) -> Floats:
        """Share of what was wanted that was found; NaN for a label that no row has."""
        return _shares(self.hits, self.wanted)

    @property
    def f1(self) -> Floats:
        """Harmonic mean of the two; NaN for a label that is neither wanted nor said."""
        return _shares(2 * self.hits, self.wanted + self.said)


def label_figures(scores: RowScores, bootstrap: Bootstrap) -> dict[str, Any]:
    """Accuracy, macro F1, what is gained over always saying the commonest label, each label apart, calibration.

    Rows are drawn with replacement for the intervals, which is to draw how many fall to each pair of a wanted and a
    said label. Macro F1 leaves labels out that are neither wanted nor said.
    """
    names = sorted({*scores.wanted, *scores.said})
    number = {name: place for place, name in enumerate(names)}
    wanted, said = (np.array([number[name] for name in column]) for column in (scores.wanted, scores.said))
    cells, counts = np.unique(np.stack([wanted, said]), axis=1, return_counts=True)
    whole = _tally(cells, counts[None], len(names))
    random = np.random.Generator(np.random.PCG64(bootstrap.seed))
    drawn = random.multinomial(len(wanted), counts / len(wanted), size=bootstrap.samples)
    resampled = _tally(cells, drawn, len(names))
    return {
        "docs": len(wanted),
        "log_loss": round(float(scores.nats.mean()), _DIGITS),
        **_with_interval("accuracy", _accuracy(whole), _accuracy(resampled), bootstrap),
        **_with_interval("macro_f1", _macro(whole), _macro(resampled), bootstrap),
        "majority_accuracy": round(float(whole.wanted.max()) / len(wanted), _DIGITS),
        **_with_interval("over_majority", _over_majority(whole), _over_majority(resampled), bootstrap),
        "calibration_error": round(calibration_error(scores.confidence, wanted == said), _DIGITS),
        "by_label": {name: _of_label(place, whole, resampled, bootstrap) for name, place in number.items()},
        "confusion": _confusion(names, cells, counts),
    }


def calibration_error(confidence: Floats, is_right: np.ndarray) -> float:
    """Expected calibration error: how far confidence is from accuracy, bin by bin of equal width."""
    places = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    gaps = [abs(float((confidence - is_right)[places == place].sum())) for place in np.unique(places)]
    return sum(gaps) / len(confidence)


def _tally(cells: Ints, counts: Ints, num_labels: int) -> _Tally:
    """From how many rows (…, cells) fall to each pair of a wanted and a said label."""
    labels = np.arange(num_labels)
    is_wanted, is_said = (column[:, None] == labels for column in cells)
    is_hit = is_wanted & is_said
    return _Tally(*(counts @ chosen.astype(np.int64) for chosen in (is_hit, is_wanted, is_said)))


def _accuracy(found: _Tally) -> Floats:
    return np.asarray(found.hits.sum(-1) / found.wanted.sum(-1))


def _macro(found: _Tally) -> Floats:
    return np.asarray(np.nanmean(found.f1, axis=-1))


def _over_majority(found: _Tally) -> Floats:
    return np.asarray((found.hits.sum(-1) - found.wanted.max(-1)) / found.wanted.sum(-1))


def _of_label(place: int, whole: _Tally, resampled: _Tally, bootstrap: Bootstrap) -> dict[str, Any]:
    figures: dict[str, Any] = {"docs": int(whole.wanted[0, place])}
    for name in ("precision", "recall", "f1"):
        one, many = getattr(whole, name)[:, place], getattr(resampled, name)[:, place]
        figures |= _with_interval(name, one, many, bootstrap) if np.isfinite(one[0]) else {}
    return figures


def _with_interval(name: str, whole: Floats, resampled: Floats, bootstrap: Bootstrap) -> dict[str, float]:
    values = (whole[0], *interval(resampled, bootstrap))
    return {key: round(float(value), _DIGITS) for key, value in zip(_ends(name), values, strict=True)}


def _ends(name: str) -> Sequence[str]:
    return name, f"{name}_low", f"{name}_high"


def _confusion(names: Sequence[str], cells: Ints, counts: Ints) -> list[dict[str, Any]]:
    """A row for each wanted label: how often each label was said."""
    matrix = np.zeros((len(names), len(names)), np.int64)
    matrix[cells[0], cells[1]] = counts
    return [
        {"wanted": name, **dict(zip(names, row.tolist(), strict=True))} for name, row in zip(names, matrix, strict=True)
    ]


def _shares(hits: Ints, of: Ints) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(hits / np.where(of > 0, of, np.nan))
