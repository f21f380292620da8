"""Sequences of observations, and rules judged over them as the loop does."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from params.stop import StopParams
from tasks.training.stopping.judging import judge_all
from tasks.training.stopping.making import make_rules
from tasks.training.stopping.observation import Observation, Rule


def observe(step: int = 1, loss: float = 1.0, **more: Any) -> Observation:
    return Observation(
        **{"step": step, "loss": loss, "grad_norm": 1.0, "val_loss": None, "elapsed_s": 0.0, "ending_s": 0.0} | more
    )


def first_firing(rule: Rule, observations: Iterable[Observation]) -> int | None:
    """The number, from 1, of the first observation at which a single rule fires."""
    memory: Any = {}
    for number, one in enumerate(observations, 1):
        memory, reading = rule.judge(one, json.loads(json.dumps(memory, allow_nan=False)))
        if reading is not None and reading.fires:
            return number
    return None


def fired_at(stop: dict[str, Any], observations: Iterable[Observation]) -> list[list[str]]:
    """For each observation the places of the rules that fired, under train.stop as a preset has it."""
    rules = make_rules(StopParams.model_validate(stop), tokens_per_step=10, steps_per_epoch=100)
    states: dict[str, Any] = {}
    fired = []
    for one in observations:
        states, decisions = judge_all(rules, one, states)
        fired.append([decision.rule for decision in decisions])
    return fired


@pytest.fixture
def seen() -> Callable[..., Observation]:
    """An observation of a step in which nothing is remarkable but what is given."""
    return observe


@pytest.fixture
def fires_at() -> Callable[[Rule, Iterable[Observation]], int | None]:
    """The number, from 1, of the first observation at which a rule fires."""
    return first_firing


@pytest.fixture
def fired() -> Callable[[dict[str, Any], Iterable[Observation]], list[list[str]]]:
    """For each observation the places of the rules that fired."""
    return fired_at
