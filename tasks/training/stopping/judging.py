"""All rules of a run at a step, and what their states mean when training goes on."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.training.stopping.observation import Observation, RuleState, StopDecision, weight_of
from tasks.training.stopping.tree import Group, Leaf, Node, States

_AFTER_A_REWIND = ("spikes",)
"""What a rule remembers of its own actions, which going back to a checkpoint must not undo."""


def judge_all(
    rules: Sequence[Node], seen: Observation, states: States
) -> tuple[dict[str, RuleState], list[StopDecision]]:
    """Every rule's next state, and the decisions of all that fired, the weightiest first.

    The weight: broken, rewind, skip_step, asked, converged, budget.
    """
    after: dict[str, RuleState] = {}
    for rule in rules:
        rule.read(seen, states, after)
    fired = [decision for rule in rules if (outcome := rule.outcome(after)).holds for decision in outcome.decisions]
    return after, sorted(fired, key=weight_of)


def lasting(rules: Sequence[Node], states: States) -> dict[str, RuleState]:
    """What a checkpoint keeps of the states: nothing that depends on the clock, so that its bytes do not either."""
    kept: dict[str, RuleState] = {}
    for leaf in leaves_of(rules):
        state = states[leaf.place]
        kept[leaf.place] = {**state, "in_grace": None, "reading": None if leaf.rule.timed else state["reading"]}
    return kept


def leaves_of(rules: Iterable[Node]) -> Iterator[Leaf]:
    """The single rules, however deep."""
    for rule in rules:
        yield from rule.leaves()


def identity_of(rules: Iterable[Node]) -> str:
    """A digest of rules and thresholds: a run that stopped trains on only if this has changed."""
    return hashlib.sha256(repr(list(rules)).encode()).hexdigest()[:16]


def carry_over(rules: Iterable[Node], states: States) -> dict[str, RuleState]:
    """The states of a checkpoint as rules that may have changed since can use them.

    A rule keeps its memory (the best loss, a window) where it still means the same, even if its thresholds are new or
    it has moved into another group; its last reading is kept only if nothing changed. Never is a threshold taken from
    the checkpoint.
    """
    carried: dict[str, RuleState] = {}
    leaves = list(leaves_of(rules))
    same = {leaf.place for leaf in leaves if _is_about(leaf, states.get(leaf.place))}
    free = [state for place, state in states.items() if place not in same]
    for leaf in leaves:
        state = states[leaf.place] if leaf.place in same else next((s for s in free if _is_about(leaf, s)), None)
        if state is None:
            continue
        if leaf.place not in same:
            free.remove(state)
        unchanged = state["rule"] == leaf.identity["rule"]
        carried[leaf.place] = {**state, **leaf.identity, "reading": state["reading"] if unchanged else None}
    return carried


def _is_about(leaf: Leaf, state: RuleState | None) -> bool:
    return state is not None and state["subject"] == leaf.identity["subject"]


def after_rewind(restored: States, current: States) -> dict[str, RuleState]:
    """The states of the checkpoint gone back to, with what the rules have done since: spikes stay counted."""
    kept = dict(restored)
    for place, state in current.items():
        if done := {name: state["memory"][name] for name in _AFTER_A_REWIND if name in state["memory"]}:
            before = restored.get(place, {**state, "memory": {}, "reading": None})
            kept[place] = {**before, "memory": {**before["memory"], **done}}
    return kept


@dataclass(frozen=True)
class Left:
    """What is left of a run by its nearest rule; at the earliest, where the rule looks at what is learned."""

    rule: str
    seconds: float
    fraction: float | None
    """Share of a budget that is used up."""
    is_certain: bool
    """A budget that comes whatever is learned."""


def nearest(rules: Sequence[Node], states: States, *, step_s: float, steps_per_eval: int) -> Left | None:
    """The rule that may fire first, by the states of the last step and the seconds of a step; None if nobody knows.

    Budgets go before rules that might fire earlier but need not.
    """
    seconds = {"s": 1.0, "steps": step_s, "evals": step_s * steps_per_eval}
    left = [found for rule in rules if (found := _left(rule, states, seconds)) is not None]
    certain = [one for one in left if one.is_certain]
    return min(certain or left, key=lambda one: one.seconds, default=None)


def _left(node: Node, states: States, seconds: Mapping[str, float]) -> Left | None:
    if isinstance(node, Leaf):
        return _left_of_leaf(node, states, seconds)
    if not isinstance(node, Group) or node.kind == "not":
        return None
    inner = [_left(one, states, seconds) for one in node.nodes]
    known = [one for one in inner if one is not None]
    if node.kind == "any":
        return min(known, key=lambda one: one.seconds, default=None)
    return max(known, key=lambda one: one.seconds) if len(known) == len(inner) else None


def _left_of_leaf(leaf: Leaf, states: States, seconds: Mapping[str, float]) -> Left | None:
    reading = states.get(leaf.place, {}).get("reading")
    if reading is None or reading["left"] is None:
        return None
    is_budget = leaf.rule.verdict == "budget"
    share = min(1.0, reading["value"] / reading["threshold"]) if is_budget else None
    return Left(leaf.place, reading["left"] * seconds[reading["unit"]], share, is_budget)
