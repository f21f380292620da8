"""Smaller variants of the exported graph."""

from typing import Literal

from pydantic import Field

from params.base import Params


class CompressParams(Params):
    """Weight-only quantization of the exported graph, block by block."""

    variants: tuple[Literal["int8", "int4"], ...] = ("int8",)
    """Which variants to make besides fp32."""
    block_size: Literal[16, 32, 64, 128, 256] = 32
    """Weights that share one scale."""
    check_blocks: int = Field(default=32, ge=1)
    """Held-out blocks on which each variant is compared with fp32."""
    greedy_tokens: int = Field(default=64, ge=1)
    """Tokens generated greedily to compare with fp32 and to time decoding."""
    max_loss_increase: float = Field(default=0.05, gt=0)
    """Largest allowed rise of the loss over fp32, in nats per token; a worse variant is not kept."""
