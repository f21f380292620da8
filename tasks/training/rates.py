"""Peak learning rates that need no tuning, by optimizer, width, batch and where the weights come from."""

from dataclasses import dataclass
from typing import Literal

from params.optimizer import OptimizerParams

Start = Literal["scratch", "weights", "adapters"]
"""Random weights, trained weights that all learn on, or trained weights with new low-rank adapters."""

_WIDTH, _BATCH_TOKENS = 384, 2048
_MUON, _BESIDE_MUON, _ADAMW = 0.012, 0.025, 1.5e-3
"""Measured at that width and batch (docs/benchmarks.md), for Muon's matrices, AdamW beside Muon, and AdamW alone."""
_FINE_TUNING = 0.1
"""Trained weights learn at a tenth of the rate, adapters on them at the full one, ten times as much (Schulman and
Thinking Machines 2025, "LoRA without regret")."""
_PREFERENCES = 0.1
"""Preferences are learned at a tenth of the rate of answers (Tunstall et al. 2023, Zephyr: 5e-7 after 2e-5, and Lambert
et al. 2024, Tulu 3: 5e-7 after 5e-6)."""


@dataclass(frozen=True)
class Rates:
    """Peak learning rates; `muon` is None where AdamW updates everything."""

    muon: float | None
    adamw: float


def choose_rates(
    params: OptimizerParams, *, width: int, batch_tokens: int, start: Start = "scratch", gently: bool = False
) -> Rates:
    """The rates that were set, and for those that were not the ones that fit the model and its batch.

    Muon's serves every width, for its updates are scaled by shape. AdamW's falls with the width: beside Muon, where it
    has embeddings, norms and the output matrix, with its square root (as in nanochat, Karpathy 2025); alone, where it
    has the hidden matrices too, in proportion (muP, Yang et al. 2022), which at 768 and 4096 also gives about the
    rates of GPT-3 (Brown et al. 2020, table 2.1). A batch below the reference lowers all of them with its square root
    (Malladi et al. 2022); a larger one leaves them, since the rates of large published runs are no higher.
    Low-rank adapters always learn with AdamW. `gently` is for learning from preferences.
    """
    narrower = _WIDTH / width
    factor = min(1.0, (batch_tokens / _BATCH_TOKENS) ** 0.5) * (_FINE_TUNING if start == "weights" else 1.0)
    factor *= _PREFERENCES if gently else 1.0
    if params.name == "adamw" or start == "adapters":
        return Rates(None, params.lr or _rounded(_ADAMW * narrower * factor))
    return Rates(
        params.muon_lr or _rounded(_MUON * factor), params.lr or _rounded(_BESIDE_MUON * narrower**0.5 * factor)
    )


def _rounded(rate: float) -> float:
    """Two significant digits, so that a log of the rate is the rate."""
    return float(f"{rate:.2g}")
