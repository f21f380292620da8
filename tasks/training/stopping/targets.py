"""Rules that end a run when a metric is as good, or as bad, as was asked for."""

import math
from dataclasses import dataclass

from params.stop import MemorisationParams, MetricParams, TargetTrainLossParams
from tasks.training.stopping.estimates import finite, smoothed
from tasks.training.stopping.observation import Judged, Observation, Reading, RuleState, Verdict, rhythm_of


@dataclass(frozen=True)
class TargetLoss:
    """The validation loss is as low as asked for."""

    target: float
    verdict: Verdict = "converged"
    anneals: bool = False
    guards: bool = False
    timed: bool = False
    subject: str = ""

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        if seen.val_loss is None:
            return memory, None
        fires = seen.val_loss <= self.target
        text = f"validation loss {seen.val_loss:.4f} {'reached' if fires else 'is above'} {self.target:g}"
        return memory, Reading(fires, text, finite(seen.val_loss), self.target)


@dataclass(frozen=True)
class TargetTrainLoss:
    """The smoothed training loss is as low as asked for; one lucky batch is not enough."""

    params: TargetTrainLossParams
    verdict: Verdict = "converged"
    anneals: bool = False
    guards: bool = False
    timed: bool = False

    @property
    def subject(self) -> str:
        return f"loss over {self.params.smoothing_steps}"

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        after, mean = smoothed(memory, seen.loss, self.params.smoothing_steps)
        missing = self.params.smoothing_steps - after["number"]
        if missing > 0:
            text = f"{missing:,.0f} more steps before the mean is trusted"
            return after, Reading(False, text, finite(mean), self.params.loss)
        fires = mean <= self.params.loss
        text = f"smoothed training loss {mean:.4f} {'reached' if fires else 'is above'} {self.params.loss:g}"
        return after, Reading(fires, text, mean, self.params.loss)


@dataclass(frozen=True)
class MetricBound:
    """A logged metric is past its bound, so many times in a row; NaN is past nothing."""

    params: MetricParams
    verdict: Verdict = "converged"
    anneals: bool = False
    guards: bool = False
    timed: bool = False

    @property
    def subject(self) -> str:
        return self.params.name

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        value, params = seen.value(self.params.name), self.params
        if value is None:
            return memory, None
        above = params.above is not None
        bound = params.above if params.above is not None else params.below
        assert bound is not None, "checked by MetricParams"
        is_past = value >= bound if above else value <= bound
        row = memory.get("row", 0) + 1 if is_past else 0
        text = f"{params.name} {value:.4g} {'is' if is_past else 'is not'} {'above' if above else 'below'} {bound:g}"
        if row and params.in_a_row > 1:
            text += f", {row} of {params.in_a_row} times in a row"
        left = float(max(0, params.in_a_row - row))
        reading = Reading(
            row >= params.in_a_row, text, finite(value), bound, left if is_past else None, rhythm_of(params.name)
        )
        return {"row": row}, reading


@dataclass(frozen=True)
class Memorisation:
    """Validation lags behind the smoothed training loss by more than the largest gap, evaluation after evaluation."""

    params: MemorisationParams
    verdict: Verdict = "converged"
    anneals: bool = False
    """To go on, even at a falling rate, would learn more by heart."""
    guards: bool = False
    timed: bool = False

    @property
    def subject(self) -> str:
        return f"loss over {self.params.smoothing_steps}"

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        after, mean = smoothed(memory, seen.loss, self.params.smoothing_steps)
        row = memory.get("row", 0)
        if seen.val_loss is None or not math.isfinite(mean):
            return {**after, "row": row}, None
        gap, limit, evals = seen.val_loss - mean, self.params.max_gap, self.params.evals
        row = row + 1 if gap > limit else 0
        text = f"validation loss is {gap:+.4f} over the smoothed training loss (at most {limit:g})"
        text += f", {row} of {evals} evaluations in a row" if row else ""
        return {**after, "row": row}, Reading(row >= evals, text, finite(gap), limit, float(evals - row), "evals")
