"""A language model from configuration, ready to learn."""

from typing import TYPE_CHECKING, Any

from params.train import ModelParams

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

_FFN_MULTIPLE = 32
"""Feed-forward widths are rounded up to this, the block size of 4-bit weights."""


def build_model(
    params: ModelParams, *, vocab_size: int, context: int, begin: int, end: int, padding: int, seed: int
) -> "PreTrainedModel":
    """A randomly initialized causal language model; the same seed gives the same weights.

    Output projections of attention and feed-forward layers start at zero, so that each block begins as the identity
    (as in muP and in the speed runs of modded-nanogpt).
    """
    import torch
    import transformers

    config = build_config(params, vocab_size=vocab_size, context=context, begin=begin, end=end, padding=padding)
    torch.manual_seed(seed)
    model_class: Any = transformers.AutoModelForCausalLM
    model: PreTrainedModel = model_class.from_config(config, attn_implementation="sdpa")
    for name, parameter in model.named_parameters():
        if is_output_projection(name):
            torch.nn.init.zeros_(parameter)
    return model


def build_config(
    params: ModelParams, *, vocab_size: int, context: int, begin: int, end: int, padding: int
) -> "PretrainedConfig":
    """The transformers configuration of an architecture; dropout is off, since small runs see most text once."""
    import transformers

    config_class: Any
    shared: dict[str, Any] = {
        "vocab_size": vocab_size,
        "bos_token_id": begin,
        "eos_token_id": end,
        "pad_token_id": padding,
        "tie_word_embeddings": params.tie_embeddings,
    }
    if params.architecture == "gpt2":
        config_class = transformers.GPT2Config
        config: PretrainedConfig = config_class(
            **shared,
            n_positions=context,
            n_embd=params.width,
            n_layer=params.layers,
            n_head=params.heads,
            n_inner=params.ffn_width or 4 * params.width,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
        return config
    config_class = {"qwen3": transformers.Qwen3Config, "llama": transformers.LlamaConfig}[params.architecture]
    config = config_class(
        **shared,
        max_position_embeddings=context,
        hidden_size=params.width,
        num_hidden_layers=params.layers,
        num_attention_heads=params.heads,
        num_key_value_heads=params.kv_heads or params.heads,
        head_dim=params.width // params.heads,
        intermediate_size=params.ffn_width or gated_ffn_width(params.width),
    )
    return config


def gated_ffn_width(width: int) -> int:
    """8/3 of the width, so that three gated matrices weigh as much as two of 4 x width (Shazeer 2020)."""
    return -(-8 * width // (3 * _FFN_MULTIPLE)) * _FFN_MULTIPLE


def is_output_projection(name: str) -> bool:
    """Whether a parameter writes into the residual stream."""
    return name.endswith(("o_proj.weight", "down_proj.weight", "c_proj.weight"))


def hidden_matrices(model: "nn.Module") -> dict[str, "nn.Parameter"]:
    """The two-dimensional weights between embeddings and logits, which Muon updates."""
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim == 2 and not any(part in name for part in ("embed", "lm_head", "wte", "wpe"))
    }


def num_parameters(model: "nn.Module") -> int:
    """Parameters, a tied matrix counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
