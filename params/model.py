"""The model: its shape from scratch, or the weights it starts from, and what of it learns."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from params.base import Params

Architecture = Literal["qwen3", "llama", "gpt2", "bloom", "t5"]
FFN_FIXED = ("bloom",)
"""Architectures whose feed-forward layer is 4 times the width, with no setting for it."""
NO_KV_HEADS = ("gpt2", "bloom", "t5")
"""Architectures without grouped-query attention."""
HEADS_FILL_WIDTH = ("gpt2", "bloom")
"""Architectures whose heads share the width out among them: head_dim is width / heads."""
ALWAYS_TIED = ("t5",)
"""Architectures whose transformers class has but one matrix for embeddings and logits (T5Config of transformers 5)."""

_COUNT = re.compile(r"\s*(?P<number>\d[\d_]*(\.\d+)?)\s*(?P<unit>[KMB]?)\s*", re.IGNORECASE)
_UNIT = {"": 1, "K": 1_000, "M": 1_000_000, "B": 1_000_000_000}
_SHAPE_FIELDS = (*("parameters", "depth", "layers", "width", "heads", "kv_heads", "head_dim", "ffn_width"),)


def _count(value: Any) -> Any:
    """12M, 1.5B or 350k as a number; what is no text is left to pydantic."""
    if not isinstance(value, str):
        return value
    found = _COUNT.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is no count; write 12M, 1.5B, 350K or 12_000_000")
    return round(float(found["number"].replace("_", "")) * _UNIT[found["unit"].upper()])


Count = Annotated[
    int,
    BeforeValidator(_count),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d[\d_]*(\.\d+)?\s*[KkMmBb]?$"}]}),
]


class LoraParams(Params):
    """Low-rank adapters beside frozen weights (Hu et al. 2021), merged into them at the end and kept as well."""

    rank: int = Field(default=16, ge=1)
    """Rank of the update of each matrix."""
    alpha: float = Field(default=32.0, gt=0)
    """Scale of the update: alpha / rank times the product of the two factors."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs set to zero while training."""
    target_modules: tuple[str, ...] | None = None
    """Names of the layers that get an adapter, such as q_proj; null for every linear layer but the head."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank), which keeps high ranks learning (Kalajdzievski 2023)."""
    dora: bool = False
    """Learn magnitude and direction apart (DoRA, Liu et al. 2024): slower, a little better at low ranks."""


class ModelParams(Params):
    """A standard transformers model: from scratch by its shape or by one dial, or from existing weights.

    What is null follows from the dial (`parameters` or `depth`) by published proportions; see docs/models.md.
    """

    architecture: Architecture = "qwen3"
    """Model class; vocabulary and context come from the tokenizer and the token shards."""
    parameters: Count | None = Field(default=None, ge=1_000)
    """Dial: the size to come near to, such as 12M, the vocabulary's share counted; null leaves it to depth."""
    depth: int | None = Field(default=None, ge=1)
    """Dial: so many layers, each 64 wide for every layer; null for 6 where nothing else says how many."""
    layers: int | None = Field(default=None, ge=1)
    """Transformer blocks (t5: of the encoder and of the decoder each); null follows from the dial."""
    width: int | None = Field(default=None, ge=8)
    """Width of the residual stream; null follows from the dial."""
    heads: int | None = Field(default=None, ge=1)
    """Attention heads; null for width / head_dim."""
    kv_heads: int | None = Field(default=None, ge=1)
    """Key/value heads (grouped-query attention; qwen3 and llama); null for heads, a quarter of them from width 2048."""
    head_dim: int | None = Field(default=None, ge=2)
    """Width of a head; null for width / heads, or 64 (32 below width 256, 128 from width 2048)."""
    ffn_width: int | None = Field(default=None, ge=8)
    """Width of the feed-forward layer; null for 8/3 of width (gated: qwen3, llama, t5) or 4 times width."""
    tie_embeddings: bool = True
    """Use one matrix for input embeddings and output logits."""
    from_weights: str | None = Field(default=None, min_length=1)
    """Weights to start from: a transformers folder, a GGUF file, a hub name (owner/name or owner/name@revision) or
    models:/name@alias of the registry; null starts from scratch. Brings its own architecture and shape."""
    vocabulary_multiple: int | None = Field(default=None, ge=1)
    """Round the rows of the embeddings up to a multiple of this; null for as many as there are tokens."""
    lora: LoraParams | None = None
    """Learn adapters beside frozen weights; null learns all weights."""

    @model_validator(mode="after")
    def _one_origin(self) -> "ModelParams":
        if self.parameters is not None and self.depth is not None:
            raise ValueError("parameters and depth are both dials of the size; set one of them to null")
        given = [name for name in _SHAPE_FIELDS if getattr(self, name) is not None]
        if self.from_weights is not None and given:
            raise ValueError(f"from_weights brings its own shape; set {', '.join(given)} to null")
        return self

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "ModelParams":
        width, heads, head_dim = self.width, self.heads, self.head_dim
        if width and heads and head_dim is None and (width % heads or (width // heads) % 2):
            raise ValueError(f"width {width} must be an even multiple of heads {heads}")
        if head_dim is not None and head_dim % 2:
            raise ValueError(f"head_dim {head_dim} must be even: positions turn pairs of its entries")
        if width and head_dim and heads is None and width % head_dim:
            raise ValueError(f"width {width} is no multiple of head_dim {head_dim}; set heads, or another width")
        if heads and self.kv_heads is not None and heads % self.kv_heads:
            raise ValueError(f"kv_heads {self.kv_heads} must divide heads {heads}")
        return self

    @model_validator(mode="after")
    def _architecture_has_what_is_set(self) -> "ModelParams":
        name = self.architecture
        if self.from_weights is not None:
            return self
        if name in NO_KV_HEADS and self.kv_heads not in (None, self.heads):
            raise ValueError(
                f"{name} has as many key/value heads as heads; set kv_heads to null, or use qwen3 or llama"
            )
        if name in FFN_FIXED and self.ffn_width is not None:
            raise ValueError(f"{name} has a feed-forward layer of 4 times its width; set ffn_width to null")
        if (
            name in HEADS_FILL_WIDTH
            and self.width
            and self.heads
            and self.head_dim not in (None, self.width // self.heads)
        ):
            raise ValueError(f"{name} has heads of width / heads = {self.width // self.heads}; set head_dim to null")
        if name in ALWAYS_TIED and not self.tie_embeddings:
            raise ValueError(f"{name} has one matrix for embeddings and logits; set tie_embeddings to true")
        return self
