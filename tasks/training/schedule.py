"""The learning rate over a run, as a factor of its peak, and where the run ends."""

import math
from dataclasses import dataclass, replace

from params.train import ScheduleParams


@dataclass(frozen=True)
class Horizon:
    """When the decay starts and the run ends, in steps; None while that is open."""

    decay_from: int | None
    end: int | None


def planned_horizon(params: ScheduleParams, planned_steps: int | None) -> Horizon:
    """The horizon of a run whose budget is so many steps, or open-ended."""
    if planned_steps is None or params.name != "wsd":
        return Horizon(None, planned_steps)
    return Horizon(planned_steps - max(1, round(params.decay_fraction * planned_steps)), planned_steps)


def early_decay(params: ScheduleParams, horizon: Horizon, step: int) -> Horizon:
    """The horizon when a stop rule fires after `step` steps of the stable phase: anneal from here, then end."""
    share = params.decay_fraction / (1 - params.decay_fraction)
    end = step + max(1, math.ceil(share * step))
    return replace(horizon, decay_from=step, end=end if horizon.end is None else min(end, horizon.end))


def learning_rate_factor(params: ScheduleParams, horizon: Horizon, step: int) -> float:
    """Factor of the peak learning rate for the update after `step` earlier ones.

    Linear warm-up, then: wsd, constant until the decay, which is linear (Hägele et al. 2024); cosine
    (Loshchilov & Hutter 2017); or constant.
    """
    warmup = min(1.0, (step + 1) / params.warmup_steps) if params.warmup_steps else 1.0
    return warmup * _after_warmup(params, horizon, step)


def _after_warmup(params: ScheduleParams, horizon: Horizon, step: int) -> float:
    floor = params.final_factor
    if params.name == "wsd" and horizon.decay_from is not None and horizon.end is not None:
        left = (horizon.end - step) / (horizon.end - horizon.decay_from + 1)
        return floor + (1 - floor) * min(1.0, left)
    if params.name == "cosine" and horizon.end is not None:
        span = max(1, horizon.end - params.warmup_steps)
        progress = min(1.0, max(0, step - params.warmup_steps) / span)
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
    return 1.0
