"""What a phase learns: its data, its loss and what is measured besides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from params.train import TrainParams
from tasks.tokenizer.files import SpecialIds
from tasks.training.feeds import ExampleFeed, Feed, TokenFeed
from tasks.training.objective import TokenLoss

if TYPE_CHECKING:
    from tasks.model.start import StartedModel

Measure = Callable[[torch.Tensor, int], Mapping[str, float]]
"""Sums over batches, as the loss module gives them, and what they are sums over, to metrics by name."""


@dataclass(frozen=True)
class Goal:
    """An objective at work. `loss` gives a sum to minimize, or a vector whose first entry is that sum."""

    train: Feed
    validation: Feed
    loss: torch.nn.Module
    measure: Measure
    write: Callable[[], Mapping[str, float]] | None = None
    """Metrics of what the model writes, asked at evaluations; None where it need not write."""


def make_goal(params: TrainParams, started: "StartedModel", ids: SpecialIds, *, shards: Path, tokenizer: Path) -> Goal:
    """The objective that the parameters name, on the shards of a folder."""
    if params.objective == "span_corruption":
        return _span_corruption(params, started, ids, shards, tokenizer)
    if params.objective == "seq2seq":
        return _seq2seq(started, ids, shards, tokenizer)
    make: Mapping[str, Callable[..., Goal]] = {
        "language_model": _language_model,
        "instruct": _instruct,
        "preference": _preference,
        "classify": _classify,
    }
    return make[params.objective](params, started, ids, shards)


def _language_model(_params: TrainParams, started: "StartedModel", ids: SpecialIds, shards: Path) -> Goal:
    train, validation = (TokenFeed(paths(shards, side), ids) for side in ("train", "validation"))
    return Goal(train, validation, TokenLoss(started.model), no_metrics)


def _instruct(_params: TrainParams, started: "StartedModel", ids: SpecialIds, shards: Path) -> Goal:
    train, validation = (ExampleFeed(paths(shards, side), ids) for side in ("train", "validation"))
    return Goal(train, validation, TokenLoss(started.model), no_metrics)


def _preference(params: TrainParams, started: "StartedModel", ids: SpecialIds, shards: Path) -> Goal:
    from tasks.training.preference import PairFeed, PreferenceLoss, rewards

    train, validation = (PairFeed(paths(shards, side), ids) for side in ("train", "validation"))
    return Goal(train, validation, PreferenceLoss(started, params.preference), rewards)


def _classify(_params: TrainParams, started: "StartedModel", ids: SpecialIds, shards: Path) -> Goal:
    from tasks.training.classification import LabelLoss, label_metrics

    train, validation = (ExampleFeed(paths(shards, side), ids) for side in ("train", "validation"))
    return Goal(train, validation, LabelLoss(started.model), label_metrics)


def _seq2seq(started: "StartedModel", ids: SpecialIds, shards: Path, tokenizer: Path) -> Goal:
    from tasks.training.text_metrics import pair_writer
    from tasks.training.text_pairs import PairLoss, PairTextFeed, token_accuracy

    train, validation = (PairTextFeed(paths(shards, side), ids) for side in ("train", "validation"))
    write = pair_writer(started.model, validation, tokenizer)
    return Goal(train, validation, PairLoss(started.model), token_accuracy, write)


def _span_corruption(
    params: TrainParams, started: "StartedModel", ids: SpecialIds, shards: Path, tokenizer: Path
) -> Goal:
    from tasks.training.text_pairs import PairLoss, SpanFeed, token_accuracy

    train, validation = (
        SpanFeed(paths(shards, side), ids, tokenizer=tokenizer, params=params.spans, seed=params.seed)
        for side in ("train", "validation")
    )
    return Goal(train, validation, PairLoss(started.model), token_accuracy)


def paths(shards: Path, side: str) -> list[Path]:
    """The block files of a side of the split."""
    return sorted((shards / side).glob("*.arrow"))


def no_metrics(_sums: torch.Tensor, _count: int) -> dict[str, Any]:
    """For objectives whose loss says it all."""
    return {}
