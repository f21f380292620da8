"""Rules that end a run because somebody outside asks for it."""

from dataclasses import dataclass

from tasks.training.stopping.observation import Judged, Observation, Reading, RuleState, Verdict


@dataclass(frozen=True)
class Request:
    """A file has appeared, or a command has ended with exit code 0; somebody else looks, see outside.py."""

    rule: str
    """Its place in train.stop, under which the answer is found."""
    what: str
    """For people: file stop-me, command ./check.sh."""
    verdict: Verdict = "asked"
    anneals: bool = False
    """Whoever asks wants it now."""
    guards: bool = False
    timed: bool = True

    @property
    def subject(self) -> str:
        return self.what

    def judge(self, seen: Observation, memory: RuleState) -> Judged:
        if self.rule not in seen.outside:
            return memory, None
        said = seen.outside[self.rule]
        return memory, Reading(said is not None, f"{self.what}: {'not yet' if said is None else said}")
