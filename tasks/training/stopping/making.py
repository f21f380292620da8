"""From the parameters of train.stop to rules."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from params.stop import NOT_DELAYED, AfterParams, RulesParams, StopParams
from tasks.training.stopping.budgets import Cost, Minutes, Steps
from tasks.training.stopping.convergence import GradientNoise, NoChange, Patience
from tasks.training.stopping.observation import Rule
from tasks.training.stopping.plateau import Plateau
from tasks.training.stopping.request import Request
from tasks.training.stopping.safety import Divergence, LossSpike, NonFinite
from tasks.training.stopping.targets import Memorisation, MetricBound, TargetLoss, TargetTrainLoss
from tasks.training.stopping.tree import Group, Leaf, Node

_RULES: dict[str, Callable[[Any], Rule]] = {
    "loss_spike": LossSpike,
    "max_minutes": Minutes,
    "max_cost": Cost,
    "target_loss": TargetLoss,
    "target_train_loss": TargetTrainLoss,
    "metric": MetricBound,
    "patience": Patience,
    "plateau": Plateau,
    "gradient_noise": GradientNoise,
    "no_change": NoChange,
    "memorisation": Memorisation,
    "divergence": Divergence,
}
"""Rules that need nothing but their parameters."""


@dataclass(frozen=True)
class Lengths:
    """What turns tokens and epochs into steps."""

    tokens_per_step: int
    steps_per_epoch: float


def make_rules(params: StopParams, *, tokens_per_step: int, steps_per_epoch: float) -> list[Node]:
    """The rules of a run; non-finite numbers always stop it."""
    lengths = Lengths(tokens_per_step, steps_per_epoch)
    return [Leaf("non_finite", NonFinite()), *_nodes(params, "", (), lengths)]


def step_budget(params: RulesParams, *, tokens_per_step: int, steps_per_epoch: float) -> Steps | None:
    """The first step at which budgets that are known in steps from the start end the run; None if they do not."""
    return _budget(params, Lengths(tokens_per_step, steps_per_epoch))


def _budget(params: RulesParams, lengths: Lengths) -> Steps | None:
    budgets = [*_budgets(params, lengths), *(_budget(inner, lengths) for inner in params.any or ())]
    if params.all is not None:
        together = [_budget(inner, lengths) for inner in params.all]
        known = [budget for budget in together if budget is not None]
        budgets += [max(known, key=_limit)] if len(known) == len(together) else []
    return min((budget for budget in budgets if budget is not None), key=_limit, default=None)


def _limit(budget: Steps) -> int:
    return budget.limit


def _budgets(params: RulesParams, lengths: Lengths) -> list[Steps]:
    """Budgets in steps; none is exceeded, though every run does at least one step."""
    budgets: list[Steps] = []
    if params.max_steps is not None:
        budgets.append(Steps(params.max_steps, "max_steps", f"{params.max_steps:,} steps done"))
    if params.max_tokens is not None:
        steps = max(1, params.max_tokens // lengths.tokens_per_step)
        done = f"{steps * lengths.tokens_per_step:,} of {params.max_tokens:,} tokens done"
        budgets.append(Steps(steps, "max_tokens", done))
    if params.max_epochs is not None:
        steps = max(1, round(params.max_epochs * lengths.steps_per_epoch))
        budgets.append(Steps(steps, "max_epochs", f"{params.max_epochs:g} epochs done"))
    return budgets


def _nodes(params: RulesParams, prefix: str, graces: tuple[AfterParams, ...], lengths: Lengths) -> list[Node]:
    """The rules of a mapping, any of which suffices."""
    if params.after is not None:
        graces = (*graces, params.after)
    nodes: list[Node] = [Leaf(f"{prefix}{budget.name}", budget) for budget in _budgets(params, lengths)]
    for name in params.rules():
        place = f"{prefix}{name}"
        if name in _RULES:
            rule = _RULES[name](getattr(params, name))
            nodes.append(Leaf(place, rule, () if name in NOT_DELAYED else graces))
    if params.file is not None:
        nodes.append(Leaf(f"{prefix}file", Request(f"{prefix}file", f"file {params.file}")))
    if params.command is not None:
        nodes.append(Leaf(f"{prefix}command", Request(f"{prefix}command", f"command {params.command.run}")))
    return nodes + _groups(params, prefix, graces, lengths)


def _groups(params: RulesParams, prefix: str, graces: tuple[AfterParams, ...], lengths: Lengths) -> list[Node]:
    groups: list[Node] = []
    if params.any is not None:
        groups.append(Group(f"{prefix}any", "any", _mappings(params.any, f"{prefix}any", graces, lengths)))
    if params.all is not None:
        groups.append(Group(f"{prefix}all", "all", _mappings(params.all, f"{prefix}all", graces, lengths)))
    if params.not_ is not None:
        place = f"{prefix}not"
        groups.append(Group(place, "not", (_one(params.not_, place, graces, lengths),)))
    return groups


def _mappings(
    mappings: tuple[RulesParams, ...], place: str, graces: tuple[AfterParams, ...], lengths: Lengths
) -> tuple[Node, ...]:
    return tuple(_one(inner, f"{place}[{index}]", graces, lengths) for index, inner in enumerate(mappings))


def _one(params: RulesParams, place: str, graces: tuple[AfterParams, ...], lengths: Lengths) -> Node:
    """A mapping inside a group as one node."""
    nodes = _nodes(params, f"{place}.", graces, lengths)
    return nodes[0] if len(nodes) == 1 else Group(place, "any", tuple(nodes))
