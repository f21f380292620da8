"""The model that training starts from, and what it leaves."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from params.errors import ParameterError
from params.model import ModelParams
from params.objective import OF_ENCODER_DECODERS, Objective
from tasks.model.build import build_model
from tasks.model.classifier import as_classifier
from tasks.model.loading import check_weights, load_model
from tasks.model.lora import add_adapter, merge_adapter, save_adapter
from tasks.model.quiet import quiet_transformers
from tasks.model.shape import choose_shape, describe_shape, padded
from tasks.model.sources import name_of
from tasks.tokenizer.files import special_ids

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class StartedModel:
    """A model ready to learn."""

    model: "PreTrainedModel"
    """What is called and trained; with an adapter, its layers are in it already."""
    adapter: "PeftModel | None"
    """The handle that saves and merges the adapter; None when all weights learn."""


def start_model(
    params: ModelParams,
    *,
    weights: Path | None,
    tokenizer: Path,
    context: int,
    seed: int,
    labels: Sequence[str] = (),
) -> StartedModel:
    """The model of a run: from scratch, or from the folder that `resolve_weights` gave; the same on every rank.

    With labels it is a classifier of the standard class, under a new head. Raises ParameterError as `check_model` does.
    """
    if weights is None:
        ids = special_ids(tokenizer)
        model = build_model(
            params,
            vocab_size=ids.vocab_size,
            context=context,
            begin=ids.begin,
            end=ids.end,
            padding=ids.padding,
            seed=seed,
        )
        return StartedModel(as_classifier(model, labels, seed=seed) if labels else model, None)
    model, extension = load_model(
        weights, tokenizer=tokenizer, context=context, multiple=params.vocabulary_multiple, seed=seed
    )
    if labels:
        model = as_classifier(model, labels, seed=seed)
    if params.lora is None:
        return StartedModel(model, None)
    base = name_of(params.from_weights or weights.name)
    learned = [token for token in extension.new if token != model.config.pad_token_id]  # padding is never learned
    return StartedModel(model, add_adapter(model, params.lora, base=base, new_tokens=learned, seed=seed))


def check_model(params: ModelParams, *, weights: Path | None, tokenizer: Path, context: int) -> str:
    """What the model will be, in words, without making it or reading weights.

    Raises ParameterError for what would keep it from being made.
    """
    ids = special_ids(tokenizer)
    if weights is None:
        rows = padded(ids.vocab_size, params.vocabulary_multiple)
        shape = choose_shape(params, vocab_size=rows, context=context)
        return describe_shape(params, shape, vocab_size=rows, context=context)
    architecture, extension = check_weights(weights, tokenizer=tokenizer, context=context)
    adapter = "" if params.lora is None else f", adapters of rank {params.lora.rank}"
    new = f", {len(extension.new)} new tokens" if extension.new else ""
    return f"{architecture} from {name_of(params.from_weights or weights.name)}{new}{adapter}"


def check_objective(objective: Objective, weights: Path) -> None:
    """Raise ParameterError where these weights cannot learn by an objective: an encoder is needed, or in the way."""
    config = json.loads((weights / "config.json").read_text(encoding="utf-8"))
    encodes = bool(config.get("is_encoder_decoder"))
    if encodes == (objective in OF_ENCODER_DECODERS):
        return
    kind = config.get("model_type")
    fitting = [name for name in get_args(Objective) if (name in OF_ENCODER_DECODERS) == encodes]
    raise ParameterError(
        f"train.objective: {kind} of train.model.from_weights {'has' if encodes else 'lacks'} an encoder and cannot "
        f"learn by {objective}; set it to {', '.join(fitting)}, or take other weights"
    )


def save_model(started: StartedModel, folder: Path, *, adapter_folder: Path) -> None:
    """Leave a plain transformers folder; an adapter is kept as peft's beside it and merged into the model.

    The started model is spent by that.
    """
    model = started.model
    if started.adapter is not None:
        save_adapter(started.adapter, adapter_folder)
        model = merge_adapter(started.adapter)
    shutil.rmtree(folder, ignore_errors=True)
    with quiet_transformers():
        model.save_pretrained(folder)
