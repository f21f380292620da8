"""An encoder-decoder in torch, as training leaves it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from tasks.evaluation.language_model import pad_rows
from tasks.evaluation.trained_model import NO_LIMIT, load_transformers
from tasks.serving.classifier import batches
from tasks.tokenizer.files import load_tokenizer, special_ids
from tasks.tokenizer.sentinels import Sentinels

Floats = npt.NDArray[np.float64]
_IGNORED = -100


class TrainedPairs:
    """A transformers folder that reads a text and writes another, in float32."""

    def __init__(self, folder: Path, *, threads: int, device: torch.device, weights: Path | None = None) -> None:
        """Load a folder, with the weights of a checkpoint in the place of its own where `weights` names some."""
        from transformers import AutoModelForSeq2SeqLM

        model = load_transformers(AutoModelForSeq2SeqLM, folder, threads=threads, weights=weights)
        self.model, self.device = model.to(device), device
        self.texts, self.ids = Sentinels(load_tokenizer(folder)), special_ids(folder)
        self.longest = int(getattr(model.config, "n_positions", None) or NO_LIMIT)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, its end token behind them."""
        return [*self.texts.encode(text), self.ids.end]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special tokens but sentinels left out."""
        return self.texts.decode(tokens)

    def target_nats(self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> Floats:
        """Cross-entropy in nats of each whole target, given its source."""
        nats = np.zeros(len(sources))
        for places in batches([len(source) for source in sources]):
            read, mask = (torch.from_numpy(array) for array in pad_rows([sources[p] for p in places], self.ids.padding))
            wanted, there = (torch.from_numpy(array) for array in pad_rows([targets[p] for p in places], 0))
            labels = wanted.masked_fill(there == 0, _IGNORED).to(self.device)
            with torch.inference_mode():
                made = self.model(input_ids=read.to(self.device), attention_mask=mask.to(self.device), labels=labels)
            flat = made.logits.float().flatten(0, 1)
            found = functional.cross_entropy(flat, labels.flatten(), ignore_index=_IGNORED, reduction="none")
            nats[places] = found.view_as(labels).sum(1).cpu().double().numpy()
        return nats

    def write(self, sources: Sequence[Sequence[int]], new: int) -> list[list[int]]:
        """The likeliest tokens of each row, up to the end of text."""
        made: list[list[int]] = [[] for _ in sources]
        for places in batches([len(source) for source in sources]):
            read, mask = (torch.from_numpy(array) for array in pad_rows([sources[p] for p in places], self.ids.padding))
            found = self.model.generate(
                input_ids=read.to(self.device),
                attention_mask=mask.to(self.device),
                max_new_tokens=new,
                do_sample=False,
                num_beams=1,
                eos_token_id=self.ids.end,
                pad_token_id=self.ids.padding,
            )[:, 1:].tolist()
            for place, tokens in zip(places, found, strict=True):
                made[place] = tokens[: tokens.index(self.ids.end)] if self.ids.end in tokens else tokens
        return made
