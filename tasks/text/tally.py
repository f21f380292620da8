"""What became of documents: counts by source and rule, and how the measured values are spread; tallies add up."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from tasks.artifacts.digest import write_atomic
from tasks.text.rules import Rule

_SHARES = (0.0, 0.01, 0.02, 0.05, *(round(0.05 * step, 2) for step in range(2, 20)), 0.99, 1.0)
_COUNTS = (0.0, *(float(digit * 10**power) for power in range(7) for digit in (1, 2, 5)))
_COUNTED = {
    *("empty", "words.min_words", "words.max_words", "words.min_mean_word_length", "words.max_mean_word_length"),
    *("words.min_stop_words", "characters.min_characters", "characters.max_characters", "characters.min_stop_words"),
    *("lines.min_mean_line_length", "lines.max_mean_line_length", "lines.max_line_length", "c4.document_phrases"),
    *("c4.max_curly_brackets", "c4.min_sentences", "c4.remove_lines"),
}
"""Rules whose values are numbers or lengths; those of the others are shares."""


def edges_of(rule: str) -> tuple[float, ...]:
    """Lower edges of the bins for a rule's values; the last bin is open. The same for every shard and threshold."""
    return _COUNTS if rule in _COUNTED else _SHARES


@dataclass(frozen=True)
class SourceTally:
    """The documents of one source."""

    docs_in: int = 0
    docs_kept: int = 0
    bytes_in: int = 0
    """Raw text, UTF-8."""
    bytes_kept: int = 0
    """Clean text, UTF-8."""
    bytes_rejected: int = 0
    """Raw text of rejected documents."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Documents by the rule they broke first."""

    def __add__(self, other: "SourceTally") -> "SourceTally":
        return SourceTally(
            self.docs_in + other.docs_in,
            self.docs_kept + other.docs_kept,
            self.bytes_in + other.bytes_in,
            self.bytes_kept + other.bytes_kept,
            self.bytes_rejected + other.bytes_rejected,
            self.rejected + other.rejected,
        )


@dataclass(frozen=True)
class Tally:
    """Documents by source, values by rule, and what was removed from the documents that were kept.

    Bytes in are bytes kept, bytes rejected and bytes removed.
    """

    by_source: dict[str, SourceTally] = field(default_factory=dict)
    histograms: dict[str, list[int]] = field(default_factory=dict)
    """For each rule, documents in each of its bins: of the values of all documents of which it was asked."""
    removed_lines: Counter[str] = field(default_factory=Counter)
    removed_bytes: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Tally") -> "Tally":
        sources = [*self.by_source, *(name for name in other.by_source if name not in self.by_source)]
        rules = [*self.histograms, *(name for name in other.histograms if name not in self.histograms)]
        nothing = SourceTally()
        return Tally(
            {name: self.by_source.get(name, nothing) + other.by_source.get(name, nothing) for name in sources},
            {rule: _sum(self.histograms.get(rule), other.histograms.get(rule)) for rule in rules},
            _added(self.removed_lines, other.removed_lines),
            _added(self.removed_bytes, other.removed_bytes),
        )

    @property
    def whole(self) -> SourceTally:
        """All sources together."""
        return sum(self.by_source.values(), SourceTally())

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        tree = {**vars(self), "by_source": {name: vars(source) for name, source in self.by_source.items()}}
        write_atomic(path, json.dumps(tree, ensure_ascii=False, sort_keys=True))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        sources = {
            name: SourceTally(**{**source, "rejected": Counter(source["rejected"])})
            for name, source in found["by_source"].items()
        }
        removed = Counter(found["removed_lines"]), Counter(found["removed_bytes"])
        return cls(sources, found["histograms"], *removed)


def histograms_of(rules: Iterable[Rule]) -> dict[str, list[int]]:
    """For each rule, how many documents have a value in each bin."""
    found: dict[str, list[int]] = {}
    for rule in rules:
        edges = np.array(edges_of(rule.name))
        bins = np.searchsorted(edges, rule.values[rule.applies], side="right") - 1
        found[rule.name] = np.bincount(bins, minlength=len(edges)).tolist()
    return found


def _sum(left: list[int] | None, right: list[int] | None) -> list[int]:
    if left is None or right is None:
        return left or right or []
    return [one + other for one, other in zip(left, right, strict=True)]


def _added(left: Counter[str], right: Counter[str]) -> Counter[str]:
    """Their sum, also where it is nought or less: normal form can lengthen a text."""
    return Counter({name: left[name] + right[name] for name in {**left, **right}})
