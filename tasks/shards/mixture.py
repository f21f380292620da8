"""How often each document is used: shares of sources, and how far each may be repeated."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from params.errors import ParameterError
from tasks.shards.documents import Index
from tasks.shards.packing import Indices

log = logging.getLogger(__name__)
Counts = npt.NDArray[np.uint16]
"""Copies of each document."""


@dataclass(frozen=True)
class SourceUse:
    """What a mixture takes of a source."""

    source: str
    weight: float
    """Share of the tokens that was asked for, 0 to 1."""
    available_docs: int
    available_tokens: int
    used_docs: int
    """Copies count one by one."""
    used_tokens: int

    @property
    def repeats(self) -> float:
        """How often the source is gone through."""
        return self.used_tokens / self.available_tokens if self.available_tokens else 0.0


@dataclass(frozen=True)
class Mixture:
    """How often each document is used, and what that makes of each source."""

    copies: Counts
    uses: tuple[SourceUse, ...]


def mix(index: Index, weights: Mapping[str, float] | None, *, max_repeats: float, max_tokens: int | None) -> Mixture:
    """Copies of each document such that the tokens of the sources stand in the ratio of their weights.

    The total is the largest that goes through no source more than `max_repeats` times (the default of 4 is where
    repeated text was still as good as new in "Scaling Data-Constrained Language Models", Muennighoff et al. 2023), or
    `max_tokens` where that is less. Of a part of a source, the documents whose hashes are lowest are taken. Without
    weights each document is used at most once, and `max_tokens` takes the same part of every source. Raises
    ParameterError where weights and sources do not match.
    """
    lengths = index.lengths
    available = np.bincount(index.sources, lengths, minlength=len(index.names)).astype(np.int64)
    if weights is None:
        shares, cap = available / max(available.sum(), 1), 1.0
    else:
        shares, cap = _shares(weights, index.names, available), max_repeats
    weighted = shares > 0
    total = (cap * available[weighted] / shares[weighted]).min(initial=cap * available.sum())
    if max_tokens is not None and total < max_tokens:
        log.warning(
            "shard.max_tokens is %s, but there are only %s: raise shard.max_repeats (%s) or change the weights",
            *(f"{max_tokens:,}", f"{round(total):,}", cap),
        )
    elif max_tokens is not None:
        total = max_tokens
    copies = np.zeros(index.num_docs, np.uint16)
    uses = []
    for number, (name, share) in enumerate(zip(index.names, shares.tolist(), strict=True)):
        rows = np.flatnonzero(index.sources == number)
        copies[rows] = _copies(lengths[rows], index.hashes[rows], round(share * total))
        used = copies[rows].astype(np.int64)
        uses.append(
            SourceUse(
                source=name,
                weight=share,
                available_docs=len(rows),
                available_tokens=int(available[number]),
                used_docs=int(used.sum()),
                used_tokens=int((used * lengths[rows]).sum()),
            )
        )
    return Mixture(copies, tuple(uses))


def _copies(lengths: Indices, hashes: npt.NDArray[np.uint64], wanted: int) -> Counts:
    """Whole rounds over a source's documents and, by hash, a part of one more: at most so many tokens."""
    num_tokens = int(lengths.sum())
    rounds, rest = divmod(wanted, num_tokens) if num_tokens else (0, 0)
    copies = np.full(len(lengths), rounds, np.uint16)
    order = np.argsort(hashes, kind="stable")
    copies[order[np.cumsum(lengths[order]) <= rest]] += 1
    return copies


def _shares(weights: Mapping[str, float], names: tuple[str, ...], available: Indices) -> npt.NDArray[np.float64]:
    missing = [name for name in names if name not in weights]
    if missing:
        raise ParameterError(
            f"shard.mixture gives no weight to source {missing[0]}{_meant(missing[0], set(weights) - set(names))}; "
            f"every source of the training split needs one ({', '.join(names)}), 0 to leave it out"
        )
    unknown = sorted(set(weights) - set(names))
    if unknown:
        raise ParameterError(
            f"shard.mixture gives a weight to {unknown[0]}, of which the training split holds no document; "
            f"its sources are {', '.join(names)}"
        )
    empty = [name for name, tokens in zip(names, available.tolist(), strict=True) if weights[name] and not tokens]
    if empty:
        raise ParameterError(
            f"shard.mixture gives a weight to {empty[0]}, whose documents are all empty; give it 0 to leave it out"
        )
    total = sum(weights.values())
    return np.array([weights[name] / total for name in names])


def _meant(name: str, unused: set[str]) -> str:
    close = get_close_matches(name, sorted(unused), n=1)
    return f" (did you mean it by {close[0]}?)" if close else ""
