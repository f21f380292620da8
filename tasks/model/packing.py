"""Packed blocks: whether an architecture keeps the documents of a block apart, and help for those that do not."""

from typing import TYPE_CHECKING, Any

from params.errors import ParameterError
from tasks.model.files import FIELD, first_line

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel

_TOLERANCE = 0.02
"""Share of the largest logit by which kernels may differ; another document in sight changes far more."""


def accept_packed_blocks(model: "PreTrainedModel") -> None:
    """Let a model take the boolean (batch, 1, time, time) mask that keeps documents apart.

    Fused attention does; plain attention adds the mask to its scores and needs it as a bias. BLOOM also builds ALiBi
    from a (batch, time) mask of padding: biases by the key's place in the block instead of its place in the document
    give the same attention, as they differ by a constant per query, which softmax ignores. Nothing of this is saved
    with the model.
    """
    import torch

    body: Any = model.base_model
    if model.config._attn_implementation != "eager":
        return
    body.register_forward_pre_hook(_mask_to_bias, with_kwargs=True)
    if not hasattr(body, "build_alibi_tensor"):
        return
    plain = body.build_alibi_tensor

    def alibi(mask: torch.Tensor, num_heads: int, dtype: torch.dtype) -> Any:
        if mask.ndim == 4:
            mask = torch.ones((mask.shape[0], mask.shape[-1]), dtype=torch.long, device=mask.device)
        return plain(mask, num_heads, dtype)

    body.build_alibi_tensor = alibi


def check_packing(model: "PreTrainedModel") -> None:
    """Try a block of two documents; raises ParameterError where the second does not get the logits it gets alone."""
    import torch

    if model.config.is_encoder_decoder:  # is given one text a row
        return
    positions = torch.tensor([[0, 1, 2, 0, 1, 2]])
    documents = torch.tensor([0, 0, 0, 1, 1, 1])
    mask = (documents[:, None] == documents) & torch.ones(6, 6, dtype=torch.bool).tril()
    tokens = torch.arange(6)[None] % model.config.get_text_config().vocab_size
    training = model.training
    model.train(False)
    try:
        with torch.no_grad():
            packed = _logits(model, tokens, positions, mask)[:, 3:]
            alone = _logits(model, tokens[:, 3:], positions[:, 3:], mask[3:, 3:])
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError) as error:
        raise ParameterError(
            _mixed(model, f"its forward pass takes no mask of documents: {first_line(error)}")
        ) from None
    finally:
        model.train(training)
    if (packed - alone).abs().max() > _TOLERANCE * alone.abs().max():
        raise ParameterError(_mixed(model, "a document is read together with those before it"))


def _logits(model: Any, tokens: "torch.Tensor", positions: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    found: torch.Tensor = model(
        input_ids=tokens, position_ids=positions, attention_mask=mask[None, None], use_cache=False
    ).logits
    return found


def _mixed(model: Any, why: str) -> str:
    return (
        f"{FIELD}: {type(model).__name__} cannot keep the documents of a block apart ({why}); choose "
        "an architecture with attention masks, such as qwen3, llama or gpt2"
    )


def _mask_to_bias(_body: "nn.Module", args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A boolean mask of documents as what is added to the attention scores."""
    import torch

    mask = kwargs.get("attention_mask")
    if mask is None or mask.ndim != 4 or mask.dtype != torch.bool:
        return args, kwargs
    bias = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, torch.finfo(torch.float32).min)
    return args, kwargs | {"attention_mask": bias}
