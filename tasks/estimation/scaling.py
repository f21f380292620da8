"""How much text suits a model, and how large a model suits the text."""

import math
from dataclasses import dataclass, replace

from tasks.estimation.parameters import count_parameters
from tasks.estimation.shape import ModelShape

TOKENS_PER_PARAMETER = 20
"""What all three approaches of Hoffmann et al. (2022, table 3) come to; more is well spent on a small model that will
be used much."""
SENSIBLE_EPOCHS = 4
"""Up to so many passes, repeated text is nearly worth new text (Muennighoff et al. 2023, section 6)."""
_REPEATS_SCALE = 15.387756
"""R*_D of Muennighoff et al. (2023), equation 5: the half-life, so to say, of repeated text."""
_A, _B, _ALPHA, _BETA = 482.01, 2085.43, 0.3478, 0.3658
"""Loss = E + A / N^alpha + B / D^beta: approach 3 of Hoffmann et al., fitted again by Besiroglu et al. (2024), for the
first fit contradicts the paper's other approaches."""
_HEAD_WIDTH = 64


@dataclass(frozen=True)
class Optimum:
    """A model and its text."""

    parameters: float
    tokens: float


def optimum_of_compute(flops: float) -> Optimum:
    """The model and the tokens that make the best of so many operations (Hoffmann et al. 2022, equation 4)."""
    scale = (_ALPHA * _A / (_BETA * _B)) ** (1 / (_ALPHA + _BETA))
    parameters = scale * (flops / 6) ** (_BETA / (_ALPHA + _BETA))
    return Optimum(parameters, flops / (6 * parameters))


def optimal_tokens(parameters: int) -> int:
    """Tokens that suit a model."""
    return TOKENS_PER_PARAMETER * parameters


def effective_tokens(unique_tokens: float, epochs: float) -> float:
    """What repeated text is worth in new text: D' = U + U R* (1 - exp(-R / R*)), R the repeats (Muennighoff et al.)."""
    repeats = max(0.0, epochs - 1)
    return unique_tokens * (min(epochs, 1.0) + _REPEATS_SCALE * -math.expm1(-repeats / _REPEATS_SCALE))


def optimal_parameters(unique_tokens: float) -> int:
    """Size of the model that suits the text, gone through SENSIBLE_EPOCHS times."""
    return round(effective_tokens(unique_tokens, SENSIBLE_EPOCHS) / TOKENS_PER_PARAMETER)


def resized(shape: ModelShape, depth: int) -> ModelShape:
    """The model with this many layers, each 64 wide for every layer: the aspect of most published ladders."""
    heads = depth
    return replace(
        shape,
        layers=depth,
        width=_HEAD_WIDTH * depth,
        heads=heads,
        kv_heads=max(count for count in range(1, heads + 1) if heads % count == 0 and count <= _kv_limit(shape, heads)),
        head_dim=_HEAD_WIDTH,
        ffn_width=max(32, round(shape.ffn_width / shape.width * _HEAD_WIDTH * depth / 32) * 32),
    )


def shape_of_size(shape: ModelShape, parameters: int) -> ModelShape:
    """The model of this kind, vocabulary and context that comes nearest to a size, in the aspect of `resized`."""
    depth = 1
    while count_parameters(resized(shape, depth + 1)).total <= parameters:
        depth += 1
    options = (resized(shape, depth), resized(shape, depth + 1))
    return min(options, key=lambda option: abs(math.log(count_parameters(option).total / parameters)))


def _kv_limit(shape: ModelShape, heads: int) -> float:
    """Key/value heads in the same proportion, rounded up."""
    return math.ceil(heads * shape.kv_heads / shape.heads)
