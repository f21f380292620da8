"""Figures of a classifier on held-out rows, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import PCG64, Generator

from tasks.evaluation.figures import Bootstrap, interval, share_interval
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
    def f1(self) -> Floats:
        """Harmonic mean of precision and recall; NaN for a label that is neither wanted nor said."""
        rows = self.wanted + self.said
        with np.errstate(invalid="ignore"):
            return np.asarray(2 * self.hits / np.where(rows > 0, rows, np.nan))


def label_figures(scores: RowScores, bootstrap: Bootstrap) -> dict[str, Any]:
    """Accuracy, macro F1, what is gained over always saying the commonest label, each label apart, calibration.

    Of what is no plain share of rows, rows are drawn with replacement for the intervals, which is to draw how many fall
    to each pair of a wanted and a said label. Macro F1 leaves labels out that are neither wanted nor said.
    """
    names = sorted({*scores.wanted, *scores.said})
    number = {name: place for place, name in enumerate(names)}
    wanted, said = (np.array([number[name] for name in column]) for column in (scores.wanted, scores.said))
    cells, counts = np.unique(np.stack([wanted, said]), axis=1, return_counts=True)
    whole = _tally(cells, counts[None], len(names))
    random = Generator(PCG64(bootstrap.seed))
    drawn = random.multinomial(len(wanted), counts / len(wanted), size=bootstrap.samples)
    resampled = _tally(cells, drawn, len(names))
    return {
        "docs": len(wanted),
        "log_loss": round(float(scores.nats.mean()), _DIGITS),
        **_share("accuracy", whole.hits.sum(), len(wanted), bootstrap),
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


def _macro(found: _Tally) -> Floats:
    return np.asarray(np.nanmean(found.f1, axis=-1))


def _over_majority(found: _Tally) -> Floats:
    return np.asarray((found.hits.sum(-1) - found.wanted.max(-1)) / found.wanted.sum(-1))


def _of_label(place: int, whole: _Tally, resampled: _Tally, bootstrap: Bootstrap) -> dict[str, Any]:
    hits, wanted, said = (int(counts[0, place]) for counts in (whole.hits, whole.wanted, whole.said))
    return {
        "docs": wanted,
        **(_share("precision", hits, said, bootstrap) if said else {}),
        **(_share("recall", hits, wanted, bootstrap) if wanted else {}),
        **_with_interval("f1", whole.f1[:, place], resampled.f1[:, place], bootstrap),
    }


def _share(name: str, hits: int, count: int, bootstrap: Bootstrap) -> dict[str, float]:
    return _named(name, (hits / count, *share_interval(hits, count, bootstrap)))


def _with_interval(name: str, whole: Floats, resampled: Floats, bootstrap: Bootstrap) -> dict[str, float]:
    return _named(name, (whole[0], *interval(resampled, bootstrap)))


def _named(name: str, values: Sequence[float]) -> dict[str, float]:
    keys = (name, f"{name}_low", f"{name}_high")
    return {key: round(float(value), _DIGITS) for key, value in zip(keys, values, strict=True)}


def _confusion(names: Sequence[str], cells: Ints, counts: Ints) -> list[dict[str, Any]]:
    """A row for each wanted label: how often each label was said."""
    matrix = np.zeros((len(names), len(names)), np.int64)
    matrix[cells[0], cells[1]] = counts
    return [
        {"wanted": name, **dict(zip(names, row.tolist(), strict=True))} for name, row in zip(names, matrix, strict=True)
    ]
