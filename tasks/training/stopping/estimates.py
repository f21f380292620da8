"""Estimates that a few bad values do not spoil."""

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import median

from tasks.training.stopping.observation import RuleState

_TO_SIGMA = 1.4826
"""Median absolute deviation to the standard deviation of a normal distribution (Rousseeuw & Croux 1993)."""
_LEAST_DEVIATION = 1e-3
"""Of the level: losses that do not vary at all must not make every rise infinitely many deviations."""


def level_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Median and robust standard deviation; the latter at least a thousandth of the level."""
    level = median(values)
    return level, max(spread(values, level), _LEAST_DEVIATION * abs(level))


def spread(values: Sequence[float], level: float) -> float:
    """Robust standard deviation around the median."""
    return _TO_SIGMA * median([abs(value - level) for value in values])


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Slope of the Theil-Sen line through (x, y): the median over all pairs (Sen 1968)."""
    return median([(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2)])


def smoothed(memory: RuleState, value: float, steps: int) -> tuple[dict[str, float], float]:
    """The next memory of an exponential mean over about so many steps, and the mean.

    The mean is corrected for its start at zero (Kingma & Ba 2015, section 3); non-finite values are left out.
    """
    keep = 1 - 1 / steps
    total, number = memory.get("total", 0.0), memory.get("number", 0)
    if math.isfinite(value):
        total, number = keep * total + (1 - keep) * value, number + 1
    mean = total / (1 - keep**number) if number else math.inf
    return {"total": total, "number": number}, mean


def finite(value: float) -> float | None:
    """The value where it is finite, else None: JSON has no other numbers."""
    return value if math.isfinite(value) else None
