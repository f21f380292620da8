"""When two documents count as the same."""

from pydantic import Field

from params.base import Params


class DedupParams(Params):
    """Exact and near duplicates; one document of each cluster survives, the first in source order."""

    near: bool = True
    """Look for near duplicates with MinHash besides exact ones."""
    bands: int = Field(default=20, ge=1, le=256)
    """Bands of the MinHash signature (more bands find less similar pairs)."""
    rows: int = Field(default=5, ge=1, le=32)
    """Hash values per band (more rows ask for more similar pairs)."""
    min_similarity: float = Field(default=0.65, gt=0, le=1)
    """Smallest share of equal signature values for a pair to count (an estimate of Jaccard similarity)."""
    shingle_words: int = Field(default=5, ge=1, le=64)
    """Words per shingle in spaced scripts."""
    shingle_characters: int = Field(default=8, ge=1, le=256)
    """Characters per shingle in unspaced scripts."""
    seed: int = Field(default=1, ge=0)
    """Seed of the hash permutations."""
