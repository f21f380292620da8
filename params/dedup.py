"""When two documents count as the same, and which of them stays."""

from typing import Literal

from pydantic import Field

from params.base import Params


class RepeatedPassageParams(Params):
    """Passages that many of the surviving documents share: boilerplate, licences, quotations."""

    min_words: int = Field(default=20, ge=1)
    """Shorter paragraphs are left alone (spaced scripts)."""
    min_characters: int = Field(default=40, ge=1)
    """Shorter paragraphs are left alone (unspaced scripts)."""
    window: int | None = Field(default=50, ge=4)
    """Tokens (words, or characters in unspaced scripts) of the passages looked for at the start of every line and
    sentence, whatever the paragraphs (Lee et al. 2022, section 4.1, take 50); null compares whole paragraphs only."""
    min_documents: int = Field(default=10, ge=2)
    """A passage counts as repeated when this many documents have it."""
    keep_first: bool = True
    """Leave the passage in the first of its documents."""
    action: Literal["cut", "drop"] = "cut"
    """Cut the passage out of the other documents, or drop those documents."""
    min_remaining_words: int = Field(default=20, ge=1)
    """A document with fewer words after the cut is dropped (spaced scripts)."""
    min_remaining_characters: int = Field(default=10, ge=1)
    """A document with fewer characters after the cut is dropped (unspaced scripts)."""


class DedupParams(Params):
    """Exact and near duplicates: a document that equals or resembles one before it is dropped."""

    near: bool = True
    """Look for near duplicates with MinHash besides exact ones."""
    signature: str = Field(default="20x5", pattern=r"^[1-9]\d{0,2}x[1-9]\d?$")
    """Bands x rows of the MinHash signature: half of the pairs of similarity .51 share one of 20x5, of .68 one of 14x8
    (FineWeb)."""
    min_similarity: float | None = Field(default=0.65, gt=0, le=1)
    """Smallest share of equal signature values for a pair to count (an estimate of Jaccard similarity); null counts
    every pair that shares a band."""
    shingle_words: int = Field(default=5, ge=1, le=64)
    """Words per shingle in spaced scripts."""
    shingle_characters: int = Field(default=8, ge=1, le=256)
    """Characters per shingle in unspaced scripts."""
    seed: int = Field(default=1, ge=0)
    """Seed of the hash permutations."""
    survivor: Literal["earliest", "source_priority", "longest"] = "earliest"
    """Which of two documents comes first and stays: by arrival_field, then source, path and position; by the order of
    the sources, then so; or the longest, then so. What an index holds always comes first."""
    arrival_field: str | None = None
    """Metadata field with the date (ISO 8601) of a document's arrival; documents without one come last."""
    index: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    """Name of an index of everything seen before: documents are checked against it, and only what is new is kept and
    added to it."""
    repeated_passages: RepeatedPassageParams | None = None
    """Cut what many documents of the run share; null leaves it."""

    @property
    def bands(self) -> int:
        """Bands of the signature."""
        return int(self.signature.partition("x")[0])

    @property
    def rows(self) -> int:
        """Hash values per band."""
        return int(self.signature.partition("x")[2])
