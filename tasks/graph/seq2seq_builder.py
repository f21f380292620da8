"""Child process: float32 graphs of an encoder-decoder model (T5) by torch's exporter, encoder.onnx and decoder.onnx.

The encoder reads a text once and gives, for every layer of the decoder, the keys and values by which it is looked at
(cross.N.key, cross.N.value); the decoder takes those with its own growing cache (past_key_values.N.key, …).
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSeq2SeqLM, DynamicCache, EncoderDecoderCache

from tasks.graph.torch_builder import forget_source
from tasks.training.parent import die_with_parent

_BATCH, _SOURCE, _NEW, _PAST = 2, 7, 3, 5
"""Sizes of the example inputs; all different, and none is 1, which torch.export would take for a constant."""
_FLOOR = torch.finfo(torch.float32).min
"""Finite, so that a padded row gives no NaN."""


class CrossKeys(nn.Module):
    """Tokens and mask (batch, source) to the keys and values of the decoder's cross attention, layer by layer."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder, self.attentions = model.encoder, nn.ModuleList(_cross_attentions(model))
        self.heads, self.width = model.config.num_heads, model.config.d_kv

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Pairs of (batch, heads, source, width)."""
        bias = torch.where(attention_mask[:, None, None, :] > 0, 0.0, _FLOOR)
        hidden = self.encoder(input_ids=input_ids, attention_mask=bias).last_hidden_state
        shape = (hidden.shape[0], hidden.shape[1], self.heads, self.width)
        parts: list[Any] = [part for layer in self.attentions for part in (layer.k, layer.v)]
        return tuple(part(hidden).view(shape).transpose(1, 2) for part in parts)


class CachedDecoder(nn.Module):
    """The newest tokens to logits and the grown cache; attention_mask (batch, source) is the encoder's."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, cross: list[Tensor], past: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """Logits, then past_key_values with the new tokens appended."""
        own, others = _pairs(past), _pairs(cross)
        cache: Any = EncoderDecoderCache(DynamicCache(own), DynamicCache(others))
        cache.is_updated = dict.fromkeys(range(len(others)), True)
        new, total = input_ids.shape[1], past[0].shape[2] + input_ids.shape[1]
        causal = torch.arange(total)[None, :] <= torch.arange(total - new, total)[:, None]
        made: Any = self.model(
            encoder_outputs=(torch.zeros(input_ids.shape[0], attention_mask.shape[1], self.model.config.d_model),),
            attention_mask=torch.where(attention_mask[:, None, None, :] > 0, 0.0, _FLOOR),
            decoder_input_ids=input_ids,
            decoder_attention_mask=torch.where(causal, 0.0, _FLOOR)[None, None].expand(input_ids.shape[0], 1, -1, -1),
            cache=cache,
            use_cache=True,
        )
        kept = made.cache.self_attention_cache.layers
        return (made.logits, *(tensor for layer in kept for tensor in (layer.keys, layer.values)))


def main(model_folder: str, out: str, opset: int) -> None:
    """Export a transformers folder."""
    model: Any = AutoModelForSeq2SeqLM.from_pretrained(model_folder, dtype=torch.float32, attn_implementation="eager")
    model.eval()
    config = model.config
    pairs = [f"{layer}.{kind}" for layer in range(config.num_decoder_layers) for kind in ("key", "value")]
    cross = [f"cross.{pair}" for pair in pairs]
    past, present = [f"past_key_values.{pair}" for pair in pairs], [f"present.{pair}" for pair in pairs]
    tokens, mask = torch.zeros(_BATCH, _SOURCE, dtype=torch.int64), torch.ones(_BATCH, _SOURCE, dtype=torch.int64)
    keys = [torch.zeros(_BATCH, config.num_heads, _SOURCE, config.d_kv) for _ in pairs]
    own = [torch.zeros(_BATCH, config.num_heads, _PAST, config.d_kv) for _ in pairs]
    source, new = {0: "batch_size", 1: "source_length"}, {0: "batch_size", 1: "sequence_length"}
    key_axes, own_axes = {0: "batch_size", 2: "source_length"}, {0: "batch_size", 2: "past_sequence_length"}
    _export(
        CrossKeys(model),
        (tokens, mask),
        Path(out) / "encoder.onnx",
        names=(["input_ids", "attention_mask"], cross),
        axes=(source, source),
        opset=opset,
    )
    _export(
        CachedDecoder(model),
        (tokens[:, :_NEW], mask, keys, own),
        Path(out) / "decoder.onnx",
        names=(["input_ids", "attention_mask", *cross, *past], ["logits", *present]),
        axes=(new, source, [key_axes for _ in pairs], [own_axes for _ in pairs]),
        opset=opset,
    )


def _export(
    module: nn.Module,
    inputs: tuple[Any, ...],
    path: Path,
    *,
    names: tuple[list[str], list[str]],
    axes: tuple[Any, ...],
    opset: int,
) -> None:
    with torch.no_grad():
        program: Any = torch.onnx.export(
            module.train(False),
            inputs,
            dynamo=True,
            opset_version=opset,
            input_names=names[0],
            output_names=names[1],
            dynamic_shapes=axes,
        )
    forget_source(program.model)
    program.save(str(path), external_data=True)


def _cross_attentions(model: Any) -> list[nn.Module]:
    return [block.layer[1].EncDecAttention for block in model.decoder.block]


def _pairs(tensors: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(tensors[::2], tensors[1::2], strict=True))


if __name__ == "__main__":
    die_with_parent()
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
