"""Learning rate, as a factor of its peak, and momentum over a run, and where the run ends."""

import math
from dataclasses import dataclass, replace

from params.errors import ParameterError
from params.optimizer import OptimizerParams, ScheduleParams

DEFAULT_WARMUP_STEPS = 20
_FIRST_MOMENTUM = 0.85


@dataclass(frozen=True)
class Horizon:
    """When the decay starts and the run ends, in steps; None while that is open."""

    decay_from: int | None
    end: int | None


def planned_horizon(params: ScheduleParams, planned_steps: int | None) -> Horizon:
    """The horizon of a run whose budget is so many steps, or open-ended.

    Raises ParameterError where the schedule cannot be drawn without an end.
    """
    if planned_steps is None and (params.name in ("cosine", "linear") or params.warmup_share is not None):
        what = f"{params.name} schedule" if params.name in ("cosine", "linear") else "schedule's warmup_share"
        raise ParameterError(
            f"the {what} needs stop.max_steps, max_tokens or max_epochs to know its end; or use wsd with warmup_steps"
        )
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

    Linear warm-up, then: wsd, constant until the decay, which is linear or 1-sqrt (Hägele et al. 2024); cosine
    (Loshchilov & Hutter 2017); linear to the end; or constant.
    """
    warmup = num_warmup_steps(params, horizon)
    rising = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return rising * _after_warmup(params, horizon, step, warmup)


def momentum_at(params: OptimizerParams, step: int) -> float:
    """Muon's momentum for the update after `step` earlier ones; it rises in a line (as in modded-nanogpt, Jordan 2024).

    At first the gradient changes so fast that a mean over twenty steps is one of other weights.
    """
    first = min(_FIRST_MOMENTUM, params.momentum)
    risen = min(1.0, step / params.momentum_warmup_steps) if params.momentum_warmup_steps else 1.0
    return first + (params.momentum - first) * risen


def num_warmup_steps(params: ScheduleParams, horizon: Horizon) -> int:
    """Steps of warm-up; a share is one of the horizon's steps."""
    if params.warmup_share is not None and horizon.end is not None:
        return round(params.warmup_share * horizon.end)
    return DEFAULT_WARMUP_STEPS if params.warmup_steps is None else params.warmup_steps


def _after_warmup(params: ScheduleParams, horizon: Horizon, step: int, warmup: int) -> float:
    shape = 1.0
    if params.name == "wsd" and horizon.decay_from is not None and horizon.end is not None:
        left = min(1.0, (horizon.end - step) / (horizon.end - horizon.decay_from + 1))
        shape = 1 - math.sqrt(1 - left) if params.decay_shape == "1-sqrt" else left
    elif params.name in ("cosine", "linear") and horizon.end is not None:
        progress = min(1.0, max(0, step - warmup) / max(1, horizon.end - warmup))
        shape = 0.5 * (1 + math.cos(math.pi * progress)) if params.name == "cosine" else 1 - progress
    return params.final_factor + (1 - params.final_factor) * shape
