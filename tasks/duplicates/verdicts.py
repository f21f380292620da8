"""Who survives: the first document of every cluster, in source order."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from params.dedup import DedupParams
from tasks.duplicates.clusters import Forest, Indices, first_equal, sharing
from tasks.duplicates.descriptions import Descriptions


@dataclass(frozen=True)
class Verdicts:
    """What becomes of each document, all of shape (documents,)."""

    survivors: Indices
    """The first document of its cluster; itself if it stays."""
    is_exact: npt.NDArray[np.bool_]
    """Whether an earlier document has the same text."""
    similarity: npt.NDArray[np.float64]
    """Largest similarity of a verified pair the document is in; 1 for an exact duplicate, 0 when there is none."""

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """Documents that survive."""
        return np.equal(self.survivors, np.arange(len(self.survivors)))

    @property
    def num_clusters(self) -> int:
        """Clusters of two and more."""
        return len(np.unique(self.survivors[~self.kept]))


def find_survivors(descriptions: Descriptions, params: DedupParams, scratch: Path) -> Verdicts:
    """Join equal texts, then similar ones among the first of each; texts without any byte are joined with nothing."""
    everyone = np.arange(len(descriptions))
    first = np.where(descriptions.sizes[:, 0] > 0, first_equal(descriptions.digests), everyone)
    is_exact = first != everyone
    survivors, similarity = everyone.copy(), is_exact.astype(np.float64)
    candidates = _candidates(descriptions, np.flatnonzero(~is_exact & (descriptions.sizes[:, 1] > 0)), params)
    if len(candidates):
        forest = Forest(len(candidates))
        minima = descriptions.minima(candidates, scratch / "candidates.npy")
        for band in range(params.bands):
            forest.link_band(descriptions.band(band, candidates), minima, params.min_similarity)
        survivors[candidates] = candidates[forest.roots()]
        similarity[candidates] = forest.similarity
    return Verdicts(survivors[first], is_exact, similarity)


def _candidates(descriptions: Descriptions, among: Indices, params: DedupParams) -> Indices:
    """Documents that share a bucket of any band with another: only their signatures are looked at."""
    shared = np.zeros(len(among), np.bool_)
    if params.near:
        for band in range(params.bands):
            shared |= sharing(descriptions.band(band, among))
    return among[shared]
