"""The trained model in torch: what an exported graph must agree with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tasks.graph.source import load_whole

Array = npt.NDArray[Any]


class TrainedModel:
    """A transformers folder in float32 on the CPU; raises ExportError for one that is not whole."""

    def __init__(self, folder: Path) -> None:
        self.model = load_whole(folder)

    @classmethod
    def of(cls, model: Any) -> "TrainedModel":
        """A model that is loaded already."""
        made = cls.__new__(cls)
        made.model = model
        return made

    def logits(self, tokens: Sequence[int]) -> Array:
        """Logits (time, vocabulary) of one sequence."""
        with steady():
            made = self.model(input_ids=torch.tensor([list(tokens)]), use_cache=False)
            return np.asarray(made.logits[0].numpy())

    def greedy(self, prompt: Sequence[int], num_tokens: int) -> tuple[list[int], list[Array]]:
        """The likeliest tokens, one after the other with the model's own cache, and the logits each came from."""
        tokens, cache = torch.tensor([list(prompt)]), None
        chosen: list[int] = []
        scores: list[Array] = []
        with steady():
            for _ in range(num_tokens):
                made = self.model(input_ids=tokens, cache=cache, use_cache=True)
                cache = made.cache
                scores.append(np.asarray(made.logits[0, -1].numpy()))
                chosen.append(int(scores[-1].argmax()))
                tokens = torch.tensor([[chosen[-1]]])
        return chosen, scores


@contextmanager
def steady() -> Iterator[None]:
    """One thread, so that sums run in one order and the same model gives the same bits on any number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)
