"""Rules that end a run when something is used up."""

from dataclasses import dataclass

from params.stop import CostParams
from tasks.training.stopping.observation import Judged, Observation, Reading, RuleState, Verdict


@dataclass(frozen=True)
class Steps:
    """The planned number of steps is done; `name` and `text` say which budget set it."""

    limit: int
    name: str
    text: str
    verdict: Verdict = "budget"
    anneals: bool = False
    """The schedule knows this end from the start."""
    guards: bool = False
    timed: bool = False
    subject: str = ""

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        left = max(0, self.limit - seen.step)
        text = f"{left:,} of {self.limit:,} steps left" if left else self.text
        return memory, Reading(not left, text, float(seen.step), float(self.limit), float(left))


@dataclass(frozen=True)
class Minutes:
    """The run would outlast its minutes if it did not begin to end now."""

    limit: float
    verdict: Verdict = "budget"
    anneals: bool = True
    guards: bool = False
    timed: bool = True
    subject: str = ""

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        left_s = max(0.0, 60 * self.limit - seen.elapsed_s - seen.ending_s)
        text = f"{seen.elapsed_s / 60:.1f} of {self.limit:g} minutes used"
        if not left_s:
            text += ", the rest is needed to end well"
        return memory, Reading(not left_s, text, seen.elapsed_s / 60, self.limit, left_s, "s")


@dataclass(frozen=True)
class Cost:
    """The run would cost more than its limit if it did not begin to end now."""

    params: CostParams
    verdict: Verdict = "budget"
    anneals: bool = True
    guards: bool = False
    timed: bool = True
    subject: str = ""

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        limit, price_per_s = self.params.limit, self.params.price_per_hour / 3600
        spent = seen.elapsed_s * price_per_s
        left_s = max(0.0, limit / price_per_s - seen.elapsed_s - seen.ending_s)
        text = f"{spent:.2f} of {limit:g} spent" + ("" if left_s else ", the rest is needed to end well")
        return memory, Reading(not left_s, text, spent, limit, left_s, "s")
