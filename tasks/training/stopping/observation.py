"""What stop rules look at and what they answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

Verdict = Literal["converged", "budget", "asked", "broken"]
Action = Literal["stop", "rewind", "skip_step"]
Unit = Literal["steps", "s", "evals"]
RuleState = Mapping[str, Any]
"""JSON values only: no NaN, no infinity, no tuple."""


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
    tokens: int = 0
    """Training tokens done."""
    epochs: float = 0.0
    """Passes over the training blocks done."""
    evals: int = 0
    """Evaluations done, that of this step included."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Whatever else was measured at this step, by the name under which it is logged."""
    outside: Mapping[str, str | None] = field(default_factory=dict)
    """By rule, what a file or a command said: a reason to stop, or None; absent where nobody has looked."""

    def value(self, metric: str) -> float | None:
        """A metric of this step by its logged name; None where it was not measured."""
        own = {"loss": self.loss, "grad_norm": self.grad_norm, "val_loss": self.val_loss}
        return own[metric] if metric in own else self.metrics.get(metric)


@dataclass(frozen=True)
class Reading:
    """What a rule measured at a step, and whether that is a reason to stop."""

    fires: bool
    text: str
    """The reason where it fires, else how things stand."""
    value: float | None = None
    """None where it is not a finite number."""
    threshold: float | None = None
    left: float | None = None
    """How much is left before it fires, at the earliest; None where nobody knows."""
    unit: Unit = "steps"
    action: Action = "stop"


def rhythm_of(metric: str) -> Unit:
    """Whether a metric has a value at every step, or only where the model is evaluated: names then begin with val_."""
    return "evals" if metric.startswith("val_") else "steps"


Judged = tuple[RuleState, Reading | None]
"""A rule's next memory, and its reading; None where there was nothing to read, and the last reading stands."""


class Rule(Protocol):
    """A condition under which training ends."""

    @property
    def verdict(self) -> Verdict:
        """What it means for the run when this rule ends it."""
        ...

    @property
    def anneals(self) -> bool:
        """Whether a schedule with a decay may anneal first."""
        ...

    @property
    def guards(self) -> bool:
        """Whether it is asked before the update, on the raw loss and gradient norm, and not after it."""
        ...

    @property
    def timed(self) -> bool:
        """Whether its readings depend on the clock or on somebody outside: it is read at every step instead of kept."""
        ...

    @property
    def subject(self) -> str:
        """What its memory is about: memory survives a change of thresholds, not of the subject."""
        ...

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        """The next memory and a reading; reads nothing else and changes nothing."""
        ...


@dataclass(frozen=True)
class StopDecision:
    """Why training ends, or what to do about a step."""

    rule: str
    """Where it stands in train.stop, such as patience or all[0].metric."""
    verdict: Verdict
    reason: str
    action: Action = "stop"
    anneals: bool = False
    """Whether a schedule with a decay may anneal first."""
    also: str = ""
    """The other rules that fired at the same step, with their reasons."""

    def joined_by(self, others: list["StopDecision"]) -> "StopDecision":
        """This decision with the others that fired named."""
        return replace(self, also="; ".join(f"{other.rule}: {other.reason}" for other in others))


_WEIGHT: dict[Verdict, int] = {"broken": 0, "asked": 3, "converged": 4, "budget": 5}


def weight_of(decision: StopDecision) -> int:
    """The smaller, the weightier: broken, roll back, skip, asked, converged, budget."""
    return {"stop": _WEIGHT[decision.verdict], "rewind": 1, "skip_step": 2}[decision.action]


def weightiest(fired: Sequence[StopDecision], *, also: Sequence[StopDecision] = ()) -> StopDecision | None:
    """The decision that counts, with the others and those that wait for a decay named; None where nothing fired."""
    if not fired:
        return None
    first, *others = sorted(fired, key=weight_of)
    return first.joined_by([*others, *(decision for decision in also if decision not in fired)])
