"""What a compressed graph loses against the float32 graph on held-out text, and how fast it generates."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.serving.generator import OnnxModel, Sampling

Array = npt.NDArray[Any]
_NO_END = -1


@dataclass(frozen=True)
class Quality:
    """A variant on held-out blocks; everything but the loss is against the float32 graph."""

    loss: float
    """Nats per token, or per text where that is labelled."""
    loss_increase: float
    kl: float
    """Mean Kullback-Leibler divergence from the float32 distribution, in nats per token."""
    top1_agreement: float
    """Share of positions with the same likeliest token, or of texts with the same label."""
    greedy_agreement: float | None = None
    """Mean share of greedy tokens up to the first that differs; None of a model that writes none."""


@dataclass
class _Sums:
    tokens: int = 0
    loss: float = 0.0
    kl: float = 0.0
    top1: int = 0

    def add(self, base: Array, mine: Array, targets: Array) -> None:
        self.tokens += len(targets)
        self.loss -= float(mine[np.arange(len(targets)), targets].sum())
        self.kl += float((np.exp(base) * (base - mine)).sum())
        self.top1 += int((base.argmax(-1) == mine.argmax(-1)).sum())


def measure_quality(
    models: Mapping[str, OnnxModel], blocks: Sequence[list[int]], *, greedy_tokens: int
) -> dict[str, Quality]:
    """Quality of every model; the first is the float32 graph. Padding is no target."""
    base_name = next(iter(models))
    sums = {name: _Sums() for name in models}
    for block in blocks:
        targets = np.array(block[1:])
        counted = targets != models[base_name].settings.pad_token_id
        base = _log_probabilities(models[base_name], block[:-1])[counted]
        for name, model in models.items():
            mine = base if name == base_name else _log_probabilities(model, block[:-1])[counted]
            sums[name].add(base, mine, targets[counted])
    continued = {name: continue_greedily(model, blocks, greedy_tokens) for name, model in models.items()}
    base_loss = sums[base_name].loss / sums[base_name].tokens
    return {
        name: Quality(
            loss=done.loss / done.tokens,
            loss_increase=done.loss / done.tokens - base_loss,
            kl=done.kl / done.tokens,
            top1_agreement=done.top1 / done.tokens,
            greedy_agreement=agreement(continued[base_name], continued[name]),
        )
        for name, done in sums.items()
    }


def decode_tokens_per_s(model: OnnxModel, blocks: Sequence[list[int]], new: int, *, repeats: int = 5) -> float:
    """Median speed of generating one text at a time, reading the prompt included."""
    speeds = []
    for block in [blocks[index % len(blocks)] for index in range(repeats)]:
        started = time.perf_counter()
        (made,) = continue_greedily(model, [block], new)
        speeds.append(len(made) / (time.perf_counter() - started))
    return statistics.median(speeds)


def continue_greedily(model: OnnxModel, blocks: Sequence[list[int]], new: int) -> list[list[int]]:
    """Greedy tokens after the first part of each block, past any end of text."""
    context = model.settings.context_length
    new = min(new, max(1, context - context // 4))
    prompts = [block[: min(len(block) - 1, context - new)] for block in blocks]
    return model.generate_tokens(prompts, Sampling(max_new_tokens=new, greedy=True), end_token=_NO_END)


def _log_probabilities(model: OnnxModel, tokens: list[int]) -> Array:
    return log_softmax(model.logits([tokens])[0])


def log_softmax(scores: Array) -> Array:
    """Log-probabilities (time, vocabulary)."""
    logits = scores.astype(np.float64)
    shifted = logits - logits.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def agreement(expected: list[list[int]], made: list[list[int]]) -> float:
    """Mean share of tokens up to the first that differs; rows may end early."""
    shares = []
    for right, mine in zip(expected, made, strict=True):
        equal = next(
            (i for i, (a, b) in enumerate(zip(right, mine, strict=False)) if a != b), min(len(right), len(mine))
        )
        shares.append(equal / max(len(right), len(mine)) if right or mine else 1.0)
    return statistics.fmean(shares)
