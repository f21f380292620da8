"""Packed blocks for architectures whose forward pass takes no mask of documents."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def accept_packed_blocks(model: "nn.Module") -> None:
    """Let BLOOM take the boolean (batch, 1, time, time) mask that keeps documents apart; others take it as they are.

    Its forward pass builds ALiBi from a (batch, time) mask of padding. Biases by the key's place in the block instead
    of its place in the document give the same attention: they differ by a constant per query, which softmax ignores.
    Nothing of this is saved with the model.
    """
    from transformers import BloomPreTrainedModel

    if not isinstance(model, BloomPreTrainedModel):
        return
    import torch

    body: Any = model.base_model
    plain = body.build_alibi_tensor

    def alibi(mask: torch.Tensor, num_heads: int, dtype: torch.dtype) -> Any:
        if mask.ndim == 4:
            mask = torch.ones((mask.shape[0], mask.shape[-1]), dtype=torch.long, device=mask.device)
        return plain(mask, num_heads, dtype)

    body.build_alibi_tensor = alibi
    body.register_forward_pre_hook(_mask_to_bias, with_kwargs=True)


def _mask_to_bias(_body: "nn.Module", args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A boolean mask of documents as what is added to the attention scores."""
    import torch

    mask = kwargs.get("attention_mask")
    if mask is None or mask.ndim != 4 or mask.dtype != torch.bool:
        return args, kwargs
    bias = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, torch.finfo(torch.float32).min)
    return args, kwargs | {"attention_mask": bias}
