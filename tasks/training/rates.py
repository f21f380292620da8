"""Peak learning rates that need no tuning, by optimizer, width, batch and where the weights come from."""

from dataclasses import dataclass
from typing import Literal

from params.optimizer import OptimizerParams

Start = Literal["scratch", "weights", "adapters"]
"""Random weights, trained weights that all learn on, or trained weights with new low-rank adapters."""

REFERENCE_WIDTH, REFERENCE_TOKENS = 384, 2048
MUON_RATE, EMBEDDING_RATE, ADAMW_RATE = 0.02, 3e-3, 1.5e-3
"""At the reference width and tokens a step, for Muon's matrices, AdamW beside Muon, and AdamW alone."""


@dataclass(frozen=True)
class Rates:
    """Peak learning rates; `muon` is None where AdamW updates everything."""

    muon: float | None
    adamw: float


def choose_rates(params: OptimizerParams, *, width: int, batch_tokens: int, start: Start = "scratch") -> Rates:
    """The rates that were set, and for those that were not the ones that fit the model and its batch."""
    scale = _batch_factor(batch_tokens) * _START_FACTOR[start]
    if params.name == "adamw":
        return Rates(None, params.lr or _rounded(ADAMW_RATE * REFERENCE_WIDTH / width * scale))
    return Rates(params.muon_lr or _rounded(MUON_RATE * scale), params.lr or _rounded(EMBEDDING_RATE * scale))


def _batch_factor(batch_tokens: int) -> float:
    return 1.0


_START_FACTOR = {"scratch": 1.0, "weights": 0.1, "adapters": 1.0}


def _rounded(rate: float) -> float:
    """Two significant digits: what is logged is what is used."""
    return float(f"{rate:.2g}")
