"""A language model from configuration, ready to learn, and which of its weights are what."""

from typing import TYPE_CHECKING, Any

from params.model import ModelParams
from tasks.model.packing import accept_packed_blocks
from tasks.model.shape import RELATIVE_BUCKETS, Shape, choose_shape, padded

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

_OUTPUT_PROJECTIONS = (
    *("o_proj.weight", "down_proj.weight"),  # llama, qwen3
    "c_proj.weight",  # gpt2
    *("self_attention.dense.weight", "mlp.dense_4h_to_h.weight"),  # bloom
    *("Attention.o.weight", "DenseReluDense.wo.weight"),  # t5
)


def build_model(
    params: ModelParams, *, vocab_size: int, context: int, begin: int, end: int, padding: int, seed: int
) -> "PreTrainedModel":
    """A randomly initialized language model; the same seed gives the same weights.

    Output projections of attention and feed-forward layers start at zero, so that each block begins as the identity
    (as in muP and in the speed runs of modded-nanogpt).
    """
    import torch

    rows = padded(vocab_size, params.vocabulary_multiple)
    shape = choose_shape(params, vocab_size=rows, context=context)
    config = build_config(shape, vocab_size=rows, context=context, begin=begin, end=end, padding=padding)
    torch.manual_seed(seed)
    model: PreTrainedModel = model_class(config).from_config(config, attn_implementation=attention_of(config))
    for name, parameter in model.named_parameters():
        if is_output_projection(name):
            torch.nn.init.zeros_(parameter)
    accept_packed_blocks(model)
    return model


def build_config(
    shape: Shape, *, vocab_size: int, context: int, begin: int, end: int, padding: int
) -> "PretrainedConfig":
    """The transformers configuration of a shape; dropout is off, since small runs see most text once."""
    import transformers

    kinds: dict[str, Any] = {
        "qwen3": transformers.Qwen3Config,
        "llama": transformers.LlamaConfig,
        "gpt2": transformers.GPT2Config,
        "bloom": transformers.BloomConfig,
        "t5": transformers.T5Config,
    }
    config: PretrainedConfig = kinds[shape.architecture](
        vocab_size=vocab_size,
        bos_token_id=begin,
        eos_token_id=end,
        pad_token_id=padding,
        **_SIZES[shape.architecture](shape, context),
        **({"decoder_start_token_id": padding} if shape.architecture == "t5" else {"tie_word_embeddings": shape.tied}),
    )
    return config


def model_class(config: "PretrainedConfig") -> Any:
    """The transformers factory for a configuration: sequence to sequence where it has an encoder, else causal."""
    import transformers

    return transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM


def attention_of(config: "PretrainedConfig") -> str | None:
    """torch's fused attention; None leaves the choice to transformers, where the class may have its own (bloom)."""
    return "sdpa" if config.model_type in ("qwen3", "llama", "gpt2", "t5") else None


def is_output_projection(name: str) -> bool:
    """Whether a parameter of an architecture that is built from scratch writes into the residual stream."""
    return name.endswith(_OUTPUT_PROJECTIONS)


def hidden_matrices(model: "nn.Module") -> dict[str, "nn.Parameter"]:
    """The two-dimensional weights between embeddings and logits that are learned, which Muon updates.

    Told by the kind of layer, so for any architecture: tables of tokens and positions are no matrices that act on
    activations, a head of logits or classes gets sparse gradients, and a factor of an adapter is no whole update.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    whole: Any = model
    body: nn.Module = getattr(whole, "base_model", whole)
    head = whole.get_output_embeddings() if hasattr(whole, "get_output_embeddings") else None
    layers = {
        id(layer.weight)
        for name, layer in body.named_modules()
        if isinstance(layer, nn.Linear | Conv1D) and layer is not head and ".lora_" not in name
    }
    tables = {id(layer.weight) for layer in model.modules() if isinstance(layer, nn.Embedding)}
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if id(parameter) in layers - tables and parameter.ndim == 2 and parameter.requires_grad
    }


def num_parameters(model: "nn.Module") -> int:
    """Parameters, a tied matrix counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def _llama(shape: Shape, context: int) -> dict[str, Any]:
    return {
        "max_position_embeddings": context,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.ffn_width,
    }


def _gpt2(shape: Shape, context: int) -> dict[str, Any]:
    return {
        "n_positions": context,
        "n_embd": shape.width,
        "n_layer": shape.layers,
        "n_head": shape.heads,
        "n_inner": shape.ffn_width,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    }


def _bloom(shape: Shape, _context: int) -> dict[str, Any]:
    return {"hidden_size": shape.width, "n_layer": shape.layers, "n_head": shape.heads}


def _t5(shape: Shape, _context: int) -> dict[str, Any]:
    """T5 1.1: gated feed-forward layers and no dropout while pretraining."""
    return {
        "d_model": shape.width,
        "num_layers": shape.layers,
        "num_heads": shape.heads,
        "d_kv": shape.head_dim,
        "d_ff": shape.ffn_width,
        "feed_forward_proj": "gated-gelu",
        "relative_attention_num_buckets": RELATIVE_BUCKETS,
        "dropout_rate": 0.0,
    }


_SIZES = {"qwen3": _llama, "llama": _llama, "gpt2": _gpt2, "bloom": _bloom, "t5": _t5}
