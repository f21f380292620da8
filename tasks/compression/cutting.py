"""A smaller model of the same class out of a trained one: layers and feed-forward neurons left out."""

import copy
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from params.errors import ParameterError
from tasks.model.build import attention_of, model_class
from tasks.model.packing import accept_packed_blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DEPTH = ("qwen3", "llama", "gpt2", "bloom")
"""Architectures whose layers can be left out."""
WIDTH = {"qwen3": "intermediate_size", "llama": "intermediate_size", "gpt2": "n_inner"}
"""Architectures whose feed-forward width is a setting, and what it is called."""
_LAYER = re.compile(r"(?P<before>.*\.(?:layers|h)\.)(?P<index>\d+)(?P<after>\..*)")
_ROWS = ("mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.gate_proj.bias", "mlp.up_proj.bias", "mlp.c_fc.bias")
_COLUMNS = ("mlp.down_proj.weight", "mlp.c_fc.weight")
_BLOCK = 32
"""Widths are multiples of it: the block of a quantized weight, and what kernels work in."""


def check_can_cut(architecture: str, *, drop_layers: int, layers: int, narrows: bool) -> None:
    """Raise ParameterError for a cut that this architecture or this depth does not allow."""
    if architecture not in DEPTH:
        raise ParameterError(f"prune: {architecture} cannot be pruned; these can: {', '.join(DEPTH)}")
    if drop_layers >= layers:
        raise ParameterError(
            f"prune.drop_layers is {drop_layers}, and the model has {layers} layers; leave at least one"
        )
    if narrows and architecture not in WIDTH:
        raise ParameterError(
            f"prune.ffn_share: the feed-forward width of {architecture} is fixed by its class; "
            f"it can be narrowed for {', '.join(WIDTH)}"
        )


def without_layer(model: "PreTrainedModel", index: int) -> "PreTrainedModel":
    """The same model with one layer less; those after it move up."""
    config: Any = copy.deepcopy(model.config)
    config.num_hidden_layers = model.config.num_hidden_layers - 1
    if getattr(config, "layer_types", None):
        config.layer_types = [kind for place, kind in enumerate(model.config.layer_types) if place != index]
    tensors = dict[str, torch.Tensor]()
    for name, tensor in model.state_dict().items():
        found = _LAYER.fullmatch(name)
        if found is None or (place := int(found["index"])) < index:
            tensors[name] = tensor
        elif place > index:
            tensors[f"{found['before']}{place - 1}{found['after']}"] = tensor
    return _made(config, tensors, model)


def with_neurons(model: "PreTrainedModel", scores: Sequence[torch.Tensor], share: float) -> "PreTrainedModel":
    """The same model with the highest scored feed-forward neurons of each layer, as many in all."""
    width = kept_width(len(scores[0]), share)
    kept = [torch.topk(layer, width).indices.sort().values for layer in scores]
    config: Any = copy.deepcopy(model.config)
    setattr(config, WIDTH[config.model_type], width)
    tensors = {name: _narrowed(name, tensor, kept) for name, tensor in model.state_dict().items()}
    return _made(config, tensors, model)


def kept_width(width: int, share: float) -> int:
    """Neurons that stay: the share, rounded to whole blocks, never none and never more than there are."""
    return min(width, max(_BLOCK, round(width * share / _BLOCK) * _BLOCK))


def _narrowed(name: str, tensor: torch.Tensor, kept: Sequence[torch.Tensor]) -> torch.Tensor:
    found = _LAYER.fullmatch(name)
    if found is None:
        return tensor
    index = kept[int(found["index"])]
    part = found["after"][1:]
    if part in _ROWS or part == "mlp.c_proj.weight":  # GPT-2 keeps (inputs, outputs)
        return tensor[index]
    return tensor[:, index] if part in _COLUMNS else tensor


def _made(config: Any, tensors: dict[str, torch.Tensor], like: "PreTrainedModel") -> "PreTrainedModel":
    model: PreTrainedModel = model_class(config).from_config(config, attn_implementation=attention_of(config))
    model.load_state_dict({name: tensor.clone() for name, tensor in tensors.items()})
    model.generation_config = copy.deepcopy(like.generation_config)
    accept_packed_blocks(model)
    model.train(like.training)
    return model
