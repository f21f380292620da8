"""What other stop rules would have done on a recorded curve."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from params.stop import StopParams
from tasks.training.stopping.judging import judge_all, leaves_of
from tasks.training.stopping.making import make_rules
from tasks.training.stopping.observation import Observation, RuleState, StopDecision
from tasks.training.stopping.record import word_of

_NOT_METRICS = ("step", "time_ms", "loss", "grad_norm", "val_loss", "tokens", "elapsed_s")


@dataclass(frozen=True)
class Fired:
    """The first time that a rule would have fired."""

    step: int
    decision: StopDecision
    val_loss: float | None
    """Of the last evaluation up to then."""


@dataclass(frozen=True)
class Standing:
    """How a rule that never fired stood at the end of the curve."""

    rule: str
    word: str
    text: str


@dataclass(frozen=True)
class Replay:
    """All that would have happened; `fired` in the order of steps, the weightiest first at one step."""

    fired: tuple[Fired, ...]
    quiet: tuple[Standing, ...]
    num_steps: int
    last_val_loss: float | None
    best_val_loss: float | None
    best_step: int | None


def replay(
    points: Sequence[dict[str, Any]], params: StopParams, *, tokens_per_step: int, steps_per_epoch: float
) -> Replay:
    """Run rules over a recorded curve to its end, whatever fires on the way.

    Steps between two recorded points are taken to have the mean loss of the point that covers them, and the gradient
    norm that was recorded there: exact for what is judged at evaluations, an approximation for what looks at single
    steps. Files and commands are never seen, and a wall-time limit is taken without the time to end well.
    """
    rules = make_rules(params, tokens_per_step=tokens_per_step, steps_per_epoch=steps_per_epoch)
    states: dict[str, RuleState] = {}
    first: dict[str, Fired] = {}
    val_loss: float | None = None
    step = 0
    for seen in observations(points, tokens_per_step=tokens_per_step, steps_per_epoch=steps_per_epoch):
        step = seen.step
        val_loss = val_loss if seen.val_loss is None else seen.val_loss
        states, fired = judge_all(rules, seen, states)
        for decision in fired:
            first.setdefault(decision.rule, Fired(step, decision, val_loss))
    evaluated = [(point["val_loss"], point["step"]) for point in points if point.get("val_loss") is not None]
    best = min((pair for pair in evaluated if math.isfinite(pair[0])), default=(None, None))
    quiet = [leaf.place for leaf in leaves_of(rules) if leaf.place not in first and leaf.place in states]
    return Replay(
        tuple(sorted(first.values(), key=lambda one: one.step)),
        tuple(Standing(place, word_of(states[place]), _text(states[place])) for place in quiet),
        step,
        val_loss,
        best[0],
        best[1],
    )


def observations(
    points: Sequence[dict[str, Any]], *, tokens_per_step: int, steps_per_epoch: float
) -> Iterator[Observation]:
    """One observation for each step up to the last recorded one."""
    elapsed_s, evals, clock = 0.0, 0, _Clock()
    at_step: dict[int, dict[str, Any]] = {}
    for point in points:
        at_step[point["step"]] = at_step.get(point["step"], {}) | point
    covering = [point for point in points if "loss" in point]
    last_loss = covering[-1] if covering else None
    ends = iter(covering)
    cover = next(ends, None)
    for step in range(1, max(at_step, default=0) + 1):
        if cover is not None and step > cover["step"]:
            cover = next(ends, last_loss)
        point = at_step.get(step, {})
        elapsed_s = clock.at(point, elapsed_s)
        evals += point.get("val_loss") is not None
        yield Observation(
            step=step,
            loss=math.inf if cover is None else cover["loss"],
            grad_norm=1.0 if cover is None else cover.get("grad_norm", 1.0),
            val_loss=point.get("val_loss"),
            elapsed_s=elapsed_s,
            ending_s=0.0,
            tokens=step * tokens_per_step,
            epochs=step / steps_per_epoch,
            evals=evals,
            metrics={name: value for name, value in point.items() if name not in _NOT_METRICS},
        )


class _Clock:
    """Training time at a point: as recorded, else by the clock of the points from the first of them on."""

    def __init__(self) -> None:
        self._first_ms: int | None = None

    def at(self, point: dict[str, Any], before_s: float) -> float:
        if "elapsed_s" in point:
            return float(point["elapsed_s"])
        if "time_ms" not in point:
            return before_s
        if self._first_ms is None:
            self._first_ms = point["time_ms"]
        return float(point["time_ms"] - self._first_ms) / 1000


def _text(state: RuleState) -> str:
    if state["reading"] is None:
        return "never read: this curve does not have its metric"
    return str(state["reading"]["text"])
