"""Dynamic loss scaling for fp16, whose small gradients would vanish."""

import math
from dataclasses import dataclass, replace

FIRST_SCALE, GROWTH_STEPS, SMALLEST_SCALE = 2.0**16, 2000, 1.0
"""As in torch.amp.GradScaler: double after so many steps without overflow, halve at one."""


@dataclass(frozen=True)
class LossScale:
    """What the loss is multiplied by before the backward pass, and how long it has been so.

    Unlike torch's scaler it judges all gradients together, so that an overflow never lets one of two optimizers step
    alone, and its state is two numbers.
    """

    factor: float = FIRST_SCALE
    steps: int = 0
    """Steps without overflow since the last change."""

    def after(self, grad_norm: float) -> "LossScale":
        """The scale for the next step."""
        if not math.isfinite(grad_norm):
            return LossScale(self.factor / 2)
        if self.steps + 1 == GROWTH_STEPS:
            return LossScale(self.factor * 2)
        return replace(self, steps=self.steps + 1)

    def absorbs(self, grad_norm: float) -> bool:
        """Whether a gradient that is not finite may be an overflow of fp16: a smaller scale is still to be tried."""
        return not math.isfinite(grad_norm) and self.factor > SMALLEST_SCALE
