"""The rule that ends a run when the line through a metric's last values is flat."""

import math
from dataclasses import dataclass
from statistics import median

from params.stop import PlateauParams
from tasks.training.stopping.estimates import slope
from tasks.training.stopping.observation import Judged, Observation, Reading, RuleState, Verdict

_POINTS = 20
"""A window in steps is cut into so many means: the line through them costs 190 slopes, whatever the window."""


@dataclass(frozen=True)
class Plateau:
    """The Theil-Sen line through a window falls (or rises) by less than the smallest gain.

    The line averages noise out, so noisy plateaus are found and slow steady gains over min_gain are not taken for
    one; non-finite values are left out.
    """

    params: PlateauParams
    verdict: Verdict = "converged"
    anneals: bool = True
    guards: bool = False
    timed: bool = False

    @property
    def subject(self) -> str:
        window = "evals" if self.params.evals else f"{self.params.steps} steps"
        return f"{self.params.metric} {self.params.direction} by {window}"

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        value = seen.value(self.params.metric)
        points = [list(point) for point in memory.get("points", ())]
        if self.params.evals is not None:
            if value is None or not math.isfinite(value):
                return memory, None
            points = [*points, [seen.step, value]][-self.params.evals :]
            missing = self.params.evals - len(points)
            return {"points": points}, self._read(points, float(missing) if missing else None)
        return self._judge_steps(seen, value, points, memory)

    def _judge_steps(
        self, seen: Observation, value: float | None, points: list[list[float]], memory: RuleState
    ) -> Judged:
        """Sum up a piece of the window; read the line when the piece is full."""
        steps = self.params.steps
        assert steps is not None, "checked by PlateauParams"
        begin = memory.get("begin", seen.step)
        total, number = memory.get("total", 0.0), memory.get("number", 0)
        if value is not None and math.isfinite(value):
            total, number = total + value, number + 1
        if seen.step % max(1, steps // _POINTS) or not number:
            return {"begin": begin, "points": points, "total": total, "number": number}, None
        points = [point for point in points if point[0] > seen.step - steps] + [[seen.step, total / number]]
        missing = begin + steps - 1 - seen.step
        reading = self._read(points, float(missing) if missing > 0 else None)
        return {"begin": begin, "points": points, "total": 0.0, "number": 0}, reading

    def _read(self, points: list[list[float]], missing: float | None) -> Reading:
        params, unit = self.params, "evals" if self.params.evals else "steps"
        if missing is not None or len(points) < 3:
            text = f"{missing or 0:.0f} more {unit} to fill the window"
            return Reading(False, text, None, params.min_gain, missing, "evals" if params.evals else "steps")
        x_and_y = [(x, y) for x, y in points]
        gain = slope(x_and_y) * (x_and_y[-1][0] - x_and_y[0][0]) * (-1 if params.direction == "down" else 1)
        if params.relative:
            gain /= max(abs(median([y for _, y in x_and_y])), 1e-12)
        window = f"{params.evals or params.steps} {unit}"
        text = f"{params.metric} gained {gain:.4g} over {window} (at least {params.min_gain:g} wanted)"
        return Reading(gain < params.min_gain, text, gain, params.min_gain)
