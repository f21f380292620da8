"""Who else watches a training run: settings of this machine, never part of a result's identity."""

from typing import Literal

from pydantic import Field

from params.base import Params


class SamplesParams(Params):
    """Text that the model writes while it learns, to see what a loss means."""

    prompts: tuple[str, ...] = Field(default=("The ", "To install", "今天"), min_length=1)
    """Beginnings to continue; an empty one starts a document."""
    max_tokens: int = Field(default=32, ge=1, le=1024)
    """Most tokens of a continuation."""
    every_evals: int = Field(default=1, ge=1)
    """Evaluations from one set of samples to the next."""
    temperature: float = Field(default=0.8, gt=0)
    """Of the drawn continuation that stands beside the greedy one."""
    top_k: int = Field(default=50, ge=0)
    """Likeliest tokens among which is drawn; 0 for all."""
    seed: int = Field(default=0, ge=0)
    """The same seed and weights give the same text."""


class WatchParams(Params):
    """Beside the console, the log file and MLflow."""

    tensorboard: bool = False
    """Write event files for TensorBoard (extra tensorboard)."""
    wandb: Literal["offline", "online"] | None = None
    """Write a Weights & Biases run: into files to upload later, or to the service at once (extra wandb)."""
    callbacks: tuple[str, ...] = ()
    """Names of installed entry points of the group gristmill.callbacks that are called with what training reports."""
    ceilings: bool = True
    """Measure, once on a machine, what it can do at most (matrix products, memory, disk, links), and judge training by
    it; takes two seconds."""
    samples: SamplesParams | None = SamplesParams()
    """Samples at evaluations; null for none."""
