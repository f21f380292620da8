"""The shape of a model from scratch: what is set, and what follows from the dial by published proportions."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from params.errors import ParameterError
from params.model import FFN_FIXED, HEADS_FILL_WIDTH, NO_KV_HEADS, ModelParams

DEFAULT_DEPTH = 6
ASPECT = 64
"""Width per layer: GPT-3's smallest model has 768 / 12 (Brown et al. 2020, table 2.1), nanochat takes it at any depth.
The loss hardly depends on it (Kaplan et al. 2020, figure 5: within 3 % over a factor of 40)."""
_ASPECTS = (16, 160)
"""Proportions that the dial `parameters` may choose from; GPT-3's models lie between 42 and 128, tiny ones lower."""
_ASPECT_COST = 0.02
"""What doubling or halving the aspect may gain in nearness to the dial, as a share of the size."""
_MAX_LAYERS = 256
_MAX_WIDTH = 32_768
RELATIVE_BUCKETS = 32
"""Buckets of T5's relative positions, of the encoder and of the decoder (Raffel et al. 2020, section 2.1)."""
_FFN_MULTIPLE = 32
"""Feed-forward widths are rounded up to this, the block size of 4-bit weights."""
_GROUP = 4
"""Query heads per key/value head in wide models, as in Llama 3 8B (Ainslie et al. 2023 find little loss up to 8)."""
_WIDE = 2048
_NARROW = 256
_FAR = 0.1


@dataclass(frozen=True)
class Shape:
    """The sizes that make a model's matrices."""

    architecture: str
    layers: int
    """Of the decoder, and for t5 of the encoder as well."""
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn_width: int
    tied: bool

    def num_parameters(self, *, vocab_size: int, context: int) -> int:
        """Parameters of the model, a tied matrix counted once; exact."""
        return self.vocabulary_share(vocab_size) + _BODY[self.architecture](self, context)

    def vocabulary_share(self, vocab_size: int) -> int:
        """Parameters of the embeddings of tokens and of the logits."""
        return vocab_size * self.width * (1 if self.tied else 2)


def choose_shape(params: ModelParams, *, vocab_size: int, context: int) -> Shape:
    """The shape that the parameters ask for; fields that are set overrule the dial.

    Raises ParameterError where heads and width do not fit, or where no shape comes near to `parameters`.
    """
    if params.parameters is None:
        layers = params.layers or params.depth or DEFAULT_DEPTH
        return _complete(params, layers, params.width or _round_width(ASPECT * (params.depth or layers)))
    target = params.parameters

    def cost(shape: Shape) -> tuple[float, int]:
        size = shape.num_parameters(vocab_size=vocab_size, context=context)
        return abs(size / target - 1) + _ASPECT_COST * abs(math.log2(shape.width / shape.layers / ASPECT)), shape.layers

    shape = min(_candidates(params, target), key=cost, default=None)
    if shape is None:
        raise ParameterError(
            f"train.model: no width suits heads {params.heads} of head_dim {params.head_dim}; set fewer"
        )
    size = shape.num_parameters(vocab_size=vocab_size, context=context)
    if not 0.5 <= size / target <= 2:
        raise ParameterError(
            f"train.model.parameters: no shape comes near to {target:,}; the nearest has {size:,}, of which the "
            f"vocabulary of {vocab_size:,} takes {shape.vocabulary_share(vocab_size):,}; choose another size, a "
            "smaller train_tokenizer.vocab_size, or leave more of layers, width, heads and ffn_width to the dial"
        )
    return shape


def describe_shape(params: ModelParams, shape: Shape, *, vocab_size: int, context: int) -> str:
    """The shape in words, with how near the dial was met."""
    size = shape.num_parameters(vocab_size=vocab_size, context=context)
    text = (
        f"{shape.architecture}, {shape.layers} layers of width {shape.width}, {shape.heads} heads of {shape.head_dim}, "
        f"feed-forward {shape.ffn_width}: {size:,} parameters, "
        f"{shape.vocabulary_share(vocab_size):,} of them the vocabulary"
    )
    if params.parameters is None:
        return text
    off = size / params.parameters - 1
    far = "; the steps of width and layers allow no nearer" if abs(off) > _FAR else ""
    return f"{text}; {params.parameters:,} asked for ({off:+.1%}{far})"


def padded(vocab_size: int, multiple: int | None) -> int:
    """Rows of an embedding for so many tokens."""
    return vocab_size if multiple is None else -(-vocab_size // multiple) * multiple


def gated_ffn_width(width: int) -> int:
    """8/3 of the width, so that three gated matrices weigh as much as two of 4 x width (Shazeer 2020)."""
    return -(-8 * width // (3 * _FFN_MULTIPLE)) * _FFN_MULTIPLE


def _candidates(params: ModelParams, target: int) -> Iterator[Shape]:
    """Shapes that fit what is set, narrow ones first, none much larger than the target."""
    low, high = _ASPECTS
    depths = [params.layers] if params.layers else range(2, _MAX_LAYERS + 1)
    for layers in depths:
        widths = (
            [params.width] if params.width else _widths(layers * low, layers * high, free=params.layers is not None)
        )
        for width in widths:
            if params.width is None and _misfit(params, width):
                continue
            shape = _complete(params, layers, width)
            yield shape
            if shape.num_parameters(vocab_size=0, context=0) > 2 * target:
                break  # wider ones are larger still


def _widths(low: int, high: int, *, free: bool) -> Iterator[int]:
    """Multiples of 32 below 256, of 64 below 1024, of 128 from there on; all where `free`, else within the bounds."""
    width = 32
    while width <= (_MAX_WIDTH if free else high):
        if free or width >= low:
            yield width
        width += _step(width)


def _round_width(width: int) -> int:
    return max(32, round(width / _step(width)) * _step(width))


def _step(width: int) -> int:
    """What widths are multiples of, so that heads of the usual width fill them."""
    return 32 if width < _NARROW else 64 if width < _WIDE // 2 else 128


def _complete(params: ModelParams, layers: int, width: int) -> Shape:
    """A shape with what is null filled in; raises ParameterError where heads and width do not fit."""
    if problem := _misfit(params, width):
        raise ParameterError(f"train.model: {problem}")
    name = params.architecture
    heads, head_dim = _heads(params, width)
    grouped = name not in NO_KV_HEADS and width >= _WIDE and heads % _GROUP == 0
    kv_heads = params.kv_heads or (heads // _GROUP if grouped else heads)
    four_times = name in (*FFN_FIXED, "gpt2")
    ffn_width = params.ffn_width or (4 * width if four_times else gated_ffn_width(width))
    return Shape(name, layers, width, heads, kv_heads, head_dim, ffn_width, params.tie_embeddings)


def _misfit(params: ModelParams, width: int) -> str | None:
    """Why these heads do not go with a width, or None."""
    heads, head_dim = _heads(params, width)
    if params.head_dim is None and params.heads and width % (2 * heads):
        return f"width {width} must be an even multiple of heads {heads}"
    if params.heads is None and width % head_dim:
        return f"width {width} is no multiple of head_dim {head_dim}; set heads to a number that divides it"
    if params.architecture in HEADS_FILL_WIDTH and heads * head_dim != width:
        return (
            f"{params.architecture} shares its width out among its heads, and {heads} heads of {head_dim} do not make "
            f"width {width}; set head_dim to null"
        )
    if params.kv_heads and heads % params.kv_heads:
        return f"kv_heads {params.kv_heads} must divide the {heads} heads of width {width}"
    return None


def _heads(params: ModelParams, width: int) -> tuple[int, int]:
    """Number and width of the heads, rounded down where they do not fit."""
    if params.heads:
        return params.heads, params.head_dim or width // params.heads
    usual = 32 if width < _NARROW else 128 if width >= _WIDE and width % 128 == 0 else 64
    head_dim = params.head_dim or usual
    return width // head_dim, head_dim


def _llama(shape: Shape, _context: int) -> int:
    per_layer = _attention(shape) + 3 * shape.width * shape.ffn_width + 2 * shape.width
    return shape.layers * per_layer + shape.width


def _qwen3(shape: Shape, context: int) -> int:
    return _llama(shape, context) + shape.layers * 2 * shape.head_dim  # norms of queries and keys


def _gpt2(shape: Shape, context: int) -> int:
    width, ffn = shape.width, shape.ffn_width
    per_layer = 4 * width * width + 4 * width + 2 * width * ffn + ffn + width + 4 * width
    return context * width + shape.layers * per_layer + 2 * width


def _bloom(shape: Shape, _context: int) -> int:
    return _gpt2(shape, 0) + 2 * shape.width  # no positions, but a norm of the embeddings


def _t5(shape: Shape, _context: int) -> int:
    attention, feed_forward = _attention(shape), 3 * shape.width * shape.ffn_width
    encoder = shape.layers * (attention + feed_forward + 2 * shape.width)
    decoder = shape.layers * (2 * attention + feed_forward + 3 * shape.width)
    return encoder + decoder + 2 * shape.width + 2 * RELATIVE_BUCKETS * shape.heads


def _attention(shape: Shape) -> int:
    return 2 * shape.width * shape.head_dim * (shape.heads + shape.kv_heads)


_BODY = {"llama": _llama, "qwen3": _qwen3, "gpt2": _gpt2, "bloom": _bloom, "t5": _t5}
