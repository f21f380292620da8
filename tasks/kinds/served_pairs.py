"""The two graphs of an encoder-decoder, the very files that are served, as a model to measure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.evaluation.language_model import nats_of
from tasks.serving.generator import GrowingCache, OnnxModel, Sampling

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


class ServedPairs:
    """A served folder with encoder.onnx, decoder.onnx and generation.json."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        self.model = OnnxModel(folder, threads=threads)
        self.end, self.longest = self.model.settings.eos_token_id, self.model.longest

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, its end token behind them."""
        return self.model.encode(text)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special tokens left out."""
        return self.model.decode(tokens)

    def logits(self, source: Sequence[int], target: Sequence[int]) -> Array:
        """Logits (time, vocabulary) of each token of a target, given its source and those before it."""
        settings = self.model.settings
        begun = GrowingCache(self.model, 1)
        fed = np.array([[settings.start_token_id, *target[:-1]]], np.int64)
        feeds = {"input_ids": fed} | self.model.read(np.array([source], np.int64)) | begun.past
        return np.asarray(self.model.session.run(["logits"], feeds)[0][0, :, : settings.vocab_size])

    def target_nats(self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> Floats:
        """Cross-entropy in nats of each whole target, given its source."""
        pairs = zip(sources, targets, strict=True)
        return np.array([nats_of(self.logits(source, target), target).sum() for source, target in pairs])

    def write(self, sources: Sequence[Sequence[int]], new: int) -> list[list[int]]:
        """The likeliest tokens of each row, up to the end of text."""
        return self.model.generate_tokens(sources, Sampling(max_new_tokens=new, greedy=True))
