"""Child process: a float32 graph by torch's exporter, from a wrapper with flat key/value tensors."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DynamicCache

from tasks.model.packing import accept_packed_blocks
from tasks.training.parent import die_with_parent

_BATCH, _NEW, _PAST = 2, 3, 5
"""Sizes of the example inputs; all different, and none is 1, which torch.export would take for a constant."""
CACHE_AXES = {0: "batch_size", 2: "past_sequence_length"}
SHAPES = (
    {0: "batch_size", 1: "sequence_length"},
    {0: "batch_size", 1: "total_sequence_length"},
    {0: "batch_size", 1: "sequence_length"},
)
"""Axes that may have any length, of tokens, mask and positions."""


class FlatCache(nn.Module):
    """A causal language model whose cache is a row of tensors: past_key_values.N.key, past_key_values.N.value, …"""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, past: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """Logits, then the grown cache; attention_mask covers past and new tokens."""
        cache = DynamicCache(list(zip(past[::2], past[1::2], strict=True)))
        new, total = input_ids.shape[1], attention_mask.shape[1]
        query, key = torch.arange(total - new, total)[:, None], torch.arange(total)[None, :]
        visible = (key <= query)[None, None] & (attention_mask[:, None, None, :] > 0)
        bias = torch.where(visible, 0.0, torch.finfo(torch.float32).min)  # finite, so that a padded row gives no NaN
        made: Any = self.model(
            input_ids=input_ids, attention_mask=bias, position_ids=position_ids, cache=cache, use_cache=True
        )
        return (
            made.logits,
            *(tensor for layer in made.cache.layers for tensor in (layer.keys, layer.values)),
        )


def example_inputs(config: Any) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Tokens, mask, positions and a cache of zeros to trace a model with."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    tokens = torch.zeros(_BATCH, _NEW, dtype=torch.int64)
    mask = torch.ones(_BATCH, _PAST + _NEW, dtype=torch.int64)
    positions = torch.arange(_PAST, _PAST + _NEW).repeat(_BATCH, 1)
    past = [torch.zeros(_BATCH, heads, _PAST, width) for _ in range(2 * config.num_hidden_layers)]
    return tokens, mask, positions, past


def main(model_folder: str, out: str, opset: int) -> None:
    """Export a transformers folder."""
    model: Any = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32, attn_implementation="eager")
    accept_packed_blocks(model)  # bloom's biases by position, from a mask with a row for each query
    inputs = example_inputs(model.config)
    pairs = [f"{layer}.{kind}" for layer in range(len(inputs[-1]) // 2) for kind in ("key", "value")]
    with torch.no_grad():
        program: Any = torch.onnx.export(
            FlatCache(model).eval(),
            inputs,
            dynamo=True,
            opset_version=opset,
            input_names=["input_ids", "attention_mask", "position_ids", *(f"past_key_values.{pair}" for pair in pairs)],
            output_names=["logits", *(f"present.{pair}" for pair in pairs)],
            dynamic_shapes=(*SHAPES, [CACHE_AXES for _ in pairs]),
        )
    forget_source(program.model)
    program.save(str(Path(out) / "model.onnx"), external_data=True)


def forget_source(model: Any) -> None:
    """Drop stack traces and module paths, which name files of this machine."""
    model.metadata_props.clear()
    for part in (model.graph, *model.graph, *model.functions.values()):
        part.metadata_props.clear()
        part.doc_string = None
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
        value.doc_string = None
    for node in model.graph:
        for value in node.outputs:
            value.metadata_props.clear()


if __name__ == "__main__":
    die_with_parent()
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
