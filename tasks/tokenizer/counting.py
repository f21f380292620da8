"""The words of a text and how often each occurs, which is all that a vocabulary is learned from."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain

import numpy as np
import numpy.typing as npt

from params.train_tokenizer import NUM_BYTES, Digits
from tasks.tokenizer.words import WORD_BOUND, cut_text, split_words

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

_MAX_WORDS = 250_000
"""Different words that are kept when there are twice as many: those seen least are forgotten then, some 150 MB."""
_MAX_TOTAL_BYTES = 16_000_000
"""Most bytes of different words to learn from, the frequent ones first."""
_MAX_WORD_CHARACTERS = 4096
"""A word is cut there in training: what is longer is no language."""


class Words:
    """The different words of a text as bytes end to end, in a fixed order, with their counts."""

    def __init__(self, counted: list[tuple[bytes, int]]) -> None:
        self.data: Bytes = np.frombuffer(b"".join(word for word, _ in counted), np.uint8)
        self.bounds: Ints = np.array([0, *accumulate(len(word) for word, _ in counted)], np.int64)
        self.counts: Ints = np.array([count for _, count in counted], np.int64)

    @classmethod
    def count(cls, batches: Iterable[list[str]], digits: Digits, *, max_words: int = _MAX_WORDS) -> "Words":
        """Cut texts into words and count them, in bounded memory."""
        splitter = split_words(digits)
        found: Counter[str] = Counter()
        for text in chain.from_iterable(batches):
            for piece in cut_text(text, WORD_BOUND):
                found.update(word for word, _ in splitter.pre_tokenize_str(piece))
            if len(found) > 2 * max_words:
                found = Counter(dict(_most_frequent(found)[:max_words]))
        return cls(list(_within_bounds(_most_frequent(found))))

    def byte_counts(self) -> Ints:
        """Occurrences of each byte."""
        weights = np.repeat(self.counts, np.diff(self.bounds))
        return np.bincount(self.data, weights=weights, minlength=NUM_BYTES).astype(np.int64)


def _most_frequent(found: Counter[str]) -> list[tuple[str, int]]:
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def _within_bounds(ordered: list[tuple[str, int]]) -> Iterator[tuple[bytes, int]]:
    total = 0
    for word, count in ordered:
        encoded = word[:_MAX_WORD_CHARACTERS].encode()
        total += len(encoded)
        if total > _MAX_TOTAL_BYTES:
            return
        yield encoded, count
