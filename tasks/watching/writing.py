"""What a model in training writes: a few continuations at an evaluation."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from params.watch import SamplesParams
from tasks.tokenizer.files import load_tokenizer, special_ids

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Script:
    """A tokenizer and how its texts begin and end."""

    tokenizer: "Tokenizer"
    begin: int
    end: int

    @classmethod
    def load(cls, folder: Path) -> "Script":
        """Of a tokenizer's folder."""
        ids = special_ids(folder)
        return cls(load_tokenizer(folder), ids.begin, ids.end)


def sample_texts(
    model: "PreTrainedModel", script: Script, params: SamplesParams, *, context: int
) -> list[dict[str, Any]]:
    """A greedy and a drawn continuation of each prompt: {"prompt", "kind", "text", "num_tokens"}.

    The same weights and seed give the same texts. Neither a global random state nor the model's mode or gradients
    change, so the training bytes do not. At most `context` positions are read. Where weights are sharded over ranks
    (FSDP, ZeRO 3), every rank must call it.
    """
    written = []
    with _reading(model):
        for prompt in params.prompts:
            ids = [script.begin, *script.tokenizer.encode(prompt, add_special_tokens=False).ids]
            for kind in ("greedy", "drawn"):
                generator = None if kind == "greedy" else torch.Generator().manual_seed(params.seed)
                made = _continue(model, ids, script, params, context=context, generator=generator)
                text = script.tokenizer.decode(made, skip_special_tokens=True)
                written.append({"prompt": prompt, "kind": kind, "text": text, "num_tokens": len(made)})
    return written


@contextmanager
def _reading(model: "PreTrainedModel") -> Iterator[None]:
    """No dropout and no gradients inside; the mode as before after it."""
    was_training = model.training
    model.train(False)
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def _continue(
    model: "PreTrainedModel",
    prompt: list[int],
    script: Script,
    params: SamplesParams,
    *,
    context: int,
    generator: torch.Generator | None,
) -> list[int]:
    """New token ids, until the end token or a limit; the cache of keys and values lets each step read one token."""
    num_new = min(params.max_tokens, context - 1)
    ids = torch.tensor([_trimmed(prompt, context - num_new)], device=model.device)
    inputs: dict[str, Any] = {"input_ids": ids}
    name = "input_ids"
    if model.config.is_encoder_decoder:
        start = torch.tensor([[model.config.decoder_start_token_id]], device=model.device)
        inputs, name = {"encoder_outputs": model.get_encoder()(ids), "decoder_input_ids": start}, "decoder_input_ids"
    made: list[int] = []
    while len(made) < num_new:
        out = model(**inputs, use_cache=True)
        token = _choose(out.logits[0, -1].float().cpu(), params, generator)
        if token is None or token == script.end:
            break
        made.append(token)
        inputs |= {name: torch.tensor([[token]], device=model.device), "cache": out.cache}
    return made


def _trimmed(prompt: list[int], length: int) -> list[int]:
    """The begin token and the end of a prompt that is too long."""
    return prompt if len(prompt) <= length else [prompt[0], *prompt[len(prompt) - length + 1 :]]


def _choose(logits: torch.Tensor, params: SamplesParams, generator: torch.Generator | None) -> int | None:
    """The next token, drawn where there is a generator; None where the model has broken."""
    if torch.isnan(logits).any():
        return None
    if generator is None:
        return int(logits.argmax())
    scaled = logits / params.temperature
    if 0 < params.top_k < len(scaled):
        scaled = scaled.masked_fill(scaled < scaled.topk(params.top_k).values[-1], -math.inf)
    return int(torch.multinomial(scaled.softmax(-1), 1, generator=generator))
