"""When a rule can fire at the earliest."""

import math

from params.stop import AfterParams
from tasks.training.stopping.convergence import GradientNoise, NoChange, Patience
from tasks.training.stopping.observation import rhythm_of
from tasks.training.stopping.plateau import Plateau
from tasks.training.stopping.safety import Divergence, LossSpike
from tasks.training.stopping.targets import Memorisation, MetricBound, TargetLoss, TargetTrainLoss
from tasks.training.stopping.tree import Leaf


def earliest_step(leaf: Leaf, eval_every_steps: int, tokens_per_step: int, steps_per_epoch: float) -> int:
    """The first step at which a rule that judges the curves could fire, its grace periods over."""
    step = _needed(leaf, eval_every_steps)
    for grace in leaf.graces:
        step = max(step, _end(grace, eval_every_steps, tokens_per_step, steps_per_epoch))
    return step


def _needed(leaf: Leaf, every: int) -> int:
    match leaf.rule:
        case Patience(params):
            return (params.evals + 1) * _rhythm(params.metric, every)
        case Plateau(params):
            return params.steps or (params.evals or 1) * _rhythm(params.metric, every)
        case TargetLoss():
            return every
        case MetricBound(params):
            return params.in_a_row * _rhythm(params.name, every)
        case Memorisation(params):
            return params.evals * every
        case TargetTrainLoss(params):
            return params.smoothing_steps
        case NoChange(params) | GradientNoise(params):
            return params.steps
        case Divergence(params):
            return params.window + params.steps
        case LossSpike(params):
            return params.window + 1
    return 1


def _rhythm(metric: str, eval_every_steps: int) -> int:
    return eval_every_steps if rhythm_of(metric) == "evals" else 1


def _end(grace: AfterParams, every: int, tokens_per_step: int, steps_per_epoch: float) -> int:
    return max(
        grace.steps or 0,
        math.ceil((grace.epochs or 0) * steps_per_epoch),
        math.ceil((grace.tokens or 0) / tokens_per_step),
        (grace.evals or 0) * every,
    )
