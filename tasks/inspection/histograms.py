"""Histograms as a line of text, with the side of the threshold that a rule rejects set apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

_LEVELS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Bar:
    """One bin."""

    sign: str
    """A block whose height is the share of documents, by the root, so that small bins can be seen."""
    is_rejected: bool
    """Whether its values break the rule."""


def bars(counts: Sequence[int], edges: Sequence[float], threshold: float, direction: str) -> list[Bar]:
    """A bar per bin between neighbouring edges; `direction` is at_least or at_most, what the rule asks for.

    A bin counts as rejected when its middle is, so the bin that holds the threshold goes with its larger part.
    """
    assert len(edges) == len(counts) + 1, f"{len(edges)} edges around {len(counts)} bins"
    most = max([*counts, 1])
    return [
        Bar(_LEVELS[_height(count, most)], _breaks((low + high) / 2, threshold, direction))
        for count, (low, high) in zip(counts, pairwise(edges), strict=True)
    ]


def occupied(counts: Sequence[int]) -> slice:
    """From the first to the last bin that holds anything."""
    filled = [index for index, count in enumerate(counts) if count]
    return slice(filled[0], filled[-1] + 1) if filled else slice(0, 0)


def _height(count: int, most: int) -> int:
    if not count:
        return 0
    return max(1, round(sqrt(count / most) * (len(_LEVELS) - 1)))


def _breaks(value: float, threshold: float, direction: str) -> bool:
    return value < threshold if direction == "at_least" else value > threshold
