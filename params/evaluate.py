"""How a model is measured."""

from pydantic import Field

from params.base import Params


class EvaluateParams(Params):
    """Loss, perplexity and bits per byte on the held-out documents, and what else is asked for."""

    max_documents: int | None = Field(default=2_000, ge=1)
    """Most documents of each split to evaluate, taken evenly; null for all."""
    max_document_bytes: int | None = Field(default=4_096, ge=16)
    """A longer document is read up to so many UTF-8 bytes; null for the whole."""
    batch_tokens: int = Field(default=4_096, ge=1)
    """Tokens per forward pass."""
    bootstrap_samples: int = Field(default=1_000, ge=100)
    """Resamples of the documents behind each confidence interval."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Confidence of the intervals."""
    seed: int = Field(default=1, ge=0)
    """Seed of the bootstrap and of what is drawn."""
