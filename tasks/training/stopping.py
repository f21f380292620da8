"""Stop rules: each a pure function of what was observed and of its own state, which lives in the checkpoint."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from params.train import PatienceParams, StopParams

Verdict = Literal["converged", "budget", "asked", "broken"]
RuleState = Mapping[str, Any]
_RANK: dict[Verdict, int] = {"broken": 0, "asked": 1, "converged": 2, "budget": 3}


@dataclass(frozen=True)
class Observation:
    """What a rule may look at after a step."""

    step: int
    """Optimizer steps done."""
    loss: float
    """Training loss of the step, nats per token, before the update."""
    grad_norm: float
    """Global gradient norm, before clipping."""
    val_loss: float | None
    """Validation loss when this step was evaluated."""
    elapsed_s: float
    """Training time so far, evaluation, saving and earlier attempts included."""
    ending_s: float
    """Predicted time to end well from here: one more step, the decay if there is one, evaluation and saving."""


@dataclass(frozen=True)
class StopDecision:
    """Why training ends."""

    rule: str
    verdict: Verdict
    reason: str


class StopRule(Protocol):
    """A condition under which training ends."""

    @property
    def name(self) -> str:
        """As in StopParams."""
        ...

    @property
    def verdict(self) -> Verdict:
        """What it means for the run when this rule ends it."""
        ...

    @property
    def anneals(self) -> bool:
        """Whether a schedule with a decay may anneal first."""
        ...

    def judge(self, seen: Observation, state: RuleState) -> tuple[RuleState, str | None]:
        """The rule's next state, and the reason to stop or None."""
        ...


@dataclass(frozen=True)
class NonFinite:
    """The loss or the gradient is NaN or infinite: checked before the update, so the weights are still good."""

    name: str = "non_finite"
    verdict: Verdict = "broken"
    anneals: bool = False

    def judge(self, seen: Observation, state: RuleState) -> tuple[RuleState, str | None]:
        if math.isfinite(seen.loss) and math.isfinite(seen.grad_norm):
            return state, None
        return state, f"step {seen.step}: loss {seen.loss}, gradient norm {seen.grad_norm}"


@dataclass(frozen=True)
class Minutes:
    """The run would outlast its minutes if it did not begin to end now."""

    limit: float
    name: str = "max_minutes"
    verdict: Verdict = "budget"
    anneals: bool = True

    def judge(self, seen: Observation, state: RuleState) -> tuple[RuleState, str | None]:
        if seen.elapsed_s + seen.ending_s < 60 * self.limit:
            return state, None
        return state, f"{seen.elapsed_s / 60:.1f} of {self.limit:g} minutes used, the rest is needed to end well"


@dataclass(frozen=True)
class TargetLoss:
    """The validation loss is as low as asked for."""

    target: float
    name: str = "target_loss"
    verdict: Verdict = "converged"
    anneals: bool = False

    def judge(self, seen: Observation, state: RuleState) -> tuple[RuleState, str | None]:
        if seen.val_loss is None or not seen.val_loss <= self.target:
            return state, None
        return state, f"validation loss {seen.val_loss:.4f} reached {self.target:g}"


@dataclass(frozen=True)
class Patience:
    """The validation loss gained nothing over several evaluations.

    A gain is measured against the last accepted best, so slow steady gains add up instead of being missed.
    """

    params: PatienceParams
    name: str = "patience"
    verdict: Verdict = "converged"
    anneals: bool = True

    def judge(self, seen: Observation, state: RuleState) -> tuple[RuleState, str | None]:
        if seen.val_loss is None:
            return state, None
        best = state.get("best")
        if math.isfinite(seen.val_loss) and (best is None or seen.val_loss < best - self.params.min_delta):
            return {"best": seen.val_loss, "waited": 0}, None
        waited = state.get("waited", 0) + 1
        after: RuleState = {"best": best, "waited": waited}
        if waited < self.params.evals:
            return after, None
        best_text = "none yet" if best is None else f"{best:.4f}"
        return after, f"no gain over {self.params.min_delta:g} in {waited} evaluations (best {best_text})"


@dataclass(frozen=True)
class Steps:
    """The planned number of steps is done; `name` and `text` say which budget set it."""

    limit: int
    name: str
    text: str
    verdict: Verdict = "budget"
    anneals: bool = False

    def judge(self, seen: Observation, state: RuleState) -> tuple[RuleState, str | None]:
        return state, self.text if seen.step >= self.limit else None


def make_rules(params: StopParams, *, tokens_per_step: int, steps_per_epoch: float) -> list[StopRule]:
    """The rules of a run; non-finite numbers always stop it."""
    rules: list[StopRule] = [NonFinite()]
    if budget := step_budget(params, tokens_per_step=tokens_per_step, steps_per_epoch=steps_per_epoch):
        rules.append(budget)
    if params.max_minutes is not None:
        rules.append(Minutes(params.max_minutes))
    if params.target_loss is not None:
        rules.append(TargetLoss(params.target_loss))
    if params.patience is not None:
        rules.append(Patience(params.patience))
    return rules


def step_budget(params: StopParams, *, tokens_per_step: int, steps_per_epoch: float) -> Steps | None:
    """The tightest of the budgets that are known in steps from the start; none is exceeded."""
    budgets: list[Steps] = []
    if params.max_steps is not None:
        budgets.append(Steps(params.max_steps, "max_steps", f"{params.max_steps:,} steps done"))
    if params.max_tokens is not None:
        steps = max(1, params.max_tokens // tokens_per_step)
        budgets.append(Steps(steps, "max_tokens", f"{steps * tokens_per_step:,} of {params.max_tokens:,} tokens done"))
    if params.max_epochs is not None:
        steps = max(1, round(params.max_epochs * steps_per_epoch))
        budgets.append(Steps(steps, "max_epochs", f"{params.max_epochs:g} epochs done"))
    return min(budgets, key=lambda budget: budget.limit, default=None)


def judge_all(
    rules: Sequence[StopRule], seen: Observation, states: Mapping[str, RuleState]
) -> tuple[dict[str, RuleState], list[tuple[StopRule, StopDecision]]]:
    """Every rule's next state, and the rules that fired, the weightiest first: broken, asked, converged, budget."""
    after: dict[str, RuleState] = {}
    fired: list[tuple[StopRule, StopDecision]] = []
    for rule in rules:
        after[rule.name], reason = rule.judge(seen, states.get(rule.name, {}))
        if reason is not None:
            fired.append((rule, StopDecision(rule.name, rule.verdict, reason)))
    return after, sorted(fired, key=lambda pair: _RANK[pair[1].verdict])
