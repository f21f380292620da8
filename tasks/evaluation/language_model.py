"""What an evaluation asks of a model, whatever file it comes from."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

_LOGITS_BYTES = 1 << 28


class LanguageModel(Protocol):
    """A causal language model with its tokenizer."""

    context: int
    """Most tokens that it reads at once, the begin token counted."""
    begin: int
    """Id of the token that leads every text."""
    vocab_size: int

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without the begin token."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special tokens left out."""

    def target_nats(self, rows: Sequence[Sequence[int]]) -> list[npt.NDArray[np.float64]]:
        """Cross-entropy in nats of every token but the first of each row, given those before it in the row."""

    def continuations(
        self, rows: Sequence[Sequence[int]], *, new: int, seed: int | None = None, end: bool = True
    ) -> list[list[int]]:
        """New tokens after each row: greedy without a seed, else drawn as the model is served.

        They stop at the end of text (unless `end` is false), which is left out, or after `new` tokens.
        """


def in_parts(rows: Sequence[Sequence[int]], vocab_size: int) -> Iterator[Sequence[Sequence[int]]]:
    """Rows in their order, so many at a time that their float32 logits fit into _LOGITS_BYTES."""
    at_once = max(1, _LOGITS_BYTES // (4 * vocab_size * max(map(len, rows))))
    for start in range(0, len(rows), at_once):
        yield rows[start : start + at_once]


def pad_rows(rows: Sequence[Sequence[int]], padding: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows as one array (rows, longest), filled up on the right, and its mask of real tokens."""
    width = max(map(len, rows))
    tokens = np.full((len(rows), width), padding, np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for place, row in enumerate(rows):
        tokens[place, : len(row)], mask[place, : len(row)] = row, 1
    return tokens, mask


def nats_of(logits: npt.NDArray[Any], targets: Sequence[int]) -> npt.NDArray[np.float64]:
    """Cross-entropy of each target under its logits (time, vocabulary)."""
    scores = logits.astype(np.float64)
    highest = scores.max(-1)
    total = highest + np.log(np.exp(scores - highest[:, None]).sum(-1))
    return np.asarray(total - scores[np.arange(len(targets)), targets])
