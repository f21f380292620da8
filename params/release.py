"""What is registered, and what a model must prove before people are served by it."""

from typing import Literal

from pydantic import Field

from params.base import Params
from params.compress import Variant


class ReleaseParams(Params):
    """One MLflow model version with every file, card and lineage."""

    model_name: str = Field(default="gristmill-quickstart", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the registered model."""
    serve: Variant | Literal["fp32", "auto"] = "int8"
    """Variant that is served: the gate tests this very file; auto for the one that compress.pick takes."""
    max_bits_per_byte: float | None = Field(default=None, gt=0)
    """Worst test bits per byte that may be released; null for no absolute limit."""
    max_loss_increase: float = Field(default=0.05, gt=0)
    """Largest rise of the served variant's loss over fp32, in nats per token."""
    min_improvement: float = Field(default=0.0, ge=0)
    """Bits per byte by which a new model must beat the champion to take its place."""
    samples: tuple[str, ...] = ("The function returns", "This package provides", "To install")
    """Prompts whose continuations go into the card and are printed at the end of a run."""
