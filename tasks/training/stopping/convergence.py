"""Rules that end a run when it learns nothing more."""

import math
from dataclasses import dataclass

from params.stop import GradientNoiseParams, NoChangeParams, PatienceParams
from tasks.training.stopping.estimates import finite, spread
from tasks.training.stopping.observation import Judged, Observation, Reading, RuleState, Verdict, rhythm_of

UPDATE_RATIO = "update_ratio"
"""Metric: norm of the update over the norm of the weights."""
GRAD_NOISE = "grad_noise"
"""Metric: norm of the noise of the gradient."""


@dataclass(frozen=True)
class Patience:
    """A metric gained nothing over several evaluations.

    A gain is measured against the last accepted best, so slow steady gains add up instead of being missed; NaN is
    never a best.
    """

    params: PatienceParams
    verdict: Verdict = "converged"
    anneals: bool = True
    guards: bool = False
    timed: bool = False

    @property
    def subject(self) -> str:
        return f"{self.params.metric} {self.params.direction}"

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        value, params = seen.value(self.params.metric), self.params
        if value is None:
            return memory, None
        best = memory.get("best")
        evals, unit = float(params.evals), rhythm_of(params.metric)
        if math.isfinite(value) and (best is None or self._gain(value, best) > self._needed(seen, best)):
            text = f"gained: best {params.metric} {value:.4f}"
            return {"best": value, "waited": 0}, Reading(False, text, 0.0, evals, evals, unit)
        waited = memory.get("waited", 0) + 1
        best_text = "none yet" if best is None else f"{best:.4f}"
        text = (
            f"no gain over {self._wanted()} in {waited} {'evaluations' if unit == 'evals' else unit} (best {best_text})"
        )
        left = max(0.0, evals - waited)
        return {"best": best, "waited": waited}, Reading(waited >= evals, text, float(waited), evals, left, unit)

    def _gain(self, value: float, best: float) -> float:
        return best - value if self.params.direction == "down" else value - best

    def _needed(self, seen: Observation, best: float) -> float:
        params = self.params
        delta = params.min_delta * abs(best) if params.relative else params.min_delta
        error = seen.value(f"{params.metric}_se")
        if params.min_z is None or error is None or not math.isfinite(error):
            return delta
        return max(delta, params.min_z * error)

    def _wanted(self) -> str:
        params = self.params
        delta = f"{params.min_delta:.3%}" if params.relative else f"{params.min_delta:g}"
        return delta if params.min_z is None else f"{delta} and {params.min_z:g} standard errors"


@dataclass(frozen=True)
class NoChange:
    """Every one of the last steps changed the weights by less than a share of their norm."""

    params: NoChangeParams
    verdict: Verdict = "converged"
    anneals: bool = True
    guards: bool = False
    timed: bool = False
    subject: str = UPDATE_RATIO

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        ratio, params = seen.value(UPDATE_RATIO), self.params
        if ratio is None:
            return memory, None
        row = memory.get("row", 0) + 1 if ratio < params.rate else 0
        text = f"weights changed by {ratio:.2e} of their norm (still: below {params.rate:g})"
        text += f", {row} of {params.steps} steps" if row else ""
        left = float(max(0, params.steps - row))
        return {"row": row}, Reading(row >= params.steps, text, finite(ratio), params.rate, left)


@dataclass(frozen=True)
class GradientNoise:
    """The median gradient norm is below a multiple of its noise.

    The noise is the median of the metric grad_noise where the loop measures it; else the robust spread of the norm
    from step to step, which says less: it is only how unsteady the norm is.
    """

    params: GradientNoiseParams
    verdict: Verdict = "converged"
    anneals: bool = True
    guards: bool = False
    timed: bool = False
    subject: str = "grad_norm"

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        norms, noises = list(memory.get("norms", ())), list(memory.get("noises", ()))
        if not math.isfinite(seen.grad_norm):
            return memory, None
        norms = [*norms, seen.grad_norm][-self.params.steps :]
        noise = seen.value(GRAD_NOISE)
        if noise is not None and math.isfinite(noise):
            noises = [*noises, noise][-self.params.steps :]
        after = {"norms": norms, "noises": noises}
        if (missing := self.params.steps - len(norms)) > 0:
            return after, Reading(False, f"{missing} more steps to fill the window", left=float(missing))
        return after, self._read(norms, noises)

    def _read(self, norms: list[float], noises: list[float]) -> Reading:
        norm = sorted(norms)[len(norms) // 2]
        noise = sorted(noises)[len(noises) // 2] if noises else spread(norms, norm)
        text = f"median gradient norm {norm:.3g}, noise {noise:.3g}"
        return Reading(norm < self.params.ratio * noise, text, norm / noise if noise else None, self.params.ratio)
