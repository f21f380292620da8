"""Rules that keep a run from going on broken."""

import math
from dataclasses import dataclass

from params.stop import DivergenceParams, LossSpikeParams
from tasks.training.stopping.estimates import level_and_deviation
from tasks.training.stopping.observation import Judged, Observation, Reading, RuleState, Verdict


@dataclass(frozen=True)
class NonFinite:
    """The loss or the gradient is NaN or infinite: asked before the update, so the weights are still good."""

    verdict: Verdict = "broken"
    anneals: bool = False
    guards: bool = True
    timed: bool = False
    subject: str = ""

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        fires = not (math.isfinite(seen.loss) and math.isfinite(seen.grad_norm))
        where = f"step {seen.step}: " if fires else ""
        return memory, Reading(fires, f"{where}loss {seen.loss:g}, gradient norm {seen.grad_norm:g}")


@dataclass(frozen=True)
class Divergence:
    """The loss has been above its running level by so many deviations for so many steps."""

    params: DivergenceParams
    verdict: Verdict = "broken"
    anneals: bool = False
    guards: bool = False
    timed: bool = False
    subject: str = "loss"

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        params, losses = self.params, list(memory.get("losses", ()))[-self.params.window :]
        if len(losses) < params.window:
            return _filling(losses, seen.loss, params.window, row=0)
        level, deviation = level_and_deviation(losses)
        limit = level + params.deviations * deviation
        is_high = not seen.loss <= limit  # so that NaN is high
        row = memory.get("row", 0) + 1 if is_high else 0
        if not is_high:
            losses = [*losses[1:], seen.loss]
        text = f"loss {seen.loss:.4f}, running level {level:.4f} ± {deviation:.4f}"
        text += f", over {limit:.4f} for {row} of {params.steps} steps" if row else ""
        value = seen.loss if math.isfinite(seen.loss) else None
        left = float(max(0, params.steps - row)) if row else None
        return {"losses": losses, "row": row}, Reading(row >= params.steps, text, value, limit, left)


@dataclass(frozen=True)
class LossSpike:
    """The loss of this step leaps over its running level: asked before the update, so that it can be left out."""

    params: LossSpikeParams
    verdict: Verdict = "broken"
    anneals: bool = False
    guards: bool = True
    timed: bool = False
    subject: str = "loss"

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        params, losses = self.params, list(memory.get("losses", ()))[-self.params.window :]
        spikes = [step for step in memory.get("spikes", ()) if step > seen.step - params.within_steps]
        if not math.isfinite(seen.loss):
            return memory, None
        if len(losses) < params.window:
            after, reading = _filling(losses, seen.loss, params.window)
            return {**after, "spikes": spikes}, reading
        level, deviation = level_and_deviation(losses)
        limit = level + params.deviations * deviation
        text = f"loss {seen.loss:.4f}, running level {level:.4f} ± {deviation:.4f}"
        if seen.loss <= limit:
            return {"losses": [*losses[1:], seen.loss], "spikes": spikes}, Reading(False, text, seen.loss, limit)
        spikes = [*spikes, seen.step]
        action = params.action if len(spikes) <= params.max_times else "stop"
        text = f"step {seen.step}: {text}; spike {len(spikes)} in {params.within_steps:,} steps"
        return {"losses": losses, "spikes": spikes}, Reading(True, text, seen.loss, limit, action=action)


def _filling(losses: list[float], loss: float, window: int, **rest: int) -> tuple[dict[str, object], Reading]:
    """Memory and reading while the window is not yet full."""
    losses = [*losses, loss] if math.isfinite(loss) else losses
    missing = window - len(losses)
    return {"losses": losses, **rest}, Reading(False, f"{missing} more steps to fill the window")
