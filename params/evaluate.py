"""How a trained model is measured."""

from pydantic import Field

from params.base import Params


class EvaluateParams(Params):
    """Loss, perplexity and bits per byte on the held-out documents."""

    batch_blocks: int = Field(default=16, ge=1)
    """Blocks per forward pass."""
    max_blocks: int | None = Field(default=2_000, ge=1)
    """Most blocks of each split to evaluate, taken evenly; null for all."""
    bootstrap_samples: int = Field(default=1_000, ge=100)
    """Resamples of the documents behind each confidence interval."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Confidence of the intervals."""
    seed: int = Field(default=1, ge=0)
    """Seed of the bootstrap."""
