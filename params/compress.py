"""Smaller variants of the exported graph."""

from typing import Literal

from pydantic import Field

from params.base import Params

Variant = Literal["int8", "int4", "int4_gptq", "int8_dynamic", "fp16", "bf16"]


class CompressParams(Params):
    """Quantization of the exported graph; several variants are a sweep, with a table and a plot."""

    variants: tuple[Variant, ...] = ("int8",)
    """What to make besides fp32: int8 and int4 (weights, block by block, rounded to the nearest), int4_gptq (rounded by
    calibration text), int8_dynamic (activations too), fp16 and bf16 (half the file, computed in float32)."""
    block_size: Literal[16, 32, 64, 128, 256] = 128
    """Weights that share one scale (int8, int4, int4_gptq); half of it or less where that does not divide the model's
    width. Short blocks are a little more exact, long ones faster and smaller."""
    cache: Literal["float32", "int8"] = "float32"
    """How int8, int4 and int4_gptq keep the keys and values of a text. As int8, a scale for each channel, they take a
    quarter of the memory, and a step takes less time the more texts there are and the longer they get; reading a prompt
    takes more. Other variants, and graphs that copy their cache at every step (gpt2, bloom, t5), keep float32."""
    calibration_blocks: int = Field(default=64, ge=1)
    """Training blocks that int4_gptq sees, and that the scales of an int8 cache are taken from."""
    check_blocks: int = Field(default=32, ge=1)
    """Held-out blocks on which each variant is compared with fp32."""
    greedy_tokens: int = Field(default=64, ge=1)
    """Tokens generated greedily to compare with fp32 and to time decoding."""
    max_loss_increase: float = Field(default=0.05, gt=0)
    """Largest allowed rise of the loss over fp32, in nats per token; a worse variant is not kept."""
    pick: Literal["smallest", "fastest"] = "smallest"
    """Which of the variants kept release.serve: auto takes; fastest depends on this machine."""
