"""Low-rank adapters beside frozen weights: added, kept and merged (peft)."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from params.errors import ParameterError
from params.model import LoraParams
from tasks.artifacts.digest import write_atomic

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn
    from transformers import PreTrainedModel

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def add_adapter(
    model: "PreTrainedModel", params: LoraParams, *, base: str, new_tokens: Sequence[int], seed: int
) -> "PeftModel":
    """Freeze a model and put adapters into its layers, in place; the same seed gives the same adapter.

    The model itself goes on being called and gives the adapted logits; what is returned saves and merges the adapter.
    Rows of new tokens are learned as well, since nothing has taught them yet. `base` names the weights in the adapter's
    own configuration. Raises ParameterError for layers that the model has not.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers.pytorch_utils import Conv1D

    _check_targets(model, params)
    kind: Any = LoraConfig
    config = kind(
        task_type=_kind_of(model),
        r=params.rank,
        lora_alpha=params.alpha,
        lora_dropout=params.dropout,
        target_modules="all-linear" if params.target_modules is None else list(params.target_modules),
        use_rslora=params.rslora,
        use_dora=params.dora,
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in model.modules()),
        trainable_token_indices=_rows_to_learn(model, new_tokens),
    )
    torch.manual_seed(seed)
    with warnings.catch_warnings():  # peft 0.21 reads a property that transformers 5.24 has renamed
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        adapter: PeftModel = get_peft_model(model, config)
    adapter.peft_config["default"].base_model_name_or_path = base
    return adapter


def learned_parameters(model: "nn.Module") -> "dict[str, nn.Parameter]":
    """What the optimizer updates and a checkpoint holds, by name: all weights, or the adapter's alone."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def save_adapter(adapter: "PeftModel", folder: Path) -> None:
    """Write the adapter as peft loads it onto the same base: PeftModel.from_pretrained(base, folder)."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = get_peft_model_state_dict(adapter, save_embedding_layers=False)
    save_file(
        {name: tensor.detach().contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS, {"format": "pt"}
    )
    config = adapter.peft_config["default"].to_dict() | {"inference_mode": True}
    plain = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    write_atomic(folder / CONFIG, json.dumps(plain, indent=2, sort_keys=True))


def merge_adapter(adapter: "PeftModel") -> "PreTrainedModel":
    """The adapter added into the weights: a plain transformers model. The adapter is gone afterwards."""
    merged: Any = adapter.merge_and_unload()
    model: PreTrainedModel = merged
    return model


def _kind_of(model: "PreTrainedModel") -> str:
    """What the model does, as peft calls it; of a classifier the head of labels learns as well, whole."""
    if type(model).__name__.endswith("ForSequenceClassification"):
        return "SEQ_CLS"
    return "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"


def _rows_to_learn(model: Any, new_tokens: Sequence[int]) -> list[int] | dict[str, list[int]] | None:
    """Rows for peft: of the input embeddings, and of a head that has a matrix of its own."""
    table, head = model.get_input_embeddings(), model.get_output_embeddings()  # a classifier has no output matrix
    if not new_tokens or head is None or head.weight is table.weight:
        return list(new_tokens) or None
    return {name: list(new_tokens) for name, layer in model.named_modules() if layer is table or layer is head}


def _check_targets(model: Any, params: LoraParams) -> None:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    if params.target_modules is None:
        return
    head = model.get_output_embeddings() or getattr(model, "score", None)
    linear = {
        name.rpartition(".")[2]
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | Conv1D) and layer is not head
    }
    if unknown := sorted(set(params.target_modules) - linear):
        raise ParameterError(
            f"train.model.lora.target_modules: {', '.join(unknown)} is no linear layer of {type(model).__name__}; it "
            f"has {', '.join(sorted(linear))}"
        )
