"""Rules joined by any, all and not.

A rule that was not yet read is neither true nor false, and between two readings the last one stands; so rules that are
read at different steps can be joined, and not of a rule that nobody has read does not fire (Kleene's strong logic).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from params.stop import AfterParams
from tasks.training.stopping.observation import Observation, Rule, RuleState, StopDecision, Verdict, weight_of

States = Mapping[str, RuleState]
"""By place in train.stop, what the checkpoint keeps of each rule."""


@dataclass(frozen=True)
class Outcome:
    """What a node says: whether it holds (None: not known yet), the decisions that follow if so, and how it stands."""

    holds: bool | None
    decisions: tuple[StopDecision, ...]
    """Of an any, one for each that holds."""
    text: str


class Node(Protocol):
    """A rule or a group of rules."""

    @property
    def guards(self) -> bool:
        """Whether it is asked before the update instead of after it."""
        ...

    def leaves(self) -> "Iterator[Leaf]":
        """The rules in it."""
        ...

    def read(self, seen: Observation, states: States, after: dict[str, RuleState]) -> None:
        """Put the next state of each of its rules into `after`."""
        ...

    def outcome(self, states: States) -> Outcome:
        """What the last readings amount to."""
        ...


@dataclass(frozen=True)
class Leaf:
    """A rule at its place, with the grace periods that it stands in."""

    place: str
    rule: Rule
    graces: tuple[AfterParams, ...] = ()

    @property
    def guards(self) -> bool:
        return self.rule.guards

    def leaves(self) -> "Iterator[Leaf]":
        yield self

    def read(self, seen: Observation, states: States, after: dict[str, RuleState]) -> None:
        state = states.get(self.place, {})
        memory, reading = self.rule.judge(seen, state.get("memory", {}))
        last = state.get("reading") if reading is None else {"step": seen.step, **vars(reading)}
        in_grace = any(not is_over(grace, seen) for grace in self.graces)
        after[self.place] = {"memory": memory, "reading": last, "in_grace": in_grace, **self.identity}

    def outcome(self, states: States) -> Outcome:
        state = states.get(self.place, {})
        reading = state.get("reading")
        if reading is None or state["in_grace"]:
            return Outcome(None, (), f"{self.place}: {'not read yet' if reading is None else 'in its grace period'}")
        text = reading["text"]
        decision = StopDecision(self.place, self.rule.verdict, text, reading["action"], self.rule.anneals)
        return Outcome(reading["fires"], (decision,) if reading["fires"] else (), f"{self.place}: {text}")

    @cached_property
    def identity(self) -> dict[str, str]:
        """What tells whether a kept state is of this very rule, or at least about the same thing."""
        return {"subject": f"{type(self.rule).__name__} {self.rule.subject}".strip(), "rule": repr(self.rule)}


@dataclass(frozen=True)
class Group:
    """Rules joined by any, all or not."""

    place: str
    kind: Literal["any", "all", "not"]
    nodes: tuple[Node, ...]
    guards: bool = False

    def leaves(self) -> Iterator[Leaf]:
        for node in self.nodes:
            yield from node.leaves()

    def read(self, seen: Observation, states: States, after: dict[str, RuleState]) -> None:
        for node in self.nodes:
            node.read(seen, states, after)

    def outcome(self, states: States) -> Outcome:
        inner = [node.outcome(states) for node in self.nodes]
        text = "; ".join(one.text for one in inner)
        holds = self.join([one.holds for one in inner])
        if self.kind == "any":
            decisions = tuple(decision for one in inner for decision in one.decisions)
            if decisions:
                text = "; ".join(one.text for one in inner if one.holds)
            return Outcome(holds, decisions, text)
        if self.kind == "all":
            return Outcome(holds, (self._joint(inner, text),) if holds else (), text)
        return Outcome(holds, (self._opposite(text),) if holds else (), text)

    def join(self, known: list[bool | None]) -> bool | None:
        """What follows for the group from what is known of its nodes."""
        if self.kind == "not":
            (inner,) = known
            return None if inner is None else not inner
        decisive = self.kind == "any"
        return decisive if decisive in known else None if None in known else not decisive

    def _joint(self, inner: list[Outcome], text: str) -> StopDecision:
        """One decision for all of them: the weightiest verdict; planned nowhere, so that a decay may still come."""
        decisions = [decision for one in inner for decision in one.decisions]
        anneals = all(decision.anneals or decision.verdict == "budget" for decision in decisions)
        return StopDecision(self.place, min(decisions, key=weight_of).verdict, text, anneals=anneals)

    def _opposite(self, text: str) -> StopDecision:
        """That a run is not broken, or not converged, is no fault of it."""
        verdicts: set[Verdict] = {leaf.rule.verdict for leaf in self.leaves()}
        verdict: Verdict = "budget" if verdicts == {"budget"} else "asked" if "asked" in verdicts else "converged"
        return StopDecision(self.place, verdict, f"does not hold: {text}", anneals=verdict != "asked")


def is_over(grace: AfterParams, seen: Observation) -> bool:
    """Whether everything that a grace period waits for has passed."""
    passed = (
        (grace.steps, seen.step),
        (grace.epochs, seen.epochs),
        (grace.tokens, seen.tokens),
        (grace.minutes, seen.elapsed_s / 60),
        (grace.evals, seen.evals),
    )
    return all(limit is None or value >= limit for limit, value in passed)
