"""An ONNX variant, the very file that is served, as a model to evaluate."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.evaluation.language_model import in_parts, nats_of
from tasks.serving.generator import OnnxModel

_NO_END = -1


class ServedModel:
    """A served folder: model.onnx with its tokenizer and generation.json."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        self.model = OnnxModel(folder, threads=threads)
        settings = self.model.settings
        self.context, self.begin, self.vocab_size = settings.context_length, settings.bos_token_id, settings.vocab_size

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without the begin token."""
        return self.model.encode(text)[1:]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special tokens left out."""
        return self.model.decode(tokens)

    def target_nats(self, rows: Sequence[Sequence[int]]) -> list[npt.NDArray[np.float64]]:
        """Cross-entropy in nats of every token but the first of each row."""
        found: list[npt.NDArray[np.float64]] = []
        for part in in_parts(rows, self.vocab_size):
            logits = self.model.logits([list(row[:-1]) for row in part])[:, :, : self.vocab_size]
            found += [nats_of(made[: len(row) - 1], row[1:]) for made, row in zip(logits, part, strict=True)]
        return found

    def continuations(
        self, rows: Sequence[Sequence[int]], *, new: int, seed: int | None = None, end: bool = True
    ) -> list[list[int]]:
        """New tokens after each row: greedy without a seed, else drawn with the settings in generation.json."""
        sampling = self.model.sampling(max_new_tokens=new, greedy=seed is None, seed=seed)
        return self.model.generate_tokens(rows, sampling, end_token=None if end else _NO_END)
