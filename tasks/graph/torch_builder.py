"""Child process: a float32 graph by torch's exporter, from a wrapper with flat key/value tensors."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DynamicCache

from tasks.model.packing import accept_packed_blocks

_BATCH, _NEW, _PAST = 2, 3, 5
"""Sizes of the example inputs; all different, and none is 1, which torch.export would take for a constant."""


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


def main(model_folder: str, out: str, opset: int) -> None:
    """Export a transformers folder."""
    model: Any = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32, attn_implementation="eager")
    accept_packed_blocks(model)  # bloom's biases by position, from a mask with a row for each query
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    shape = (_BATCH, heads, _PAST, model.config.hidden_size // heads)
    tokens = torch.zeros(_BATCH, _NEW, dtype=torch.int64)
    mask = torch.ones(_BATCH, _PAST + _NEW, dtype=torch.int64)
    positions = torch.arange(_PAST, _PAST + _NEW).repeat(_BATCH, 1)
    pairs = [f"{layer}.{kind}" for layer in range(layers) for kind in ("key", "value")]
    cache_axes = {0: "batch_size", 2: "past_sequence_length"}
    with torch.no_grad():
        program: Any = torch.onnx.export(
            FlatCache(model).eval(),
            (tokens, mask, positions, [torch.zeros(shape) for _ in pairs]),
            dynamo=True,
            opset_version=opset,
            input_names=["input_ids", "attention_mask", "position_ids", *(f"past_key_values.{pair}" for pair in pairs)],
            output_names=["logits", *(f"present.{pair}" for pair in pairs)],
            dynamic_shapes=(
                {0: "batch_size", 1: "sequence_length"},
                {0: "batch_size", 1: "total_sequence_length"},
                {0: "batch_size", 1: "sequence_length"},
                [cache_axes for _ in pairs],
            ),
        )
    _forget_source(program.model)
    program.save(str(Path(out) / "model.onnx"), external_data=True)


def _forget_source(model: Any) -> None:
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
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
