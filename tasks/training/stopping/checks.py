"""Stop rules that cannot do what they are meant to, told before training starts."""

import shlex
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from params.errors import ParameterError
from params.stop import RulesParams, StopParams
from tasks.training.stopping.budgets import Cost, Minutes, Steps
from tasks.training.stopping.convergence import UPDATE_RATIO
from tasks.training.stopping.judging import leaves_of
from tasks.training.stopping.making import make_rules, step_budget
from tasks.training.stopping.outside import mappings
from tasks.training.stopping.planning import earliest_step
from tasks.training.stopping.request import Request
from tasks.training.stopping.targets import MetricBound, TargetLoss
from tasks.training.stopping.tree import Group, Leaf, Node

LOGGED = frozenset({"loss", "grad_norm", "val_loss", "val_loss_se", "lr_factor", UPDATE_RATIO})
"""Names that the training loop hands to the rules."""


@dataclass(frozen=True)
class Setting:
    """What is known of a run before it starts."""

    tokens_per_step: int
    steps_per_epoch: float
    eval_every_steps: int
    logged: Collection[str] = LOGGED
    initial_loss: float | None = None
    """Where an untrained model starts (ln of the vocabulary); None for one with weights."""
    is_new: bool = True
    """Not resumed: a file that asks to stop may be there only later."""


def check_stop(params: StopParams, setting: Setting) -> list[str]:
    """Warnings of rules that the end of the run will forestall.

    Raises ParameterError for a rule that can never fire, fires at once, or cannot be asked.
    """
    for prefix, inner in mappings(params, "train.stop."):
        _check_metrics(inner, prefix, setting.logged)
        _check_budget(inner, prefix, setting)
        _check_targets(inner, prefix, setting.initial_loss)
        _check_outside(inner, prefix, is_new=setting.is_new)
        _check_bounds(inner, prefix)
    rules = make_rules(params, tokens_per_step=setting.tokens_per_step, steps_per_epoch=setting.steps_per_epoch)
    for rule in rules:
        _check_logic(rule)
    return list(_forestalled(params, rules, setting))


def _check_metrics(rules: RulesParams, prefix: str, logged: Collection[str]) -> None:
    for key, name in _metrics(rules):
        if name not in logged:
            close = get_close_matches(name, logged, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ParameterError(
                f"{prefix}{key} needs the metric {name!r}, which this run never logs, so it could never fire: "
                f"{hint}It logs {', '.join(sorted(logged))}"
            )


def _metrics(rules: RulesParams) -> Iterator[tuple[str, str]]:
    """Keys of rules with the metrics that they need."""
    if rules.metric is not None:
        yield "metric.name", rules.metric.name
    if rules.patience is not None:
        yield "patience.metric", rules.patience.metric
        if rules.patience.min_z is not None:
            yield "patience.min_z", f"{rules.patience.metric}_se"
    if rules.plateau is not None:
        yield "plateau.metric", rules.plateau.metric
    if rules.no_change is not None:
        yield "no_change", UPDATE_RATIO


def _check_budget(rules: RulesParams, prefix: str, setting: Setting) -> None:
    if rules.max_tokens is not None and rules.max_tokens < setting.tokens_per_step:
        raise ParameterError(
            f"{prefix}max_tokens is {rules.max_tokens:,}, but a step takes {setting.tokens_per_step:,} tokens; "
            "raise it or lower train.batch_blocks"
        )


def _check_targets(rules: RulesParams, prefix: str, initial_loss: float | None) -> None:
    if initial_loss is None:
        return
    targets = {
        "target_loss": rules.target_loss,
        "target_train_loss.loss": rules.target_train_loss.loss if rules.target_train_loss else None,
        "metric.below": rules.metric.below if rules.metric and rules.metric.name in ("loss", "val_loss") else None,
    }
    for key, target in targets.items():
        if target is not None and target >= initial_loss:
            raise ParameterError(
                f"{prefix}{key} is {target:g}, but a model that has learned nothing starts at {initial_loss:.2f}: "
                "it would fire at once; lower it"
            )


def _check_outside(rules: RulesParams, prefix: str, *, is_new: bool) -> None:
    if is_new and rules.file is not None and rules.file.exists():
        raise ParameterError(f"{prefix}file: {rules.file} is there already and would end the run at once; remove it")
    if rules.command is None:
        return
    try:
        program = shlex.split(rules.command.run)[0]
    except (ValueError, IndexError) as error:
        raise ParameterError(f"{prefix}command.run is {rules.command.run!r}: not a command ({error})") from None
    if shutil.which(program) is None:
        raise ParameterError(
            f"{prefix}command.run is {rules.command.run!r}: no program {program!r} can be started here; "
            "write its whole path, and make it executable"
        )


def _check_bounds(rules: RulesParams, prefix: str) -> None:
    """Bounds of one metric in one all that no value is within."""
    bounds = [inner.metric for inner in rules.all or () if inner.metric is not None and len(list(inner.rules())) == 1]
    for high in bounds:
        for low in bounds:
            above, below = high.above, low.below
            if high.name == low.name and above is not None and below is not None and above > below:
                raise ParameterError(
                    f"{prefix}all can never hold: {high.name} cannot be above {above:g} and below {below:g} at a time"
                )


def _check_logic(rule: Node) -> None:
    """A group that holds from the start, or at no step, whatever is learned."""
    if not isinstance(rule, Group):
        return
    if _holds(rule, 0, at_start=True):
        raise ParameterError(
            f"train.stop.{rule.place} would fire at the first step: nothing in it holds then, and not turns that "
            "around; join it with another rule under all"
        )
    limits = [leaf.rule.limit for leaf in rule.leaves() if isinstance(leaf.rule, Steps)]
    if all(_holds(rule, step) is False for step in (0, *limits)):
        raise ParameterError(
            f"train.stop.{rule.place} can never hold: its budgets exclude each other (steps {_listed(limits)}); "
            "change one of them"
        )
    for node in rule.nodes if rule.kind == "any" else ():
        _check_logic(node)


def _holds(node: Node, step: int, *, at_start: bool = False) -> bool | None:
    """Whether a node holds after so many steps, as far as that follows from the budgets (and, at the start, from rules
    that cannot hold at their first reading)."""
    if isinstance(node, Leaf):
        if isinstance(node.rule, Steps):
            return step >= node.rule.limit
        if not at_start or node.graces or isinstance(node.rule, (MetricBound, TargetLoss)):
            return None
        return None if isinstance(node.rule, Request) and node.place.endswith("command") else False
    assert isinstance(node, Group)
    return node.join([_holds(inner, step, at_start=at_start) for inner in node.nodes])


def _listed(numbers: list[int]) -> str:
    return " and ".join(f"{number:,}" for number in sorted(set(numbers)))


def _forestalled(params: StopParams, rules: list[Node], setting: Setting) -> Iterator[str]:
    budget = step_budget(params, tokens_per_step=setting.tokens_per_step, steps_per_epoch=setting.steps_per_epoch)
    if budget is None:
        return
    for leaf in leaves_of(rules):
        if isinstance(leaf.rule, (Steps, Minutes, Cost, Request)):
            continue
        step = earliest_step(leaf, setting.eval_every_steps, setting.tokens_per_step, setting.steps_per_epoch)
        if step > budget.limit:
            yield (
                f"train.stop.{leaf.place} cannot fire before step {step:,}, but {budget.name} ends the run at step "
                f"{budget.limit:,}: it is without effect"
            )
