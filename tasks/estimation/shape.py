"""A model as numbers: what decides how many parameters it has and how much arithmetic it takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from params.errors import ParameterError
from params.model import ModelParams
from tasks.model.shape import choose_shape


@dataclass(frozen=True)
class Family:
    """What the models of an architecture have in common."""

    gated: bool = False
    """Three matrices in the feed-forward layer (Shazeer 2020) instead of two."""
    biases: bool = False
    """Biases in linear layers and norms."""
    fused_qkv: bool = False
    """One matrix makes queries, keys and values; key/value heads are as many as heads."""
    qk_norm: bool = False
    """Norms over each head's queries and keys."""
    learned_positions: bool = False
    """A matrix of positions; the others rotate queries and keys or bias the scores."""
    embedding_norm: bool = False
    """A norm right after the embeddings."""


FAMILIES = {
    "qwen3": Family(gated=True, qk_norm=True),
    "llama": Family(gated=True),
    "gpt2": Family(biases=True, fused_qkv=True, learned_positions=True),
    "bloom": Family(biases=True, fused_qkv=True, embedding_norm=True),
}


@dataclass(frozen=True)
class ModelShape:
    """A decoder of transformers, its defaults filled in."""

    family: Family
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn_width: int
    vocab_size: int
    context: int
    tied: bool

    @classmethod
    def of(cls, params: ModelParams, *, vocab_size: int, context: int) -> Self:
        """The shape that tasks.model.build gives a model of these parameters."""
        family, shape = _family(params.architecture), choose_shape(params, vocab_size=vocab_size, context=context)
        return cls(
            family=family,
            layers=shape.layers,
            width=shape.width,
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            ffn_width=shape.ffn_width,
            vocab_size=vocab_size,
            context=context,
            tied=shape.tied,
        )

    @classmethod
    def of_config(cls, config: Mapping[str, Any], *, context: int) -> Self:
        """The shape of a model whose config.json is given (qwen3, llama, gpt2, bloom)."""
        family = _family(config["model_type"])
        width, heads = (_first(config, *names) for names in (("hidden_size", "n_embd"), _HEADS))
        return cls(
            family=family,
            layers=_first(config, "num_hidden_layers", "n_layer"),
            width=width,
            heads=heads,
            kv_heads=heads if family.fused_qkv else config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or width // heads,
            ffn_width=config.get("intermediate_size") or config.get("n_inner") or 4 * width,
            vocab_size=config["vocab_size"],
            context=config.get("n_positions", context) if family.learned_positions else context,
            tied=bool(config.get("tie_word_embeddings", family.fused_qkv)),
        )

    @property
    def query_width(self) -> int:
        """Width of all heads' queries together."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of all key heads together, and of all value heads."""
        return self.kv_heads * self.head_dim

    @property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of each matrix of a layer, the ones that Muon updates."""
        w, q, k, f = self.width, self.query_width, self.kv_width, self.ffn_width
        attention = ((q + 2 * k, w),) if self.family.fused_qkv else ((q, w), (k, w), (k, w))
        return (*attention, (w, q), *([(f, w)] * (2 if self.family.gated else 1)), (w, f))


_HEADS = ("num_attention_heads", "n_head")


def _family(architecture: str) -> Family:
    if architecture not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise ParameterError(f"estimate: the architecture {architecture!r} has no formula here; it knows {known}")
    return FAMILIES[architecture]


def _first(config: Mapping[str, Any], *names: str) -> int:
    found = next((config[name] for name in names if config.get(name) is not None), None)
    if found is None:
        raise ParameterError(f"estimate: the model's config.json has none of {', '.join(names)}")
    return int(found)
