"""What is registered, and what a model must prove before people are served by it."""

from typing import Literal

from pydantic import Field

from params.base import Params
from params.compress import Variant
from params.gate import GateParams


class ReleaseParams(Params):
    """One MLflow model version with every file, card and lineage."""

    model_name: str = Field(default="gristmill-quickstart", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the registered model."""
    serve: Variant | Literal["fp32", "auto"] = "int8"
    """Variant that is served: the gate tests this very file; auto for the one that compress.pick takes."""
    gate: GateParams = GateParams()
    """What the served file must prove to become the champion."""
    license: str | None = None
    """Licence of the model for the head of its card, as the Hub names it (apache-2.0); null points to the sources."""
    samples: tuple[str, ...] = ("The function returns", "This package provides", "To install")
    """Prompts whose continuations go into the card and are printed at the end of a run."""
