"""How the weights are updated, and the learning rate over a run."""

from typing import Literal

from pydantic import Field, model_validator

from params.base import Params


class OptimizerParams(Params):
    """Muon on the hidden matrices with AdamW on the rest, or AdamW on everything."""

    name: Literal["muon", "adamw"] = "muon"
    """muon reached the same loss in about half the tokens of adamw on small models."""
    muon_lr: float | None = Field(default=None, gt=0)
    """Peak learning rate of the hidden matrices under muon; null to choose it by batch size."""
    lr: float | None = Field(default=None, gt=0)
    """Peak learning rate of everything that AdamW updates; null to choose it by width and batch size."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay of matrices."""
    momentum: float = Field(default=0.95, ge=0, lt=1)
    """Muon's decay of the gradient mean."""
    momentum_warmup_steps: int = Field(default=300, ge=0)
    """Steps over which muon's momentum rises from 0.85 to that."""
    newton_schulz_steps: int = Field(default=2, ge=1, le=10)
    """Muon's orthogonalization steps; five make singular values equal, two learn as well and take less."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW's decay of the gradient mean."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """AdamW's decay of the squared gradient."""
    max_grad_norm: float | None = Field(default=1.0, gt=0)
    """Clip the global gradient norm to this; null for no clipping."""


class ScheduleParams(Params):
    """Learning rate over the run, as a factor of its peak."""

    name: Literal["wsd", "cosine", "linear", "constant"] = "wsd"
    """What follows the warm-up: a stable phase and a decay, a cosine, a line down to the end, or nothing."""
    warmup_steps: int | None = Field(default=None, ge=0)
    """Steps of linear warm-up; null for 20, or for what warmup_share says."""
    warmup_share: float | None = Field(default=None, ge=0, lt=1)
    """Warm-up as a share of the planned steps, instead of warmup_steps."""
    decay_fraction: float = Field(default=0.3, gt=0, lt=1)
    """wsd: share of the run spent in the decay; it starts early when a stop rule fires."""
    decay_shape: Literal["linear", "1-sqrt"] = "linear"
    """wsd: a line down, or 1 - sqrt(progress), which falls faster at first (Hägele et al. 2024)."""
    final_factor: float = Field(default=0.0, ge=0, le=1)
    """Learning rate at the end, as a factor of its peak."""

    @model_validator(mode="after")
    def _one_warmup(self) -> "ScheduleParams":
        if self.warmup_steps is not None and self.warmup_share is not None:
            raise ValueError(
                f"warmup_steps {self.warmup_steps} and warmup_share {self.warmup_share:g}: set one of them"
            )
        return self
